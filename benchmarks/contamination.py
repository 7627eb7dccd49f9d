"""Benchmark items in 100,000 documents of real text: how many are found, and what is found where none was planted.

Documents are passages of novels and web pages under `$GRISTMILL_DATA`. Each item of GSM8K (question, answer) and
HumanEval (prompt, canonical_solution, test) is planted three times, in documents of their own: whole; one half of its
words; and paraphrased: sentences in another order, other numbers, synonyms, and words put in, so that no more than
6 words in a row stay. Then `gristmill run --until judge` looks for the items.

Which items are looked for at all is said too: those of fewer than 8 words are not, and what 100 documents have in
common is no evidence (all tests of HumanEval begin alike). A paraphrase is not meant to be found; the figure says so.
Every document that is told to hold an item, though none was planted in it, is printed with the text matched. There is
no peer here, so no `ratio`. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from filters.batch import TextBatch
from pipelines import datasets
from pipelines.dedup.benchmark_items import parts_of
from pipelines.dedup.contamination_report import contamination_facts
from pipelines.dedup.options import Benchmark, Contamination
from pipelines.ingest.books.epub import read_epub
from pipelines.ingest.books.text import read_text
from pipelines.ingest.records import Document
from pipelines.lookup import Finished, excerpt

DATA = Path(os.environ.get("GRISTMILL_DATA", Path(__file__).parents[2] / "shared" / "data"))
FIELDS = {"gsm8k-test.jsonl": ["question", "answer"], "humaneval.jsonl.gz": ["prompt", "canonical_solution", "test"]}
WORDS = 13  # of the n-grams that are looked for
STEP = 6  # words of an item in a row that a paraphrase may keep
SYNONYMS = {
    "how": "exactly how", "many": "numerous", "much": "great", "each": "every", "every": "each", "has": "owns",
    "have": "own", "had": "owned", "buys": "purchases", "bought": "purchased", "gives": "hands", "gave": "handed",
    "makes": "produces", "made": "produced", "sells": "vends", "if": "supposing", "and": "plus", "then": "next",
    "total": "sum", "cost": "price", "costs": "is priced at", "day": "working day", "week": "calendar week",
    "return": "yield back", "returns": "yields back", "list": "sequence", "string": "text", "number": "figure",
    "numbers": "figures", "given": "handed", "check": "verify", "for": "in", "in": "within", "not": "never",
}  # fmt: skip
EXTRA = ("indeed", "actually", "perhaps", "certainly", "apparently", "notably")
_WORD = re.compile(r"\w+")


class Planted(NamedTuple):
    """What was planted in a document."""

    kind: str  # whole, half or paraphrase
    item: str
    words: int


def settings(data: Path) -> Contamination:
    benchmarks = [Benchmark(path=str(data / "benchmarks" / name), fields=fields) for name, fields in FIELDS.items()]
    return Contamination(benchmarks=benchmarks, words=WORDS)


def parts(data: Path) -> list[tuple[str, str]]:
    """The items by name and text."""
    return [part for benchmark in settings(data).benchmarks for part in parts_of(benchmark)]


def works(data: Path) -> Iterator[str]:
    """Novels and web pages."""
    for path in sorted(data.glob("books/**/*")):
        reader = {".epub": read_epub, ".txt": read_text, ".gz": read_text}.get(path.suffix)
        for document in reader(path, path.name, max_text_bytes=10**9) if reader else ():
            if isinstance(document, Document) and document.text:
                yield document.text
    with gzip.open(data / "web" / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def passages(data: Path, documents: int, rng: random.Random) -> list[str]:
    """So many different passages of about equal length, in a seeded order: together they are all works.

    Fewer documents than 100,000 are some of those of 100,000.
    """
    tokens = [re.findall(r"\S+\s*", text) for text in works(data)]
    size = sum(map(len, tokens)) // max(documents, 100_000) - 1
    found = ["".join(of_one[at : at + size]) for of_one in tokens for at in range(0, len(of_one) - size + 1, size)]
    rng.shuffle(found)
    if len(found) < documents:
        raise ValueError(f"{len(found):,} passages, {documents:,} asked for")
    return found[:documents]


def halved(text: str, rng: random.Random) -> tuple[str, int]:
    """The first or the second half of a text's words, and how many they are."""
    words = TextBatch(pa.array([text])).words
    count = len(words.starts)
    first = rng.choice([0, count // 2])
    last = first + count // 2 - 1
    if last < first:
        return "", 0
    return text.encode()[words.starts[first] : words.starts[last] + words.lengths[last]].decode(), count // 2


def paraphrased(text: str, rng: random.Random) -> str:
    """A text that says about the same: see the top."""
    sentences = re.split(r"(?<=[.!?])\s+", text)
    rng.shuffle(sentences)
    kept = 0

    def other(match: re.Match[str]) -> str:
        nonlocal kept
        word = match[0]
        new = str(int(word) + rng.randint(1, 9)) if word.isdecimal() else SYNONYMS.get(word.lower(), word)
        kept = kept + 1 if new == word else 0
        if kept == STEP:
            kept = 0
            return f"{new} {rng.choice(EXTRA)}"
        return new

    return _WORD.sub(other, " ".join(sentences))


def planted(data: Path, documents: int, seed: int = 0, every: int = 1) -> tuple[list[str], dict[int, Planted]]:
    """Texts, and what was planted in which of them: one in `every` items, three times each."""
    rng = random.Random(seed)
    texts = passages(data, documents, rng)
    items = parts(data)[::every]
    places = iter(rng.sample(range(documents), 3 * len(items)))
    truth = {}
    for name, text in items:
        count = len(TextBatch(pa.array([text])).words.starts)
        half, half_count = halved(text, rng)
        for kind, piece, words in (
            ("whole", text, count), ("half", half, half_count), ("paraphrase", paraphrased(text, rng), count)
        ):  # fmt: skip
            place = next(places)
            middle = texts[place].find(" ", len(texts[place]) // 2) + 1
            texts[place] = f"{texts[place][:middle]}\n{piece}\n{texts[place][middle:]}"
            truth[place] = Planted(kind, name, words)
    return texts, truth


def write(folder: Path, data: Path, texts: list[str]) -> Path:
    """The texts as Parquet files, and the config of a run over them, whose path is returned."""
    (folder / "texts").mkdir(parents=True)
    for file, first in enumerate(range(0, len(texts), 10_000)):
        part = texts[first : first + 10_000]
        table = pa.table({"number": [str(first + at) for at in range(len(part))], "text": part})
        pq.write_table(table, folder / "texts" / f"{file:03}.parquet")
    source = {"name": "texts", "format": "parquet", "kind": "text", "paths": [f"{folder}/texts/*.parquet"],
              "options": {"columns": {"id": "number", "uri": "number"}}}  # fmt: skip
    config = {
        "name": "contamination",
        "sources": [source],
        "annotate": {"families": []},
        "rules": {"sets": {"text": []}},
        "repeats": {"contamination": settings(data).model_dump()},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def score(output: Path, truth: dict[int, Planted], documents: int) -> dict[str, object]:
    """What a run found: figures, items and halves that were missed, and all false alarms with their text."""
    coverage = {row["item"]: row for row in datasets.scan(output, "benchmarks").to_pylist()}
    number_of = {
        row["doc_id"]: int(row["uri"]) for row in datasets.scan(output, "documents", ["doc_id", "uri"]).to_pylist()
    }
    rows = [row for row in datasets.scan(output, "repeats").to_pylist() if row["kind"] == "contamination"]
    flagged: dict[int, set[str]] = {}
    for row in rows:
        flagged.setdefault(number_of[row["doc_id"]], set()).add(row["elsewhere"])
    count: Counter[str] = Counter()
    missed: dict[str, list[str]] = {"whole": [], "half": []}
    for place, (kind, item, words) in sorted(truth.items()):
        found = item in flagged.get(place, ())
        if kind == "whole" and coverage[item]["grams"] == 0:
            kind = "too_short"
        elif kind == "half" and words < WORDS:
            kind = "short_half"
        elif not found and kind in missed:
            missed[kind].append(item)
        count[f"{kind}_planted"] += 1
        count[f"{kind}_found"] += found
    alarms = [row for row in rows if number_of[row["doc_id"]] not in truth]
    text_of = {row["doc_id"]: row["text"].encode() for row in _documents(output, {row["doc_id"] for row in alarms})}
    told = [
        {
            "document": number_of[row["doc_id"]],
            "item": row["elsewhere"],
            "text": excerpt(text_of[row["doc_id"]][row["start"] : row["end"]].decode(), 300),
        }
        for row in alarms
    ]
    false = len({alarm["document"] for alarm in told})
    return {
        **dict(sorted(count.items())),
        "missed": missed,
        "false_alarms": told,
        "false_alarms_per_10000_documents": round(false / (documents - len(truth)) * 10_000, 3),
        "items": contamination_facts(Finished.read(output))["counts"][""],
    }


def _documents(output: Path, doc_ids: set[str]) -> list[dict[str, str]]:
    rows = datasets.scan(
        output, "documents", ["doc_id", "text"], [("doc_id", "in", sorted(doc_ids))] if doc_ids else None
    )
    return rows.to_pylist() if doc_ids else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    texts, truth = planted(DATA, options.documents, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        config, output = write(Path(folder), DATA, texts), Path(folder) / "output"
        started = time.perf_counter()
        program = Path(sys.executable).parent / "gristmill"
        subprocess.run([program, "run", config, "--output", output, "--until", "judge"], check=True)
        seconds = time.perf_counter() - started
        facts = score(output, truth, options.documents)
        stages = json.loads((output / "stages.json").read_text())["stages"]
    for alarm in facts.pop("false_alarms"):  # type: ignore[attr-defined]
        print("false alarm:", json.dumps(alarm, ensure_ascii=False))
    for kind, items in facts.pop("missed").items():  # type: ignore[attr-defined]
        for item in items:
            print(f"missed: {kind}: {item}")
    told = {
        "documents": options.documents,
        "text_mb": round(sum(len(text.encode()) for text in texts) / 1e6, 1),
        **facts,
        "seconds": round(seconds, 1),
        "match_seconds": stages["match"]["seconds"],
        "cores": os.cpu_count(),
        "versions": {"pyspark": version("pyspark")},
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
