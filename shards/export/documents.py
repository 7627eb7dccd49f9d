"""Documents put back together from their pieces, wherever in a split those lie.

Documents come in the order in which their first pieces stand in the split, so that rows are read nearly in order, and
shuffled as they were packed. A document that lies in one row is taken from there; the pieces of all others are
collected first and sorted by (document, offset), those of a fill-in-the-middle unit as they stand in their row: that is
how a model is to read them. Memory: 37 bytes for each piece of a cut document of the split, a few
times that while they are sorted; the pieces of one file; a batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shards.export import batches
from shards.export.batches import Batch
from shards.format import FILL_IN_THE_MIDDLE, WHOLE, ShardError
from shards.ids import id_pairs, pair_hex
from shards.order import Int64
from shards.pieces import pieces_by_row
from shards.read import Split

_CUT: Final = np.dtype(
    [("high", "u8"), ("low", "u8"), ("kind", "u1"), ("offset", "u4"), ("row", "i8"), ("start", "u4"), ("length", "u4")]
)


@dataclass(frozen=True)
class _Places:
    """Where documents lie: document d is the pieces first[d] to first[d + 1], in the order of its tokens."""

    row: Int64  # of the split
    start: Int64  # in the row
    length: Int64
    first: Int64  # [documents + 1]

    def sorted(self) -> "_Places":
        """The documents in the order of their first pieces."""
        heads = self.first[:-1]
        order = np.lexsort((self.start[heads], self.row[heads]))
        counts = np.diff(self.first)[order]
        taken = _ranges(heads[order], counts)
        return _Places(self.row[taken], self.start[taken], self.length[taken], _borders(counts))


def documents(split: Split) -> Iterator[Batch]:
    """Every document of a split, whole, with the bos and eos tokens that it was packed with.

    Raises ShardError for a document whose pieces leave a gap or overlap.
    """
    cut = _cut_documents(split)
    heads = cut.row[cut.first[:-1]]
    end = 0
    for file in split.files:
        begin, end = end, end + file.entry.rows
        rows, pieces = pieces_by_row(file)
        whole = pieces["kind"] == WHOLE
        low, high = np.searchsorted(heads, [begin, end])  # the cut documents that begin in this file
        taken = slice(cut.first[low], cut.first[high])
        count = int(np.count_nonzero(whole))
        places = _Places(
            np.concatenate([rows[whole] + begin, cut.row[taken]]),
            np.concatenate([pieces["start"][whole].astype(np.int64), cut.start[taken]]),
            np.concatenate([pieces["length"][whole].astype(np.int64), cut.length[taken]]),
            np.concatenate([np.arange(count), cut.first[low : high + 1] - cut.first[low] + count]),
        )
        yield from _gather(split, places.sorted())


def _cut_documents(split: Split) -> _Places:
    """The documents of a split that do not lie in one row, in the order of their first pieces."""
    tables = [np.empty(0, _CUT)]
    begin = 0
    for file in split.files:
        rows, pieces = pieces_by_row(file)
        chosen = pieces["kind"] != WHOLE
        table = np.empty(np.count_nonzero(chosen), _CUT)
        halves = id_pairs(pieces["document"][chosen])
        table["high"], table["low"], table["row"] = halves[:, 0], halves[:, 1], rows[chosen] + begin
        for name in ("kind", "offset", "start", "length"):
            table[name] = pieces[name][chosen]
        tables.append(table)
        begin += file.entry.rows
    cut = np.concatenate(tables)
    cut = cut[np.lexsort((cut["offset"], cut["low"], cut["high"]))]
    first = np.ones(len(cut), np.bool_)
    first[1:] = (cut["high"][1:] != cut["high"][:-1]) | (cut["low"][1:] != cut["low"][:-1])
    _check_offsets(split, cut, first)
    cut = cut[_as_read(cut, first)]
    borders = np.append(np.flatnonzero(first), len(cut))
    row, start, length = (cut[name].astype(np.int64) for name in ("row", "start", "length"))
    return _Places(row, start, length, borders).sorted()


def _as_read(cut: npt.NDArray[np.void], first: npt.NDArray[np.bool_]) -> Int64:
    """The order of pieces, sorted by document and offset, in which units stand as in their rows; int64 [n]."""
    nth = np.arange(len(cut))
    document = np.cumsum(first) - 1
    in_unit = cut["kind"] == FILL_IN_THE_MIDDLE
    part = np.where(in_unit, (nth - np.flatnonzero(first)[document]) // 3, nth)
    return np.lexsort((np.where(in_unit, cut["start"], 0), part, document))


def _check_offsets(split: Split, cut: npt.NDArray[np.void], first: npt.NDArray[np.bool_]) -> None:
    """Raise ShardError where a piece does not begin where the one before it in its document ends."""
    ends = cut["offset"].astype(np.int64) + cut["length"]
    expected = np.zeros(len(cut), np.int64)
    expected[1:] = np.where(first[1:], 0, ends[:-1])
    wrong = np.flatnonzero(cut["offset"] != expected)
    if len(wrong):
        piece = cut[wrong[0]]
        file, _ = split.locate(int(piece["row"]))
        document = pair_hex(np.array([piece["high"], piece["low"]]))
        raise ShardError(file.entry.name, f"pieces leave a gap or overlap: document {document}")


def _gather(split: Split, places: _Places) -> Iterator[Batch]:
    """The tokens of the documents at `places`, in batches of whole documents; each row is copied once a batch."""
    ends = np.append(0, np.cumsum(places.length))[places.first]  # of documents, in tokens; the first entry is 0
    begin = 0
    while begin < len(ends) - 1:
        last = int(np.searchsorted(ends, ends[begin] + batches.BATCH_TOKENS, "right")) - 1
        end = max(begin + 1, last)
        taken = slice(places.first[begin], places.first[end])
        wanted, slot = np.unique(places.row[taken], return_inverse=True)
        lines = split.rows(wanted)
        tokens = lines.reshape(-1)[_ranges(slot * lines.shape[1] + places.start[taken], places.length[taken])]
        yield Batch(tokens, np.diff(ends[begin : end + 1]))
        begin = end


def _ranges(begins: Int64, counts: Int64) -> Int64:
    """begins[0], begins[0] + 1, ... (counts[0] numbers), then the same of begins[1], and so on."""
    ends = np.cumsum(counts)
    return np.arange(int(counts.sum())) + np.repeat(begins - (ends - counts), counts)


def _borders(counts: Int64) -> Int64:
    """Where runs of these lengths begin, and where the last one ends, int64 [n + 1]."""
    return np.append(0, np.cumsum(counts))
