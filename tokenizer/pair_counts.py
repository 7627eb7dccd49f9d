"""Words as rows of symbols, and how often each two neighbours occur in them: the counts that BPE training lives on.

A word is a pre-token with a weight, a symbol is a token's id, a pair is two symbols that stand next to each other.
Merging a pair changes the counts of its neighbours' pairs alone, so only words that hold it are looked at again.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Small = NDArray[np.int32]
Ints = NDArray[np.int64]
Number = int | np.integer[Any]
Words = tuple[Small, Ints, Small, Ints]
"""symbols [bytes of all words], and by word: its first symbol, how many it has left, its weight."""
Pairs = tuple[Small, Small, Ints, Small, Small, Small]
"""By pair: left and right symbol, count, how often it is pending, its entry in the heap; last a hash table of pairs by
their symbols, -1 where free."""
Pending = tuple[Small, Small, Small]
"""Pairs that came into being and the word of each, in order; then each of these pairs once."""
Spelling = tuple[NDArray[np.uint8], Ints]
"""The bytes of all tokens in a row, and where each begins, [tokens + 1]."""

PAIRS, PENDING, TOUCHED = range(3)
"""What `fill` counts: pairs there are, pending occurrences, pairs among these."""

UNLIMITED = 1 << 40
_LEAST = 1 << 17  # more than the 65,536 pairs of bytes
_kernel = numba.njit(cache=True, nogil=True)


class PairCounts:
    """The words, the counts of their pairs, and the occurrences that no heap has taken yet (`pending`).

    `longest`: pairs whose token would have this many bytes or more are not counted, pairs of single bytes excepted. The
    count of a merged pair is not taken back: it never comes into being again.
    """

    def __init__(self, symbols: Small, offsets: Ints, weights: Ints, longest: int) -> None:
        lengths = np.diff(offsets).astype(np.int32)
        self.words: Words = (symbols, offsets[:-1].copy(), lengths, weights)
        self.longest = longest
        # With room for twice the longest word, doubling what is half full always makes room for the next one.
        self._least = max(_LEAST, 2 * int(lengths.max(initial=0)))
        columns = [np.empty(self._least, dtype) for dtype in (np.int32, np.int32, np.int64, np.int32, np.int32)]
        self.pairs: Pairs = (*columns, np.full(_table_size(self._least), -1, np.int32))  # type: ignore[assignment]
        self.pending = _pending(self._least)
        self.fill = np.zeros(3, np.int64)

    def count(self) -> None:
        """Count the pairs of all words."""
        at: Number = 0
        while (at := _count(self.words, self.pairs, self.pending, self.fill, at)) < len(self.words[1]):
            self._grow()

    def merge(self, pair: int, token: int, positions: Small, spelling: Spelling) -> None:
        """Put `token` in the pair's place in the words of `positions`, from left to right."""
        at: Number = 0
        while True:
            state = (self.words, self.pairs, self.pending, self.fill, spelling)
            at = _merge(*state, positions, at, pair, token, self.longest)
            if at == len(positions):
                return
            self._grow()

    def forget_pending(self) -> None:
        """Start anew: a heap has taken what was pending. The memory that the first count needed is given back."""
        self.fill[PENDING] = self.fill[TOUCHED] = 0
        if len(self.pending[0]) > 16 * self._least:
            self.pending = _pending(self._least)

    def _grow(self) -> None:
        if 2 * self.fill[PENDING] >= len(self.pending[0]):
            first, second, third = map(doubled, self.pending)
            self.pending = (first, second, third)
        if 2 * self.fill[PAIRS] >= len(self.pairs[0]):
            columns = [doubled(column) for column in self.pairs[:-1]]
            table = np.full(_table_size(len(columns[0])), -1, np.int32)
            _enter(columns[0], columns[1], self.fill[PAIRS], table)
            self.pairs = (*columns, table)  # type: ignore[assignment]


def doubled(array: NDArray[Any]) -> NDArray[Any]:
    """The array with as much room again behind it; memory is taken up only as it is written."""
    bigger = np.empty(2 * len(array), array.dtype)
    bigger[: len(array)] = array
    return bigger


def _pending(size: int) -> Pending:
    return np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)


def _table_size(pairs: int) -> int:
    """A power of two, so that the table is at most half full."""
    return 1 << (2 * pairs - 1).bit_length()


@_kernel
def _slot(left: Number, right: Number, table: Small) -> Number:
    """Where to look for a pair first: the multiplication and shifts of SplitMix64's finalizer (Steele et al. 2014)."""
    key = (np.uint64(left) << np.uint64(32)) | np.uint64(right)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.int64((key ^ (key >> np.uint64(31))) & np.uint64(len(table) - 1))


