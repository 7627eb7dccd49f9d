"""Who of two duplicates stays, and which documents form a cluster.

`greedy`: in the keep order, a document stays unless it is similar to one that stays before it. So nobody is dropped for
being similar to something that was itself dropped, and no two documents that were found similar both stay.
`transitive` (FineWeb, The Stack): of each cluster the first document stays, however unlike the others may be to it.

`dedup.choice_spark` makes the same choice of more pairs than fit into memory.
"""

from __future__ import annotations

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.dedup.components import smallest_of_component

CHOSEN_SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("duplicate_of", pa.string()),
        ("similarity", pa.float64()),
        ("cluster", pa.string()),
        ("stands_for", pa.int64()),
    ]
)


def choose(nodes: pa.Table, pairs: pa.Table, transitive: bool = False) -> pa.Table:
    """Choose among the documents of `nodes`, n rows in keep order.

    `nodes`: doc_id: string, takes_part: bool (false: it neither stays nor stands for another). `pairs`: a, b,
    similarity and kind as in pairs/, all of whose documents are in `nodes`. Returns n rows of `CHOSEN_SCHEMA`:
    `duplicate_of` is the first document in keep order that stays and is similar (`transitive`: that stays of the
    cluster), null where there is none; `similarity` is to that document, null where the two were not found similar;
    `cluster` is the smallest doc_id of the connected component, of which documents that take no part are members too;
    `stands_for` counts a staying document and those whose `duplicate_of` it is, and is 0 of all others.
    """
    ids = nodes["doc_id"].combine_chunks()
    is_near = pc.equal(pairs["kind"], "near").to_numpy()
    a, b = _positions(ids, pairs["a"]), _positions(ids, pairs["b"])
    # Documents of equal content form a class, named by its smallest doc_id's position; near pairs join classes.
    class_of = np.arange(len(ids))
    class_of[b[~is_near]] = a[~is_near]
    near = _adjacency(len(ids), a[is_near], b[is_near], pairs["similarity"].to_numpy()[is_near])
    takes_part = nodes["takes_part"].to_numpy()
    cluster = smallest_of_component(ids, a, b)
    if transitive:
        original, how_similar = _first_of_cluster(class_of, *near, takes_part, cluster)
    else:
        original, how_similar = _greedy(class_of, *near, takes_part)
    dropped = original >= 0
    stands_for = (takes_part & ~dropped) + np.bincount(original[dropped], minlength=len(ids))
    return pa.table(
        [
            ids,
            pc.if_else(pa.array(dropped), ids.take(pa.array(np.maximum(original, 0))), None),
            pa.array(how_similar, mask=~dropped | np.isnan(how_similar)),
            ids.take(pa.array(cluster)),
            pa.array(stands_for),
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


@numba.njit(cache=True, nogil=True)
def _first_of_cluster(
    class_of: NDArray[np.int64],
    indptr: NDArray[np.int64],
    neighbours: NDArray[np.int64],
    similarity: NDArray[np.float64],
    takes_part: NDArray[np.bool_],
    cluster: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Position of the first document of the cluster that takes part, or -1 for itself; the similarity to it, or NaN."""
    n = len(class_of)
    original = np.full(n, -1, np.int64)
    how_similar = np.full(n, np.nan)
    to_first = np.full(n, np.nan)  # by class: its similarity to the first document of its cluster
    first = np.full(n, -1, np.int64)  # by cluster
    for i in range(n):
        if not takes_part[i]:
            continue
        if first[cluster[i]] < 0:
            first[cluster[i]] = i
            own = class_of[i]
            to_first[own] = 1.0
            for k in range(indptr[own], indptr[own + 1]):
                to_first[neighbours[k]] = similarity[k]
        else:
            original[i], how_similar[i] = first[cluster[i]], to_first[class_of[i]]
    return original, how_similar
