"""From probabilities to blocks that stay: tables as a whole, headings with what they head, and never nothing at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.extraction.nodes import Ints
from pipelines.ingest.extraction.structure import Structure, group_means
from pipelines.ingest.extraction.surroundings import Floats
from pipelines.ingest.extraction.tokens import kernel

HEADING = 0.4
"""The least probability with which a heading stays before text that stays."""
ALONE = 0.8
"""The least probability with which a heading stays that nothing follows."""
SURE, BETWEEN = 0.8, 0.2
"""What is between two blocks that are as probable as the first stays if it is as probable as the second, where all
three are in the same element: headings, items and short lines within a text, of which people mark few."""
OTHER = 0.05
"""The same for code, formulas and tables of data, which look like no running text, and of which people mark fewer."""
AGREEMENT = 0.5
"""Weight of a whole list's mean in the probability of each block in it."""
LEAST = 0.1
"""Where nothing stays, what is at least as probable as this and half as probable as the best."""


def decide(structure: Structure, sizes: NDArray[np.int64], linked: NDArray[np.float64], probability: Floats,
           threshold: float) -> NDArray[np.bool_]:  # fmt: skip
    """bool[blocks]: which stay. `sizes` in characters and `linked`, the share of each block in links, say what stays
    where the trees would keep nothing: what they find most probable, else all that is not links, else all."""
    if not len(probability):
        return np.zeros(0, np.bool_)
    tables = np.where(structure.is_data[structure.table], structure.table, 0).astype(np.int32)
    weights = np.minimum(sizes, 200).astype(np.float32)
    means = group_means(tables, weights, probability, len(structure.is_data))
    decided = np.where(tables > 0, means[tables], probability)
    lists = group_means(structure.list, weights, probability, len(structure.is_data))[structure.list]
    decided = np.where(structure.list > 0, (1 - AGREEMENT) * decided + AGREEMENT * lists, decided).astype(np.float32)
    is_between = _between(structure.region, decided, len(structure.is_data))
    is_other = structure.is_pre | structure.has_formula | (tables > 0)
    least = np.where(is_between, np.where(is_other, OTHER, BETWEEN), threshold)
    keep = _with_headings(decided >= least, decided, structure.heading)
    if keep.any():
        return keep
    best = decided.max()
    if best >= LEAST:
        return _with_headings(decided >= best / 2, decided, structure.heading)
    free = linked < 0.5
    return free if free.any() else np.ones(len(keep), np.bool_)


@kernel
def _between(region: Ints, probability: Floats, elements: int) -> NDArray[np.bool_]:
    """Which blocks are between two of which we are sure in their region."""
    first, last = np.full(elements, len(region)), np.full(elements, -1)
    for block in range(len(region)):
        if probability[block] >= SURE:
            first[region[block]] = min(first[region[block]], block)
            last[region[block]] = block
    found = np.zeros(len(region), np.bool_)
    for block in range(len(region)):
        found[block] = first[region[block]] < block < last[region[block]]
    return found


@kernel
def _with_headings(keep: NDArray[np.bool_], probability: Floats, heading: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Headings stay more easily where something stays before the next one of their level, and less easily elsewhere."""
    keep = keep.copy()
    number = len(keep)
    follows = np.zeros(7, np.bool_)  # whether something stays below a heading of each level, seen from the end
    for back in range(number):
        block = number - 1 - back
        level = heading[block]
        if level == 0:
            if keep[block]:
                follows[:] = True
            continue
        if not follows[level]:
            keep[block] &= probability[block] >= ALONE
        elif probability[block] >= HEADING:
            keep[block] = True
        follows[level:] = False
        if keep[block]:
            follows[1:level] = True
    return keep
