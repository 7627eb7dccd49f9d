"""Hubs: buckets with more documents than can be compared all with all.

A hub is read once, in the order of doc_id, by the leader algorithm (Hartigan, Clustering Algorithms, 1975, chapter 3):
a document is compared with the leaders so far, the first of them that it is similar to at most `COVER`, and becomes a
leader itself where it is similar to fewer and there is room. What is similar to no leader and found no room is left
over, and read again. So a hub of near-copies of ten templates has thirty leaders, and costs three pairs a document.

Bands take turns: who was similar to a leader takes no part in later bands' hubs. Of two similar documents that meet in
a hub, the pair is found, or one of them is similar to a leader, or one of them is left over in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from filters import minhash
from pipelines.dedup.bands import BAND_BITS, BUCKET_SCHEMA, Batches, binary, buckets, fixed
from pipelines.dedup.evidence import Evidence, agreements, lists

COVER = 3  # leaders per document: where rules drop one of them, another still stands for it
PASSES = 4  # of a hub: 256 leaders that are all unlike each other; more is no set of near-copies
LED_SCHEMA = "key long, a binary, b binary, similarity double"
LED = pa.schema([("key", pa.int64()), ("a", pa.binary()), ("b", pa.binary()), ("similarity", pa.float64())])


@dataclass(frozen=True)
class Hubs:
    """What was done: in how many passes, and how often a document of a hub was left over in the end."""

    passes: int
    left_over: int


def hub_pairs(
    documents: DataFrame, bands: int, rows: int, bucket: int, evidence: Evidence, folder: Path
) -> tuple[DataFrame, Hubs]:
    """The pairs (a, b: 16 bytes, a < b, similarity), all different, that are found in hubs.

    `documents`: (id: 16 bytes, signature, sketch), all different. Works in `folder`, which all executors see and which
    must last as long as the pairs are read.
    """
    members, compared = _members(documents, bands, rows, bucket, evidence, folder)
    read = documents.sparkSession.read.schema(LED_SCHEMA)
    led = documents.sparkSession.createDataFrame([], LED_SCHEMA)
    until = passes = left_over = 0
    while True:
        followers = led.select(F.col("b").alias("id")).distinct()
        rest = members.where(F.col("band") >= until).join(followers, "id", how="left_anti")
        band = rest.agg(F.min("band")).collect()[0][0]
        if band is None:
            return led.select("a", "b", "similarity").distinct(), Hubs(passes, left_over)
        until = max(band + 1, 2 * band)  # few documents are left for later bands, so ever more of these go together
        waiting = rest.where(F.col("band") < until).select("key", "id")
        for again in reversed(range(PASSES)):
            passes += 1
            written, unlike = str(folder / f"pass-{passes}"), Observation()
            found = _led(waiting, compared, bucket, evidence)
            found = found.observe(unlike, F.count_if(F.col("a").isNull()).alias("rows"))
            found.write.mode("overwrite").parquet(written)
            if not unlike.get["rows"]:
                break
            waiting = read.parquet(written).where(F.col("a").isNull()).select("key", F.col("b").alias("id"))
            left_over += 0 if again else unlike.get["rows"]
        led = read.parquet(*(str(folder / f"pass-{i + 1}") for i in range(passes))).where(F.col("a").isNotNull())


def _members(
    documents: DataFrame, bands: int, rows: int, bucket: int, evidence: Evidence, folder: Path
) -> tuple[DataFrame, DataFrame]:
    """The hubs' members (key, id, band), and what they are compared by (id, evidence), both from files in `folder`."""
    read = documents.sparkSession.read
    keyed = documents.select("id", "signature").mapInArrow(buckets(bands, rows), BUCKET_SCHEMA)
    hubs = keyed.groupBy("key").count().where(F.col("count") > bucket).select("key")
    band = F.col("key").bitwiseAND((1 << BAND_BITS) - 1).alias("band")
    members = keyed.join(hubs, "key", how="left_semi").select("key", "id", band)
    members.write.mode("overwrite").parquet(str(folder / "members"))
    members = read.schema(f"{BUCKET_SCHEMA}, band long").parquet(str(folder / "members"))
    compared = documents.select("id", F.col(evidence.column).alias("evidence")).join(members, "id", how="left_semi")
    compared.write.mode("overwrite").parquet(str(folder / "compared"))
    return members, read.schema("id binary, evidence binary").parquet(str(folder / "compared"))


