"""Repeats: lines, paragraphs, long passages and benchmark items that occur in several documents, as spans.

One pass over the texts makes hashes of lines and paragraphs, fingerprints of passages and matches of benchmark
n-grams; one shuffle of them counts the documents of each. Passages then look at the documents that share a fingerprint
once more. No text is shuffled. What is found is a fact about texts: what is cut, `dedup.cutting` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from filters import fingerprints
from pipelines.dedup import benchmark_items, contamination, groups, passages, subjects
from pipelines.dedup.bands import Batches
from pipelines.dedup.benchmark_items import Items
from pipelines.dedup.groups import FINGERPRINT, GRAM, LINE, PARAGRAPH, hexed
from pipelines.dedup.options import Repeats, Units
from pipelines.dedup.subjects import Subjects

VERSION = 2

KIND_OF_UNITS = {LINE: "line", PARAGRAPH: "paragraph"}
ALL = 1 << 40  # more line breaks than any text has


def write(documents: DataFrame, members: Path, scratch: Path, settings: Repeats, code: list[str], output: Path) -> None:
    """Write repeats/ and, where there are benchmarks, benchmarks/ below `output`.

    documents   (doc_id, source, text, meta, part), no text null: as `corpus.documents` reads them
    members     Parquet dataset (part, doc_id, cluster), sorted by part: the documents that are compared
    scratch     a directory that all workers see, for hashes
    code        the sources whose kind is `code`

    The rows of repeats/ are (doc_id, start, end, kind, count, elsewhere, key, share):

    count       documents (clusters of them) that have the span; of a benchmark item, documents that it was found in
    elsewhere   the first document, by cluster and doc_id, of another cluster that has it; or the item's name
    key         spans of one kind and key are in all of the same documents: of a line or paragraph the hash of it, of a
                passage that of the set of documents that have it; null for benchmark items
    share       of a benchmark item's n-grams, those that the document has; null for other kinds

    Raises ConfigError where a benchmark cannot be read.
    """
    spark = documents.sparkSession
    texts = subjects.frame(documents)
    items = benchmark_items.read(settings.contamination) if settings.contamination else None
    told = spark.sparkContext.broadcast(items) if items else None
    emit = _hashes(str(members), settings, code, (lambda: told.value) if told else (lambda: None))
    least = {kind: units.documents for kind, units in _units(settings).items()} | {FINGERPRINT: 2, GRAM: 1}
    counted_in = scratch / "counted"
    groups.counted(texts.mapInArrow(emit, groups.ROW_SCHEMA), least).write.parquet(str(counted_in))
    counted = spark.read.schema(groups.COUNTED_SCHEMA).parquet(str(counted_in))
    found = _of_units(counted)
    if settings.passages:
        anchors = counted.where(F.col("kind") == FINGERPRINT)
        found = found.unionByName(passages.find(texts, anchors, members, scratch, settings.passages))
    if items and settings.contamination:
        hits = counted.where(F.col("kind") == GRAM)
        found = found.unionByName(contamination.find(hits, items, settings.contamination))
        (output / "benchmarks").mkdir(parents=True)
        table = contamination.coverage(hits, items, settings.contamination)
        pq.write_table(table, output / "benchmarks" / "items.parquet")
    found.write.parquet(str(output / "repeats"))


def _units(settings: Repeats) -> dict[int, Units]:
    given = {LINE: settings.lines, PARAGRAPH: settings.paragraphs}
    return {kind: units for kind, units in given.items() if units is not None}


def _of_units(counted: DataFrame) -> DataFrame:
    kinds = F.create_map(*(F.lit(x) for item in KIND_OF_UNITS.items() for x in item))
    rows = counted.where(F.col("kind").isin(list(KIND_OF_UNITS)))
    return rows.select(
        hexed("id").alias("doc_id"),
        "start",
        "end",
        kinds[F.col("kind").cast("int")].alias("kind"),
        "count",
        hexed("elsewhere").alias("elsewhere"),
        "key",
        F.lit(None).cast("double").alias("share"),
    )


def _hashes(
    members: str, settings: Repeats, code: list[str], items: Callable[[], Items | None]
) -> Callable[[Batches], Batches]:
    """For mapInArrow over `subjects.frame`: everything that is counted, as rows in ROWS."""

    def emit(batches: Batches) -> Batches:
        known = subjects.members_of(members)
        for batch in batches:
            taken = subjects.take(batch, known) if batch.num_rows else None
            if taken is not None:
                yield from _of_batch(taken, settings, code, items())

    return emit


def _of_batch(taken: Subjects, settings: Repeats, code: list[str], items: Items | None) -> Iterator[pa.RecordBatch]:
    is_code = np.isin(np.array(taken.sources.to_pylist(), object), code)
    for kind, units in _units(settings).items():
        yield units_of(taken, kind, units, np.full(len(is_code), units.code) | ~is_code)
    if settings.passages:
        yield passages.fingerprints_of(taken, settings.passages, settings.passages.code | ~is_code)
    if items:
        yield from contamination.matches(taken, items)


def units_of(taken: Subjects, kind: int, units: Units, asked: NDArray[np.bool_]) -> pa.RecordBatch:
    """The lines (or paragraphs) of the documents that are asked, long enough ones, by the hash of their folded text."""
    batch = taken.texts
    spans = batch.lines if kind == LINE else batch.paragraphs
    keys = fingerprints.folded(batch.data, spans)
    document = np.repeat(np.arange(len(batch)), np.diff(spans.offsets))
    if units.scope == "site":
        keys = keys ^ (taken.scopes.view(np.uint64)[document] * np.uint64(0x9E3779B97F4A7C15))
    starts, ends = fingerprints.whole(batch, spans, 1 if kind == LINE else ALL)
    kept = asked[document] & (fingerprints.words_in(batch.words, spans) >= units.words)
    at = np.arange(len(keys)) - spans.offsets[document]
    return taken.rows(kind, keys[kept], document[kept], at[kept], (starts[kept], ends[kept]))


def found_by(settings: Repeats) -> dict[str, Any]:
    """What of the settings decides what is found, benchmarks by their content; the rest decides what is cut."""
    only_later = {"lines": {"cut"}, "paragraphs": {"cut"}, "passages": {"cut", "border"}}
    chosen = settings.model_dump(exclude={**only_later, "contamination": {"benchmarks", "action", "share"}})
    files = benchmark_items.prints(settings.contamination) if settings.contamination else []
    return {**chosen, "benchmarks": files}
