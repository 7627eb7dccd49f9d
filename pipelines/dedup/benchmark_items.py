"""Benchmark items by their word n-grams: what a corpus is searched for.

An item is one field of one line of a benchmark file, named FILE:LINE:FIELD. It is looked for by its n-grams of `words`
words; an item of fewer words whole, down to `shortest`, and a shorter one not at all.

Every worker holds the index. It takes some 30 bytes for each different n-gram (8 of hash, 8 to 16 of look-up table, 8
where its list of items begins, 4 for each item in it) and the items' names. `MAX_BYTES` of text bound it: at five bytes
a word some 20 million n-grams, 0.6 GB.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import fingerprints
from filters.batch import TextBatch
from filters.fingerprints import Index
from pipelines.dedup.options import Benchmark, Contamination
from pipelines.errors import ConfigError
from pipelines.ingest.frames import BrokenFrame, FrameReader
from pipelines.source_config import expand

MAX_BYTES = 100_000_000  # of all items' text: a benchmark is small, and what is larger was given by mistake
CHUNK_BYTES = 8_000_000  # of text that is segmented at a time
WHERE = "repeats.contamination"


@dataclass(frozen=True)
class Items:
    """Benchmark items by their n-grams, which are numbered through all indexes."""

    names: list[str]
    indexes: list[Index]  # one per n, by n
    firsts: NDArray[np.int64]  # [indexes + 1] number of each index's first n-gram
    totals: NDArray[np.int64]  # [items] distinct n-grams of each; 0: too short to be looked for
    starts: NDArray[np.int64]  # [n-grams + 1]
    items: NDArray[np.int32]  # those of n-gram g are items[starts[g]:starts[g + 1]]

    def words(self, grams: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many words the n-grams of these numbers have."""
        lengths = np.array([index.n for index in self.indexes], np.int64)
        return lengths[np.searchsorted(self.firsts, grams, "right") - 1]

    def count(self, grams: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many of some different n-grams, given by number, each item has: int64[items]."""
        chosen = np.zeros(len(self.starts) - 1, bool)
        chosen[grams] = True
        return np.bincount(self.items[np.repeat(chosen, np.diff(self.starts))], minlength=len(self.names))


def read(settings: Contamination) -> Items:
    """The items of the config's benchmarks.

    Raises ConfigError where one cannot be read, two items have one name, or all have more than MAX_BYTES of text.
    """
    parts = (part for benchmark in settings.benchmarks for part in parts_of(benchmark))
    found = items(parts, settings.words, settings.shortest)
    if len(set(found.names)) < len(found.names):
        twice = next(a for a, b in zip(sorted(found.names), sorted(found.names)[1:]) if a == b)
        raise ConfigError(f"{WHERE}.benchmarks: two items are named {twice!r}")
    return found


def prints(settings: Contamination) -> list[list[str]]:
    """What the result depends on of each benchmark: name, SHA-256 of the file, fields. Raises ConfigError."""
    found = []
    for benchmark in settings.benchmarks:
        path = _path(benchmark)
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ConfigError(f"{WHERE}: {path}: {error.strerror}") from error
        found.append([path.name, digest, *benchmark.fields])
    return found


def _path(benchmark: Benchmark) -> Path:
    try:
        return Path(expand(benchmark.path))
    except ValueError as error:
        raise ConfigError(f"{WHERE}: {benchmark.path}: {error}") from error


def parts_of(benchmark: Benchmark) -> Iterator[tuple[str, str]]:
    """(FILE:LINE:FIELD, text) of each field of each line, lines counted from 1; lists are joined by lines.

    Raises ConfigError where the file or a line cannot be read, or a line lacks a field.
    """
    path = _path(benchmark)
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{WHERE}: {path}, line {number}: no JSON: {error}") from error
        for field in benchmark.fields:
            try:
                value = _value(record, field)
            except KeyError as error:
                raise ConfigError(f"{WHERE}: {path}, line {number}: no field {field!r}") from error
            yield f"{path.name}:{number}:{field}", _text(value)


def _lines(path: Path) -> Iterator[bytes]:
    rest = b""
    try:
        with FrameReader(path) as file:
            while piece := file.read():
                *lines, rest = (rest + piece).split(b"\n")
                yield from lines
                if len(rest) > MAX_BYTES:
                    raise ConfigError(f"{WHERE}: {path}: a line of more than {MAX_BYTES:,} bytes")
    except (OSError, BrokenFrame) as error:
        reason = error.reason if isinstance(error, BrokenFrame) else error
        raise ConfigError(f"{WHERE}: {path}: {reason}") from error
    yield rest


def _value(record: Any, field: str) -> Any:
    """The field of that name, or the one at the end of the path a.b.c. Raises KeyError."""
    for key in [field] if isinstance(record, dict) and field in record else field.split("."):
        if not isinstance(record, dict):
            raise KeyError(field)
        record = record[key]
    return record


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(_text, value))
    return (value if isinstance(value, str) else json.dumps(value)).encode(errors="replace").decode()


def items(parts: Iterable[tuple[str, str]], words: int, shortest: int) -> Items:
    """Items by (name, text): n-grams of `words` words, or the whole text where it has fewer, down to `shortest`.

    Raises ConfigError where the texts have more than MAX_BYTES.
    """
    names: list[str] = []
    hashes, owners = (defaultdict[int, list[NDArray[Any]]](list) for _ in range(2))
    for texts in _chunks(parts, names):
        lengths = np.diff(TextBatch(texts).words.offsets)
        for n in np.unique(np.minimum(lengths[lengths >= shortest], words)).tolist():
            members = np.flatnonzero(lengths == n if n < words else lengths >= n)
            found = fingerprints.grams(TextBatch(texts.take(pa.array(members))).words, n)
            hashes[n].append(found.hashes)
            owners[n].append(np.repeat(members + len(names) - len(texts), np.diff(found.offsets)))
    indexes, firsts = [], [0]
    grams, having = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for n in sorted(hashes):
        of_n = np.concatenate(hashes[n])
        indexes.append(fingerprints.index(of_n, n))
        grams.append(np.searchsorted(indexes[-1].hashes, of_n) + firsts[-1])
        having += owners[n]
        firsts.append(firsts[-1] + len(indexes[-1].hashes))
    gram, item = _distinct(np.concatenate(grams), np.concatenate(having))
    starts = np.searchsorted(gram, np.arange(firsts[-1] + 1))
    totals = np.bincount(item, minlength=len(names))
    return Items(names, indexes, np.array(firsts), totals, starts, item.astype(np.int32))


def _chunks(parts: Iterable[tuple[str, str]], names: list[str]) -> Iterator[pa.LargeStringArray]:
    """The texts, in runs of about CHUNK_BYTES; their names are appended to `names` before."""
    texts: list[str] = []
    size = total = 0
    for name, text in parts:
        names.append(name)
        texts.append(text)
        size += len(text.encode())
        if size >= CHUNK_BYTES:
            total += size
            yield pa.array(texts, pa.large_string())
            texts, size = [], 0
        if total + size > MAX_BYTES:
            raise ConfigError(f"{WHERE}: the items have more than {MAX_BYTES:,} bytes: is that a benchmark?")
    yield pa.array(texts, pa.large_string())


def _distinct(grams: NDArray[np.int64], items: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different pairs (n-gram, item), by n-gram and item."""
    order = np.lexsort((items, grams))
    grams, items = grams[order], items[order]
    new = np.r_[True, (grams[1:] != grams[:-1]) | (items[1:] != items[:-1])][: len(grams)]
    return grams[new], items[new]
