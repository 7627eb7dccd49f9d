"""The order in which rows are read: a pure function of (order digest, split, seed, position), with no index stored.

Rows are read in blocks of a few megabytes, so that a cold disk is read in long stretches. An epoch permutes the
blocks, takes them `WINDOW` at a time and permutes the rows of each window, so that a batch holds rows of many blocks.
Both permutations are keyed and computed per position: a run's place is one integer, resumed exactly at any world size.
"""

from dataclasses import dataclass
from typing import Final

import numba
import numpy as np
import numpy.typing as npt
import xxhash

Int64 = npt.NDArray[np.int64]
Integer = int | np.int64

BLOCK_BYTES: Final = 4 << 20
WINDOW: Final = 32  # blocks whose rows are mixed: 128 MiB, which any page cache holds
ROUNDS: Final = 8

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Order:
    """The order of `rows` rows of a split; `row_bytes` is the size of one row's tokens, which makes out the blocks.

    With `bucket`, of the rows of that bucket, numbered from 0 through its files: see `shards.mixing`.
    """

    digest: str  # the manifest's order digest
    split: str
    rows: int
    row_bytes: int
    seed: int
    bucket: str | None = None

    def at(self, positions: npt.ArrayLike) -> tuple[Int64, Int64]:
        """Epoch and row, int64 [n] each, of positions int64 [n] counted from the start of training.

        Position p lies in epoch p // rows; each epoch holds every row once, in an order of its own. Raises ValueError
        for a negative position and for any position in a split without rows.
        """
        positions = np.atleast_1d(np.asarray(positions, np.int64))
        if positions.size and (self.rows < 1 or positions.min() < 0):
            raise ValueError(f"no such position in split {self.split!r} of {self.rows} rows: {positions.min()}")
        # the leading name stands for the algorithm: change it where a change below gives other rows
        text = f"gristmill order 1\0{self.digest}\0{self.split}\0{self.seed}"
        text += "" if self.bucket is None else f"\0{self.bucket}"
        key = np.uint64(xxhash.xxh3_64_intdigest(text.encode()))
        block = max(1, BLOCK_BYTES // self.row_bytes)
        return _rows_at(positions, self.rows, block, WINDOW, key)


def permutation(size: int, seed: int) -> Int64:
    """A seeded permutation of 0..size-1, int64 [size]: the same on every machine and under every NumPy version."""
    key = np.uint64(xxhash.xxh3_64_intdigest(f"gristmill permutation 1\0{seed}".encode()))
    return _permutation(size, key)


@numba.njit(cache=True, nogil=True)
def mix(key: np.uint64, counter: np.uint64) -> np.uint64:
    """SplitMix64's output number `counter` from state `key` (Steele, Lea, Flood, OOPSLA 2014)."""
    z = key + _GOLDEN * (counter + np.uint64(1))
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def _below(key: np.uint64, counter: Integer, bound: Integer) -> np.int64:
    """A keyed number in [0, bound), bound < 2^32: the high half of a product stands in for the slower remainder."""
    return np.int64(((mix(key, np.uint64(counter)) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@numba.njit(cache=True, nogil=True)
def _permute(x: Integer, size: Integer, key: np.uint64) -> Integer:
    """Where a keyed bijection of [0, size) sends x.

    A Feistel network on the mixed radix a x b, a = ceil(sqrt(size)), walked until it lands inside (Black and Rogaway,
    Ciphers with Arbitrary Finite Domains, 2002). a x b exceeds size by less than a, so a second walk is rare.
    """
    a = np.int64(np.ceil(np.sqrt(size)))
    b = (size + a - 1) // a
    while True:
        left, right = x // b, x % b
        for n in range(0, ROUNDS, 2):
            left += _below(key, right * ROUNDS + n, a)
            left -= a if left >= a else 0
            right += _below(key, left * ROUNDS + n + 1, b)
            right -= b if right >= b else 0
        x = left * b + right
        if x < size:
            return x


@numba.njit(cache=True, nogil=True)
def _permutation(size: int, key: np.uint64) -> Int64:
    out = np.empty(size, np.int64)
    for x in range(size):
        out[x] = _permute(x, size, key)
    return out


@numba.njit(cache=True, nogil=True)
def _rows_at(positions: Int64, rows: int, block: int, window: int, key: np.uint64) -> tuple[Int64, Int64]:
    """Epoch and row of each position; blocks of `block` rows, `window` blocks mixed."""
    full = rows // block  # a last, shorter block stays last; the epoch's shift decides which rows it holds
    span = block * window
    epochs = np.empty(len(positions), np.int64)
    out = np.empty(len(positions), np.int64)
    for i in range(len(positions)):
        epoch = positions[i] // rows
        place = positions[i] % rows
        epoch_key = mix(key, np.uint64(epoch))
        first = place // span * span
        mixed = first + _permute(place - first, min(span, rows - first), mix(epoch_key, np.uint64(place // span)))
        slot = mixed // block
        if slot < full:
            slot = _permute(slot, full, epoch_key)
        shift = mix(~epoch_key, np.uint64(0)) % np.uint64(rows)
        epochs[i] = epoch
        out[i] = (slot * block + mixed % block + np.int64(shift)) % rows
    return epochs, out
