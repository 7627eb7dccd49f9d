"""What a first guess says of a block's surroundings, for the second one: so that whole regions come in or stay out.

Stacked learning: the second trees see the first ones' probabilities of the block, of its neighbours, of all that is in
the elements around it, and of its like (Kou and Cohen 2007, "Stacked graphical models"). For training, the first
probabilities are those of trees that did not see the site.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.extraction.blocks import Blocks
from pipelines.ingest.extraction.measure import SIZE
from pipelines.ingest.extraction.nodes import Nodes
from pipelines.ingest.extraction.surroundings import CONTAINERS, REACH, WINDOW, Floats, block_above, groups
from pipelines.ingest.extraction.tokens import kernel

NAMES = (
    "guess",
    *(f"guess_{step:+}" for step in (-3, -2, -1, 1, 2, 3)),
    *(f"guess_{level}_up" for level in range(CONTAINERS)),
    "guess_alike",
    "guess_before",
    "guess_after",
    "guess_near",
    "guess_page",
    "guess_most",
)
_NAMES = len(NAMES)
_WHOLE = 400.0  # characters: longer blocks weigh no more in means


@kernel
def agreement(blocks: Blocks, nodes: Nodes, counts: NDArray[np.int64], features: Floats, guess: Floats) -> Floats:
    """float32[blocks, features + len(NAMES)]: the features, and the guesses around each block."""
    number, own = len(guess), features.shape[1]
    table = np.empty((number, own + _NAMES), np.float32)
    weight = np.empty(number)
    for block in range(number):
        weight[block] = min(1.0 * counts[block, SIZE], _WHOLE)
    page = _weighted(guess, weight, 0, number)
    most = guess.max() if number else 0.0
    for block in range(number):
        table[block, :own] = features[block]
        row = table[block, own:]
        row[0] = guess[block]
        at = 1
        for step in range(-REACH, REACH + 1):
            if step:
                other = block + step
                row[at] = guess[other] if 0 <= other < number else -1
                at += 1
        at += CONTAINERS + 1
        begin, end = max(block - WINDOW, 0), min(block + WINDOW + 1, number)
        row[at] = _weighted(guess, weight, begin, block)
        row[at + 1] = _weighted(guess, weight, block + 1, end)
        row[at + 2] = _weighted(guess, weight, max(block - 2, 0), min(block + 3, number))
        row[at + 3], row[at + 4] = page, most
    _sums(blocks, nodes, weight, guess, table[:, own + 1 + 2 * REACH :])
    return table


@kernel
def _weighted(guess: Floats, weight: NDArray[np.float64], begin: int, end: int) -> float:
    total = weight[begin:end].sum()
    return (guess[begin:end] * weight[begin:end]).sum() / total if total > 0 else -1.0


@kernel
def _sums(blocks: Blocks, nodes: Nodes, weight: NDArray[np.float64], guess: Floats, table: Floats) -> None:
    """Mean guesses in the elements around each block, and of its like."""
    sums = np.zeros((len(nodes.tag), 2))
    group = groups(nodes.sign[blocks.node].view(np.int64))
    alike = np.zeros((len(guess), 2))
    for block in range(len(guess)):
        node = blocks.node[block]
        sums[node, 0] += weight[block] * guess[block]
        sums[node, 1] += weight[block]
        alike[group[block], 0] += weight[block] * guess[block]
        alike[group[block], 1] += weight[block]
    for node in range(len(nodes.tag) - 1, 0, -1):
        sums[nodes.parent[node]] += sums[node]
    for block in range(len(guess)):
        node = blocks.node[block]
        like = alike[group[block]]
        table[block, CONTAINERS] = like[0] / max(like[1], 1e-9)
        for level in range(CONTAINERS):
            table[block, level] = sums[node, 0] / max(sums[node, 1], 1e-9)
            if node:
                node = block_above(nodes, node)
