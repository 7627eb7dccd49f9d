"""LSH bands: which documents' signatures agree in a whole band, and so become candidates for comparison.

How probable that is, `dedup.curve` says. `old` documents are those of an earlier run, which were compared with each
other there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

BUCKET_SCHEMA = "key long, id binary, old boolean"
PAIR_SCHEMA = "a binary, b binary, hub long"
PAIRS = pa.schema([("a", pa.binary()), ("b", pa.binary()), ("hub", pa.int64())])
BAND_BITS = 7  # of a key: a signature of 128 values has at most 128 bands

T = TypeVar("T", bound=np.generic)
Batches = Iterator[pa.RecordBatch]
Ints = NDArray[np.int64]

_kernel = numba.njit(cache=True, nogil=True)


@_kernel
def _mix(x: np.uint64) -> np.uint64:
    """The finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@_kernel
def band_keys(signatures: NDArray[np.uint32], scopes: Ints, bands: int, rows: int) -> Ints:
    """Bucket of each document in each band: int64[n, bands] from signatures uint32[n, 128] and scopes int64[n].

    A key is a 57-bit hash of the scope and of the band's rows' values, and the band's number in its lowest 7 bits. A
    collision of different values, as rare as 2^-57 within a band, costs a comparison.
    """
    keys = np.empty((len(signatures), bands), np.int64)
    for i in range(len(signatures)):
        scope = np.uint64(scopes[i])
        for band in range(bands):
            key = np.uint64(band + 1) ^ scope
            for row in range(rows):
                step = np.uint64(row + 1) * np.uint64(0x9E3779B97F4A7C15)
                key = _mix(key ^ (np.uint64(signatures[i, band * rows + row]) + step))
            keys[i, band] = np.int64(key << np.uint64(BAND_BITS) | np.uint64(band))
    return keys


def buckets(bands: int, rows: int) -> Callable[[Batches], Batches]:
    """For mapInArrow: (id: 16 bytes, old, scope, signature: 128 uint32) to one (key, id, old) per document and band."""

    def emit(batches: Batches) -> Batches:
        for batch in batches:
            if batch.num_rows == 0:
                continue
            signatures = frozen(fixed(batch["signature"], np.uint32, 128))
            keys = band_keys(signatures, frozen(batch["scope"].to_numpy()), bands, rows)
            ids = np.repeat(fixed(batch["id"], np.uint8, 16), bands, axis=0)
            old = np.repeat(batch["old"].to_numpy(zero_copy_only=False), bands)
            columns = [pa.array(keys.ravel()), binary(ids), pa.array(old)]
            yield pa.RecordBatch.from_arrays(columns, ["key", "id", "old"])

    return emit


def candidates(bucket: int) -> Callable[[Batches], Batches]:
    """For mapInArrow over rows (key, id, old), sorted by key, old ones first, and id: the pairs (a, b) to compare.

    All pairs within a bucket of at most `bucket` documents, `a` before `b`, but those of two old ones; their hub is
    null. Of a larger bucket, a hub, only a row with its key as `hub`: `dedup.hubs` sees to those. Memory is bounded by
    a batch and `bucket`.
    """

    def emit(batches: Batches) -> Batches:
        keys, old = np.empty(0, np.int64), np.empty(0, np.bool_)
        ids = np.empty((0, 16), np.uint8)
        for batch in batches:
            keys = np.concatenate([keys, batch["key"].to_numpy()])
            old = np.concatenate([old, batch["old"].to_numpy(zero_copy_only=False)])
            ids = np.concatenate([ids, fixed(batch["id"], np.uint8, 16)])
            # The last bucket may go on in the next batch: it waits, a hub only as long as shows that it is one.
            start = int(np.searchsorted(keys == keys[-1], True)) if len(keys) else 0
            yield from _pairs(keys[:start], ids[:start], old[:start], bucket)
            rest = slice(start, start + bucket + 1)
            keys, ids, old = keys[rest], ids[rest], old[rest]
        yield from _pairs(keys, ids, old, bucket)

    return emit


def _pairs(keys: Ints, ids: NDArray[np.uint8], old: NDArray[np.bool_], bucket: int) -> Batches:
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.int64)
    sizes = np.diff(np.r_[starts, len(keys)])
    small = sizes <= bucket
    hubs = pa.array(keys[starts[~small]])
    if len(hubs):
        yield pa.RecordBatch.from_arrays([pa.nulls(len(hubs), PAIRS.field("a").type)] * 2 + [hubs], schema=PAIRS)
    left, right = pairs_of_buckets(starts[small], sizes[small], old)
    for at in range(0, len(left), 500_000):
        part = slice(at, at + 500_000)
        sides = [binary(ids[left[part]]), binary(ids[right[part]])]
        yield pa.RecordBatch.from_arrays([*sides, pa.nulls(len(sides[0]), pa.int64())], schema=PAIRS)


@_kernel
def pairs_of_buckets(starts: Ints, sizes: Ints, old: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """The pairs of rows (i, j), i < j, of the same bucket; none of two old ones, which come first in their bucket."""
    total = 0
    for start, size in zip(starts, sizes):
        n = np.sum(old[start : start + size])
        total += size * (size - 1) // 2 - n * (n - 1) // 2
    left, right = np.empty(total, np.int64), np.empty(total, np.int64)
    at = 0
    for start, size in zip(starts, sizes):
        for i in range(start, start + size - 1):
            for j in range(i + 1, start + size):
                if not old[j]:
                    left[at], right[at] = i, j
                    at += 1
    return left, right


def fixed(column: pa.Array, dtype: type[T], width: int) -> NDArray[T]:
    """A binary column, n values of the same length, as an array [n, width]: a view on Arrow's buffer."""
    n = len(column)
    offsets = np.frombuffer(column.buffers()[1], np.int32, n + 1, column.offset * 4)
    size = np.dtype(dtype).itemsize
    data = np.frombuffer(column.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    if len(data) != n * width * size:
        raise ValueError(f"{n} values take {len(data)} bytes, not {width * size} each")
    return data.view(dtype).reshape(n, width)


def binary(rows: NDArray[np.uint8]) -> pa.Array:
    """Rows of bytes [n, width] as an Arrow binary array, without a Python object per value."""
    n, width = rows.shape
    offsets = np.arange(n + 1, dtype=np.int32) * width
    return pa.Array.from_buffers(
        pa.binary(), n, [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows))]
    )


def frozen(values: NDArray[T]) -> NDArray[T]:
    """A view that cannot be written to: one type for the kernels, whoever owns the values."""
    view = values.view(np.ndarray)
    view.flags.writeable = False
    return view
