"""Long passages that several documents have in common, whole and exact, without a suffix array.

1. Every text leaves its fingerprints (`fingerprints.winnow`): of a span of `words` words that two documents share, both
   have a fingerprint of the same hash.
2. Around the fingerprints that two clusters or more have, and nowhere else, the hashes of all n-grams of `words` words
   are made and counted. By the guarantee, every common span of `words` words is among them, in each document; the
   longer span that it is part of is the union of such n-grams. So the exact extension of all pairs of documents at once
   costs one shuffle of these hashes, linear in the candidates' words, with no pair to list and no fingerprint too
   common to follow.
3. A document's repeated n-grams, merged where those of the same documents touch, are its spans: each is as long as
   the same documents have it. Spans of different documents may overlap, by up to a word less than an n-gram.

The texts of files that hold a candidate are read a second time for step 2: that is cheaper than to keep eight bytes for
every word of the corpus.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from filters import fingerprints
from filters.fingerprints import Grams
from pipelines.dedup import groups, subjects
from pipelines.dedup.bands import Batches, fixed
from pipelines.dedup.groups import FINGERPRINT, PASSAGE, hexed
from pipelines.dedup.options import Passages
from pipelines.dedup.subjects import Subjects

SPAN_SCHEMA = "id binary, at int, until int, start long, end long, count long, elsewhere binary, owners long"
SPANS = pa.schema(
    [
        ("id", pa.binary()),
        ("at", pa.int32()),  # first word
        ("until", pa.int32()),  # word behind the last
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("count", pa.int64()),
        ("elsewhere", pa.binary()),
        ("owners", pa.int64()),  # hash of the set of documents that have it
    ]
)

Places = Callable[[int], dict[bytes, NDArray[np.int32]]]


def gram_of(span: int) -> int:
    """Words in a fingerprint, for spans of `span` words: half, so that few that agree by chance are followed."""
    return (span + 1) // 2


def fingerprints_of(taken: Subjects, settings: Passages, asked: NDArray[np.bool_]) -> pa.RecordBatch:
    """The fingerprints of the documents that are asked, as rows in ROWS without bytes."""
    found = fingerprints.winnow(taken.texts.words, settings.words, gram_of(settings.words))
    document = np.repeat(np.arange(len(asked)), np.diff(found.offsets))
    kept = asked[document]
    nowhere = np.zeros(int(kept.sum()), np.int64)
    return taken.rows(FINGERPRINT, found.hashes[kept], document[kept], found.at[kept], (nowhere, nowhere))


def find(texts: DataFrame, shared: DataFrame, members: Path, scratch: Path, settings: Passages) -> DataFrame:
    """The common passages, in the columns of `repeats.write`.

    `texts`: as `subjects.frame` makes them; `shared`: the fingerprints that two clusters or more have, as in COUNTED.
    """
    anchors = scratch / "anchors"
    sorted_by_file = shared.select("file", "id", "at").repartitionByRange("file")
    sorted_by_file.sortWithinPartitions("file", "id", "at").write.parquet(str(anchors))
    rows = texts.mapInArrow(_around(str(members), str(anchors), settings.words), groups.ROW_SCHEMA)
    counted = groups.counted(rows, {PASSAGE: 2})
    ordered = counted.repartition("id").sortWithinPartitions("id", "owners", "at")
    merged = ordered.mapInArrow(merge(settings.words), SPAN_SCHEMA)
    return merged.select(
        hexed("id").alias("doc_id"),
        "start",
        "end",
        F.lit("passage").alias("kind"),
        "count",
        hexed("elsewhere").alias("elsewhere"),
        F.col("owners").alias("key"),
        F.lit(None).cast("double").alias("share"),
    )


def _around(members: str, anchors: str, words: int) -> Callable[[Batches], Batches]:
    """For mapInArrow over `subjects.frame`: all n-grams of `words` words around shared fingerprints, as in ROWS."""

    def emit(batches: Batches) -> Batches:
        known, places = subjects.members_of(members), _anchors_of(anchors)
        for batch in batches:
            candidates = _candidates(batch, places)
            taken = subjects.take(candidates, known) if candidates.num_rows else None
            if taken is None:
                continue
            at = [places(int(file))[id.tobytes()] for file, id in zip(taken.files, taken.ids)]
            borders = np.cumsum([0, *map(len, at)])
            fixed_points = Grams(borders, np.concatenate(at), np.empty(0, np.uint64))
            found = fingerprints.around(taken.texts.words, fixed_points, words, gram_of(words))
            document, spans = taken.bytes_of(found, words)
            for start in range(0, len(document), 200_000):
                part = slice(start, start + 200_000)
                yield taken.rows(
                    PASSAGE, found.hashes[part], document[part], found.at[part], (spans[0][part], spans[1][part])
                )

    return emit


def _candidates(batch: pa.RecordBatch, places: Places) -> pa.RecordBatch:
    known = [id in places(file) for file, id in zip(batch["file"].to_pylist(), batch["id"].to_pylist())]
    return batch.filter(pa.array(known, pa.bool_()))


def _anchors_of(anchors: str) -> Places:
    """The places of shared fingerprints in the documents of one file, rising, by the file. For one task."""

    @lru_cache(maxsize=4)  # batches come file by file
    def look_up(file: int) -> dict[bytes, NDArray[np.int32]]:
        table = pq.read_table(anchors, columns=["id", "at"], filters=pc.field("file") == file, partitioning=None)
        if not table.num_rows:
            return {}
        ids, at = fixed(table["id"].combine_chunks(), np.uint8, 16), table["at"].to_numpy()
        starts = np.flatnonzero(np.r_[True, (ids[1:] != ids[:-1]).any(axis=1)])
        return {ids[start].tobytes(): places for start, places in zip(starts, np.split(at, starts[1:]))}

    return look_up


def merge(words: int) -> Callable[[Batches], Batches]:
    """For mapInArrow over repeated n-grams, as in COUNTED, sorted by (id, owners, at): the spans they cover.

    N-grams of the same documents that overlap or touch make one span; they have the same count and `elsewhere`.
    """

    def emit(batches: Batches) -> Batches:
        open_span: pa.RecordBatch | None = None
        for batch in batches:
            if batch.num_rows == 0:
                continue
            until = pc.add(batch["at"], pa.scalar(words, pa.int32()))
            columns = [until if name == "until" else batch[name] for name in SPANS.names]
            spans = pa.RecordBatch.from_arrays(columns, schema=SPANS)
            merged = _merge(spans if open_span is None else pa.concat_batches([open_span, spans]))
            yield merged.slice(0, merged.num_rows - 1)
            open_span = merged.slice(merged.num_rows - 1)
        if open_span is not None:
            yield open_span

    return emit


def _merge(spans: pa.RecordBatch) -> pa.RecordBatch:
    ids, owners = fixed(spans["id"], np.uint64, 2), spans["owners"].to_numpy()
    at, until = spans["at"].to_numpy(), spans["until"].to_numpy()
    # All n-grams are equally long, so the last one of a span reaches furthest.
    apart = (ids[1:] != ids[:-1]).any(axis=1) | (owners[1:] != owners[:-1]) | (at[1:] > until[:-1])
    firsts = np.flatnonzero(np.r_[True, apart])
    lasts = np.r_[firsts[1:], spans.num_rows] - 1
    ends = {"until", "end"}
    columns = [spans[name].take(pa.array(lasts if name in ends else firsts)) for name in SPANS.names]
    return pa.RecordBatch.from_arrays(columns, schema=SPANS)
