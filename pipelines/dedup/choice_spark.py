"""The choice of `dedup.choice` at any size, as DataFrame operations with the same result.

Documents of equal content are similar to the same others, so of a class of them only the first that takes part, its
head, can stay; if it does not, what it is a duplicate of is what all of them are duplicates of. The greedy choice among
heads reads the near pairs of a component in the order of the later document, then of the earlier one, by their ranks in
the keep order: when a pair comes, the earlier document is decided. So one task decides a component while its pairs
stream by, sorted by Spark, which spills to disk; a byte for each of the component's documents is all that is in memory.
Deciding in parallel rounds whoever has only decided neighbours before it would be the alternative; a keep order along a
chain of versions makes as many rounds as there are versions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipelines.dedup.bands import Batches
from pipelines.dedup.components import components

DROPPED_SCHEMA = "class string, original string, similarity double"


def chosen(
    documents: DataFrame, order: list[Column], pairs: DataFrame, limit: int, folder: Path, transitive: bool = False
) -> tuple[DataFrame, int]:
    """The choice among the documents that have a pair, in the columns of `choice.CHOSEN_SCHEMA`, and rounds.

    `documents`: doc_id, takes_part and what the sort columns `order` use; the smaller doc_id decides at last. `pairs`:
    as in pairs/, all of whose documents are in `documents`; the components of up to `limit` of them are found in the
    driver. `folder`, which all executors see, takes what is in between and must last as long as the result is read.
    """
    spark = documents.sparkSession
    clusters, rounds = components(pairs.select("a", "b"), folder / "components", limit)
    ranked = _ranked(documents.join(clusters, "doc_id", how="inner"), order, pairs)
    ranked.write.mode("overwrite").parquet(str(folder / "ranked"))
    ranked = spark.read.parquet(str(folder / "ranked"))
    near = pairs.where(F.col("kind") == "near").select("a", "b", "similarity")
    originals = _first_of_cluster(ranked, near) if transitive else _greedy(ranked, near)
    originals.write.mode("overwrite").parquet(str(folder / "originals"))
    return _with_counts(ranked, spark.read.parquet(str(folder / "originals"))), rounds


def _ranked(documents: DataFrame, order: list[Column], pairs: DataFrame) -> DataFrame:
    """(doc_id, takes_part, cluster, class, rank): the class of equal content, and the place in its cluster's order."""
    exact = pairs.where(F.col("kind") == "exact").select(F.col("b").alias("doc_id"), F.col("a").alias("class"))
    rank = F.row_number().over(Window.partitionBy("cluster").orderBy(*order, "doc_id")).cast("long")
    return documents.join(exact, "doc_id", how="left").select(
        "doc_id", "takes_part", "cluster", F.coalesce("class", "doc_id").alias("class"), rank.alias("rank")
    )


def _greedy(ranked: DataFrame, near: DataFrame) -> DataFrame:
    """(doc_id, duplicate_of, similarity) of the documents that do not stay."""
    heads = (
        ranked.where("takes_part")
        .groupBy("class")
        .agg(F.min(F.struct("rank", "doc_id", "cluster")).alias("head"))
        .select("class", "head.*")
    )
    side = F.struct("rank", "doc_id", "class")
    one = heads.select(F.col("class").alias("a"), "cluster", side.alias("one"))
    other = heads.select(F.col("class").alias("b"), side.alias("other"))
    edges = near.join(one, "a", how="inner").join(other, "b", how="inner")
    later, earlier = F.greatest("one", "other"), F.least("one", "other")
    rows = edges.select(
        "cluster",
        later["rank"].alias("later"),
        earlier["rank"].alias("earlier"),
        later["class"].alias("class"),
        earlier["doc_id"].alias("original"),
        "similarity",
    )
    sorted_rows = rows.repartition("cluster").sortWithinPartitions("cluster", "later", "earlier")
    dropped = sorted_rows.mapInArrow(first_staying(), DROPPED_SCHEMA)
    decided = heads.select("class", F.col("doc_id").alias("head")).join(dropped, "class", how="left")
    return (
        ranked.where("takes_part")
        .join(decided, "class", how="inner")
        .where(F.col("original").isNotNull() | (F.col("doc_id") != F.col("head")))
        .select(
            "doc_id",
            F.coalesce("original", "head").alias("duplicate_of"),
            F.when(F.col("original").isNull(), 1.0).otherwise(F.col("similarity")).alias("similarity"),
        )
    )


