"""Counting pre-tokens: texts in, (pre-token, count) out, in 64 bits and in bounded memory.

A hash table holds each different pre-token's bytes once. When it has grown to a size it is given out as a partial
count, and begins anew; `tokenizer.tally`, or Spark, adds partial counts up.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tokenizer.character_classes import character_classes
from tokenizer.patterns import check_pattern
from tokenizer.pieces import PIECE, pieces
from tokenizer.split_kernel import KERNELS, Bytes, Ints, Number, buffers, next_end

COUNTS = pa.schema([("pretoken", pa.large_binary()), ("count", pa.int64())])

MOST_BYTES = 1 << 28
"""The size of the hash table at which it is given out; a single longer pre-token is still held."""

MOST_WEIGHT = 2**62
"""All bytes times their weights are fewer, so that no count overflows: half of what 64 bits hold, since the sum is
taken in floating point."""

Table = tuple[NDArray[np.int64], Bytes, Ints, Ints]
"""Slots: 0 where free, else the upper half of a pre-token's hash and, in the lower half, its number + 1; the bytes of
all pre-tokens; where each begins, and after them where the next will; and their counts."""

PRETOKENS, TEXT, BYTE = range(3)
"""What `fill` counts: different pre-tokens, and how far the texts are read: whole ones, and bytes of the next."""

_LEAST = 1 << 16
_kernel = numba.njit(cache=True, nogil=True)


def count(
    batches: Iterable[tuple[pa.Array, Ints]], pattern: str, most_bytes: int = MOST_BYTES
) -> Iterator[pa.RecordBatch]:
    """Count the pre-tokens of texts; yields partial counts in the form of COUNTS, each of different pre-tokens.

    `batches`: texts, string or binary [n], and their weights, int64[n]: how often each text counts, 0 or more. Long
    texts are cut by `tokenizer.pieces` first, as for encoding, so that what is counted is what will be encoded.

    Raises ValueError for an unknown pattern, null texts, negative weights, or texts that weigh MOST_WEIGHT and more.
    """
    check_pattern(pattern)
    classes, number = character_classes(), KERNELS[pattern]
    table, fill = _table(_LEAST, 8 * _LEAST), np.zeros(3, np.int64)
    weight = 0.0
    for texts, weights in batches:
        texts, weights = _cut(texts, weights)
        data, offsets = buffers(texts)
        weight += _weight(offsets, weights)
        if weight >= MOST_WEIGHT:
            raise ValueError(f"the texts stand for {weight:.3g} bytes; pre-tokens are counted in 64 bits, below 2^62")
        fill[TEXT:] = 0
        while need := _count(data, offsets, weights, classes, number, table, fill):
            if sum(column.nbytes for column in table) > most_bytes and fill[PRETOKENS]:
                yield _counts(table, fill)
                _clear(table, fill)
            else:
                table = _grown(table, fill, need)
    if fill[PRETOKENS]:
        yield _counts(table, fill)


def _weight(offsets: Ints, weights: Ints) -> float:
    if weights.min(initial=0) < 0:
        raise ValueError(f"a text with the weight {weights.min()}")
    return float(np.diff(offsets).astype(np.float64) @ weights.astype(np.float64))


def _cut(texts: pa.Array, weights: Ints) -> tuple[pa.Array, Ints]:
    """The texts, the long ones in pieces; most batches have none of these."""
    if (pc.max(pc.binary_length(texts)).as_py() or 0) <= PIECE:
        return texts, weights
    parts, of = [], []
    for number, text in enumerate(texts.cast(pa.large_string()).to_pylist()):
        for piece in pieces(text or ""):
            parts.append(piece)
            of.append(number)
    return pa.array(parts, pa.large_string()), weights[of]


def _table(pretokens: int, size: int) -> Table:
    """Room for so many pre-tokens, a power of two, of so many bytes."""
    return (
        np.zeros(2 * pretokens, np.int64),
        np.empty(size, np.uint8),
        np.zeros(pretokens + 1, np.int64),
        np.empty(pretokens, np.int64),
    )


def _grown(table: Table, fill: Ints, need: int) -> Table:
    """The table with twice the room, and for `need` further bytes."""
    slots, data, starts, counts = table
    used, size = int(fill[PRETOKENS]), int(starts[fill[PRETOKENS]])
    room = 2 * len(counts) if used == len(counts) else len(counts)
    bigger = _table(room, len(data) if size + need <= len(data) else 2 * (size + need))
    bigger[1][:size], bigger[2][: used + 1], bigger[3][:used] = data[:size], starts[: used + 1], counts[:used]
    if room == len(counts):
        return (slots, *bigger[1:])
    _enter(bigger, used)
    return bigger


def _clear(table: Table, fill: Ints) -> None:
    table[0][:] = 0
    fill[PRETOKENS] = 0


def _counts(table: Table, fill: Ints) -> pa.RecordBatch:
    """What the table holds, copied."""
    _, data, starts, counts = table
    used = int(fill[PRETOKENS])
    offsets, values = starts[: used + 1].tobytes(), data[: starts[used]].tobytes()
    words = pa.Array.from_buffers(pa.large_binary(), used, [None, pa.py_buffer(offsets), pa.py_buffer(values)])
    return pa.record_batch([words, pa.array(counts[:used].copy())], schema=COUNTS)


@_kernel
def _count(data: Bytes, offsets: Ints, weights: Ints, classes: Bytes, pattern: Number, table: Table, fill: Ints) -> Any:
    """Count from where `fill` says, to the end, and return 0; or the size of a pre-token for which there is no room."""
    _, arena, starts, counts = table
    for text in range(fill[TEXT], len(weights)):
        at, end, weight = offsets[text] + fill[BYTE], offsets[text + 1], weights[text]
        while at < end:
            after = next_end(data, at, end, classes, pattern)
            used = fill[PRETOKENS]
            if used == len(counts) or starts[used] + after - at > len(arena):
                fill[TEXT], fill[BYTE] = text, at - offsets[text]
                return after - at
            counts[_find(data, at, after, table, fill)] += weight
            at = after
        fill[BYTE] = 0
    fill[TEXT] = len(weights)
    return 0


@_kernel
def _find(data: Bytes, at: Number, after: Number, table: Table, fill: Ints) -> Number:
    """The number of the pre-token in `data[at:after]`; a new one is entered with count 0."""
    slots, arena, starts, counts = table
    key = _hash(data, at, after)
    place = key & (len(slots) - 1)
    while slots[place]:
        word = (slots[place] & 0xFFFFFFFF) - 1
        if slots[place] >> 32 == key >> 32 and _is_same(data, at, after, arena, starts[word], starts[word + 1]):
            return word
        place = (place + 1) & (len(slots) - 1)
    word = fill[PRETOKENS]
    fill[PRETOKENS] += 1
    slots[place] = (key >> 32 << 32) | (word + 1)
    begin = starts[word]
    for byte in range(at, after):
        arena[begin + byte - at] = data[byte]
    starts[word + 1] = begin + after - at
    counts[word] = 0
    return word


@_kernel
def _is_same(data: Bytes, at: Number, after: Number, arena: Bytes, begin: Number, end: Number) -> bool:
    if end - begin != after - at:
        return False
    for byte in range(after - at):  # noqa: SIM110 (a kernel)
        if data[at + byte] != arena[begin + byte]:
            return False
    return True


@_kernel
def _enter(table: Table, used: Number) -> None:
    """Put the first `used` pre-tokens into the free slots of a table."""
    slots, arena, starts, _ = table
    for word in range(used):
        key = _hash(arena, starts[word], starts[word + 1])
        place = key & (len(slots) - 1)
        while slots[place]:
            place = (place + 1) & (len(slots) - 1)
        slots[place] = (key >> 32 << 32) | (word + 1)


@_kernel
def _hash(data: Bytes, at: Number, after: Number) -> Number:
    """FNV-1a in 64 bits (draft-eastlake-fnv), then the last step of SplitMix64's finalizer (Steele et al. 2014)."""
    key = np.uint64(0xCBF29CE484222325)
    for byte in range(at, after):
        key = (key ^ np.uint64(data[byte])) * np.uint64(0x100000001B3)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(key ^ (key >> np.uint64(31)))
