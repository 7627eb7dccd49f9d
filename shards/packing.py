"""Packing: which stretch of which document stands where, worked out on lengths alone.

Every policy is a function from document lengths to a `Layout`; no token is dropped or doubled by any of them, so
rows x width = tokens + padding.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shards.format import PIECE, WHOLE

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """Pieces sorted by (row, start); six arrays of one length, one entry a piece. Lengths and offsets in tokens."""

    rows: int
    width: int
    document: Int64  # index of the document in the given order
    offset: Int64  # of the piece in its document
    row: Int64
    start: Int64  # of the piece in its row
    length: Int64
    kind: npt.NDArray[np.uint8]

    @property
    def tokens(self) -> int:
        """Tokens of documents in all rows."""
        return int(self.length.sum())

    @property
    def padding(self) -> int:
        """Places in all rows that no document fills."""
        return self.rows * self.width - self.tokens


def concatenate(lengths: npt.ArrayLike, width: int) -> Layout:
    """Lay documents end to end in the given order and cut at row ends; the last row is padded.

    `lengths`: int64 [n], tokens per document; documents without tokens get no piece. Raises ValueError for a negative
    length or a width below 1. The usual concatenate-and-chunk of GPT-style training, without the dropped remainder.
    """
    lengths = np.asarray(lengths, np.int64)
    if width < 1:
        raise ValueError(f"width: {width} is below 1")
    if lengths.size and lengths.min() < 0:
        raise ValueError("lengths: a document of negative length")
    ends = np.cumsum(lengths)
    begins = ends - lengths
    first_row = begins // width
    counts = np.where(lengths > 0, (ends - 1) // width - first_row + 1, 0)
    document = np.repeat(np.arange(len(lengths)), counts)
    nth = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
    row = first_row[document] + nth
    begin = np.maximum(begins[document], row * width)
    end = np.minimum(ends[document], (row + 1) * width)
    return Layout(
        rows=-(-int(lengths.sum()) // width),
        width=width,
        document=document,
        offset=begin - begins[document],
        row=row,
        start=begin - row * width,
        length=end - begin,
        kind=np.where(counts[document] == 1, WHOLE, PIECE).astype(np.uint8),
    )
