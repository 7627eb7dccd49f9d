"""Hubs: buckets with more documents than can be compared all with all.

A hub is read once, in the order of doc_id, by the leader algorithm (`dedup.leaders`); what is left over is read again.
So a hub of near-copies of ten templates has ten leaders, and costs a pair a document.

Bands take turns: who was similar to a leader takes no part in later bands' hubs. Of two similar documents that meet in
a hub, the pair is found, or one of them is similar to a leader, or one of them is left over in the end.

Documents of an earlier run are settled: they were compared with each other there. After all turns, those are settled
too that followed no leader and were not left over. If rules drop the leaders, whoever followed them stays without
having been compared with all others that stay: `dedup.freed` has another round over those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from pipelines.dedup.bands import BAND_BITS, Batches, binary, fixed
from pipelines.dedup.evidence import Evidence, lists
from pipelines.dedup.leaders import Leaders

ROOM = 256  # leaders of a hub in a pass
PASSES = 4  # of a hub: 1,024 leaders that are all unlike each other; more is no set of near-copies
MEMBER_SCHEMA = "key long, id binary, settled boolean"
LED_SCHEMA = "key long, a binary, b binary, similarity double, settled boolean"
LED = pa.schema(
    [("key", pa.int64()), ("a", pa.binary()), ("b", pa.binary()), ("similarity", pa.float64()), ("settled", pa.bool_())]
)


@dataclass(frozen=True)
class Hubs:
    """What was done: in how many passes, and how often a document of a hub was left over in the end."""

    passes: int = 0
    left_over: int = 0


def turn_after(band: int) -> int:
    """The band behind the last one of the turn that begins with `band`: ever more, since few documents are left."""
    return max(band + 1, 2 * band)


def hub_pairs(
    members: DataFrame, documents: DataFrame, evidence: Evidence, folder: Path
) -> tuple[DataFrame, DataFrame, Hubs]:
    """The pairs (a, b: 16 bytes, similarity), all different, that are found in hubs; and the members, as settled now.

    `members`: as in MEMBER_SCHEMA; `documents`: (id: 16 bytes, signature, sketch), all different. Works in `folder`,
    which all executors see and which must last as long as the results are read.
    """
    spark = documents.sparkSession
    members, compared = _written(members, documents, evidence, folder)
    led = left = spark.createDataFrame([], LED_SCHEMA)
    followers = led.select(F.col("b").alias("id"))
    until = passes = left_over = 0
    while True:
        rest = members.where(F.col("band") >= until).join(followers, "id", how="left_anti")
        first = rest.where(~F.col("settled")).agg(F.min("band")).collect()[0][0]
        if first is None:
            break
        until = turn_after(first)
        waiting = rest.where(F.col("band") < until).select("key", "id", "settled")
        for again in reversed(range(PASSES)):
            passes += 1
            found, unlike = _pass(waiting, compared, evidence, folder / f"pass-{passes}")
            led = led.unionByName(found.where(F.col("a").isNotNull()))
            if not unlike:
                break
            rejected = found.where(F.col("a").isNull())
            waiting = rejected.select("key", F.col("b").alias("id"), "settled")
            if not again:
                left, left_over = left.unionByName(rejected.where(~F.col("settled"))), left_over + unlike
        followers = led.select(F.col("b").alias("id")).distinct()
    unsettled = followers.union(left.select("b")).distinct().withColumn("now", F.lit(True))
    settled = members.join(unsettled, "id", how="left").select("key", "id", F.col("now").isNull().alias("settled"))
    return led.select("a", "b", "similarity").distinct(), settled, Hubs(passes, left_over)


def _written(members: DataFrame, documents: DataFrame, evidence: Evidence, folder: Path) -> tuple[DataFrame, DataFrame]:
    """The members (key, id, settled, band) and what they are compared by (id, evidence), from files in `folder`."""
    read = documents.sparkSession.read
    members.write.mode("overwrite").parquet(str(folder / "members"))
    members = read.schema(MEMBER_SCHEMA).parquet(str(folder / "members"))
    evidences = documents.select("id", F.col(evidence.column).alias("evidence")).join(members, "id", how="left_semi")
    evidences.write.mode("overwrite").parquet(str(folder / "compared"))
    compared = read.schema("id binary, evidence binary").parquet(str(folder / "compared"))
    return members.withColumn("band", band_of(F.col("key"))), compared


def band_of(key: Column) -> Column:
    """The band that a bucket is of."""
    return key.bitwiseAND((1 << BAND_BITS) - 1)


def _pass(waiting: DataFrame, compared: DataFrame, evidence: Evidence, written: Path) -> tuple[DataFrame, int]:
    """Rows of LED, from files, and how many of them are of unsettled documents that are left over."""
    rows = waiting.join(compared, "id", how="inner").select("key", "id", "settled", "evidence")
    ordered = rows.repartition("key").sortWithinPartitions("key", F.col("settled").desc(), "id")
    unlike = Observation()
    unsettled = F.count_if(F.col("a").isNull() & ~F.col("settled")).alias("rows")
    found = ordered.mapInArrow(leaders(ROOM, evidence), LED_SCHEMA).observe(unlike, unsettled)
    found.write.mode("overwrite").parquet(str(written))
    return waiting.sparkSession.read.schema(LED_SCHEMA).parquet(str(written)), unlike.get["rows"]


def leaders(room: int, evidence: Evidence) -> Callable[[Batches], Batches]:
    """For mapInArrow over rows (key, id, settled, evidence), the members of hubs: rows of `LED`.

    They come sorted by key, settled ones first, and id. A row says that `b` is similar to the leader `a`, or, where `a`
    is null, that it is left over. Memory is bounded by a batch and `room` leaders, each of at most 16 KB.
    """

    def emit(batches: Batches) -> Batches:
        leading = Leaders(room, evidence, 16)
        for batch in batches:
            if batch.num_rows == 0:
                continue
            keys, ids = batch["key"].to_numpy(), fixed(batch["id"], np.uint8, 16)
            settled = batch["settled"].to_numpy(zero_copy_only=False)
            found = leading.follow(keys, ids, settled, lists(batch["evidence"]))
            rows, left = found.rows, found.left_over
            sides = [pa.array(keys[rows]), binary(found.leaders), binary(ids[rows]), pa.array(found.similarities)]
            yield pa.RecordBatch.from_arrays([*sides, pa.array(settled[rows])], schema=LED)
            sides = [pa.array(keys[left]), pa.nulls(len(left), pa.binary()), binary(ids[left])]
            none = pa.nulls(len(left), pa.float64())
            yield pa.RecordBatch.from_arrays([*sides, none, pa.array(settled[left])], schema=LED)

    return emit
