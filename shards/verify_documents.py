"""Whether the pieces of a file are what packing makes of documents, and where special tokens are to stand in them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shards.fill_in_the_middle import ROW_ORDERS, in_order
from shards.format import FILL_IN_THE_MIDDLE, PIECE, WHOLE, SetHeader
from shards.ids import Pairs, id_pairs, pair_hex, unique_pairs
from shards.order import Int64

Bools = npt.NDArray[np.bool_]

NAMED: Final = 3  # examples named in one problem


@dataclass(frozen=True)
class Borders:
    """Where special tokens are to stand in each piece [n]."""

    opens: Bools  # a document, or a unit of fill-in-the-middle, begins with the piece
    closes: Bools  # ends with it
    sentinel: Int64  # id that a piece of a unit begins with, after bos; -1 in other pieces

    def part(self, begin: int, end: int) -> "Borders":
        """Those of the pieces from `begin` to `end`."""
        return Borders(self.opens[begin:end], self.closes[begin:end], self.sentinel[begin:end])


def check_documents(pieces: npt.NDArray[np.void], row: Int64, shared: SetHeader) -> tuple[list[str], Borders]:
    """What is wrong with the pieces of a file [n], which lie in the rows `row` [n], and their borders.

    The pieces of a document must follow on each other from 0, agree about its cluster, and be called whole only alone;
    where the policy truncates, a piece alone that fills its row may stand for a longer document. Units of
    fill-in-the-middle are three pieces each, in one row, in PSM or SPM order.
    """
    halves = id_pairs(pieces["document"])
    by_place = np.lexsort((pieces["offset"], halves[:, 1], halves[:, 0]))
    halves, pieces, row = halves[by_place], pieces[by_place], row[by_place]
    first = np.ones(len(pieces), np.bool_)
    first[1:] = (halves[1:] != halves[:-1]).any(axis=1)
    last = np.append(first[1:], True)[: len(pieces)]
    ends = pieces["offset"].astype(np.int64) + pieces["length"]
    expected = np.where(first, 0, np.append(0, ends[:-1])[: len(pieces)])
    clusters = id_pairs(pieces["cluster"])
    other_cluster = ~first
    other_cluster[1:] &= (clusters[1:] != clusters[:-1]).any(axis=1)
    units = _units(pieces, first, shared)
    in_unit = np.zeros(len(pieces), np.bool_)
    in_unit[units] = True
    truncated = shared.truncates & first & last & (pieces["kind"] == PIECE) & (pieces["length"] == shared.width)
    kind = np.where(first & last & ~truncated, WHOLE, PIECE)
    faults = {
        "pieces leave a gap or overlap": pieces["offset"] != expected,
        "pieces name different clusters": other_cluster,
        "pieces of the wrong kind": pieces["kind"] != np.where(in_unit, FILL_IN_THE_MIDDLE, kind),
        "pieces of a fill-in-the-middle unit in the wrong order": _out_of_order(pieces, row, units),
        f"pieces that {shared.packing} does not make": ~in_unit & _against_policy(pieces, first, last, shared),
    }
    problems = [
        f"{fault}: document {named(unique_pairs(halves[where]))}" for fault, where in faults.items() if where.any()
    ]
    opens, closes = ~in_unit & (pieces["offset"] == 0), ~in_unit & last & ~truncated
    sentinel = np.full(len(pieces), -1)
    if shared.sentinel_ids is not None:
        suffix_first = pieces["start"][units[:, 2]] < pieces["start"][units[:, 0]]
        opens[units[np.arange(len(units)), ROW_ORDERS[suffix_first.astype(np.int64), 0]]] = True
        closes[units[:, 1]] = True
        sentinel[units] = shared.sentinel_ids
    back = np.empty(len(pieces), np.int64)
    back[by_place] = np.arange(len(pieces))
    return problems, Borders(opens[back], closes[back], sentinel[back])


def _units(pieces: npt.NDArray[np.void], first: Bools, shared: SetHeader) -> Int64:
    """The units among pieces sorted by document and offset: where their prefix, middle and suffix are, int64 [u, 3].

    Only of documents that are nothing but whole units, in a set that may have them: other pieces of that kind are of
    the wrong one.
    """
    begins = np.flatnonzero(first)
    if shared.fill_in_the_middle is None or not len(begins):
        return np.empty((0, 3), np.int64)
    counts = np.diff(begins, append=len(pieces))
    of_kind = np.add.reduceat((pieces["kind"] == FILL_IN_THE_MIDDLE).astype(np.int64), begins)
    whole = (of_kind == counts) & (counts % 3 == 0)
    return np.flatnonzero(np.repeat(whole, counts)).reshape(-1, 3)


def _out_of_order(pieces: npt.NDArray[np.void], row: Int64, units: Int64) -> Bools:
    """Which pieces [n] are of a unit [u, 3] that does not stand in one row as it should, bool [n]."""
    wrong = np.zeros(len(pieces), np.bool_)
    start, length = (pieces[name].astype(np.int64)[units] for name in ("start", "length"))
    wrong[units] = ~in_order(row[units], start, length)[:, None]
    return wrong


def _against_policy(pieces: npt.NDArray[np.void], first: Bools, last: Bools, shared: SetHeader) -> Bools:
    """Which of the pieces [n], sorted by document and offset, the packing policy would not have made, bool [n]."""
    if shared.packing == "best_fit":  # cuts whole rows off long documents, never less
        return ~last & (pieces["length"] != shared.width)
    if shared.packing == "one_per_row":
        return ~first | (pieces["start"] > 0)
    return np.zeros(len(pieces), np.bool_)


def named(pairs: Pairs) -> str:
    """Some of the ids [n, 2] by name, the rest by number."""
    names = ", ".join(pair_hex(pair) for pair in pairs[:NAMED])
    return names if len(pairs) <= NAMED else f"{names} and {len(pairs) - NAMED} more"
