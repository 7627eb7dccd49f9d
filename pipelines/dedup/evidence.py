"""What a candidate pair is judged by: shingle sketches, signatures, or nothing but having met in a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import minhash

Mode = Literal["sketch", "signature", "none"]
Values = NDArray[np.uint32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Evidence:
    """How similar two documents are, and from which similarity on they are duplicates.

    `sketch`: the Jaccard similarity of `minhash.jaccard`. `signature`: the share of the signature's 128 values that
    agree, an estimate with standard error sqrt(J (1 - J) / 128), 0.035 at J = 0.8 (Broder 1997). `none`: that estimate,
    but every candidate is a duplicate, as in FineWeb.
    """

    mode: Mode
    threshold: float

    @property
    def column(self) -> str:
        """The column of sketches/ that is compared."""
        return "sketch" if self.mode == "sketch" else "signature"

    @property
    def least(self) -> float:
        """The least similarity of a duplicate."""
        return 0.0 if self.mode == "none" else self.threshold

    def similarities(self, a: pa.Array, b: pa.Array) -> NDArray[np.float64]:
        """float64[n] of n pairs of values of `column`."""
        if self.mode == "sketch":
            return minhash.jaccard(*lists(a), *lists(b), minhash.SKETCH_SIZE)
        (a_values, a_offsets), (b_values, b_offsets) = lists(a), lists(b)
        return agreements(a_values, a_offsets, b_values, b_offsets)


def lists(column: pa.Array) -> tuple[Values, Ints]:
    """A binary column of uint32 lists as (values, offsets): the values a view on Arrow's buffer."""
    offsets = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, column.offset * 4)
    data = column.buffers()[2]
    values = (
        np.frombuffer(data, np.uint8)[: offsets[-1]].view(np.uint32) if data is not None else np.empty(0, np.uint32)
    )
    return values, (offsets // 4).astype(np.int64)


@numba.njit(cache=True, nogil=True)
def agreements(a_values: Values, a_offsets: Ints, b_values: Values, b_offsets: Ints) -> NDArray[np.float64]:
    """The share of values that agree, of pairs of lists of the same length: float64[pairs]."""
    found = np.zeros(len(a_offsets) - 1, np.float64)
    for pair in range(len(found)):
        start, size = a_offsets[pair], a_offsets[pair + 1] - a_offsets[pair]
        other = b_offsets[pair]
        same = 0
        for at in range(size):
            same += a_values[start + at] == b_values[other + at]
        if size > 0:
            found[pair] = same / size
    return found
