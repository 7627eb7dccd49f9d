"""The probability that two documents are compared, and the bands that reach a wanted one."""

from __future__ import annotations

PERMUTATIONS = 128  # values of a signature
RECALL = 0.99


def probability(similarity: float, bands: int, rows: int) -> float:
    """Probability that a pair of the given Jaccard similarity becomes a candidate: 1 - (1 - s^r)^b.

    Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4.2.
    """
    return float(1 - (1 - similarity**rows) ** bands)


def bands_and_rows(target: float) -> tuple[int, int]:
    """The bands and rows that compare a pair of similarity `target` with a probability of `RECALL` or more.

    Of those, the most rows a band, so that the fewest pairs of low similarity are compared, and then as many bands as
    the signature has room for, since verification makes more candidates cheap. 0.8 gives 21 x 6.
    """
    for rows in range(PERMUTATIONS, 1, -1):
        if probability(target, PERMUTATIONS // rows, rows) >= RECALL:
            return PERMUTATIONS // rows, rows
    return PERMUTATIONS, 1