def first_staying() -> Callable[[Batches], Batches]:
    """For mapInArrow over near pairs (cluster, later, earlier, class, original, similarity), sorted by the first three.

    `later` and `earlier` are ranks within the cluster. For each later document that does not stay one row, of its first
    earlier one that does: (class, original, similarity), as they came. Memory: a byte for each rank.
    """

    def emit(batches: Batches) -> Batches:
        dropped = np.zeros(1024, np.bool_)
        before, highest = None, np.zeros(1, np.int64)
        for batch in batches:
            if batch.num_rows == 0:
                continue
            cluster, later = batch["cluster"], batch["later"].to_numpy()
            starts = np.empty(len(cluster), np.bool_)
            starts[0] = cluster[0] != before
            starts[1:] = pc.not_equal(cluster[1:], cluster[:-1]).to_numpy(zero_copy_only=False)
            before = cluster[-1]
            if later.max() >= len(dropped):
                dropped = np.concatenate([dropped, np.zeros(later.max() + 1, np.bool_)])
            first = _first_staying(starts, later, batch["earlier"].to_numpy(), dropped, highest)
            yield batch.select(["class", "original", "similarity"]).filter(pa.array(first))

    return emit


@numba.njit(cache=True, nogil=True)
def _first_staying(
    starts: NDArray[np.bool_],
    later: NDArray[np.int64],
    earlier: NDArray[np.int64],
    dropped: NDArray[np.bool_],
    highest: NDArray[np.int64],
) -> NDArray[np.bool_]:
    first = np.zeros(len(later), np.bool_)
    for i in range(len(later)):
        if starts[i]:
            dropped[: highest[0] + 1] = (
                False  # no more than the last cluster had, or many small ones would cost a giant
            )
            highest[0] = 0
        if not dropped[later[i]] and not dropped[earlier[i]]:
            dropped[later[i]], first[i] = True, True
            highest[0] = later[i]
    return first


def _first_of_cluster(ranked: DataFrame, near: DataFrame) -> DataFrame:
    """(doc_id, duplicate_of, similarity) of all that take part but the first of each cluster."""
    taking_part = ranked.where("takes_part")
    firsts = (
        taking_part.groupBy("cluster")
        .agg(F.min(F.struct("rank", "doc_id", "class")).alias("first"))
        .select("cluster", F.col("first.doc_id").alias("original"), F.col("first.class").alias("first_class"))
    )
    both = near.toDF("first_class", "class", "similarity").union(near.select("b", "a", "similarity"))
    to_first = both.join(firsts.select("first_class"), "first_class", how="left_semi").drop("first_class")
    return (
        taking_part.join(firsts, "cluster", how="inner")
        .where(F.col("doc_id") != F.col("original"))
        .join(to_first, "class", how="left")
        .select(
            "doc_id",
            F.col("original").alias("duplicate_of"),
            F.when(F.col("class") == F.col("first_class"), 1.0).otherwise(F.col("similarity")).alias("similarity"),
        )
    )


def _with_counts(ranked: DataFrame, originals: DataFrame) -> DataFrame:
    counts = originals.groupBy(F.col("duplicate_of").alias("doc_id")).agg(F.count("*").alias("others"))
    stays = F.col("takes_part") & F.col("duplicate_of").isNull()
    return (
        ranked.join(originals, "doc_id", how="left")
        .join(counts, "doc_id", how="left")
        .select(
            "doc_id",
            "duplicate_of",
            "similarity",
            "cluster",
            F.when(stays, 1 + F.coalesce("others", F.lit(0))).otherwise(0).cast("long").alias("stands_for"),
        )
    )
