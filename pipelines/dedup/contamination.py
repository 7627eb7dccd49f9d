"""Decontamination: benchmark items in the corpus, by the word n-grams that they share.

After Brown et al. 2020 (GPT-3), appendix C, who took n = 13, and for short items no less than 8. A document is told to
hold an item where an n-gram of the two is the same and not common in the corpus. Case, punctuation and white space make
no difference (the words of `filters.segment`). A span goes from the first shared n-gram to the last as long as the gaps
between them are small. A common n-gram alone is no evidence, but it counts in the share and the span of an item for
which there is evidence. A paraphrase is not found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from filters import fingerprints
from pipelines.dedup.bands import Batches, fixed
from pipelines.dedup.benchmark_items import Items
from pipelines.dedup.groups import GRAM, hexed
from pipelines.dedup.options import Contamination
from pipelines.dedup.subjects import Subjects

Ints = NDArray[np.int64]

MAX_SPANS = 1_000  # of one item in one document: from there on the last one only grows
ROWS_AT_ONCE = 10_000

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


def matches(taken: Subjects, wanted: Items) -> Iterator[pa.RecordBatch]:
    """The items' n-grams in the documents, as rows in ROWS whose key is the n-gram's number."""
    for index, first in zip(wanted.indexes, wanted.firsts):
        found = fingerprints.find(taken.texts.words, index)
        document, spans = taken.bytes_of(found, index.n)
        yield taken.rows(GRAM, found.hashes.astype(np.int64) + first, document, found.at, spans)


def find(hits: DataFrame, wanted: Items, settings: Contamination) -> DataFrame:
    """The items found, in the columns of `repeats.write`. `hits`: n-grams found and counted, as in COUNTED."""
    told = hits.sparkSession.sparkContext.broadcast(wanted)
    ordered = hits.repartition("id").sortWithinPartitions("id", "at", "key")
    found = ordered.mapInArrow(spans(lambda: told.value, settings), FOUND_SCHEMA)
    # An item has few rows: those of `common` documents for each of its n-grams, at most.
    documents = F.sum(F.col("head").cast("long")).over(Window.partitionBy("item"))
    return found.select(
        hexed("id").alias("doc_id"),
        "start",
        "end",
        F.lit("contamination").alias("kind"),
        documents.alias("count"),
        F.col("item").alias("elsewhere"),
        F.lit(None).cast("long").alias("key"),
        "share",
    )


def coverage(hits: DataFrame, wanted: Items, settings: Contamination) -> pa.Table:
    """The rows of benchmarks/, one for each item: how many of its n-grams are in the corpus, and how many are common.

    `hits`: as for `find`. What comes to the driver is bounded by the benchmarks, 16 bytes for each of their n-grams.
    """
    seen = hits.select("key", "count").distinct().toArrow()
    grams, counts = seen["key"].to_numpy(), seen["count"].to_numpy()
    common = wanted.count(grams[counts > settings.common])
    columns = [pa.array(wanted.names, pa.string()), wanted.totals, wanted.count(grams), common]
    return pa.table([pa.array(column) for column in columns], names=["item", "grams", "seen", "common"])


def spans(wanted: Callable[[], Items], settings: Contamination) -> Callable[[Batches], Batches]:
    """For mapInArrow over hits sorted by (id, at, key): the spans of items in each document, as in FOUND.

    Held at once: a batch, and of the document at hand at most MAX_SPANS spans of each item.
    """

    def emit(batches: Batches) -> Batches:
        found = Rows()
        document = Document(b"")
        for batch in batches:
            for id, hits, rare in _by_document(batch, settings.common):
                if document.id != id:
                    document.close(wanted(), found)
                    document = Document(id)
                document.add(hits, rare, wanted(), settings.gap)
            if len(found.rows) >= ROWS_AT_ONCE:
                yield found.take()
        document.close(wanted(), found)
        yield found.take()

    return emit


def _by_document(batch: pa.RecordBatch, common: int) -> Iterator[tuple[bytes, pa.RecordBatch, NDArray[np.bool_]]]:
    """Id, hits, and which of them are rare, of each document of a batch, but of whole ones without a rare hit."""
    if batch.num_rows == 0:
        return
    ids = fixed(batch["id"], np.uint8, 16)
    starts = np.flatnonzero(np.r_[True, (ids[1:] != ids[:-1]).any(axis=1)])
    rare = batch["count"].to_numpy() <= common
    asked = np.logical_or.reduceat(rare, starts)
    asked[[0, -1]] = True  # they may have begun before or go on
    ends = np.append(starts[1:], batch.num_rows)
    for start, end in zip(starts[asked].tolist(), ends[asked].tolist()):
        yield ids[start].tobytes(), batch.slice(start, end - start), rare[start:end]


@dataclass
class Found:
    """What was found of an item in a document. Spans are rising and apart, [first byte, end] each."""

    until: int = 0  # the word behind the last n-gram
    rare: bool = False
    grams: set[int] = field(default_factory=set)
    spans: list[list[int]] = field(default_factory=list)

    def add(self, at: Ints, until: Ints, starts: Ints, ends: Ints, gap: int) -> None:
        """N-grams behind those before: their first word, the word behind them, first byte and end."""
        apart = at - np.r_[self.until, until[:-1]] > gap
        apart[0] |= not self.spans
        firsts = np.flatnonzero(apart)
        lasts = np.r_[firsts, len(at)] - 1
        if lasts[0] >= 0:
            self.spans[-1][1] = int(ends[lasts[0]])
        for start, end in zip(starts[firsts].tolist(), ends[lasts[1:]].tolist()):
            if len(self.spans) < MAX_SPANS:
                self.spans.append([start, end])
            self.spans[-1][1] = end
        self.until = int(until[-1])


class Rows:
    """Rows as in FOUND."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def take(self) -> pa.RecordBatch:
        """The rows so far, which it forgets."""
        rows, self.rows = self.rows, []
        return pa.RecordBatch.from_pylist(rows, schema=FOUND)


