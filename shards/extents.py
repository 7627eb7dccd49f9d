"""Where documents lie in many rows at once: what a training batch needs of the pieces, and nothing else.

Reads the columns of the pieces where they lie in the mapped files, rows in any order; no object is made a row.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from weakref import WeakKeyDictionary

import numba
import numpy as np
import numpy.typing as npt

from shards.format import FILL_IN_THE_MIDDLE, ShardError
from shards.order import Int64
from shards.read import ShardFile, Split

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class _Columns:
    """A mapped file as bytes and as 32-bit words; of each record batch its first row, where four columns begin, the
    rows' offsets into the pieces, the pieces' starts and lengths, in words, and their kinds, in bytes; and how many
    pieces it has.
    """

    first_row: Int64
    words: Words
    data: Bytes
    begins: Int64  # [batches, 5]


_COLUMNS: Final[WeakKeyDictionary[ShardFile, _Columns]] = WeakKeyDictionary()


def extents(split: Split, rows: Int64) -> tuple[Int64, Int64, Int64]:
    """The documents in rows `rows` [n] of a split: place of the row in `rows`, first token, token after the last.

    Three arrays int64 [m], sorted by place and first token. A piece is a document here, and so are the three pieces of
    a fill-in-the-middle unit, which follow on each other. Raises IndexError for a row that is not there, ShardError for
    a damaged file or a piece outside its row.
    """
    files, inside = split.locate_rows(rows)
    order = np.argsort(files, kind="stable")
    found = []
    for begin, end in pairwise(np.flatnonzero(np.diff(files[order], prepend=-1, append=-1))):
        places = order[begin:end]
        file = split.files[files[places[0]]]
        columns = _columns(file)
        own = inside[places]
        batch = np.searchsorted(columns.first_row, own, "right") - 1
        width = file.shared.width
        begins, nth = columns.begins[batch], own - columns.first_row[batch]
        part = _extents(columns.words, columns.data, begins, nth, places, width)
        if part.shape[1] and part[0, 0] < 0:
            raise ShardError(file.entry.name, "a piece that is empty or lies outside its row")
        found.append(part)
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    place, first, end = np.concatenate(found, axis=1)
    order = np.argsort(place, kind="stable")
    return place[order], first[order], end[order]


def _columns(file: ShardFile) -> _Columns:
    """The columns of a file, found once."""
    known = _COLUMNS.get(file)
    if known is None:
        mapped = file.mapped()
        data = mapped.tokens.view(np.uint8)
        words = data[: len(data) // 4 * 4].view(np.uint32)
        begins = np.zeros((len(mapped.batches), 5), np.int64)
        for row, batch in zip(begins, mapped.batches):
            lists = batch.column("pieces")
            pieces = lists.values
            row[0] = (lists.buffers()[1].address - data.ctypes.data) // 4 + lists.offset
            row[4] = len(pieces)
            for i, (name, size) in enumerate((("start", 4), ("length", 4), ("kind", 1)), 1):
                values = pieces.field(name)
                if len(values):
                    row[i] = (values.buffers()[1].address - data.ctypes.data) // size + values.offset
        known = _COLUMNS[file] = _Columns(mapped.first_row, words, data, begins)
    return known


@numba.njit(cache=True, nogil=True)
def _extents(words: Words, data: Bytes, begins: Int64, nth: Int64, places: Int64, width: int) -> Int64:
    """Place, first and end [3, m] of the documents in rows `nth` of their batches; [0, 0] is -1 for a bad piece."""
    count = 0
    for i in range(len(nth)):
        at = begins[i, 0] + nth[i]
        if words[at] > words[at + 1] or words[at + 1] > begins[i, 4]:
            return np.full((3, 1), -1)  # pieces that are not there
        count += int(words[at + 1]) - int(words[at])
    out = np.empty((3, count), np.int64)
    m = 0
    for i in range(len(nth)):
        at = begins[i, 0] + nth[i]
        in_unit = 0  # pieces of the unit that have been seen
        for piece in range(int(words[at]), int(words[at + 1])):
            first = int(words[begins[i, 1] + piece])
            end = first + int(words[begins[i, 2] + piece])
            if end > width or end == first:
                out[0, 0] = -1
                return out
            in_unit = in_unit % 3 + 1 if data[begins[i, 3] + piece] == FILL_IN_THE_MIDDLE else 0
            if in_unit > 1 and out[2, m - 1] == first:
                out[2, m - 1] = end
            else:
                out[0, m], out[1, m], out[2, m] = places[i], first, end
                m += 1
    return out[:, :m]
