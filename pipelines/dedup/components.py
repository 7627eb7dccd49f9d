"""Clusters: the connected components of pairs of documents, each named by its smallest doc_id.

Below a number of edges SciPy finds them in the driver. Above it, large-star and small-star alternate (Kiveris et al.
2014, "Connected Components in MapReduce and Beyond"): each operation hooks a node's neighbours to its smallest one,
until every component is a star around its smallest node. A round is two shuffles of at most as many edges as there
were; the number of rounds is O(log^2 n) at worst (ibid., theorem 2) and grows like log n in practice.

Both operations stream over edges sorted by node and neighbour: the first neighbour of a node is its smallest, so no
task holds a node's neighbours, and Spark's sort, which spills to disk, is all that a star of a billion needs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipelines.dedup.bands import binary, fixed

STAR_SCHEMA = "u binary, v binary, moved boolean"
STAR = pa.schema([("u", pa.binary()), ("v", pa.binary()), ("moved", pa.bool_())])


def components(edges: DataFrame, folder: Path, limit: int) -> tuple[DataFrame, int]:
    """(doc_id, cluster) of every document with an edge (a, b: doc_ids of 32 hex digits), and the number of rounds.

    Up to `limit` edges are collected and take 0 rounds. The rounds' edges are written to `folder`, which must be seen
    by all executors and last as long as the result is read. An edge from a document to itself counts for nothing.
    """
    edges = edges.where(F.col("a") != F.col("b"))
    count = edges.count()
    if count <= max(limit, 0):
        found = components_in_memory(edges.select("a", "b").toArrow())
        return edges.sparkSession.createDataFrame(found), 0
    a, b = F.unhex("a"), F.unhex("b")
    stars, rounds = _rounds(edges.select(F.greatest(a, b).alias("u"), F.least(a, b).alias("v")), folder)
    centres = stars.select("v").distinct().select("v", "v")
    named = stars.select("u", "v").union(centres).toDF("u", "v")
    return named.select(F.lower(F.hex("u")).alias("doc_id"), F.lower(F.hex("v")).alias("cluster")), rounds


def components_in_memory(edges: pa.Table) -> pa.Table:
    """(doc_id, cluster) of every document of edges (a, b), by SciPy."""
    both = pa.chunked_array([*edges["a"].chunks, *edges["b"].chunks], edges["a"].type)
    encoded = pa.chunked_array(both).combine_chunks().dictionary_encode()
    positions, ids = encoded.indices.to_numpy().astype(np.int64), encoded.dictionary
    smallest = smallest_of_component(ids, positions[: len(edges)], positions[len(edges) :])
    return pa.table([ids, ids.take(pa.array(smallest))], ["doc_id", "cluster"])


def smallest_of_component(ids: pa.Array, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of `ids` the position of the smallest one in its component. Edges a[i], b[i] are positions too."""
    n = len(ids)
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(n, n))
    count, component = connected_components(graph, directed=False)
    by_id = pc.sort_indices(ids).to_numpy()
    smallest = np.full(count, -1, np.int64)
    smallest[component[by_id[::-1]]] = by_id[::-1]  # the last one written, the smallest id, stays
    return smallest[component]


def _rounds(edges: DataFrame, folder: Path) -> tuple[DataFrame, int]:
    """Alternate the two operations on edges (u, v), u > v, until neither moves an edge: then all are stars."""
    spark = edges.sparkSession
    moved, rounds = True, 0
    while moved:
        rounds += 1
        by_large, by_small = Observation(), Observation()
        both = edges.select("u", "v").union(edges.select("v", "u"))
        large = _star(both, large=True).observe(by_large, F.max("moved").alias("moved"))
        small = _star(large.select("u", "v"), large=False).observe(by_small, F.max("moved").alias("moved"))
        written = folder / f"round-{rounds}"
        small.select("u", "v").write.mode("overwrite").parquet(str(written))  # no lineage grows from round to round
        moved = bool(by_large.get["moved"] or by_small.get["moved"])
        edges = spark.read.schema("u binary, v binary").parquet(str(written))
        shutil.rmtree(folder / f"round-{rounds - 1}", ignore_errors=True)
    return edges, rounds


def _star(edges: DataFrame, large: bool) -> DataFrame:
    return edges.repartition("u").sortWithinPartitions("u", "v").mapInArrow(star(large), STAR_SCHEMA)


def star(large: bool) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow over edges (u, v: 16 bytes) sorted by u and v: what large-star or small-star makes of them.

    Large-star takes each edge in both directions and hooks the neighbours of u that are larger than u; small-star takes
    it as u > v and hooks u and all its smaller neighbours; both hook to the smallest of u and its neighbours. Returns
    edges (u, v), u > v, one for each different edge of the input, and whether it is another edge than before.
    """

    def emit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # u, the smallest of it and its neighbours, and the neighbour before, from one batch to the next; row 3: started
        state = np.zeros((4, 2), np.uint64)
        for batch in batches:
            if batch.num_rows:
                u, v, moved = _hook(_words(batch["u"]), _words(batch["v"]), state, large)
                yield pa.RecordBatch.from_arrays([_bytes(u), _bytes(v), pa.array(moved)], schema=STAR)

    return emit


def _words(ids: pa.Array) -> NDArray[np.uint64]:
    """Ids of 16 bytes as two numbers each that compare as the bytes do: uint64[n, 2]."""
    return fixed(ids, np.uint8, 16).view(">u8").astype(np.uint64)


def _bytes(words: NDArray[np.uint64]) -> pa.Array:
    return binary(words.astype(">u8").view(np.uint8))


@numba.njit(cache=True, nogil=True)
def _less(x: NDArray[np.uint64], y: NDArray[np.uint64]) -> bool:
    return x[0] < y[0] or (x[0] == y[0] and x[1] < y[1])


@numba.njit(cache=True, nogil=True)
def _equal(x: NDArray[np.uint64], y: NDArray[np.uint64]) -> bool:
    return x[0] == y[0] and x[1] == y[1]


@numba.njit(cache=True, nogil=True)
def _hook(
    u: NDArray[np.uint64], v: NDArray[np.uint64], state: NDArray[np.uint64], large: bool
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]:
    out_u, out_v, moved = np.empty_like(u), np.empty_like(v), np.empty(len(u), np.bool_)
    node, least, before = state[0], state[1], state[2]
    n = 0
    for i in range(len(u)):
        first = state[3, 0] == 0 or not _equal(u[i], node)
        if first:
            state[3, 0] = 1
            node[:] = u[i]
            least[:] = v[i] if _less(v[i], u[i]) else u[i]
        elif _equal(v[i], before):
            continue  # the same edge again
        before[:] = v[i]
        if large:
            if not _less(node, v[i]):
                continue  # the smaller end hooks this edge
            out_u[n], moved[n] = v[i], not _equal(least, node)
        else:
            out_u[n], moved[n] = (u[i], False) if first else (v[i], True)
        out_v[n] = least
        n += 1
    return out_u[:n], out_v[:n], moved[:n]
