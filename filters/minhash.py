"""Shingles of words, MinHash signatures and bottom-k sketches, for finding near-duplicate texts.

A shingle is n words in a row (n = 5, as in FineWeb). What is hashed are the 8n bytes of its words' hashes
(`filters.segment`: case-folded, without punctuation), each little-endian, by the 32-bit hash `shingle_hash`. A text
with fewer than n words has no shingles: its signature and its sketch are empty, and only exact hashes can compare it.
"""

from functools import cache

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import TextBatch

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Values = NDArray[np.uint32]

VERSION = 1
"""Goes up when signatures or sketches change."""

EMPTY = 0xFFFFFFFF
"""What every value of the signature of a text without shingles is (datasketch's `is_empty`)."""

SKETCH_SIZE = 4096
"""k: how many shingle hashes a sketch holds at most."""

_SEED = 0x9E3779B97F4A7C15
_PRIME = 0xBF58476D1CE4E5B9

_kernel = numba.njit(cache=True, nogil=True)


def shingle_hash(shingle: bytes) -> int:
    """The 32-bit hash H of a shingle, from the 8n bytes of its words' hashes: the `hashfunc` to give to datasketch.

    `h = (h ^ w) * PRIME; h ^= h >> 32` modulo 2^64 over the words' hashes w; the low 32 bits of the last h.
    """
    hashed = _SEED
    for at in range(0, len(shingle), 8):
        hashed = (hashed ^ int.from_bytes(shingle[at : at + 8], "little")) * _PRIME & 0xFFFFFFFFFFFFFFFF
        hashed ^= hashed >> 32
    return hashed & 0xFFFFFFFF


def signatures(batch: TextBatch, num_perm: int = 128, seed: int = 1, n: int = 5) -> Values:
    """MinHash signatures of the texts' shingles: uint32[texts, num_perm].

    Row i is, bit for bit, the `hashvalues` of `datasketch.MinHash(num_perm, seed, hashfunc=shingle_hash,
    scheme="affine32")` after an update with each shingle. A text without shingles has a row of `EMPTY`.
    """
    multipliers, offsets = _permutations(num_perm, seed)
    return _signatures(batch.words.offsets, batch.words.hashes, n, multipliers, offsets)


def sketches(batch: TextBatch, k: int = SKETCH_SIZE, n: int = 5) -> pa.ListArray:
    """The k smallest distinct shingle hashes of each text, in rising order; all of them where they are fewer.

    list<uint32>, no nulls; the list of a text without shingles is empty.
    """
    values, offsets = _sketches(batch.words.offsets, batch.words.hashes, n, k)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))


def jaccard(
    a_values: Values,
    a_offsets: NDArray[np.integer],
    b_values: Values,
    b_offsets: NDArray[np.integer],
    k: int = SKETCH_SIZE,
) -> NDArray[np.float64]:
    """Similarity |A ∩ B| / |A ∪ B| of the shingle sets behind pairs of sketches, made with the same k: float64[pairs].

    Pair i is `a_values[a_offsets[i]:a_offsets[i + 1]]` and likewise b. Where both sketches hold fewer than k hashes,
    they are the whole sets, and the similarity is exact (of 32-bit hashes: two different shingles meet with probability
    2^-32). Otherwise it is the bottom-k estimate: the share of the k smallest hashes of A ∪ B that are in both (Broder
    1997, "On the resemblance and containment of documents"), unbiased, with standard error sqrt(J (1 - J) / k), which
    is 0.006 for J = 0.8 and k = 4096. Two empty sketches have similarity 0: nothing says that they are alike.
    """
    if len(a_offsets) != len(b_offsets):
        raise ValueError(f"{len(a_offsets) - 1} sketches on one side, {len(b_offsets) - 1} on the other")
    a_borders, b_borders = a_offsets.astype(np.int64), b_offsets.astype(np.int64)  # astype: a copy, never read-only
    return jaccard_kernel(_frozen(a_values), a_borders, _frozen(b_values), b_borders, k)


def _frozen(values: Values) -> Values:
    view = np.asarray(values, np.uint32).view()
    view.flags.writeable = False  # one type for the kernel, whether or not Arrow owns the values
    return view


@cache
def _permutations(num_perm: int, seed: int) -> tuple[Values, Values]:
    from datasketch import MinHash  # here, because it imports SciPy, which takes longer than all of this package

    multipliers, offsets = MinHash(num_perm, seed, scheme="affine32").permutations
    return np.ascontiguousarray(multipliers), np.ascontiguousarray(offsets)


@_kernel
def _shingle(hashes: Hashes, at: int, n: int) -> np.uint32:
    hashed = np.uint64(_SEED)
    for word in range(at, at + n):
        hashed = (hashed ^ hashes[word]) * np.uint64(_PRIME)
        hashed ^= hashed >> np.uint64(32)
    return np.uint32(hashed)


