"""The choice among the duplicates of a run: with the documents of earlier runs, and with those that rules freed.

Documents of an earlier run come first in the keep order and always stay: only those that stay there are compared, and
of these no two are similar.
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from pipelines import datasets
from pipelines.config import Dedup
from pipelines.dedup import freed
from pipelines.dedup.choice_spark import chosen
from pipelines.dedup.places import Place, node

OLD_SCHEMA = "node string, doc_id string, index string, place int, cluster string, kept boolean, split string"


def duplicates(
    documents: DataFrame, order: list[Column], places: list[Place], settings: Dedup, folder: Path
) -> tuple[DataFrame, DataFrame]:
    """The choice among the documents that have a pair, and the documents of earlier runs that they are similar to.

    `documents`: (doc_id, takes_part) and what the sort columns `order` use; `places`: this run's output, whose pairs/
    and hubs/ are read, and the earlier ones. Returns (doc_id, duplicate_of, similarity, duplicate_in, cluster,
    stands_for) of this run's documents, and rows of OLD_SCHEMA. `folder` must last as long as the two are read.
    """
    spark = documents.sparkSession
    found = spark.read.parquet(*datasets.files(places[0].output, "pairs"))
    old = _old(found, places)
    first = [F.coalesce("place", F.lit(len(places)))]
    nodes = documents.withColumn("place", F.lit(None).cast("int"))
    if len(places) > 1:
        earlier = old.select(F.col("node").alias("doc_id"), F.lit(True).alias("takes_part"), "place")
        nodes = nodes.unionByName(earlier, allowMissingColumns=True)
    pairs = found.select(node(F.col("index"), F.col("a")).alias("a"), "b", "similarity", "kind")
    rounds = 0
    while True:
        rounds += 1
        choice, _ = chosen(
            nodes,
            [*first, *order],
            pairs,
            settings.in_memory_pairs,
            folder / f"choice-{rounds}",
            settings.choice == "transitive",
        )
        more = _freed(spark, nodes, choice, pairs, places, settings, folder / f"freed-{rounds}")
        if more is None:
            return (_named(choice, old) if len(places) > 1 else _of_this_run(choice)), old
        pairs = pairs.unionByName(more)


def _old(found: DataFrame, places: list[Place]) -> DataFrame:
    """The documents of earlier runs that have a pair, as in OLD_SCHEMA."""
    spark = found.sparkSession
    frames = [spark.createDataFrame([], OLD_SCHEMA)]
    for number, place in enumerate(places):
        if place.index is None:
            continue
        wanted = found.where(F.col("index") == place.index).select(F.col("a").alias("doc_id")).distinct()
        verdicts = spark.read.parquet(*datasets.files(place.output, "verdicts"))
        index = F.lit(place.index)
        frames.append(
            verdicts.join(wanted, "doc_id", how="left_semi").select(
                node(index, F.col("doc_id")).alias("node"),
                "doc_id",
                index.alias("index"),
                F.lit(number).alias("place"),
                "cluster",
                "kept",
                "split",
            )
        )
    return reduce(DataFrame.unionByName, frames)


def _freed(
    spark: SparkSession,
    nodes: DataFrame,
    choice: DataFrame,
    pairs: DataFrame,
    places: list[Place],
    settings: Dedup,
    folder: Path,
) -> DataFrame | None:
    """The pairs that are found among documents freed from a hub, None where there are none."""
    members = spark.read.parquet(*datasets.files(places[0].output, "hubs"))
    if settings.choice == "transitive" or not members.head(1):
        return None
    folder.mkdir(parents=True)
    dropped = choice.where(F.col("duplicate_of").isNotNull()).select("doc_id")
    staying = nodes.where("takes_part").select("doc_id").join(dropped, "doc_id", how="left_anti")
    # A hub knows a content by its first document, which rules may have dropped while a copy of it stays.
    first = pairs.where(F.col("kind") == "exact").select(F.col("b").alias("doc_id"), "a")
    staying = staying.join(first, "doc_id", how="left").select(F.coalesce("a", "doc_id").alias("doc_id")).distinct()
    return freed.pairs(members, staying, places, settings, folder)


def _of_this_run(choice: DataFrame) -> DataFrame:
    return choice.withColumn("duplicate_in", F.lit(None).cast("string"))


def _named(choice: DataFrame, old: DataFrame) -> DataFrame:
    """The choice among this run's documents, with earlier ones by their own names, and their clusters' names."""
    known = F.broadcast(
        old.select("node", F.col("doc_id").alias("own"), "index", F.col("cluster").alias("own_cluster"))
    )
    of_node = known.select(F.col("node").alias("doc_id"), "own_cluster")
    whole = choice.join(of_node, "doc_id", how="left")
    name = F.min(F.coalesce("own_cluster", "doc_id")).over(Window.partitionBy("cluster"))
    original = known.select(F.col("node").alias("duplicate_of"), "own", "index")
    return (
        whole.withColumn("cluster", name)
        .where(F.col("own_cluster").isNull())
        .join(original, "duplicate_of", how="left")
        .select(
            "doc_id",
            F.coalesce("own", "duplicate_of").alias("duplicate_of"),
            "similarity",
            F.col("index").alias("duplicate_in"),
            "cluster",
            "stands_for",
        )
    )
