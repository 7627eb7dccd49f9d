"""What the trees are told of each block: itself, its place, the elements around it, its neighbours, and its like.

A block's "good text" is what looks like running text: at least GOOD characters with punctuation, mostly out of links.
Its shares in the elements around a block say where on the page the main text is, whatever the language.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.extraction import measure
from pipelines.ingest.extraction.blocks import Blocks
from pipelines.ingest.extraction.measure import (
    COMMAS,
    DIGITS,
    ENDS,
    FIRST,
    HASH,
    LAST,
    LETTERS,
    MARKS,
    NUMBERS,
    QUOTES,
    SIZE,
    UPPER,
    WORDS,
)
from pipelines.ingest.extraction.nodes import Nodes
from pipelines.ingest.extraction.surroundings import (
    CONTAINERS,
    ENOUGH,
    FAR,
    REACH,
    Floats,
    around,
    containers,
    groups,
    like,
    neighbours,
)
from pipelines.ingest.extraction.tags import ANCESTORS, FAMILY, GROUPS, HEADINGS, HINTS
from pipelines.ingest.extraction.tokens import Bytes, kernel

GOOD = 40  # characters
LINKED = 0.33  # share of a good block's text that may be in links

_OWN = (
    "size words word_length link_share links end_count ends commas digits numbers upper marks quotes first last styled "
    "inlines images breaks heading family depth copies in_title tag_order"
)
_PLACE = (
    "index before from_end since_heading heading_above past_h1 to_best page_blocks page_good page_linked page_mean_size"
)
OWN, PLACE = _OWN.split(), _PLACE.split()
_CONTAINER = ("good", "text", "links", "blocks", "density")
_NEIGHBOUR = ("size", "links", "good", "family", "alike", "heading")
_SPREAD = ("links_before", "links_after", "good_before", "good_after")
_LIKE = ("count", "text", "good", "links")
NAMES = (
    *OWN,
    *PLACE,
    *(f"{name}_{level}_up" for level in range(CONTAINERS) for name in _CONTAINER),
    *(f"up_to_{share}" for share in ENOUGH),
    *(f"{name}_{step:+}" for step in (-3, -2, -1, 1, 2, 3) for name in _NEIGHBOUR),
    *_SPREAD,
    *(f"alike_{name}" for name in _LIKE),
    *(f"within_{name}" for name in ANCESTORS),
    *(f"hint_{name}" for name in list(HINTS)[:GROUPS]),
)
"""The columns, in order."""
_PLACE_AT = len(OWN)
_CONTAINER_AT = _PLACE_AT + len(PLACE)
_NEIGHBOUR_AT = _CONTAINER_AT + CONTAINERS * len(_CONTAINER) + len(ENOUGH)
_LIKE_AT = _NEIGHBOUR_AT + 2 * REACH * len(_NEIGHBOUR) + len(_SPREAD)
_WITHIN_AT = _LIKE_AT + len(_LIKE)
_COLUMNS = len(NAMES)


def features(blocks: Blocks, nodes: Nodes, title: bytes) -> tuple[Floats, NDArray[np.int64]]:
    """float32[blocks, len(NAMES)], and the counts of `measure`."""
    counts = measure.measure(blocks, measure.CLASS)
    return _features(blocks, nodes, counts, np.frombuffer(title, np.uint8)), counts


@kernel
def _features(blocks: Blocks, nodes: Nodes, counts: NDArray[np.int64], title: Bytes) -> Floats:
    number = len(blocks.begin)
    table = np.zeros((number, _COLUMNS), np.float32)
    good = _good(blocks, counts)
    links = np.empty(number)
    levels = np.empty(number, np.uint8)
    headings = _headings(nodes)
    for block in range(number):
        links[block] = blocks.linked[block] / (blocks.end[block] - blocks.begin[block])
        levels[block] = headings[blocks.node[block]]
    _own(blocks, nodes, counts, links, levels, title, table)
    _place(counts, good, links, levels, table[:, _PLACE_AT:_CONTAINER_AT])
    containers(blocks, nodes, counts, good, table[:, _CONTAINER_AT:_NEIGHBOUR_AT])
    neighbours(blocks, nodes, counts, good, links, levels, table[:, _NEIGHBOUR_AT:_LIKE_AT])
    like(blocks, nodes, counts, good, table[:, _LIKE_AT:_WITHIN_AT])
    around(blocks, nodes, table[:, _WITHIN_AT:])
    return table


@kernel
def _good(blocks: Blocks, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Characters of good text in each block."""
    good = np.zeros(len(blocks.begin))
    for block in range(len(good)):
        count = counts[block]
        free = 1 - blocks.linked[block] / (blocks.end[block] - blocks.begin[block])
        if count[SIZE] >= GOOD and free > 1 - LINKED and count[ENDS] + count[COMMAS] > 0:
            good[block] = count[SIZE] * free
    return good