@_kernel
def _finalize(value: np.uint32) -> np.uint32:
    """MurmurHash3's 32-bit finalizer, which datasketch's affine schemes put before the permutations."""
    value = np.uint32(value ^ (value >> np.uint32(16)))
    value = np.uint32(value * np.uint32(0x85EBCA6B))
    value = np.uint32(value ^ (value >> np.uint32(13)))
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))


@_kernel
def _signatures(offsets: Ints, hashes: Hashes, n: int, multipliers: Values, addends: Values) -> Values:
    block = np.empty(1024, np.uint32)  # of finalized hashes: stays in the first-level cache for all permutations
    found = np.full((len(offsets) - 1, len(multipliers)), np.uint32(EMPTY), np.uint32)
    for text in range(len(offsets) - 1):
        end = offsets[text + 1] - n + 1
        for start in range(offsets[text], end, len(block)):
            size = min(len(block), end - start)
            for at in range(size):
                block[at] = _finalize(_shingle(hashes, start + at, n))
            for perm in range(len(multipliers)):
                factor, addend, least = multipliers[perm], addends[perm], found[text, perm]
                for at in range(size):
                    least = min(least, np.uint32(np.uint32(factor * block[at]) + addend))
                found[text, perm] = least
    return found


@_kernel
def _sort(values: Values, other: Values, length: int) -> None:
    """Sort `values[:length]` by its four bytes, the lowest first: linear on any input. `other` is scratch."""
    for shift in (0, 8, 16, 24):
        starts = np.zeros(257, np.int64)
        for at in range(length):
            starts[(values[at] >> shift & 0xFF) + 1] += 1
        for byte in range(256):
            starts[byte + 1] += starts[byte]
        for at in range(length):
            byte = values[at] >> shift & 0xFF
            other[starts[byte]] = values[at]
            starts[byte] += 1
        values, other = other, values


@_kernel
def _distinct(values: Values, length: int) -> int:
    """Take repeated ones out of the sorted `values[:length]`; how many are left."""
    kept = 0
    for at in range(length):
        if kept == 0 or values[at] != values[kept - 1]:
            values[kept] = values[at]
            kept += 1
    return kept


@_kernel
def _sketches(offsets: Ints, hashes: Hashes, n: int, k: int) -> tuple[Values, Ints]:
    total = 0
    for text in range(len(offsets) - 1):
        total += min(max(offsets[text + 1] - offsets[text] - n + 1, 0), k)
    found = np.empty(total, np.uint32)
    borders = np.zeros(len(offsets), np.int64)
    # Hashes below the bound gather here; whenever it is full, its k smallest distinct ones stay and set the bound.
    room = np.empty(4 * k, np.uint32)
    other = np.empty(4 * k, np.uint32)
    for text in range(len(offsets) - 1):
        filled, bound = 0, np.int64(1) << 32
        for at in range(offsets[text], offsets[text + 1] - n + 1):
            value = _shingle(hashes, at, n)
            if value >= bound:
                continue
            room[filled] = value
            filled += 1
            if filled == len(room):
                _sort(room, other, filled)
                filled = min(_distinct(room, filled), k)
                if filled == k:
                    bound = np.int64(room[k - 1])
        _sort(room, other, filled)
        filled = min(_distinct(room, filled), k)
        found[borders[text] : borders[text] + filled] = room[:filled]
        borders[text + 1] = borders[text] + filled
    return found[: borders[-1]], borders


@_kernel
def jaccard_kernel(a_values: Values, a_offsets: Ints, b_values: Values, b_offsets: Ints, k: int) -> NDArray[np.float64]:
    """What `jaccard` computes, of arrays of fixed types."""
    found = np.zeros(len(a_offsets) - 1, np.float64)
    for pair in range(len(found)):
        a, a_end, b, b_end = a_offsets[pair], a_offsets[pair + 1], b_offsets[pair], b_offsets[pair + 1]
        found[pair] = jaccard_of(a_values, a, a_end, b_values, b, b_end, k, 0.0)
    return found


@_kernel
def jaccard_of(
    a_values: Values, a: int, a_end: int, b_values: Values, b: int, b_end: int, k: int, least: float
) -> float:
    """The similarity of the sketches `a_values[a:a_end]` and `b_values[b:b_end]`; some less one if it is below `least`.

    Of n hashes in two whole sketches, a similarity of s leaves (1 - s) / (1 + s) n in only one of the two, and of the k
    smallest of larger ones (1 - s) k: where more were seen, the rest need not be looked at.
    """
    whole = a_end - a < k and b_end - b < k
    n = (a_end - a) + (b_end - b)
    allowed = np.int64((1 - least) / (1 + least) * n if whole else (1 - least) * k) + 1  # 1: for rounding
    both = single = 0
    while a < a_end and b < b_end and (whole or both + single < k):
        left, right = a_values[a], b_values[b]
        if left == right:
            both += 1
        else:
            single += 1
            if single > allowed:
                return 0.0
        a += left <= right
        b += right <= left
    rest = (a_end - a) + (b_end - b)  # in one of the two alone
    either = both + single + (rest if whole else min(rest, k - both - single))
    return both / either if either > 0 else 0.0
