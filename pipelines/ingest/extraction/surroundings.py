"""The part of the features that says what a block is in, beside and like. See features.NAMES for the columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.extraction.blocks import Blocks
from pipelines.ingest.extraction.measure import SIZE
from pipelines.ingest.extraction.nodes import Nodes
from pipelines.ingest.extraction.tags import ANCESTORS, BLOCK, FAMILY, FLAGS, GROUPS, INSIDE
from pipelines.ingest.extraction.tokens import kernel

Floats = NDArray[np.float32]
FAR = 30  # levels or blocks; what is further away is as far
CONTAINERS = 5
REACH = 3
WINDOW = 8
ENOUGH = (0.3, 0.6, 0.85)
"""Shares of the page's good text that an element around a block may have."""
_KINDS = len(ANCESTORS)
_ENOUGH = np.array(ENOUGH)


@kernel
def containers(
    blocks: Blocks, nodes: Nodes, counts: NDArray[np.int64], good: NDArray[np.float64], table: Floats
) -> None:
    """Shares of text in the block-level elements around a block, from the one that it is in."""
    sums = np.zeros((len(nodes.tag), 4))  # good, size, bytes in links per size, blocks
    for block in range(len(counts)):
        size = counts[block, SIZE]
        row = sums[blocks.node[block]]
        row[0] += good[block]
        row[1] += size
        row[2] += size * blocks.linked[block] / (blocks.end[block] - blocks.begin[block])
        row[3] += 1
    for node in range(len(nodes.tag) - 1, 0, -1):
        sums[nodes.parent[node]] += sums[node]
    page_good, page_size = max(sums[0, 0], 1.0), max(sums[0, 1], 1.0)
    for block in range(len(counts)):
        row, node = table[block], blocks.node[block]
        row[-3:] = FAR
        level, share = 0, 0
        while level < FAR:
            part = sums[node]
            if level < CONTAINERS:
                row[5 * level], row[5 * level + 1] = part[0] / page_good, part[1] / page_size
                row[5 * level + 2] = part[2] / max(part[1], 1.0)
                row[5 * level + 3], row[5 * level + 4] = np.log1p(part[3]), part[0] / max(part[1], 1.0)
            while share < 3 and part[0] >= _ENOUGH[share] * page_good:
                row[5 * CONTAINERS + share] = level
                share += 1
            if node == 0:
                if level >= CONTAINERS:
                    break
            else:
                node = block_above(nodes, node)
            level += 1


@kernel
def block_above(nodes: Nodes, node: int) -> int:
    """The next block-level element above, or the root."""
    node = nodes.parent[node]
    while node and not FLAGS[nodes.tag[node]] & BLOCK:
        node = nodes.parent[node]
    return node


@kernel
def neighbours(
    blocks: Blocks,
    nodes: Nodes,
    counts: NDArray[np.int64],
    good: NDArray[np.float64],
    links: NDArray[np.float64],
    levels: NDArray[np.uint8],
    table: Floats,
) -> None:
    """What is up to REACH blocks before and behind, and all together up to WINDOW blocks."""
    number = len(counts)
    for block in range(number):
        row, at = table[block], 0
        for step in range(-REACH, REACH + 1):
            if step == 0:
                continue
            other = block + step
            if 0 <= other < number:
                node = blocks.node[other]
                row[at], row[at + 1], row[at + 2] = np.log1p(counts[other, SIZE]), links[other], good[other] > 0
                row[at + 3] = FAMILY[nodes.tag[node]]
                row[at + 4] = nodes.sign[node] == nodes.sign[blocks.node[block]]
                row[at + 5] = levels[other]
            else:
                row[at], row[at + 1] = -1, -1
            at += 6
        begin, end = max(block - WINDOW, 0), min(block + WINDOW + 1, number)
        row[at], row[at + 1] = _mean(links, begin, block), _mean(links, block + 1, end)
        row[at + 2], row[at + 3] = np.log1p(good[begin:block].sum()), np.log1p(good[block + 1 : end].sum())


@kernel
def _mean(values: NDArray[np.float64], begin: int, end: int) -> float:
    return values[begin:end].sum() / (end - begin) if end > begin else -1.0


@kernel
def like(blocks: Blocks, nodes: Nodes, counts: NDArray[np.int64], good: NDArray[np.float64], table: Floats) -> None:
    """How many blocks are in elements of the same kind, class and surroundings, and what they are like together."""
    group = groups(nodes.sign[blocks.node].view(np.int64))
    sums = np.zeros((len(counts), 4))
    page_good, page_size = max(good.sum(), 1.0), max(counts[:, SIZE].sum(), 1)
    for block in range(len(counts)):
        row = sums[group[block]]
        row[0] += 1
        row[1] += counts[block, SIZE]
        row[2] += good[block]
        row[3] += counts[block, SIZE] * blocks.linked[block] / (blocks.end[block] - blocks.begin[block])
    for block in range(len(counts)):
        row, part = table[block], sums[group[block]]
        row[0], row[1], row[2] = np.log1p(part[0]), part[1] / page_size, part[2] / page_good
        row[3] = part[3] / max(part[1], 1.0)


@kernel
def groups(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number below len(keys) for each key, the same for equal ones."""
    order = np.argsort(keys, kind="mergesort")
    found = np.zeros(len(keys), np.int64)
    number = 0
    for at in range(1, len(keys)):
        number += keys[order[at]] != keys[order[at - 1]]
        found[order[at]] = number
    return found


@kernel
def around(blocks: Blocks, nodes: Nodes, table: Floats) -> None:
    """How many levels up the next element of each kind and with each hint is, FAR for nowhere, -1 for within."""
    kinds = _KINDS
    distance = np.full((len(nodes.tag), kinds + GROUPS), FAR, np.int8)
    for node in range(1, len(nodes.tag)):
        own, above = distance[node], distance[nodes.parent[node]]
        for at in range(kinds + GROUPS):
            own[at] = min(above[at] + 1, FAR)
        kind = INSIDE[nodes.tag[node]]
        if kind >= 0:
            own[kind] = 0
        _mark(nodes.hints[node], own[kinds:], 0)
    for block in range(len(blocks.begin)):
        row = table[block]
        row[:] = distance[blocks.node[block]]
        inner = blocks.inner[block]
        for at in range(GROUPS):
            if (inner >> at) & 1 and row[kinds + at] > 0:
                row[kinds + at] = -1


@kernel
def _mark(hints: int, row: NDArray[np.int8], value: int) -> None:
    at = 0
    while hints and at < GROUPS:
        if hints & 1:
            row[at] = value
        hints >>= 1
        at += 1