class Document:
    """The items found in one document, hit by hit."""

    def __init__(self, id: bytes) -> None:
        self.id = id
        self.items: dict[int, Found] = {}

    def add(self, hits: pa.RecordBatch, rare: NDArray[np.bool_], wanted: Items, gap: int) -> None:
        """Hits behind those before."""
        key = hits["key"].to_numpy()
        counts = wanted.starts[key + 1] - wanted.starts[key]
        hit = np.repeat(np.arange(len(key)), counts)
        within = np.arange(len(hit)) - np.repeat(np.cumsum(counts) - counts, counts)
        item = wanted.items[wanted.starts[key][hit] + within]
        order = np.argsort(item, kind="stable")
        item, hit = item[order], hit[order]
        at, start, end = (hits[name].to_numpy() for name in ("at", "start", "end"))
        until = at + wanted.words(key)
        borders = np.flatnonzero(np.r_[True, item[1:] != item[:-1]])
        for number, mine in zip(item[borders].tolist(), np.split(hit, borders[1:])):
            found = self.items.setdefault(number, Found())
            found.rare |= bool(rare[mine].any())
            found.grams.update(key[mine].tolist())
            found.add(at[mine], until[mine], start[mine], end[mine], gap)

    def close(self, wanted: Items, found: Rows) -> None:
        """Add the items of which the document has an n-gram that is not common."""
        for item, of_item in sorted(self.items.items()):
            if not of_item.rare:
                continue
            share = round(len(of_item.grams) / int(wanted.totals[item]), 4)
            for number, (start, end) in enumerate(of_item.spans):
                row = (self.id, wanted.names[item], start, end, share, number == 0)
                found.rows.append(dict(zip(FOUND.names, row)))


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
