"""LSH bands: which documents' signatures agree in a whole band, and so become candidates for comparison.

With b bands of r rows, two documents of Jaccard similarity s meet in at least one band with the probability
1 - (1 - s^r)^b (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

BUCKET_SCHEMA = "key long, id binary"
PAIR_SCHEMA = "a binary, b binary, hub long"
PAIRS = pa.schema([("a", pa.binary()), ("b", pa.binary()), ("hub", pa.int64())])
BAND_BITS = 7  # of a key: a signature of 128 values has at most 128 bands

T = TypeVar("T", bound=np.generic)
Batches = Iterator[pa.RecordBatch]


def probability(similarity: float, bands: int, rows: int) -> float:
    """Probability that a pair of the given Jaccard similarity becomes a candidate."""
    return float(1 - (1 - similarity**rows) ** bands)


def band_keys(signatures: NDArray[np.uint32], bands: int, rows: int) -> NDArray[np.int64]:
    """Bucket of each document in each band: int64[n, bands] from signatures uint32[n, 128].

    A key is a 57-bit hash of the band's rows' values, mixed with the finalizer of SplitMix64 (Steele, Lea and Flood
    2014), and the band's number in its lowest 7 bits. A collision of different values, as rare as 2^-57 within a band,
    costs a comparison.
    """
    values = signatures[:, : bands * rows].reshape(len(signatures), bands, rows).astype(np.uint64)
    numbers = np.arange(bands, dtype=np.uint64)
    keys = np.broadcast_to(numbers + np.uint64(1), values.shape[:2]).copy()
    for row in range(rows):
        step = np.uint64((row + 1) * 0x9E3779B97F4A7C15 % 2**64)
        keys = _mix(keys ^ (values[:, :, row] + step))
    return (keys << np.uint64(BAND_BITS) | numbers).view(np.int64)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def buckets(bands: int, rows: int) -> Callable[[Batches], Batches]:
    """For mapInArrow: (id: 16 bytes, signature: 128 uint32) to one (key, id) per document and band."""

    def emit(batches: Batches) -> Batches:
        for batch in batches:
            if batch.num_rows == 0:
                continue
            keys = band_keys(fixed(batch["signature"], np.uint32, 128), bands, rows)
            ids = np.repeat(fixed(batch["id"], np.uint8, 16), bands, axis=0)
            yield pa.RecordBatch.from_arrays([pa.array(keys.ravel()), binary(ids)], ["key", "id"])

    return emit


def candidates(bucket: int) -> Callable[[Batches], Batches]:
    """For mapInArrow over rows (key, id) sorted by key and id: the pairs (a, b), a < b, to compare; their hub is null.

    All pairs within a bucket of at most `bucket` documents. Of a larger one, a hub, only a row with its key as `hub`:
    `dedup.hubs` sees to those. Memory is bounded by a batch and `bucket`.
    """

    def emit(batches: Batches) -> Batches:
        keys = np.empty(0, np.int64)
        ids = np.empty((0, 16), np.uint8)
        for batch in batches:
            keys = np.concatenate([keys, batch["key"].to_numpy()])
            ids = np.concatenate([ids, fixed(batch["id"], np.uint8, 16)])
            # The last bucket may go on in the next batch: it waits, a hub only as long as shows that it is one.
            start = int(np.searchsorted(keys == keys[-1], True)) if len(keys) else 0
            yield from _pairs(keys[:start], ids[:start], bucket)
            keys, ids = keys[start:][: bucket + 1], ids[start:][: bucket + 1]
        yield from _pairs(keys, ids, bucket)

    return emit


def _pairs(keys: NDArray[np.int64], ids: NDArray[np.uint8], bucket: int) -> Batches:
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.int64)
    sizes = np.diff(np.r_[starts, len(keys)])
    small = sizes <= bucket
    hubs = pa.array(keys[starts[~small]])
    if len(hubs):
        yield pa.RecordBatch.from_arrays([pa.nulls(len(hubs), PAIRS.field("a").type)] * 2 + [hubs], schema=PAIRS)
    left, right = _pairs_of_buckets(starts[small], sizes[small])
    for at in range(0, len(left), 500_000):
        part = slice(at, at + 500_000)
        sides = [binary(ids[left[part]]), binary(ids[right[part]])]
        yield pa.RecordBatch.from_arrays([*sides, pa.nulls(len(sides[0]), pa.int64())], schema=PAIRS)


@numba.njit(cache=True, nogil=True)
def _pairs_of_buckets(
    starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    total = np.sum(sizes * (sizes - 1) // 2)
    left, right = np.empty(total, np.int64), np.empty(total, np.int64)
    at = 0
    for start, size in zip(starts, sizes):
        for i in range(start, start + size - 1):
            for j in range(i + 1, start + size):
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
