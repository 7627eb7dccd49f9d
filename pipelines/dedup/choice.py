"""Who of two duplicates stays, and which documents form a cluster.

`greedy`: in the keep order, a document stays unless it is similar to one that stays before it. So nobody is dropped for
being similar to something that was itself dropped, and no two documents that were found similar both stay.
`transitive` (FineWeb, The Stack): of each cluster the first document stays, however unlike the others may be to it.

In a hub not all pairs are known. Who would stay for want of a known pair is compared, on the spot, with those of its
hubs that stay before it. So the greedy choice is that over all pairs of all buckets, although few of them are looked
at.

`dedup.choice_spark` makes the same choice of more pairs than fit into memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.dedup.bands import frozen
from pipelines.dedup.components import smallest_of_component
from pipelines.dedup.evidence import Evidence, Lists
from pipelines.dedup.evidence import similarity as alike
from pipelines.dedup.hubs import PASSES, ROOM

Ints = NDArray[np.int64]

MOST_LEADERS = PASSES * ROOM  # of a hub that a document is compared with: no more than in matching

CHOSEN_SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("duplicate_of", pa.string()),
        ("similarity", pa.float64()),
        ("cluster", pa.string()),
        ("stands_for", pa.int64()),
    ]
)


class HubMembers(NamedTuple):
    """In which hubs n documents are, m times all together, and what they are compared by. Of copies only one is."""

    starts: Ints  # [n + 1]
    hubs: Ints  # [m]: those of document i are hubs[starts[i]:starts[i + 1]], numbered from 0
    settled: NDArray[np.bool_]  # [n]: two settled documents were compared, or need not be
    lists: Lists  # [n]
    evidence: Evidence


def no_hubs(n: int) -> HubMembers:
    """The hubs of n documents that are in none."""
    nothing = np.zeros(n, np.int64)
    lists = Lists(frozen(np.empty(0, np.uint32)), nothing, nothing)
    return HubMembers(np.zeros(n + 1, np.int64), nothing[:0], np.zeros(n, np.bool_), lists, Evidence("sketch", 1.0))


def choose(nodes: pa.Table, pairs: pa.Table, transitive: bool = False, hubs: HubMembers | None = None) -> pa.Table:
    """Choose among the documents of `nodes`, n rows in keep order.

    `nodes`: doc_id: string, takes_part: bool (false: it neither stays nor stands for another). `pairs`: a, b,
    similarity and kind as in pairs/, all of whose documents are in `nodes`; `hubs`: of the nodes, for the greedy
    choice. Returns n rows of `CHOSEN_SCHEMA`: `duplicate_of` is the first document in keep order that stays and is
    known to be similar (`transitive`: that stays of the cluster), null where there is none; `similarity` is to that
    document, null where the two were not found similar; `cluster` is the smallest doc_id of the connected component, of
    which documents that take no part are members too; `stands_for` counts a staying document and those whose
    `duplicate_of` it is, and is 0 of all others.
    """
    ids = nodes["doc_id"].combine_chunks()
    is_near = pc.equal(pairs["kind"], "near").to_numpy()
    a, b = _positions(ids, pairs["a"]), _positions(ids, pairs["b"])
    # Documents of equal content form a class, named by its smallest doc_id's position; near pairs join classes.
    class_of = np.arange(len(ids))
    class_of[b[~is_near]] = a[~is_near]
    near = _adjacency(len(ids), a[is_near], b[is_near], pairs["similarity"].to_numpy()[is_near])
    takes_part = nodes["takes_part"].to_numpy()
    if transitive:
        cluster = smallest_of_component(ids, a, b)
        original, how_similar = _first_of_cluster(class_of, *near, takes_part, cluster)
    else:
        starts, hub, settled, lists, evidence = hubs or no_hubs(len(ids))
        values, begins, ends = lists
        sketch, least = evidence.column == "sketch", evidence.least
        original, how_similar, led_by = _greedy(
            class_of, *near, takes_part, starts, hub, settled, values, begins, ends, sketch, least, MOST_LEADERS
        )
        led = np.flatnonzero(led_by >= 0)
        cluster = smallest_of_component(ids, np.concatenate([a, led_by[led]]), np.concatenate([b, led]))
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
    starts: Ints,
    hub: Ints,
    settled: NDArray[np.bool_],
    values: NDArray[np.uint32],
    begins: Ints,
    ends: Ints,
    sketch: bool,
    least: float,
    most: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Position of the first similar document that stays, or -1; the similarity to it; and of a class, what it meets.

    The last is the class of a document that stays and was found similar to it in a hub, -1 where none was.
    """
    n = len(class_of)
    count = hub.max() + 1 if len(hub) else 0
    # Who stays of a hub, unsettled classes and settled ones apart, as linked lists of places in `hub`; whose they are.
    head, tail = np.full((count, 2), -1, np.int64), np.full((count, 2), -1, np.int64)
    after, owner = np.full(len(hub), -1, np.int64), np.empty(len(hub), np.int64)
    seen = np.full(n, -1, np.int64)  # by class: the last document that was compared with it
    led_by = np.full(n, -1, np.int64)
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
        for place in range(starts[own], starts[own + 1] if first == n else starts[own]):
            owner[place] = own
            for kind in range(1 if settled[own] else 2):
                at, compared = head[hub[place], kind], 0
                while at >= 0 and compared < most:
                    other = owner[at]
                    at = after[at]
                    compared += 1
                    if seen[other] == i or staying[other] > first:
                        continue
                    seen[other] = i
                    close = alike(values, begins[other], ends[other], values, begins[own], ends[own], sketch, least)
                    if close >= least:
                        first, closeness, led_by[own] = staying[other], close, other
        if first < n:
            original[i], how_similar[i] = first, closeness
            continue
        staying[own] = i
        for place in range(starts[own], starts[own + 1]):
            kind = 1 if settled[own] else 0
            if head[hub[place], kind] < 0:
                head[hub[place], kind] = place
            else:
                after[tail[hub[place], kind]] = place
            tail[hub[place], kind] = place
    return original, how_similar, led_by


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
