"""Windows of tokens by a rolling hash: those of one side in a table, those of the other looked up in it.

The hash of a window is a polynomial in an odd base modulo 2^64 over random 64-bit values of its tokens (Karp and Rabin,
Efficient Randomized Pattern-Matching Algorithms, 1987), so it rolls on by one multiplication a token. That step stands
in `windows_of` and in `scan`: as a function of its own that both call it made them about 4 and 2 times as slow, inlined
by Numba too.
"""

from typing import Final

import numba
import numpy as np
import numpy.typing as npt

from shards.order import Int64, mix
from shards.read import Tokens

Bools = npt.NDArray[np.bool_]
UInt64 = npt.NDArray[np.uint64]
Table = tuple[UInt64, Int64]  # a Bloom filter of 8 to 16 bits a window; windows by their hashes, -1: none

BASE: Final = np.uint64(0xD6E8FEB86659FD93)
_KEY: Final = np.uint64(0x51ED270B7A14C94D)
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)


@numba.njit(cache=True, nogil=True)
def token_hashes(special: Bools) -> UInt64:
    """A random value for every token, uint64 [vocabulary], 0 for those that no window holds."""
    out = np.zeros(len(special), np.uint64)
    for token in range(len(special)):
        if not special[token]:
            out[token] = max(np.uint64(1), mix(_KEY, np.uint64(token)))
    return out


@numba.njit(cache=True, nogil=True)
def _leaving(hashes: UInt64, window: int) -> UInt64:
    """What the token that a window leaves behind had added to its hash, by token."""
    power = np.uint64(1)
    for _ in range(window):
        power *= BASE
    return hashes * power


@numba.njit(cache=True, nogil=True)
def windows_of(tokens: Tokens, begin: Int64, end: Int64, hashes: UInt64, window: int) -> tuple[UInt64, Int64, Int64]:
    """All windows, none with a special token, within pieces begin[i] to end[i] of `tokens`, in order, [n] each.

    Returns their hashes, where they begin in `tokens`, and the piece of each.
    """
    most = np.int64(0)
    for piece in range(len(begin)):
        most += max(0, end[piece] - begin[piece] - window + 1)
    keys, at, of = np.empty(most, np.uint64), np.empty(most, np.int64), np.empty(most, np.int64)
    leaving = _leaving(hashes, window)
    count = 0
    for piece in range(len(begin)):
        key, run = np.uint64(0), 0
        for i in range(begin[piece], end[piece]):
            entering = hashes[tokens[i]]
            if entering == 0:
                key, run = np.uint64(0), 0
                continue
            key = key * BASE + entering
            run += 1
            if run > window:
                key -= leaving[tokens[i - window]]
            if run >= window:
                keys[count], at[count], of[count] = key, i - window + 1, piece
                count += 1
    return keys[:count], at[:count], of[:count]


@numba.njit(cache=True, nogil=True)
def build(keys: UInt64, tokens: Tokens, at: Int64, window: int) -> tuple[Table, Int64]:
    """The table of windows, and for each the first window of the same tokens, int64 [n]; -1: its hash was taken."""
    bits = 8
    while (1 << bits) < 2 * len(keys):
        bits += 1
    slots = np.full(1 << bits, -1, np.int64)
    seen = np.zeros(1 << (bits - 4), np.uint64)
    same = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        spread = keys[i] * _SPREAD
        seen[spread >> np.uint64(68 - bits)] |= _mask(spread, bits)
        slot = spread >> np.uint64(64 - bits)
        while slots[slot] >= 0 and keys[slots[slot]] != keys[i]:
            slot = (slot + np.uint64(1)) & np.uint64((1 << bits) - 1)
        if slots[slot] < 0:
            slots[slot] = i
        other = slots[slot]
        same[i] = other if _equal(tokens, at[other], tokens, at[i], window) else -1
    return (seen, slots), same


@numba.njit(cache=True, nogil=True)
def scan(
    pieces: tuple[Tokens, Int64, Int64, Int64],
    hashes: UInt64,
    window: int,
    table: Table,
    windows: tuple[UInt64, Tokens, Int64],
    first: Int64,
) -> Bools:
    """Look up all windows of `pieces`. Returns which pieces have one of the table, bool [pieces].

    `pieces`: their tokens, where each begins and ends in these, and its place; `windows`: hashes, tokens and beginnings
    of those in the table. `first` [windows], -1: the place of the first window of the same tokens is entered there.
    """
    tokens, begin, end, place = pieces
    seen, slots = table
    keys, held, at = windows
    bits = 0
    while (1 << bits) < len(slots):
        bits += 1
    last = np.uint64(len(slots) - 1)
    leaving = _leaving(hashes, window)
    found = np.zeros(len(begin), np.bool_)
    for piece in range(len(begin)):
        key, run = np.uint64(0), 0
        for i in range(begin[piece], end[piece]):
            entering = hashes[tokens[i]]
            if entering == 0:
                key, run = np.uint64(0), 0
                continue
            key = key * BASE + entering
            run += 1
            if run > window:
                key -= leaving[tokens[i - window]]
            if run < window:
                continue
            spread = key * _SPREAD
            mask = _mask(spread, bits)
            if seen[spread >> np.uint64(68 - bits)] & mask != mask:
                continue
            slot = spread >> np.uint64(64 - bits)
            while slots[slot] >= 0 and keys[slots[slot]] != key:
                slot = (slot + np.uint64(1)) & last
            other = slots[slot]
            start = i - window + 1
            if other >= 0 and _equal(held, at[other], tokens, start, window):
                found[piece] = True
                if first[other] < 0:
                    first[other] = place[piece] + start - begin[piece]
    return found


@numba.njit(cache=True, nogil=True)
def _mask(spread: np.uint64, bits: int) -> np.uint64:
    """The three bits of a hash in its word of the filter: one word, so one cache line, is asked."""
    one, field = np.uint64(1), np.uint64(63)
    first, second, third = np.uint64(62 - bits), np.uint64(56 - bits), np.uint64(50 - bits)
    return (
        (one << ((spread >> first) & field))
        | (one << ((spread >> second) & field))
        | (one << ((spread >> third) & field))
    )


@numba.njit(cache=True, nogil=True)
def _equal(a: Tokens, at_a: int, b: Tokens, at_b: int, count: int) -> bool:
    """Whether `count` tokens are the same on both sides."""
    i = 0
    while i < count and a[at_a + i] == b[at_b + i]:
        i += 1
    return i == count
