"""Match: exact duplicates by content hash, near duplicates by LSH bands, verified on shingle sketches.

Only hashes, signatures and candidates' sketches are shuffled, never a text. What is found depends neither on rules nor
on who is preferred. Buckets that are too large to compare all with all are left to `dedup.hubs`. `dedup.in_memory` does
the same in one process, as long as the documents are not too many.

A row of `pairs/` is of one of two kinds. `exact`: `b` has the content hash of `a`, the first document that has it.
`near`: `a` and `b`, both the first of their content hash, have the given Jaccard similarity; it holds for all documents
of the two hashes, since equal content has equal shingles. The first is that of the smallest doc_id, or one of an
earlier run: then `index` names that run. Documents of different scopes are not compared.
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
from pipelines.dedup.evidence import Evidence, lists
from pipelines.dedup.hubs import Hubs

VERSION = 3

VERIFIED_SCHEMA = "a binary, b binary, similarity double"
VERIFIED = pa.schema([("a", pa.binary()), ("b", pa.binary()), ("similarity", pa.float64())])


def write_pairs(compared: DataFrame, settings: Dedup, output: Path, folder: Path) -> dict[str, Any]:
    """Write the rows of `pairs/`, all different, below `output/pairs`, and of hubs/, where there are any.

    `compared`: (id: 16 bytes, all different, doc_id, index, scope, content_hash, signature, sketch), better persisted;
    `index` is null for a document of this run. What is in between is written to `folder`, which all executors see.
    Returns the numbers of hubs, of passes over them, and of documents left over in them.
    """
    spark = compared.sparkSession
    compared = compared.withColumn("old", F.col("index").isNotNull())
    exact = exact_pairs(compared).persist()
    documents = _documents(compared, exact)
    evidence = Evidence(settings.verify, settings.threshold)
    # Written down, since both the pairs to compare and the hubs are read from it.
    meetings(documents, settings).write.parquet(str(folder / "meetings"))
    met = spark.read.schema(bands.PAIR_SCHEMA).parquet(str(folder / "meetings"))
    near = verify(met.where(F.col("hub").isNull()).select("a", "b").distinct(), documents, evidence)
    rows = exact.unionByName(near.withColumn("kind", F.lit("near")))
    _named(rows, compared).write.parquet(str(output / "pairs" / "first"))
    done, count = Hubs(), 0
    if met.where(F.col("hub").isNotNull()).head(1):
        members = _members(documents, settings)
        found, settled, done = hubs.hub_pairs(members, documents, evidence, folder)
        first = spark.read.parquet(str(output / "pairs" / "first")).select("a", "b")
        named = _named(found.withColumn("kind", F.lit("near")), compared)
        named.join(first, ["a", "b"], how="left_anti").write.parquet(str(output / "pairs" / "hubs"))
        names = settled.join(compared.select("id", "doc_id", "index"), "id", how="inner")
        names.select("key", "doc_id", "index", "settled").write.parquet(str(output / "hubs"))
        count = settled.select("key").distinct().count()
    exact.unpersist()
    return {"hubs": count, **asdict(done)}


def exact_pairs(compared: DataFrame) -> DataFrame:
    """(a, b, similarity, kind): every new document with the first of its scope and content."""
    first = F.min(F.struct(~F.col("old"), "id").alias("first"))
    by_content = compared.groupBy("scope", "content_hash").agg(first.alias("first"), F.count("*").alias("n"))
    shared = by_content.where(F.col("n") > 1).select("scope", "content_hash", F.col("first.id").alias("a"))
    return (
        compared.join(shared, ["scope", "content_hash"], how="inner")
        .where((F.col("id") != F.col("a")) & ~F.col("old"))
        .select("a", F.col("id").alias("b"), F.lit(1.0).alias("similarity"), F.lit("exact").alias("kind"))
    )


def _documents(compared: DataFrame, exact: DataFrame) -> DataFrame:
    """One document per scope and content, if it is long enough for a shingle."""
    copies = exact.select(F.col("b").alias("id"))
    return compared.where(F.col("signature").isNotNull()).join(copies, "id", how="left_anti")


def meetings(documents: DataFrame, settings: Dedup) -> DataFrame:
    """Who meets in a bucket, as rows of `bands.PAIR_SCHEMA`: the pairs of documents, or the hub."""
    ordered = _buckets(documents, settings).repartition("key").sortWithinPartitions("key", F.col("old").desc(), "id")
    return ordered.mapInArrow(bands.candidates(settings.bucket), bands.PAIR_SCHEMA)


def _buckets(documents: DataFrame, settings: Dedup) -> DataFrame:
    rows = documents.select("id", "old", "scope", "signature")
    return rows.mapInArrow(bands.buckets(settings.bands, settings.rows), bands.BUCKET_SCHEMA)


def _members(documents: DataFrame, settings: Dedup) -> DataFrame:
    """The members of hubs that have a document of this run, as in hubs.MEMBER_SCHEMA."""
    keyed = _buckets(documents, settings)
    sizes = keyed.groupBy("key").agg(F.count("*").alias("n"), F.bool_and("old").alias("all_old"))
    large = sizes.where((F.col("n") > settings.bucket) & ~F.col("all_old")).select("key")
    return keyed.join(large, "key", how="left_semi").select("key", "id", F.col("old").alias("settled"))


def verify(candidates: DataFrame, documents: DataFrame, evidence: Evidence) -> DataFrame:
    """(a, b, similarity) of the candidates (a, b) that are similar by the evidence of (id, signature, sketch)."""
    wanted = candidates.select(F.explode(F.array("a", "b")).alias("id")).distinct()
    compared = documents.select("id", F.col(evidence.column).alias("evidence")).join(wanted, "id", how="left_semi")
    left, right = (compared.toDF(side, f"evidence_{side}") for side in ("a", "b"))
    both = candidates.join(left, "a", how="inner").join(right, "b", how="inner")
    return both.mapInArrow(_similar(evidence), VERIFIED_SCHEMA)


def _similar(evidence: Evidence) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def emit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows == 0:
                continue
            similarity = evidence.similarities(lists(batch["evidence_a"]), lists(batch["evidence_b"]))
            similar = pa.array(similarity >= evidence.least)
            columns = [batch["a"], batch["b"], pa.array(similarity)]
            yield pa.RecordBatch.from_arrays(columns, schema=VERIFIED).filter(similar)

    return emit


def _named(pairs: DataFrame, compared: DataFrame) -> DataFrame:
    """The pairs of nodes in the columns of `datasets.PAIRS`: `a` may be of an earlier run, `b` never is."""
    old = compared.where("old").select(F.col("id").alias("a"), "doc_id", "index")
    a, b = (F.lower(F.hex(side)) for side in ("a", "b"))
    named = pairs.join(old, "a", how="left")
    return named.select(F.coalesce("doc_id", a).alias("a"), b.alias("b"), "similarity", "kind", "index")
