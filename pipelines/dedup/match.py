"""Match: exact duplicates by content hash, near duplicates by LSH bands, verified on shingle sketches.

Only hashes, signatures and candidates' sketches are shuffled, never a text. What is found depends neither on rules nor
on who is preferred. Buckets that are too large to compare all with all are left to `dedup.hubs`.

A row of `pairs/` is of one of two kinds. `exact`: `b` has the content hash of `a`, the smallest doc_id that has it.
`near`: `a` and `b`, both the smallest of their content hash, have the given Jaccard similarity; it holds for all
documents of the two hashes, since equal content has equal shingles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.config import Dedup
from pipelines.dedup import bands, hubs
from pipelines.dedup.evidence import Evidence, Mode

VERSION = 2

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


def write_pairs(
    sketches: DataFrame, settings: Dedup, output: Path, folder: Path, mode: Mode = "sketch"
) -> dict[str, Any]:
    """Write the rows of `pairs/`, all different, below `output`: `first/`, and `hubs/` where there is a hub.

    `sketches`: (doc_id, content_hash, signature, sketch), better persisted. What is in between is written to `folder`,
    which all executors see. Returns the numbers of hubs, of passes over them, and of documents left over in them.
    """
    spark = sketches.sparkSession
    exact = exact_pairs(sketches.select("doc_id", "content_hash")).persist()
    documents, evidence = _documents(sketches, exact), Evidence(mode, settings.threshold)
    # Written down, since both the pairs to compare and the hubs are read from it.
    meetings(documents, settings).write.parquet(str(folder / "meetings"))
    met = spark.read.schema(bands.PAIR_SCHEMA).parquet(str(folder / "meetings"))
    near = verify(met.where(F.col("hub").isNull()).select("a", "b").distinct(), documents, evidence)
    exact.unionByName(_near(near)).write.parquet(str(output / "first"))
    count = met.where(F.col("hub").isNotNull()).select("hub").distinct().count()
    done = hubs.Hubs(0, 0)
    if count:
        found, done = hubs.hub_pairs(documents, settings.bands, settings.rows, settings.bucket, evidence, folder)
        known = spark.read.parquet(str(output / "first")).select("a", "b")
        _near(found).join(known, ["a", "b"], how="left_anti").write.parquet(str(output / "hubs"))
    exact.unpersist()
    return {"hubs": count, **asdict(done)}


def meetings(documents: DataFrame, settings: Dedup) -> DataFrame:
    """Who meets in a bucket, as rows of `bands.PAIR_SCHEMA`: the pairs of documents (id, signature), or the hub."""
    buckets = documents.select("id", "signature").mapInArrow(
        bands.buckets(settings.bands, settings.rows), bands.BUCKET_SCHEMA
    )
    sorted_buckets = buckets.repartition("key").sortWithinPartitions("key", "id")
    return sorted_buckets.mapInArrow(bands.candidates(settings.bucket), bands.PAIR_SCHEMA)


def _documents(sketches: DataFrame, exact: DataFrame) -> DataFrame:
    """(id, signature, sketch) of one document per content, if it is long enough for a shingle."""
    copies = exact.select(F.col("b").alias("doc_id"))
    different = sketches.where(F.col("signature").isNotNull()).join(copies, "doc_id", how="left_anti")
    return different.select(F.unhex("doc_id").alias("id"), "signature", "sketch")


def _near(pairs: DataFrame) -> DataFrame:
    a, b = (F.lower(F.hex(side)).alias(side) for side in ("a", "b"))
    return pairs.select(a, b, "similarity", F.lit("near").alias("kind"))


def verify(candidates: DataFrame, documents: DataFrame, evidence: Evidence) -> DataFrame:
    """(a, b, similarity) of the candidates (a, b) that are similar by the evidence of (id, signature, sketch)."""
    left = documents.select(F.col("id").alias("a"), F.col(evidence.column).alias("evidence_a"))
    right = documents.select(F.col("id").alias("b"), F.col(evidence.column).alias("evidence_b"))
    compared = candidates.join(left, "a", how="inner").join(right, "b", how="inner")
    return compared.mapInArrow(_similar(evidence), VERIFIED_SCHEMA)


def _similar(evidence: Evidence) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def emit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows == 0:
                continue
            similarity = evidence.similarities(batch["evidence_a"], batch["evidence_b"])
            similar = pa.array(similarity >= evidence.least)
            columns = [batch["a"], batch["b"], pa.array(similarity)]
            yield pa.RecordBatch.from_arrays(columns, schema=VERIFIED).filter(similar)

    return emit
