"""Decontamination: benchmark items in the corpus, by the word n-grams that they share.

After Brown et al. 2020 (GPT-3), appendix C, who took n = 13, and for short items no less than 8. An item is one field
of one line of a benchmark file, named FILE:LINE:FIELD. A document is told to hold it where an n-gram of the two is the
same and not common in the corpus; an item of fewer than n words is looked for whole. Case, punctuation and white space
make no difference (the words of `filters.segment`). A span goes from the first shared n-gram to the last as long as the
gaps between them are small. A common n-gram alone is no evidence, but it counts in the share and the span of an item
for which there is evidence. A paraphrase is not found.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from filters import fingerprints
from filters.batch import TextBatch
from filters.fingerprints import Index
from pipelines.config import expand
from pipelines.dedup.bands import Batches, fixed
from pipelines.dedup.groups import GRAM, hexed
from pipelines.dedup.options import Benchmark, Contamination
from pipelines.dedup.subjects import Subjects
from pipelines.errors import ConfigError

SIGNALS_SCHEMA = "struct<share: double, items: bigint>"
FOUND_SCHEMA = "id binary, item string, start long, end long, share double, head boolean"
FOUND = pa.schema(
    [
        ("id", pa.binary()),
        ("item", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("share", pa.float64()),
        ("head", pa.bool_()),  # the document's first span of the item
    ]
)


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


def read(settings: Contamination) -> Items:
    """The items of the config's benchmarks. Raises ConfigError where one cannot be read."""
    names, texts = [], []
    for benchmark in settings.benchmarks:
        for name, text in parts(benchmark):
            names.append(name)
            texts.append(text)
    twice = {name for name, n in _count(names).items() if n > 1}
    if twice:
        raise ConfigError(f"repeats.contamination.benchmarks: two items are named {min(twice)!r}")
    return items(names, texts, settings.words, settings.shortest)


def prints(settings: Contamination) -> list[list[str]]:
    """What the result depends on of each benchmark: name, SHA-256 of the file, fields. Raises ConfigError."""
    found = []
    for benchmark in settings.benchmarks:
        path = _path(benchmark)
        try:
            found.append([path.name, hashlib.sha256(path.read_bytes()).hexdigest(), *benchmark.fields])
        except OSError as error:
            raise ConfigError(f"repeats.contamination: {path}: {error.strerror}") from error
    return found


def _path(benchmark: Benchmark) -> Path:
    try:
        return Path(expand(benchmark.path))
    except ValueError as error:
        raise ConfigError(f"repeats.contamination: {benchmark.path}: {error}") from error


