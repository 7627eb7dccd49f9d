"""A gigabyte of real text for the benchmarks of tokenization: documentation in 17 languages, and a kernel's source.

The main text of the pages of Debian's documentation packages, and the files of Debian's Linux source, in an order by
hash that mixes both, up to a number of bytes. No text comes twice; near-duplicates there are, as manuals have them.
Left out are files that are not UTF-8 and one folder of register tables (`SKIPPED`), 30% of the source, which no corpus
would keep. The packages are fetched with apt-get, or taken from the cache; the same packages give the same texts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import tarfile
from collections.abc import Iterator
from functools import cache as cached
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import crawl
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from planted import CACHE

from pipelines.ingest.extraction.extractors import Extract, attempt, extractor

DOCUMENTATION = (
    *crawl.PACKAGES,
    "rust-doc",
    "openjdk-17-doc",
    "qtbase5-doc-html",
    "libboost1.74-doc",
    "erlang-doc",
    "postgresql-doc-15",
)
ORIGINS = ("documentation", "source")
SOURCE = "linux-source-6.1"
SKIPPED = "/drivers/gpu/drm/amd/include/"
SHORTEST = 200  # bytes of a text
RANGE_BYTES = 32_000_000
SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])

Named = tuple[str, str]  # name, text


class Text(NamedTuple):
    """A text of an origin, `documentation` or `source`."""

    origin: str
    name: str
    text: str
    size: int  # bytes


def fetch(cache: Path, cores: int) -> Path:
    """The folder of all texts below the benchmarks' cache, made unless it is there."""
    folder = cache / "pack-texts"
    if not (folder / "facts.json").exists():
        crawl.fetch(cache, (*DOCUMENTATION, SOURCE))
        write(folder, _different(cache / "tree", cores))
    return folder


def write(folder: Path, texts: list[Text]) -> None:
    """Write texts, in their order, as `ORIGIN/NUMBER.parquet` (id, text).

    Files of the same number hold texts of neighbouring hashes, together RANGE_BYTES. `facts.json` lists, by number,
    documents and bytes of each origin.
    """
    ends = np.cumsum([text.size for text in texts])
    borders = [0, *(ends.searchsorted(range(RANGE_BYTES, int(ends[-1]), RANGE_BYTES)) + 1), len(texts)]
    facts: list[dict[str, tuple[int, int]]] = []
    for number, (start, stop) in enumerate(pairwise(borders)):
        facts.append({})
        for origin in ORIGINS:
            here = [text for text in texts[start:stop] if text.origin == origin]
            (folder / origin).mkdir(parents=True, exist_ok=True)
            table = pa.table([[text.name for text in here], [text.text for text in here]], schema=SCHEMA)
            pq.write_table(table, folder / origin / f"{number:03}.parquet", compression="zstd")
            facts[-1][origin] = len(here), sum(text.size for text in here)
    (folder / "facts.json").write_text(json.dumps(facts))


def choose(folder: Path, size: int) -> tuple[dict[str, list[Path]], dict[str, Any]]:
    """The first files of each origin that together hold at least `size` bytes, or all; documents and MB of each."""
    ranges = json.loads((folder / "facts.json").read_text())
    held = np.cumsum([sum(size for _, size in facts.values()) for facts in ranges])
    numbers = range(min(len(ranges), int(held.searchsorted(size)) + 1))
    files = {origin: [folder / origin / f"{number:03}.parquet" for number in numbers] for origin in ORIGINS}
    facts = {}
    for origin in ORIGINS:
        documents, total = (sum(ranges[number][origin][i] for number in numbers) for i in (0, 1))
        facts[origin] = {"documents": documents, "megabytes": round(total / 1e6, 1)}
    return files, facts


def _different(tree: Path, cores: int) -> list[Text]:
    """All texts that differ, in the order of their hash."""
    texts: dict[int, Text] = {}  # by hash of the text
    for origin, found in (("documentation", _pages(tree, cores)), ("source", _source(tree))):
        for name, text in found:
            content = text.encode()
            if len(content) >= SHORTEST:
                texts.setdefault(xxhash.xxh3_64_intdigest(content), Text(origin, name, text, len(content)))
    return [text for _, text in sorted(texts.items())]


def _pages(tree: Path, cores: int) -> Iterator[Named]:
    """The main text of all pages."""
    found = sorted(
        path
        for package in DOCUMENTATION
        for path in (tree / package).rglob("*.htm*")
        if path.is_file() and not path.is_symlink()
    )
    with multiprocessing.Pool(cores) as pool:
        for path, text in zip(found, pool.imap(_main_text, found, chunksize=64)):
            yield path.relative_to(tree).as_posix(), text


def _source(tree: Path) -> Iterator[Named]:
    """The files of the source that are UTF-8."""
    with tarfile.open(tree / SOURCE / "usr" / "src" / f"{SOURCE}.tar.xz") as members:
        for member in members:
            content = members.extractfile(member) if member.isfile() and SKIPPED not in member.name else None
            if content is not None:
                with contextlib.suppress(UnicodeDecodeError):
                    yield member.name, content.read().decode()


def _main_text(path: Path) -> str:
    return attempt(_extractor(), path.read_bytes(), None, "").text or ""


@cached
def _extractor() -> Extract:
    return extractor("fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--cache", type=Path, default=CACHE)
    given = parser.parse_args()
    folder = fetch(given.cache.resolve(), given.cores)
    print(json.dumps(choose(folder, given.bytes)[1]))


if __name__ == "__main__":
    main()
