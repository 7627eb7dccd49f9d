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
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipelines import datasets
from pipelines.config import Dedup
from pipelines.dedup import choice, choice_spark, freed
from pipelines.dedup.evidence import Evidence
from pipelines.dedup.freed import HubRows
from pipelines.dedup.places import Place, node, node_names

ROWS_OF_HUBS = 10  # in memory, a row of hubs/ takes a tenth of what a document takes


def duplicates(
    documents: DataFrame, order: list[Column], places: list[Place], settings: Dedup, folder: Path
) -> tuple[DataFrame, DataFrame | None]:
    """The choice among the documents that have a pair, and the documents of earlier runs that they are similar to.

    `documents`: (doc_id, takes_part) and what the sort columns `order` use; `places`: this run's output, whose pairs/
    and hubs/ are read, and the earlier ones. Returns (doc_id, duplicate_of, similarity, duplicate_in, cluster,
    stands_for) of this run's documents, and, where there are earlier runs, (node, doc_id, index, place, cluster, kept,
    split). `folder` must last as long as the two are read.
    """
    spark = documents.sparkSession
    old = _old(spark, places) if len(places) > 1 else None
    if old is not None:
        earlier = old.select(F.col("node").alias("doc_id"), F.lit(True).alias("takes_part"), "place")
        documents = documents.unionByName(earlier, allowMissingColumns=True)
        order = [F.coalesce("place", F.lit(len(places))), *order]
    few_pairs = datasets.rows(places[0].output, "pairs") <= settings.in_memory_pairs
    if few_pairs and _hub_rows(places) <= ROWS_OF_HUBS * settings.in_memory_documents:
        return _named(_in_memory(documents, order, places, settings, folder), old), old
    found = spark.read.parquet(*datasets.files(places[0].output, "pairs"))
    pairs = found.select(node(F.col("index"), F.col("a")).alias("a"), "b", "similarity", "kind")
    rounds, transitive = 0, settings.choice == "transitive"
    while True:
        rounds += 1
        limit, here = settings.in_memory_pairs, folder / f"choice-{rounds}"
        chosen, _ = choice_spark.chosen(documents, order, pairs, limit, here, transitive)
        more = _freed(documents, order, chosen, pairs, places, settings, folder / f"freed-{rounds}")
        if more is None:
            return _named(chosen, old), old
        pairs = pairs.unionByName(more)


def _hub_rows(places: list[Place]) -> int:
    return datasets.rows(places[0].output, "hubs")


def _old(spark: SparkSession, places: list[Place]) -> DataFrame:
    """The documents of earlier runs that have a pair or lie in a hub."""
    pairs, hubs = (spark.read.parquet(*datasets.files(places[0].output, name)) for name in ("pairs", "hubs"))
    involved = pairs.select("index", F.col("a").alias("doc_id")).union(hubs.select("index", "doc_id"))
    frames = []
    for number, place in enumerate(places):
        if place.index is None:
            continue
        wanted = involved.where(F.col("index") == place.index).select("doc_id").distinct()
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


def _in_memory(
    documents: DataFrame, order: list[Column], places: list[Place], settings: Dedup, folder: Path
) -> DataFrame:
    """The choice, in the columns of `choice.CHOSEN_SCHEMA`, made in this process."""
    spark, transitive = documents.sparkSession, settings.choice == "transitive"
    folder.mkdir(parents=True, exist_ok=True)
    found = datasets.scan(places[0].output, "pairs")
    names = node_names(found["index"], found["a"])
    pairs = pa.table({"a": names, "b": found["b"], "similarity": found["similarity"], "kind": found["kind"]})
    ids = [*names.chunks, *found["b"].chunks]
    hubs = None
    if not transitive and _hub_rows(places):
        hubs = freed.hub_rows(places[0].output)
        ids.append(hubs.nodes)
    involved = pc.unique(pa.chunked_array(ids, pa.string()))
    pq.write_table(pa.table({"doc_id": involved}), folder / "involved.parquet")
    nodes = documents.join(
        spark.read.schema("doc_id string").parquet(str(folder / "involved.parquet")), "doc_id", how="left_semi"
    )
    # One sorted partition, rather than orderBy, which reads everything once more to find out its partitions' borders.
    ordered = nodes.coalesce(1).sortWithinPartitions(*order, "doc_id").select("doc_id", "takes_part").toArrow()
    chosen = choice.choose(ordered, pairs, transitive)
    if hubs is not None and _any_freed(chosen, ordered, pairs, hubs):
        evidence = Evidence(settings.verify, settings.threshold)
        members_of = freed.members_of(ordered["doc_id"].combine_chunks(), hubs, places, evidence, folder)
        chosen = choice.choose(ordered, pairs, hubs=members_of)
    pq.write_table(chosen, folder / "chosen.parquet")
    schema = from_arrow_schema(choice.CHOSEN_SCHEMA)
    return spark.read.schema(schema).parquet(str(folder / "chosen.parquet"))


def _any_freed(chosen: pa.Table, nodes: pa.Table, pairs: pa.Table, hubs: HubRows) -> bool:
    """Whether a document stays that was not compared with all others of its hubs that may stay."""
    staying = chosen.filter(pc.and_(nodes["takes_part"], pc.is_null(chosen["duplicate_of"])))["doc_id"]
    # A hub knows a content by its first document, which rules may have dropped while a copy of it stays.
    copies = pairs.filter(pc.equal(pairs["kind"], "exact"))
    first = copies["a"].filter(pc.is_in(copies["b"], value_set=staying))
    wanted = pa.chunked_array([*staying.chunks, *first.chunks], pa.string())
    may_stay = pc.is_in(hubs.nodes, value_set=wanted).to_numpy(zero_copy_only=False)
    return bool((may_stay[hubs.at] & ~hubs.settled).any())


def _freed(
    documents: DataFrame,
    order: list[Column],
    chosen: DataFrame,
    pairs: DataFrame,
    places: list[Place],
    settings: Dedup,
    folder: Path,
) -> DataFrame | None:
    """The pairs that are found among documents freed from a hub, None where there are none."""
    if settings.choice == "transitive" or not _hub_rows(places):
        return None
    files = datasets.files(places[0].output, "hubs")
    folder.mkdir(parents=True, exist_ok=True)
    dropped = chosen.where(F.col("duplicate_of").isNotNull()).select("doc_id")
    staying = documents.where("takes_part").join(dropped, "doc_id", how="left_anti")
    # A hub knows a content by its first document, which rules may have dropped while a copy of it stays.
    first = pairs.where(F.col("kind") == "exact").select(F.col("b").alias("doc_id"), F.col("a").alias("first"))
    staying = staying.join(first, "doc_id", how="left").withColumn("first", F.coalesce("first", "doc_id"))
    return freed.pairs(documents.sparkSession.read.parquet(*files), staying, order, places, settings, folder)


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
