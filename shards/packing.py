"""Packing: which stretch of which document stands where, worked out on lengths alone.

Every policy is a function from document lengths to a `Layout` in which rows x width = tokens + padding. None doubles a
token, and only `one_per_row` drops any: `check` proves it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shards.format import FILL_IN_THE_MIDDLE, PIECE, WHOLE
from shards.order import Int64


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
    lengths = as_lengths(lengths, width)
    ends = np.cumsum(lengths)
    begins = ends - lengths
    first_row = begins // width
    counts = np.where(lengths > 0, (ends - 1) // width - first_row + 1, 0)
    document, nth = spread(counts)
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
        kind=kinds(end - begin, lengths[document]),
    )


def one_per_row(lengths: npt.ArrayLike, width: int) -> Layout:
    """Give each document a row of its own: padded where it is shorter, its end dropped where it is longer.

    For evaluation and fine-tuning. `lengths`: int64 [n], tokens per document; documents without tokens get no row. A
    document whose end is dropped is a PIECE, the only one. Raises ValueError for a negative length or a width below 1.
    """
    lengths = as_lengths(lengths, width)
    document = np.flatnonzero(lengths)
    length = np.minimum(lengths[document], width)
    return Layout(
        rows=len(document),
        width=width,
        document=document,
        offset=np.zeros_like(document),
        row=np.arange(len(document)),
        start=np.zeros_like(document),
        length=length,
        kind=kinds(length, lengths[document]),
    )


def check(layout: Layout, lengths: npt.ArrayLike, truncates: bool, has_units: npt.ArrayLike = False) -> None:
    """Prove that the rows of `layout` hold the documents: every token once, each in its place, and nothing else.

    `lengths`: int64 [n], tokens per document. `truncates`: of each document, its first `width` tokens are what the rows
    are to hold. `has_units`: bool, which documents are packed in units of fill-in-the-middle, of which nothing is left
    out. Raises ValueError, which says what is wrong and how often.
    """
    lengths = np.asarray(lengths, np.int64)
    has_units = np.broadcast_to(has_units, lengths.shape)
    wanted = np.where(has_units, lengths, np.minimum(lengths, layout.width)) if truncates else lengths
    named = np.where(has_units[layout.document], FILL_IN_THE_MIDDLE, kinds(layout.length, lengths[layout.document]))
    held = np.zeros(len(lengths), np.int64)
    np.add.at(held, layout.document, layout.length)
    place = layout.row * layout.width + layout.start
    inside = (layout.row >= 0) & (layout.row < layout.rows)
    inside &= (layout.start >= 0) & (layout.start + layout.length <= layout.width)
    by_offset = np.lexsort((layout.offset, layout.document))
    document, offset, length = (array[by_offset] for array in (layout.document, layout.offset, layout.length))
    continues = np.append(False, document[1:] == document[:-1])[: len(document)]
    expected = np.where(continues, np.append(0, (offset + length)[:-1])[: len(document)], 0)
    faults = {
        "empty pieces": layout.length < 1,
        "pieces outside their row": ~inside,
        "pieces that overlap the one before": place[1:] < (place + layout.length)[:-1],
        "pieces that do not continue their document": offset != expected,
        "documents with tokens lost or doubled": held != wanted,
        "pieces of the wrong kind": layout.kind != named,
        "rows without a piece": np.bincount(layout.row[inside], minlength=layout.rows) == 0,
    }
    for what, where in faults.items():
        if where.any():
            raise ValueError(f"packing: {np.count_nonzero(where)} {what}")


def as_lengths(lengths: npt.ArrayLike, width: int) -> Int64:
    """Lengths of documents as int64 [n]. Raises ValueError for a negative one, or for rows of a width below 1."""
    lengths = np.asarray(lengths, np.int64)
    if width < 1:
        raise ValueError(f"width: {width} is below 1")
    if lengths.size and lengths.min() < 0:
        raise ValueError("lengths: a document of negative length")
    return lengths


def spread(counts: Int64) -> tuple[Int64, Int64]:
    """For documents in `counts` [n] pieces: the document of each piece and its number in it, int64 [counts.sum()]."""
    document = np.repeat(np.arange(len(counts)), counts)
    return document, np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)


def kinds(pieces: Int64, documents: Int64) -> npt.NDArray[np.uint8]:
    """The kind of each piece, uint8 [n], from its length [n] and that of its document [n]."""
    return np.where(pieces == documents, WHOLE, PIECE).astype(np.uint8)
