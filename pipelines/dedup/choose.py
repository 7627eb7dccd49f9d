"""The choice among the duplicates of a run: with the documents of earlier runs, and with those that rules freed.

Documents of an earlier run come first in the keep order and always stay: only those that stay there are compared, and
of these no two are similar.
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipelines import datasets
from pipelines.config import Dedup
from pipelines.dedup import choice, choice_spark, freed
from pipelines.dedup.places import Place, node


def duplicates(
    documents: DataFrame, order: list[Column], places: list[Place], settings: Dedup, folder: Path
) -> tuple[DataFrame, DataFrame | None]:
    """The choice among the documents that have a pair, and the documents of earlier runs that they are similar to.

    `documents`: (doc_id, takes_part) and what the sort columns `order` use; `places`: this run's output, whose pairs/
    and hubs/ are read, and the earlier ones. Returns (doc_id, duplicate_of, similarity, duplicate_in, cluster,
    stands_for) of this run's documents, and, where there are earlier runs, (node, doc_id, index, place, cluster, kept,
    split). `folder` must last as long as the two are read.
    """
    found = documents.sparkSession.read.parquet(*datasets.files(places[0].output, "pairs"))
    pairs = found.select(node(F.col("index"), F.col("a")).alias("a"), "b", "similarity", "kind")
    old = _old(found, places) if len(places) > 1 else None
    if old is not None:
        earlier = old.select(F.col("node").alias("doc_id"), F.lit(True).alias("takes_part"), "place")
        documents = documents.unionByName(earlier, allowMissingColumns=True)
        order = [F.coalesce("place", F.lit(len(places))), *order]
    rounds = 0
    while True:
        rounds += 1
        chosen = _chosen(documents, order, pairs, settings, folder / f"choice-{rounds}")
        more = _freed(documents, chosen, pairs, places, settings, folder / f"freed-{rounds}")
        if more is None:
            return _named(chosen, old), old
        pairs = pairs.unionByName(more)


def _old(found: DataFrame, places: list[Place]) -> DataFrame:
    """The documents of earlier runs that have a pair."""
    frames = []
    for number, place in enumerate(places):
        if place.index is None:
            continue
        wanted = found.where(F.col("index") == place.index).select(F.col("a").alias("doc_id")).distinct()
        verdicts = found.sparkSession.read.parquet(*datasets.files(place.output, "verdicts"))
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


def _chosen(documents: DataFrame, order: list[Column], pairs: DataFrame, settings: Dedup, folder: Path) -> DataFrame:
    """The choice, in the columns of `choice.CHOSEN_SCHEMA`: in this process, or in Spark's tasks."""
    spark, transitive = documents.sparkSession, settings.choice == "transitive"
    folder.mkdir(parents=True, exist_ok=True)
    if pairs.count() > settings.in_memory_pairs:
        return choice_spark.chosen(documents, order, pairs, settings.in_memory_pairs, folder, transitive)[0]
    table = pairs.toArrow()
    paired = pc.unique(pa.chunked_array([*table["a"].chunks, *table["b"].chunks], pa.string()))
    pq.write_table(pa.table({"doc_id": paired}), folder / "paired.parquet")
    nodes = documents.join(spark.read.parquet(str(folder / "paired.parquet")), "doc_id", how="left_semi")
    # One sorted partition, rather than orderBy, which reads everything once more to find out its partitions' borders.
    ordered = nodes.coalesce(1).sortWithinPartitions(*order, "doc_id").select("doc_id", "takes_part")
    pq.write_table(choice.choose(ordered.toArrow(), table, transitive), folder / "chosen.parquet")
    return spark.read.parquet(str(folder / "chosen.parquet"))


def _freed(
    documents: DataFrame, chosen: DataFrame, pairs: DataFrame, places: list[Place], settings: Dedup, folder: Path
) -> DataFrame | None:
    """The pairs that are found among documents freed from a hub, None where there are none."""
    files = datasets.files(places[0].output, "hubs")
    if settings.choice == "transitive" or not sum(pq.read_metadata(file).num_rows for file in files):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    dropped = chosen.where(F.col("duplicate_of").isNotNull()).select("doc_id")
    staying = documents.where("takes_part").select("doc_id").join(dropped, "doc_id", how="left_anti")
    # A hub knows a content by its first document, which rules may have dropped while a copy of it stays.
    first = pairs.where(F.col("kind") == "exact").select(F.col("b").alias("doc_id"), "a")
    staying = staying.join(first, "doc_id", how="left").select(F.coalesce("a", "doc_id").alias("doc_id")).distinct()
    return freed.pairs(documents.sparkSession.read.parquet(*files), staying, places, settings, folder)


def _named(chosen: DataFrame, old: DataFrame | None) -> DataFrame:
    """The choice among this run's documents, with earlier ones by their own names, and their clusters' names."""
    if old is None:
        return chosen.withColumn("duplicate_in", F.lit(None).cast("string"))
    known = F.broadcast(
        old.select("node", F.col("doc_id").alias("own"), "index", F.col("cluster").alias("own_cluster"))
    )
    of_node = known.select(F.col("node").alias("doc_id"), "own_cluster")
    original = known.select(F.col("node").alias("duplicate_of"), "own", "index")
    name = F.min(F.coalesce("own_cluster", "doc_id")).over(Window.partitionBy("cluster"))
    named = chosen.join(of_node, "doc_id", how="left").withColumn("cluster", name)
    of_this_run = named.where(F.col("own_cluster").isNull()).join(original, "duplicate_of", how="left")
    return of_this_run.select(
        "doc_id",
        F.coalesce("own", "duplicate_of").alias("duplicate_of"),
        "similarity",
        F.col("index").alias("duplicate_in"),
        "cluster",
        "stands_for",
    )