@_kernel
def _enter(lefts: Small, rights: Small, pairs: Number, table: Small) -> None:
    for pair in range(pairs):
        slot = _slot(lefts[pair], rights[pair], table)
        while table[slot] >= 0:
            slot = (slot + 1) & (len(table) - 1)
        table[slot] = pair


@_kernel
def _find(pairs: Pairs, fill: Ints, left: Number, right: Number) -> Number:
    """The pair of two symbols; a new one is entered with count 0."""
    lefts, rights, counts, added, _, table = pairs
    slot = _slot(left, right, table)
    while table[slot] >= 0:
        if lefts[table[slot]] == left and rights[table[slot]] == right:
            return np.int64(table[slot])
        slot = (slot + 1) & (len(table) - 1)
    pair = fill[PAIRS]
    fill[PAIRS] += 1
    table[slot] = pair
    lefts[pair], rights[pair] = left, right
    counts[pair] = added[pair] = 0
    return pair


@_kernel
def _has_room(pairs: Pairs, pending: Pending, fill: Ints, length: Number) -> bool:
    """Whether a word of this many symbols fits: it cannot bring more new pairs or pending occurrences than that."""
    return fill[PAIRS] + length <= len(pairs[0]) and fill[PENDING] + length <= len(pending[0])


@_kernel
def _gain(
    pairs: Pairs, pending: Pending, fill: Ints, left: Number, right: Number, weight: Number, word: Number
) -> None:
    _, _, counts, added, _, _ = pairs
    pending_pairs, pending_words, touched = pending
    pair = _find(pairs, fill, left, right)
    counts[pair] += weight
    if added[pair] == 0:
        touched[fill[TOUCHED]] = pair
        fill[TOUCHED] += 1
    added[pair] += 1
    pending_pairs[fill[PENDING]] = pair
    pending_words[fill[PENDING]] = word
    fill[PENDING] += 1


@_kernel
def _is_counted(spelling: Spelling, left: Number, right: Number, longest: Number) -> bool:
    _, offsets = spelling
    length = offsets[left + 1] - offsets[left] + offsets[right + 1] - offsets[right]
    return length < longest or length == 2


@_kernel
def _count(words: Words, pairs: Pairs, pending: Pending, fill: Ints, at: Number) -> Number:
    """Count the words from `at` on; returns the first for which there was no room, or how many words there are."""
    symbols, begins, lengths, weights = words
    for word in range(at, len(begins)):
        if not _has_room(pairs, pending, fill, lengths[word]):
            return word
        if weights[word] > 0:
            for place in range(begins[word], begins[word] + lengths[word] - 1):
                _gain(pairs, pending, fill, symbols[place], symbols[place + 1], weights[word], word)
    return len(begins)


@_kernel
def _merge(
    words: Words,
    pairs: Pairs,
    pending: Pending,
    fill: Ints,
    spelling: Spelling,
    positions: Small,
    at: Number,
    pair: Number,
    token: Number,
    longest: Number,
) -> Number:
    """Merge in the words of `positions[at:]`; returns the first for which there was no room, or their number."""
    symbols, begins, lengths, weights = words
    counts = pairs[2]
    first, second = np.int64(pairs[0][pair]), np.int64(pairs[1][pair])
    for place in range(at, len(positions)):
        word = np.int64(positions[place])
        if not _has_room(pairs, pending, fill, lengths[word]):
            return place
        begin, end, weight = begins[word], begins[word] + lengths[word], weights[word]
        read = write = begin
        while read < end:
            if read + 1 == end or symbols[read] != first or symbols[read + 1] != second:
                symbols[write] = symbols[read]
                read, write = read + 1, write + 1
                continue
            if write > begin:  # the left neighbour may be a token merged just now
                before = np.int64(symbols[write - 1])
                if _is_counted(spelling, before, first, longest):
                    counts[_find(pairs, fill, before, first)] -= weight
                if _is_counted(spelling, before, token, longest):
                    _gain(pairs, pending, fill, before, token, weight, word)
            if read + 2 < end:
                after = np.int64(symbols[read + 2])
                if _is_counted(spelling, second, after, longest):
                    counts[_find(pairs, fill, second, after)] -= weight
                if _is_counted(spelling, token, after, longest):
                    _gain(pairs, pending, fill, token, after, weight, word)
            symbols[write] = token
            read, write = read + 2, write + 1
        lengths[word] = write - begin
    return len(positions)
