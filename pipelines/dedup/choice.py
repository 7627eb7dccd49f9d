"""Who of two duplicates stays, and which documents form a cluster.

In the keep order, a document stays unless it is similar to one that stays before it. So nobody is dropped for being
similar to something that was itself dropped, and no two documents that were found similar both stay.
"""

from __future__ import annotations

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

CHOSEN_SCHEMA = pa.schema(
    [("doc_id", pa.string()), ("duplicate_of", pa.string()), ("similarity", pa.float64()), ("cluster", pa.string())]
)


def choose(nodes: pa.Table, pairs: pa.Table) -> pa.Table:
    """Choose among the documents of `nodes`, n rows in keep order.

    `nodes`: doc_id: string, takes_part: bool (false: it neither stays nor stands for another). `pairs`: a, b,
    similarity and kind as in pairs/, all of whose documents are in `nodes`. Returns n rows of `CHOSEN_SCHEMA`:
    `duplicate_of` is the first document in keep order that stays and is similar, null where there is none.
    """
    ids = nodes["doc_id"].combine_chunks()
    near = pc.equal(pairs["kind"], "near")
    a, b = _positions(ids, pairs["a"]), _positions(ids, pairs["b"])
    is_near = near.to_numpy()
    # Documents of equal content form a class, named by its smallest doc_id's position; near pairs join classes.
    class_of = np.arange(len(ids))
    class_of[b[~is_near]] = a[~is_near]
    indptr, neighbours, similarity = _adjacency(
        len(ids), a[is_near], b[is_near], pairs["similarity"].to_numpy()[is_near]
    )
    takes_part = nodes["takes_part"].to_numpy()
    original, how_similar = _greedy(class_of, indptr, neighbours, similarity, takes_part)
    dropped = original >= 0
    return pa.table(
        [
            ids,
            pc.if_else(pa.array(dropped), ids.take(pa.array(np.maximum(original, 0))), None),
            pa.array(how_similar, mask=~dropped),
            ids.take(pa.array(_clusters(ids, a, b))),
        ],
        schema=CHOSEN_SCHEMA,
    )


def _positions(ids: pa.StringArray, wanted: pa.ChunkedArray) -> NDArray[np.int64]:
    return pc.index_in(wanted, value_set=ids).cast(pa.int64()).to_numpy()


def _adjacency(
    n: int, a: NDArray[np.int64], b: NDArray[np.int64], similarity: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Undirected pairs as compressed rows: (row starts int64[n + 1], neighbours int64[2m], similarity float64[2m])."""
    rows, columns = np.concatenate([a, b]), np.concatenate([b, a])
    order = np.lexsort((columns, rows))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))]).astype(np.int64)
    return indptr, columns[order], np.concatenate([similarity, similarity])[order]


@numba.njit(cache=True, nogil=True)
def _greedy(
    class_of: NDArray[np.int64],
    indptr: NDArray[np.int64],
    neighbours: NDArray[np.int64],
    similarity: NDArray[np.float64],
    takes_part: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Position of the first similar document that stays, or -1; and the similarity to it."""
    n = len(class_of)
    original = np.full(n, -1, np.int64)
    how_similar = np.zeros(n, np.float64)
    staying = np.full(n, n, np.int64)  # by class: the document of it that stays, n where there is none (yet)
    for i in range(n):
        if not takes_part[i]:
            continue
        own = class_of[i]
        first, closeness = staying[own], 1.0
        for k in range(indptr[own], indptr[own + 1]):
            if staying[neighbours[k]] < first:
                first, closeness = staying[neighbours[k]], similarity[k]
        if first < n:
            original[i], how_similar[i] = first, closeness
        else:
            staying[own] = i
    return original, how_similar


def _clusters(ids: pa.StringArray, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each document the position of the smallest doc_id in its connected component of pairs."""
    n = len(ids)
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(n, n))
    count, component = connected_components(graph, directed=False)
    by_id = pc.sort_indices(ids).to_numpy()
    smallest = np.full(count, -1, np.int64)
    smallest[component[by_id[::-1]]] = by_id[::-1]  # the last one written, the smallest doc_id, stays
    return smallest[component]
