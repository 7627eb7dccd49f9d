"""The pairs by frequency: a binary heap whose counts are brought up to date when they come to the top.

An entry is a pair, its count when it was entered, and the words in which it then came into being. Later merges take
occurrences away and never add any, since what they make is of new tokens: a pair is entered once.
"""

from typing import NamedTuple

import numba
import numpy as np

from tokenizer.pair_counts import PENDING, TOUCHED, Ints, Number, PairCounts, Pairs, Pending, Small, Spelling, doubled

Queue = tuple[Small, Small, Ints, Ints, Small]
"""Entries in the order of a binary heap; then by entry: its pair, count, first position, number of positions."""

HEAP, ENTRIES, POSITIONS = range(3)
"""What `fill` counts: entries in the heap, entries there ever were, positions of all of them."""

_LEAST = 1 << 17
_kernel = numba.njit(cache=True, nogil=True)


class Top(NamedTuple):
    """The most frequent pair."""

    pair: int
    frequency: int
    positions: Small  # the words that hold it, or once did


class PairHeap:
    """What is pending in a PairCounts, entered here; the most frequent pair, taken out.

    `greater`: of equally frequent pairs, that with the greater left token comes first, then that with the greater
    right token, as byte strings. Otherwise that with the smaller left id, then the smaller right id.
    """

    def __init__(self, *, greater: bool) -> None:
        self._greater = greater
        kinds = (np.int32, np.int32, np.int64, np.int64, np.int32)
        self._queue: Queue = tuple(np.empty(_LEAST, kind) for kind in kinds)  # type: ignore[assignment]
        self._positions: Small = np.empty(_LEAST, np.int32)
        self._fill = np.zeros(3, np.int64)

    def push_pending(self, counts: PairCounts, spelling: Spelling) -> None:
        """Enter the pairs that came into being and are there still; one that is not is forgotten with its words."""
        while self._fill[ENTRIES] + counts.fill[TOUCHED] > len(self._queue[0]):
            self._queue = tuple(doubled(column) for column in self._queue)  # type: ignore[assignment]
        while self._fill[POSITIONS] + counts.fill[PENDING] > len(self._positions):
            self._positions = doubled(self._positions)
        first = self._fill[ENTRIES]
        _enter(counts.pairs, counts.pending, counts.fill, self._queue, self._positions, self._fill)
        _push(first, self._queue, self._fill, counts.pairs, spelling, self._greater)
        counts.forget_pending()

    def pop(self, counts: PairCounts, spelling: Spelling) -> Top | None:
        """The most frequent pair; None where there is none left."""
        entry = _pop(self._queue, self._fill, counts.pairs, spelling, self._greater)
        if entry < 0:
            return None
        _, pairs, entry_counts, begins, sizes = self._queue
        positions = self._positions[begins[entry] : begins[entry] + sizes[entry]]
        return Top(int(pairs[entry]), int(entry_counts[entry]), positions)


@_kernel
def _enter(pairs: Pairs, pending: Pending, pending_fill: Ints, queue: Queue, positions: Small, fill: Ints) -> None:
    """An entry for each pending pair with a count, with the words where it came into being, each once in a row."""
    _, _, counts, added, entries, _ = pairs
    pending_pairs, pending_words, touched = pending
    _, entry_pairs, entry_counts, begins, sizes = queue
    for at in range(pending_fill[TOUCHED]):
        pair = touched[at]
        if counts[pair] <= 0:
            added[pair] = 0
            continue
        entry = fill[ENTRIES]
        fill[ENTRIES] += 1
        entry_pairs[entry], entry_counts[entry] = pair, counts[pair]
        begins[entry], sizes[entry] = fill[POSITIONS], 0
        entries[pair] = entry
        fill[POSITIONS] += added[pair]
    for at in range(pending_fill[PENDING]):
        pair, word = pending_pairs[at], pending_words[at]
        if added[pair] > 0:
            entry = np.int64(entries[pair])
            place = begins[entry] + sizes[entry]
            if sizes[entry] == 0 or positions[place - 1] != word:
                positions[place] = word
                sizes[entry] += 1
    for at in range(pending_fill[TOUCHED]):
        added[touched[at]] = 0


@_kernel
def _push(first: Number, queue: Queue, fill: Ints, pairs: Pairs, spelling: Spelling, greater: bool) -> None:
    """Put the entries from `first` on into the heap."""
    heap = queue[0]
    for entry in range(first, fill[ENTRIES]):
        at = fill[HEAP]
        fill[HEAP] += 1
        while at > 0:
            above = (at - 1) // 2
            if not _before(entry, np.int64(heap[above]), queue, pairs, spelling, greater):
                break
            heap[at] = heap[above]
            at = above
        heap[at] = entry


@_kernel
def _pop(queue: Queue, fill: Ints, pairs: Pairs, spelling: Spelling, greater: bool) -> Number:
    """Take out the top entry, its count being that of its pair by now; -1 where the heap is empty."""
    heap, entry_pairs, entry_counts, _, _ = queue
    counts = pairs[2]
    while fill[HEAP] > 0:
        top = np.int64(heap[0])
        now = counts[entry_pairs[top]]
        if entry_counts[top] == now:
            fill[HEAP] -= 1
            if fill[HEAP] > 0:
                _sink(np.int64(heap[fill[HEAP]]), queue, fill, pairs, spelling, greater)
            return top
        entry_counts[top] = now
        _sink(top, queue, fill, pairs, spelling, greater)
    return -1


@_kernel
def _sink(entry: Number, queue: Queue, fill: Ints, pairs: Pairs, spelling: Spelling, greater: bool) -> None:
    """Let an entry take the place of the top, and find its own below."""
    heap = queue[0]
    at = 0
    while 2 * at + 1 < fill[HEAP]:
        below = 2 * at + 1
        other = below + 1
        if other < fill[HEAP] and _before(
            np.int64(heap[other]), np.int64(heap[below]), queue, pairs, spelling, greater
        ):
            below = other
        if not _before(np.int64(heap[below]), entry, queue, pairs, spelling, greater):
            break
        heap[at] = heap[below]
        at = below
    heap[at] = entry


@_kernel
def _before(one: Number, other: Number, queue: Queue, pairs: Pairs, spelling: Spelling, greater: bool) -> bool:
    """Whether entry `one` comes before entry `other`."""
    _, entry_pairs, entry_counts, _, _ = queue
    if entry_counts[one] != entry_counts[other]:
        return entry_counts[one] > entry_counts[other]
    a, b = entry_pairs[one], entry_pairs[other]
    side = pairs[0] if pairs[0][a] != pairs[0][b] else pairs[1]
    if greater:
        return _is_greater(spelling, side[a], side[b])
    return side[a] < side[b]


@_kernel
def _is_greater(spelling: Spelling, one: Number, other: Number) -> bool:
    """Whether a token's bytes are greater than another's: at the first difference, or by going on after it."""
    data, offsets = spelling
    begin, end = offsets[one], offsets[one + 1]
    begin_other, end_other = offsets[other], offsets[other + 1]
    shared = min(end - begin, end_other - begin_other)
    for at in range(shared):
        if data[begin + at] != data[begin_other + at]:
            return data[begin + at] > data[begin_other + at]
    return end - begin > end_other - begin_other
