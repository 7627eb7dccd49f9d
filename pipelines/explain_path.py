"""The chain of verified pairs between two documents of a cluster, found breadth-first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

from pipelines import datasets
from pipelines.lookup import Row, batches, batches_where, find, keys, unkeyed

LIMIT = 5_000_000  # documents, and near pairs, of a cluster in which a path is looked for


def path(output: Path, cluster: str, start: str, goal: str) -> tuple[list[Row], str | None]:
    """The shortest chain from one document of a cluster to another: links (doc_id, similarity, kind), each named by the
    document that it leads to; and, where that is empty, why.

    Documents of equal content are one node, because what a pair says of one of them holds for all (see `dedup.match`).
    Of several shortest chains it is the one whose nodes come first by doc_id, chosen from the goal on. Reads the
    cluster's verdicts and all of pairs/ once; holds 16 bytes a document and about 80 a near pair of the cluster.
    """
    files = datasets.files(output, "verdicts")
    ids = [keys(batch["doc_id"]) for batch in batches_where(files, "cluster", [cluster], ["doc_id"])]
    nodes = np.sort(np.concatenate(ids))
    if len(nodes) > LIMIT:
        return [], f"a cluster of {len(nodes):,} documents is too large to look for it"
    content = np.arange(len(nodes))
    sides: list[NDArray[np.int64]] = [np.empty((2, 0), np.int64)]
    values: list[NDArray[np.float64]] = [np.empty(0)]
    for batch in batches(datasets.files(output, "pairs"), ["a", "b", "similarity", "kind", "index"]):
        batch = batch.filter(pc.is_null(batch["index"]))
        (a, here), (b, also) = (find(nodes, keys(batch[side])) for side in ("a", "b"))
        exact = pc.equal(batch["kind"], "exact").to_numpy(zero_copy_only=False)
        content[b[here & also & exact]] = a[here & also & exact]
        near = here & also & ~exact
        sides.append(np.array([a[near], b[near]]))
        values.append(batch["similarity"].to_numpy()[near])
        if sum(map(len, values)) > LIMIT:
            return [], f"a cluster of more than {LIMIT:,} pairs is too large to look for it"
    first, last = content[find(nodes, keys(pa.array([start, goal])))[0]]
    steps = _chain(len(nodes), np.concatenate(sides, axis=1), np.concatenate(values), int(first), int(last))
    if first == last:
        return [{"doc_id": goal, "similarity": 1.0, "kind": "exact"}], None
    links = [{"doc_id": unkeyed(nodes[node]), "similarity": similar, "kind": "near"} for node, similar in steps]
    if not links:
        return [], "no chain of pairs/ leads to it"
    links[-1]["doc_id"] = goal
    return links, None


def _chain(
    n: int, pairs: NDArray[np.int64], similarity: NDArray[np.float64], first: int, last: int
) -> list[tuple[int, float]]:
    """The nodes after `first` on a shortest path to `last`, each with the similarity to the one before it."""
    rows, columns = np.concatenate([pairs, pairs[::-1]], axis=1)
    order = np.lexsort((columns, rows))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    neighbours, values = columns[order], np.concatenate([similarity, similarity])[order]
    graph = csr_array((np.ones(len(order), np.int8), neighbours, starts), shape=(n, n))
    _, towards = breadth_first_order(graph, last)
    found, node = [], first
    while node != last:
        other = int(towards[node])
        if other < 0:
            return []
        at = starts[node] + np.searchsorted(neighbours[starts[node] : starts[node + 1]], other)
        found.append((other, float(values[at])))
        node = other
    return found