@kernel
def _headings(nodes: Nodes) -> NDArray[np.uint8]:
    """Level of the heading that each element is or is in, 0 for none."""
    levels = np.zeros(len(nodes.tag), np.uint8)
    for node in range(1, len(levels)):
        level = HEADINGS[nodes.tag[node]]
        levels[node] = level if level else levels[nodes.parent[node]]
    return levels


@kernel
def _own(
    blocks: Blocks,
    nodes: Nodes,
    counts: NDArray[np.int64],
    links: NDArray[np.float64],
    levels: NDArray[np.uint8],
    title: Bytes,
    table: Floats,
) -> None:
    texts = groups(counts[:, HASH])
    seen = np.zeros(len(counts), np.int64)
    for group in texts:
        seen[group] += 1
    for block in range(len(counts)):
        count, row, node = counts[block], table[block], blocks.node[block]
        size, words, letters = max(count[SIZE], 1), max(count[WORDS], 1), max(count[LETTERS], 1)
        row[0], row[1], row[2] = np.log1p(size), np.log1p(words), size / words
        row[3], row[4] = links[block], min(blocks.links[block], FAR)
        row[5], row[6], row[7] = min(count[ENDS], FAR), count[ENDS] / words, count[COMMAS] / words
        row[8], row[9], row[10] = count[DIGITS] / size, min(count[NUMBERS], FAR), count[UPPER] / letters
        row[11], row[12], row[13], row[14] = count[MARKS] / words, count[QUOTES] / words, count[FIRST], count[LAST]
        row[15] = blocks.styled[block] / (blocks.end[block] - blocks.begin[block])
        row[16], row[17] = min(blocks.inlines[block], FAR), min(blocks.images[block], FAR)
        row[18], row[19] = min(blocks.breaks[block], FAR), levels[block]
        row[20], row[21] = FAMILY[nodes.tag[node]], min(nodes.depth[node], 2 * FAR)
        row[22] = min(seen[texts[block]], FAR)
        row[23] = _in_title(blocks.text[blocks.begin[block] : blocks.end[block]], title)
        row[24] = min(nodes.order[node], FAR)


@kernel
def _in_title(text: Bytes, title: Bytes) -> float:
    """How much of the title a block is, where it is a part of it (or begins with it); 0 where it is not."""
    size = min(len(text), len(title))
    if size < 4 or len(text) > 2 * len(title):
        return 0.0
    for at in range(len(title) - size + 1):
        step = 0
        while step < size and text[step] == title[at + step]:
            step += 1
        if step == size:
            return size / len(title)
    return 0.0


@kernel
def _place(
    counts: NDArray[np.int64],
    good: NDArray[np.float64],
    links: NDArray[np.float64],
    levels: NDArray[np.uint8],
    table: Floats,
) -> None:
    number = len(counts)
    sizes = counts[:, SIZE]
    total = max(sizes.sum(), 1)
    before, since, above, past = 0, FAR, 0, 0
    best = np.argmax(good) if number else 0
    whole = np.log1p(good.sum())
    linked = (links * sizes).sum() / total
    for block in range(number):
        row = table[block]
        row[0], row[1], row[2] = block / number, before / total, min(number - block, 2 * FAR)
        row[3], row[4], row[5] = min(since, FAR), above, min(past, FAR)
        row[6] = min(max(block - best, -FAR), FAR)
        row[7], row[8], row[9], row[10] = np.log1p(number), whole, linked, np.log1p(total / number)
        before += sizes[block]
        since += 1
        past += past > 0
        if levels[block]:
            since, above = 0, levels[block]
            past = 1 if levels[block] == 1 else past
