"""Gradient-boosted trees, evaluated from arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.extraction.tokens import kernel


class Trees(NamedTuple):
    """`root`, `depth` uint32[trees]: where each tree begins among the nodes, and how many decisions it takes at most.

    Of each node: `feature` uint32 and `threshold` float32, what is decided by; `left` uint32, the next node for values
    up to the threshold, behind which is the one for those above it; `value` float32, what a leaf adds. A leaf's
    threshold is infinite and the node next to it is itself, so that all rows take the same steps, without branches.
    Indices are unsigned, since Numba looks at signed ones twice, for those that count from the end.
    """

    root: NDArray[np.uint32]
    depth: NDArray[np.uint32]
    feature: NDArray[np.uint32]
    threshold: NDArray[np.float32]
    left: NDArray[np.uint32]
    value: NDArray[np.float32]


@kernel
def probability(trees: Trees, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[rows]: the logistic function of the sum of the leaves that each row of features comes to."""
    score = np.zeros(len(table))
    nodes = np.empty(len(table), np.uint32)
    for tree in range(len(trees.root)):
        nodes[:] = trees.root[tree]
        for _ in range(trees.depth[tree]):
            for row in range(len(table)):
                node = nodes[row]
                is_above = table[np.uint32(row), trees.feature[node]] > trees.threshold[node]
                nodes[row] = trees.left[node] + np.uint32(is_above)
        for row in range(len(table)):
            score[row] += trees.value[nodes[row]]
    return (1 / (1 + np.exp(-score))).astype(np.float32)
