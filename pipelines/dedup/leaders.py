"""The leader algorithm on buckets (Hartigan, Clustering Algorithms, 1975, chapter 3).

A document is compared with the leaders of its bucket so far, follows the first that it is similar to, and becomes a
leader itself where there is none and there is room; otherwise it is left over. A settled document needs no comparison
with other settled ones: it leads from the start, or is left over.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from filters import minhash
from pipelines.dedup.bands import frozen
from pipelines.dedup.evidence import Evidence, Lists, similarity

Ints = NDArray[np.int64]
Ids = NDArray[np.uint8]


class Followed(NamedTuple):
    """What became of some rows: m of them follow a leader, and some are left over."""

    rows: Ints  # [m]
    leaders: Ids  # [m, width]
    similarities: NDArray[np.float64]  # [m]
    left_over: Ints


class Leaders:
    """The leaders of the bucket that is being read: at most `room`, with ids of `width` bytes. They are copies."""

    def __init__(self, room: int, evidence: Evidence, width: int) -> None:
        self.evidence = evidence
        self._values = np.empty((room, max(minhash.SKETCH_SIZE, 128)), np.uint32)
        self._sizes, self._ids = np.zeros(room, np.int64), np.empty((room, width), np.uint8)
        self._state = np.zeros(3, np.int64)  # key, its leaders so far, 1 where there was a key

    def follow(self, keys: Ints, ids: Ids, settled: NDArray[np.bool_], lists: Lists) -> Followed:
        """The next rows, sorted by key and, within a key, settled ones first."""
        rows = (frozen(keys), frozen(ids), frozen(settled), *lists)
        state = (self._values, self._sizes, self._ids, self._state)
        return Followed(*_follow(*rows, *state, self.evidence.column == "sketch", self.evidence.least))


@numba.njit(cache=True, nogil=True)
def _follow(
    keys: Ints,
    own: Ids,
    settled: NDArray[np.bool_],
    evidence: NDArray[np.uint32],
    starts: Ints,
    ends: Ints,
    values: NDArray[np.uint32],
    sizes: Ints,
    ids: Ids,
    state: Ints,
    sketch: bool,
    least: float,
) -> tuple[Ints, Ids, NDArray[np.float64], Ints]:
    n = len(keys)
    follower, leader = np.empty(n, np.int64), np.empty((n, ids.shape[1]), np.uint8)
    close, left = np.empty(n, np.float64), np.empty(n, np.int64)
    pairs = over = 0
    for i in range(n):
        if state[2] == 0 or keys[i] != state[0]:
            state[0], state[1], state[2] = keys[i], 0, 1
        found = False
        for j in range(0 if settled[i] else state[1]):
            alike = similarity(values[j], 0, sizes[j], evidence, starts[i], ends[i], sketch, least)
            if alike >= least:
                follower[pairs], leader[pairs], close[pairs] = i, ids[j], alike
                pairs += 1
                found = True
                break
        if found:
            continue
        if state[1] < len(sizes):
            size = ends[i] - starts[i]
            values[state[1], :size] = evidence[starts[i] : ends[i]]
            sizes[state[1]], ids[state[1]] = size, own[i]
            state[1] += 1
        else:
            left[over] = i
            over += 1
    return follower[:pairs], leader[:pairs], close[:pairs], left[:over]