def _count(names: list[str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for name in names:
        counts[name] += 1
    return counts


def parts(benchmark: Benchmark) -> Iterator[tuple[str, str]]:
    """(FILE:LINE:FIELD, text) of each field of each line, lines counted from 1; lists are joined by lines."""
    path = _path(benchmark)
    try:
        lines = (gzip.decompress if path.suffix == ".gz" else bytes)(path.read_bytes()).split(b"\n")
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"repeats.contamination: {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"repeats.contamination: {path}, line {number}: no JSON: {error}") from error
        for field in benchmark.fields:
            if not isinstance(record, dict) or field not in record:
                raise ConfigError(f"repeats.contamination: {path}, line {number}: no field {field!r}")
            yield f"{path.name}:{number}:{field}", _text(record[field])


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(_text, value))
    return (value if isinstance(value, str) else json.dumps(value)).encode(errors="replace").decode()


def items(names: list[str], texts: list[str], words: int, shortest: int) -> Items:
    """Items by name and text: n-grams of `words` words, or the whole text where it has fewer, down to `shortest`."""
    batch = TextBatch(pa.array(texts, pa.large_string()))
    lengths = np.diff(batch.words.offsets)
    of_length = {n: np.flatnonzero(lengths == n) for n in range(shortest, words)} | {
        words: np.flatnonzero(lengths >= words)
    }
    indexes, firsts = [], [0]
    grams, owners = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for n, members in of_length.items():
        if not len(members):
            continue
        found = fingerprints.grams(batch.words, n)
        owner = np.repeat(np.arange(len(names)), np.diff(found.offsets))
        mine = np.isin(owner, members)
        index = fingerprints.index(found.hashes[mine], n)
        indexes.append(index)
        grams.append(np.searchsorted(index.hashes, found.hashes[mine]) + firsts[-1])
        owners.append(owner[mine])
        firsts.append(firsts[-1] + len(index.hashes))
    pairs = np.unique(np.stack([np.concatenate(grams), np.concatenate(owners)], axis=1), axis=0)
    starts = np.searchsorted(pairs[:, 0], np.arange(firsts[-1] + 1))
    totals = np.bincount(pairs[:, 1], minlength=len(names))
    return Items(names, indexes, np.array(firsts), totals, starts, pairs[:, 1].astype(np.int32))


def matches(taken: Subjects, wanted: Items) -> Iterator[pa.RecordBatch]:
    """The items' n-grams in the documents, as rows in ROWS whose key is the n-gram's number."""
    for index, first in zip(wanted.indexes, wanted.firsts):
        found = fingerprints.find(taken.texts.words, index)
        document, spans = taken.bytes_of(found, index.n)
        yield taken.rows(GRAM, found.hashes.astype(np.int64) + first, document, found.at, spans)


def find(hits: DataFrame, wanted: Items, settings: Contamination) -> DataFrame:
    """The items found, in the columns of `repeats.find`. `hits`: n-grams found and counted, as in COUNTED."""
    told = hits.sparkSession.sparkContext.broadcast(wanted)
    ordered = hits.repartition("id").sortWithinPartitions("id", "at", "key")
    found = ordered.mapInArrow(spans(lambda: told.value, settings), FOUND_SCHEMA)
    documents = F.sum(F.col("head").cast("long")).over(Window.partitionBy("item"))
    return found.select(
        hexed("id").alias("doc_id"),
        "start",
        "end",
        F.lit("contamination").alias("kind"),
        documents.alias("count"),
        F.col("item").alias("elsewhere"),
        F.lit(False).alias("first"),
        "share",
    )


def spans(wanted: Callable[[], Items], settings: Contamination) -> Callable[[Batches], Batches]:
    """For mapInArrow over hits sorted by (id, at, key): the spans of items in each document, as in FOUND."""

    def emit(batches: Batches) -> Batches:
        waiting: pa.RecordBatch | None = None
        for batch in batches:
            if batch.num_rows == 0:
                continue
            rows = batch if waiting is None else pa.concat_batches([waiting, batch])
            ids = fixed(rows["id"], np.uint64, 2)
            # The last document may go on in the next batch.
            last = int(np.flatnonzero((ids == ids[-1]).all(axis=1))[0])
            yield from _spans(rows.slice(0, last), wanted(), settings)
            waiting = rows.slice(last)
        if waiting is not None:
            yield from _spans(waiting, wanted(), settings)

    return emit


def _spans(hits: pa.RecordBatch, wanted: Items, settings: Contamination) -> Iterator[pa.RecordBatch]:
    if hits.num_rows == 0:
        return
    ids = fixed(hits["id"], np.uint8, 16)
    borders = np.flatnonzero(np.r_[True, (ids[1:] != ids[:-1]).any(axis=1), True])
    rare = hits["count"].to_numpy() <= settings.common
    grams, at = hits["key"].to_numpy(), hits["at"].to_numpy()
    words = wanted.words(grams)
    start, end = hits["start"].to_numpy(), hits["end"].to_numpy()
    rows: list[dict[str, Any]] = []
    for begin, stop in zip(borders[:-1].tolist(), borders[1:].tolist()):
        if not rare[begin:stop].any():
            continue
        for item, places in _by_item(grams[begin:stop], wanted).items():
            hit = np.array(places) + begin
            if not rare[hit].any():
                continue
            share = len(np.unique(grams[hit])) / int(wanted.totals[item])
            apart = at[hit[1:]] - (at[hit[:-1]] + words[hit[:-1]]) > settings.gap
            name = wanted.names[item]
            runs = np.split(hit, np.flatnonzero(apart) + 1)
            for number, run in enumerate(runs):
                fields = (
                    ids[begin].tobytes(),
                    name,
                    int(start[run[0]]),
                    int(end[run[-1]]),
                    round(share, 4),
                    number == 0,
                )
                rows.append(dict(zip(FOUND.names, fields)))
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=FOUND)


def _by_item(grams: NDArray[np.int64], wanted: Items) -> dict[int, list[int]]:
    """The places in `grams` of each item's n-grams."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, gram in enumerate(grams.tolist()):
        for item in wanted.items[wanted.starts[gram] : wanted.starts[gram + 1]].tolist():
            places[item].append(place)
    return dict(sorted(places.items()))


def signals(repeats: DataFrame) -> DataFrame:
    """(doc_id, contamination: struct<share, items>) of the documents that hold benchmark items.

    `contamination.share` is the largest share of an item's n-grams that the document has, `contamination.items` the
    number of items.
    """
    found = repeats.where(F.col("kind") == "contamination")
    return found.groupBy("doc_id").agg(
        F.struct(F.max("share").alias("share"), F.count_distinct("elsewhere").cast("long").alias("items")).alias(
            "contamination"
        )
    )
