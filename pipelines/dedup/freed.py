"""Documents freed from a hub: what they followed does not stay, so they do, without having been compared with the rest.

It may have been dropped by a rule, or by a document that comes before it in the keep order. Where the choice is made in
one process, such documents are compared on the spot (`dedup.choice`). Where it is made in Spark's tasks, those who stay
of each such hub are compared afterwards, in the keep order, each with those that lead before it, and the choice is made
again with the pairs that this finds, until it finds none. Then no two documents that stay and meet in a bucket are
similar, and each that does not stay is similar to one that stays before it; the greedy choice over all pairs of all
buckets is the only set of which both hold. So the kept documents are those that comparing all with all would keep.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines import datasets
from pipelines.config import Dedup
from pipelines.dedup import choice, hubs
from pipelines.dedup.compared import frame
from pipelines.dedup.evidence import Evidence, Lists
from pipelines.dedup.places import Place, load, node, node_names


class HubRows(NamedTuple):
    """Rows of hubs/, m of them about k documents: 13 bytes a row, and the names once."""

    keys: NDArray[np.int64]  # [m]
    nodes: pa.StringArray  # [k]: hex digits, all different
    at: NDArray[np.int32]  # [m]: which of the nodes
    settled: NDArray[np.bool_]  # [m]


PAIRS_SCHEMA = "a string, b string, similarity double, kind string"


def pairs(
    members: DataFrame, staying: DataFrame, order: list[Column], places: list[Place], settings: Dedup, folder: Path
) -> DataFrame | None:
    """More pairs, as in PAIRS_SCHEMA, of nodes as hex digits; None where there are none.

    `members`: the rows of hubs/; `staying`: (doc_id, first: the first document of its content, and what the sort
    columns `order` use) of all that stay. Works in `folder`, which must last as long as the result is read.
    """
    spark = staying.sparkSession
    nodes = members.select("key", node(F.col("index"), F.col("doc_id")).alias("first"), "settled")
    rows = nodes.join(staying.select("first"), "first", how="left_semi")
    opened = rows.where(~F.col("settled")).select("key").distinct()
    waiting = rows.join(opened, "key", how="left_semi").persist()
    evidence = Evidence(settings.verify, settings.threshold)
    count = waiting.count()
    if count == 0:
        return None
    if count <= settings.in_memory_documents:
        ranked = staying.join(waiting, "first", how="left_semi").coalesce(1).sortWithinPartitions(*order, "doc_id")
        by_rank = pc.unique(ranked.select("first").toArrow()["first"])
        found = spark.createDataFrame(_led(by_rank, of_table(waiting.toArrow()), places, evidence, folder))
    else:
        unranked = waiting.select("key", F.unhex("first").alias("id"), "settled")
        led, _, _ = hubs.hub_pairs(unranked, frame(spark, places, "global", None), evidence, folder)
        found = led.select(*(F.lower(F.hex(side)).alias(side) for side in ("a", "b")), "similarity")
    found.withColumn("kind", F.lit("near")).write.mode("overwrite").parquet(str(folder / "freed"))
    waiting.unpersist()
    written = spark.read.schema(PAIRS_SCHEMA).parquet(str(folder / "freed"))
    return written if written.head(1) else None


def hub_rows(output: Path) -> HubRows:
    """The rows of hubs/ in memory, for as long as that is possible."""
    columns = ["key", "doc_id", "index", "settled"]
    table = pq.read_table(output / "hubs", columns=columns, read_dictionary=["doc_id"], partitioning=None)
    ids = table["doc_id"].unify_dictionaries().combine_chunks()
    names, at = ids.dictionary, ids.indices.to_numpy()
    if table["index"].null_count < len(table):
        index = table["index"].combine_chunks().dictionary_encode()
        places = pc.fill_null(index.indices, len(index.dictionary)).to_numpy()
        codes, at = np.unique(at.astype(np.int64) * (len(index.dictionary) + 1) + places, return_inverse=True)
        of_id, of_place = np.divmod(codes, len(index.dictionary) + 1)
        earlier = index.dictionary.take(pa.array(of_place, mask=of_place == len(index.dictionary)))
        names = node_names(pa.chunked_array([earlier]), pa.chunked_array([names.take(pa.array(of_id))]))
        names = names.combine_chunks()
    settled = table["settled"].to_numpy()
    return HubRows(table["key"].to_numpy(), names, at.astype(np.int32), settled)


def of_table(rows: pa.Table) -> HubRows:
    """Rows (key, first: the node, settled) in that form."""
    first = rows["first"].combine_chunks().dictionary_encode()
    return HubRows(rows["key"].to_numpy(), first.dictionary, first.indices.to_numpy(), rows["settled"].to_numpy())


def _led(ids: pa.Array, rows: HubRows, places: list[Place], evidence: Evidence, folder: Path) -> pa.Table:
    """(a, b, similarity): each of the nodes `ids`, in keep order, that is similar to one before it that stays."""
    nodes = pa.table({"doc_id": ids, "takes_part": np.ones(len(ids), np.bool_)})
    members = members_of(ids, rows, places, evidence, folder)
    chosen = choice.choose(nodes, datasets.PAIRS.empty_table(), hubs=members)
    led = chosen.filter(pc.is_valid(chosen["duplicate_of"]))
    return led.select(["duplicate_of", "doc_id", "similarity"]).rename_columns(["a", "b", "similarity"])


def members_of(
    ids: pa.Array, rows: HubRows, places: list[Place], evidence: Evidence, folder: Path
) -> choice.HubMembers:
    """The hubs of the nodes `ids` (hex digits, all different), from rows of hubs/, of which some may be of others."""
    position = pc.fill_null(pc.index_in(rows.nodes, value_set=ids), -1).to_numpy()[rows.at]
    known = position >= 0
    at, hub = position[known], np.unique(rows.keys[known], return_inverse=True)[1]
    by_node = np.lexsort((hub, at))
    settled = np.zeros(len(ids), np.bool_)
    settled[at] = rows.settled[known]
    involved = np.unique(at)
    nodes = np.frombuffer(bytes.fromhex("".join(ids.take(pa.array(involved)).to_pylist())), np.uint8).reshape(-1, 16)
    found = load(places, nodes, evidence.column, folder / "evidence")
    starts, ends = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
    starts[involved], ends[involved] = found.starts, found.ends
    borders = np.searchsorted(at[by_node], np.arange(len(ids) + 1))
    return choice.HubMembers(borders, hub[by_node], settled, Lists(found.values, starts, ends), evidence)
