"""Documents freed from a hub: a rule dropped the leaders that they followed, so they stay without having been compared.

They are matched again, by the leader algorithm over those members of their hubs that stay, and the choice is made again
with the pairs that this finds, until it finds none. Then no two documents that stay and meet in a bucket are similar,
and each that does not stay is similar to one that stays before it; the greedy choice over all pairs of all buckets is
the only set of which both hold. So the kept documents are those that comparing all with all would keep.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.config import Dedup
from pipelines.dedup import hubs, in_memory
from pipelines.dedup.bands import fixed
from pipelines.dedup.compared import frame
from pipelines.dedup.evidence import Evidence
from pipelines.dedup.places import Place, hexed, load, node

PAIRS_SCHEMA = "a string, b string, similarity double, kind string"


def pairs(
    members: DataFrame, staying: DataFrame, places: list[Place], settings: Dedup, folder: Path
) -> DataFrame | None:
    """More pairs, as in PAIRS_SCHEMA, of nodes as hex digits; None where there are none.

    `members`: the rows of hubs/; `staying`: (doc_id) of all of this run that stay, for copies the first of their
    content; those of earlier runs do. Works in `folder`, which must last as long as the result is read.
    """
    spark = staying.sparkSession
    old = F.col("index").isNotNull()
    nodes = members.select("key", node(F.col("index"), F.col("doc_id")).alias("doc_id"), "settled", old.alias("old"))
    rows = nodes.where("old").unionByName(nodes.where(~F.col("old")).join(staying, "doc_id", how="left_semi"))
    opened = rows.where(~F.col("settled")).select("key").distinct()
    waiting = (
        rows.join(opened, "key", how="left_semi").select("key", F.unhex("doc_id").alias("id"), "settled").persist()
    )
    evidence = Evidence(settings.verify, settings.threshold)
    count = waiting.count()
    if count == 0:
        return None
    if count <= settings.in_memory_documents:
        found = _in_memory(spark, waiting.orderBy("key", "id").toArrow(), places, evidence, folder)
    else:
        found, _, _ = hubs.hub_pairs(waiting, frame(spark, places, "global", None), evidence, folder)
    a, b = (F.lower(F.hex(side)).alias(side) for side in ("a", "b"))
    named = found.select(a, b, "similarity", F.lit("near").alias("kind"))
    named.write.mode("overwrite").parquet(str(folder / "freed"))
    waiting.unpersist()
    written = spark.read.schema(PAIRS_SCHEMA).parquet(str(folder / "freed"))
    return written if written.head(1) else None


def _in_memory(
    spark: SparkSession, waiting: pa.Table, places: list[Place], evidence: Evidence, folder: Path
) -> DataFrame:
    ids = fixed(waiting["id"].combine_chunks().cast(pa.binary()), np.uint8, 16)
    different, position = np.unique(ids, axis=0, return_inverse=True)
    lists = load(places, different, evidence.column, folder / "evidence").take(position.ravel())
    names = position.ravel().astype(">i8").view(np.uint8).reshape(-1, 8)
    settled = waiting["settled"].to_numpy()
    (a, b, similarity), _, _ = in_memory.follow(waiting["key"].to_numpy(), names, settled, lists, evidence)
    sides = [hexed(different[a]), hexed(different[b])]
    table = pa.table([*sides, pa.array(similarity)], ["a", "b", "similarity"])
    return spark.createDataFrame(table).select(F.unhex("a").alias("a"), F.unhex("b").alias("b"), "similarity")
