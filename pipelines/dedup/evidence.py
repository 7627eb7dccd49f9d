"""What a candidate pair is judged by: shingle sketches, signatures, or nothing but having met in a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import minhash
from pipelines.dedup.bands import frozen

Mode = Literal["sketch", "signature", "none"]
Values = NDArray[np.uint32]
Ints = NDArray[np.int64]


class Lists(NamedTuple):
    """n lists of numbers: list i is `values[starts[i]:ends[i]]`."""

    values: Values
    starts: Ints
    ends: Ints

    def take(self, rows: Ints) -> Lists:
        """The lists of these rows, on the same values."""
        return Lists(self.values, self.starts[rows], self.ends[rows])


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

    def similarities(self, a: Lists, b: Lists) -> NDArray[np.float64]:
        """float64[n] of n pairs of lists out of `column`; some lower value where it is below `least`."""
        return _similarities(*a, *b, self.mode == "sketch", self.least)


def lists(column: pa.Array) -> Lists:
    """A binary column of uint32 lists: the values are a view on Arrow's buffer."""
    offsets = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, column.offset * 4)
    data = column.buffers()[2]
    values = (
        np.frombuffer(data, np.uint8)[: offsets[-1]].view(np.uint32) if data is not None else np.empty(0, np.uint32)
    )
    borders = (offsets // 4).astype(np.int64)
    return Lists(frozen(values), borders[:-1], borders[1:])


@numba.njit(cache=True, nogil=True)
def similarity(
    a_values: Values, a: int, a_end: int, b_values: Values, b: int, b_end: int, sketch: bool, least: float
) -> float:
    """Of two sketches, or else of two signatures."""
    if sketch:
        return minhash.jaccard_of(a_values, a, a_end, b_values, b, b_end, minhash.SKETCH_SIZE, least)
    same = 0
    for at in range(a_end - a):
        same += a_values[a + at] == b_values[b + at]
    return same / (a_end - a) if a_end > a else 0.0


@numba.njit(cache=True, nogil=True)
def _similarities(
    a_values: Values,
    a_starts: Ints,
    a_ends: Ints,
    b_values: Values,
    b_starts: Ints,
    b_ends: Ints,
    sketch: bool,
    least: float,
) -> NDArray[np.float64]:
    found = np.empty(len(a_starts), np.float64)
    for i in range(len(found)):
        a, b = (a_starts[i], a_ends[i]), (b_starts[i], b_ends[i])
        found[i] = similarity(a_values, a[0], a[1], b_values, b[0], b[1], sketch, least)
    return found
