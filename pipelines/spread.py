"""How documents are spread over the shards of their bucket: by a keyed hash of their ids and nothing else."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
import xxhash

from shards.ids import Pairs, id_pairs
from shards.order import Int64, mix

BITS = 53  # of a key: a double holds it exactly


def keys(ids: npt.NDArray[np.void], seed: int) -> Int64:
    """A hash of each id, V16 [n], in [0, 2^53), int64 [n]: by it a bucket's documents are spread, and sorted."""
    return _keys(id_pairs(ids), np.uint64(xxhash.xxh3_64_intdigest(f"gristmill shard 1\0{seed}".encode())))


def numbers(of: Int64, shards: int) -> Int64:
    """Which of so many shards the documents of these keys [n] are in, int64 [n]; ascending with the keys."""
    return np.floor(of / 2.0**BITS * shards).astype(np.int64)  # the product of the integers would outgrow 64 bits


@numba.njit(cache=True, nogil=True)
def _keys(ids: Pairs, seed: np.uint64) -> Int64:
    out = np.empty(len(ids), np.int64)
    for i in range(len(ids)):
        out[i] = np.int64(mix(mix(seed, ids[i, 0]), ids[i, 1]) >> np.uint64(64 - BITS))
    return out
