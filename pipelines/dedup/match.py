"""Match: exact duplicates by content hash, near duplicates by LSH bands, verified on shingle sketches.

Only hashes, signatures and candidates' sketches are shuffled, never a text. What is found depends neither on rules nor
on who is preferred.

A row of `pairs/` is of one of two kinds. `exact`: `b` has the content hash of `a`, the smallest doc_id that has it.
`near`: `a` and `b`, both the smallest of their content hash, have the given Jaccard similarity; it holds for all
documents of the two hashes, since equal content has equal shingles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from filters import minhash
from pipelines.config import Dedup
from pipelines.dedup import bands

VERSION = 1

VERIFIED_SCHEMA = "a binary, b binary, similarity double"
VERIFIED = pa.schema([("a", pa.binary()), ("b", pa.binary()), ("similarity", pa.float64())])


def exact_pairs(sketches: DataFrame) -> DataFrame:
    """(a, b, similarity, kind) from (doc_id, content_hash): every document with the smallest of its content."""
    classes = sketches.groupBy("content_hash").agg(F.min("doc_id").alias("a"), F.count("*").alias("n"))
    shared = classes.where(F.col("n") > 1).select("content_hash", "a")
    return (
        sketches.join(shared, "content_hash", how="inner")
        .where(F.col("doc_id") != F.col("a"))
        .select("a", F.col("doc_id").alias("b"), F.lit(1.0).alias("similarity"), F.lit("exact").alias("kind"))
    )


def near_pairs(sketches: DataFrame, exact: DataFrame, settings: Dedup) -> DataFrame:
    """(a, b, similarity, kind) of the documents of different content that are similar enough.

    `sketches`: (doc_id, signature, sketch); `exact`: what `exact_pairs` found among them.
    """
    different = sketches.where(F.col("signature").isNotNull()).join(
        exact.select(F.col("b").alias("doc_id")), "doc_id", how="left_anti"
    )
    keyed = different.select(F.unhex("doc_id").alias("id"), "signature", "sketch")
    buckets = keyed.select("id", "signature").mapInArrow(
        bands.buckets(settings.bands, settings.rows), bands.BUCKET_SCHEMA
    )
    candidates = (
        buckets.repartition("key")
        .sortWithinPartitions("key", "id")
        .mapInArrow(bands.candidates(settings.bucket), bands.PAIR_SCHEMA)
        .distinct()
    )
    verified = verify(candidates, keyed.select("id", "sketch"), settings.threshold)
    return verified.select(
        F.lower(F.hex("a")).alias("a"), F.lower(F.hex("b")).alias("b"), "similarity", F.lit("near").alias("kind")
    )


def verify(candidates: DataFrame, sketches: DataFrame, threshold: float) -> DataFrame:
    """The candidates (a, b) whose sketches (id, sketch) have a Jaccard similarity of `threshold` or more."""
    left = sketches.select(F.col("id").alias("a"), F.col("sketch").alias("sketch_a"))
    right = sketches.select(F.col("id").alias("b"), F.col("sketch").alias("sketch_b"))
    compared = candidates.join(left, "a", how="inner").join(right, "b", how="inner")
    return compared.mapInArrow(_similar(threshold), VERIFIED_SCHEMA)


def _similar(threshold: float) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def emit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows == 0:
                continue
            similarity = minhash.jaccard(*_lists(batch["sketch_a"]), *_lists(batch["sketch_b"]), minhash.SKETCH_SIZE)
            similar = pa.array(similarity >= threshold)
            columns = [batch["a"], batch["b"], pa.array(similarity)]
            yield pa.RecordBatch.from_arrays(columns, schema=VERIFIED).filter(similar)

    return emit


def _lists(sketches: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """A binary column of uint32 lists as (values, offsets): views on Arrow's buffers."""
    offsets = np.frombuffer(sketches.buffers()[1], np.int32, len(sketches) + 1, sketches.offset * 4)
    data = sketches.buffers()[2]
    values = (
        np.frombuffer(data, np.uint8)[: offsets[-1]].view(np.uint32) if data is not None else np.empty(0, np.uint32)
    )
    return values, (offsets // 4).astype(np.int64)
