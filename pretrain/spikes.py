"""Loss spikes: a step whose loss or gradient norm is far outside those of the steps before it.

A z-score over a window, as llm.c's outlier detector (llmc/outlier_detector.h) and OLMo-core's SkipStep optimizer have
it: (x - mean) / standard deviation of the last `window` steps. OLMo-core skips updates beyond 6 over 128 steps.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from shards.read import Split

NAMED: Final = 8  # documents of a step that its record names; `gristmill shards step` tells all


class Scores(NamedTuple):
    """How many standard deviations a step's loss and gradient norm lie above the window's mean."""

    loss: float
    grad_norm: float


class SpikeWatch:
    """The last steps of a run. What it says of a step depends on the losses and norms before it alone."""

    def __init__(self, window: int, threshold: float, history: Iterable[tuple[float, float]] = ()):
        """`history`: loss and gradient norm of earlier steps, from which a resumed run goes on as if uninterrupted."""
        self.threshold = threshold
        self._seen: deque[tuple[float, float]] = deque(history, maxlen=window)

    def judge(self, loss: float, grad_norm: float) -> Scores | None:
        """The scores of a step that is a spike, else None; none in the first `window` steps.

        A spike does not enter the window: one bad step must not hide the next.
        """
        scores = None
        if len(self._seen) == self._seen.maxlen:
            losses, norms = zip(*self._seen)
            scores = Scores(_score(loss, losses), _score(grad_norm, norms))
        if scores is not None and max(scores) > self.threshold:
            return scores
        self._seen.append((loss, grad_norm))
        return None


def first_documents(split: Split, rows: Iterable[int]) -> list[str]:
    """Ids (hex) of the first few documents in `rows` of a split, in the order of the batch."""
    found: dict[str, None] = {}
    for row in rows:
        found |= dict.fromkeys(document.tobytes().hex() for document in split.pieces(row)["document"])
        if len(found) >= NAMED:
            break
    return list(found)[:NAMED]


def _score(value: float, window: tuple[float, ...]) -> float:
    """(value - mean) / population standard deviation; 0 over values that are all alike."""
    mean = math.fsum(window) / len(window)
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in window) / len(window))
    return (value - mean) / deviation if deviation > 1e-12 * max(1.0, abs(mean)) else 0.0