def _led(waiting: DataFrame, compared: DataFrame, room: int, evidence: Evidence) -> DataFrame:
    rows = waiting.join(compared, "id", how="inner").select("key", "id", "evidence")
    return rows.repartition("key").sortWithinPartitions("key", "id").mapInArrow(leaders(room, evidence), LED_SCHEMA)


def leaders(room: int, evidence: Evidence) -> Callable[[Batches], Batches]:
    """For mapInArrow over rows (key, id, evidence) sorted by key and id, the members of hubs: rows of `LED`.

    A row says that `b` is similar to the leader `a`, or, where `a` is null, that it is left over. Memory is bounded by
    a batch and `room` leaders, each of at most 16 KB.
    """

    def emit(batches: Batches) -> Batches:
        values = np.empty((room, max(minhash.SKETCH_SIZE, 128)), np.uint32)
        sizes, ids = np.zeros(room, np.int64), np.empty((room, 16), np.uint8)
        state = np.zeros(3, np.int64)  # key, its leaders so far, 1 where there was a key
        for batch in batches:
            if batch.num_rows == 0:
                continue
            keys, own = batch["key"].to_numpy(), fixed(batch["id"], np.uint8, 16)
            listed = lists(batch["evidence"])
            follower, leader, similarity, left = _lead(
                keys, own, *listed, values, sizes, ids, state, evidence.column == "sketch", evidence.least
            )
            sides = [pa.array(keys[follower]), binary(leader), binary(own[follower]), pa.array(similarity)]
            yield pa.RecordBatch.from_arrays(sides, schema=LED)
            nulls = [pa.nulls(len(left), pa.binary()), pa.nulls(len(left), pa.float64())]
            sides = [pa.array(keys[left]), nulls[0], binary(own[left]), nulls[1]]
            yield pa.RecordBatch.from_arrays(sides, schema=LED)

    return emit


@numba.njit(cache=True, nogil=True)
def _lead(
    keys: NDArray[np.int64],
    own: NDArray[np.uint8],
    evidence: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    values: NDArray[np.uint32],
    sizes: NDArray[np.int64],
    ids: NDArray[np.uint8],
    state: NDArray[np.int64],
    sketch: bool,
    least: float,
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.float64], NDArray[np.int64]]:
    """The pairs as (row of the follower, id of the leader, similarity), and the rows that are left over."""
    n, k = len(keys), values.shape[1]
    follower, leader = np.empty(n * COVER, np.int64), np.empty((n * COVER, 16), np.uint8)
    similarity, left = np.empty(n * COVER, np.float64), np.empty(n, np.int64)
    pairs = over = 0
    whole = np.zeros(2, np.int64)
    for i in range(n):
        if state[2] == 0 or keys[i] != state[0]:
            state[0], state[1], state[2] = keys[i], 0, 1
        found = 0
        for j in range(state[1]):
            whole[1] = sizes[j]
            if sketch:
                close = minhash.jaccard_kernel(values[j], whole, evidence, offsets[i : i + 2], k)[0]
            else:
                close = agreements(values[j], whole, evidence, offsets[i : i + 2])[0]
            if close >= least:
                follower[pairs], leader[pairs], similarity[pairs] = i, ids[j], close
                pairs += 1
                found += 1
                if found == COVER:
                    break
        if found < COVER and state[1] < len(sizes):
            size = offsets[i + 1] - offsets[i]
            values[state[1], :size] = evidence[offsets[i] : offsets[i + 1]]
            sizes[state[1]], ids[state[1]] = size, own[i]
            state[1] += 1
        elif found == 0:
            left[over] = i
            over += 1
    return follower[:pairs], leader[:pairs], similarity[:pairs], left[:over]
