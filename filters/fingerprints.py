"""Hashes of word n-grams and of lines, for finding what texts have in common without comparing them.

A word's hash is that of `filters.segment` (case-folded, without punctuation). The hash of an n-gram is the polynomial
sum of its words' hashes modulo 2^64, put through the finalizer of SplitMix64 (Steele, Lea and Flood 2014): it rolls
from one n-gram to the next in constant time, and differs for different n-grams but for an accident of about 2^-60.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from filters import codepoints
from filters.batch import TextBatch
from filters.codepoints import FOLD_SHIFT
from filters.segment import HASH_PRIME, HASH_SEED, Bytes, Ints, Small, Spans, Table, Words, code_point

Hashes = NDArray[np.uint64]

VERSION = 1
"""Goes up when any of these hashes changes."""

_BASE = np.uint64(0xD1342543DE82EF95)
_kernel = numba.njit(cache=True, nogil=True)


class Grams(NamedTuple):
    """Chosen n-grams of the words of n texts; those of text i are `[offsets[i]:offsets[i + 1]]` of the others."""

    offsets: NDArray[np.int64]  # [n + 1]
    at: NDArray[np.int32]  # the n-gram's first word, counted from the text's first
    hashes: NDArray[np.uint64]


class Index(NamedTuple):
    """A set of n-gram hashes to look up."""

    n: int  # words in an n-gram
    hashes: NDArray[np.uint64]  # sorted, distinct
    starts: NDArray[np.int32]  # [2^b + 1]: where the hashes with each value of the upper b bits begin


def grams(words: Words, n: int) -> Grams:
    """All n-grams of each text; none of a text with fewer than n words. Raises ValueError for n below 1."""
    if n < 1:
        raise ValueError(f"an n-gram of {n} words")
    texts = len(words.offsets) - 1
    firsts, borders = np.zeros(texts, np.int32), np.arange(texts + 1)  # one anchor a text, and all behind it
    return Grams(*_around(words.offsets, words.hashes, borders, firsts, 0, 1 << 40, n))


def winnow(words: Words, span: int, gram: int) -> Grams:
    """The fingerprints of each text: n-grams of `gram` words, chosen so that common spans share one.

    Robust winnowing (Schleimer, Wilkerson and Aiken 2003, "Winnowing: local algorithms for document fingerprinting"):
    of every span - gram + 1 n-grams in a row, one with the smallest hash is chosen, the one chosen before where it
    is among them, else the last. Guarantee: whatever `span` or more words in a row two texts have in common, within
    every `span` of them both texts have a fingerprint of the same hash. About 2 / (span - gram + 2) of all n-grams are
    chosen. A text with fewer than `span` words has none. Raises ValueError unless 1 <= gram <= span.
    """
    if not 1 <= gram <= span:
        raise ValueError(f"fingerprints of {gram} words for spans of {span}")
    offsets, at, hashes = _winnow(words.offsets, words.hashes, gram, span - gram + 1)
    return Grams(offsets, at, hashes)


def around(words: Words, anchors: Grams, span: int, gram: int) -> Grams:
    """All n-grams of `span` words that hold one of the anchors, n-grams of `gram` words (their `at` rising)."""
    return Grams(*_around(words.offsets, words.hashes, anchors.offsets, anchors.at, span - gram, 0, span))


def index(hashes: NDArray[np.uint64], n: int) -> Index:
    """The index of n-gram hashes, in any order, some perhaps repeated."""
    distinct = np.unique(hashes)
    bits = len(distinct).bit_length() + 1  # so many that most look-ups end at an empty range
    tops = distinct >> np.uint64(64 - bits)
    return Index(n, distinct, np.searchsorted(tops, np.arange(2**bits + 1, dtype=np.uint64)).astype(np.int32))


def find(words: Words, wanted: Index) -> Grams:
    """The n-grams of each text that are in the index; `hashes` are their positions in `wanted.hashes`."""
    return Grams(*_find(words.offsets, words.hashes, wanted.n, wanted.hashes, wanted.starts))


def folded(data: Bytes, spans: Spans) -> NDArray[np.uint64]:
    """Hashes of the spans' code points, case-folded: equal for lines that differ in case alone."""
    return _folded(data, codepoints.table(), spans.starts, spans.lengths)


def whole(batch: TextBatch, spans: Spans, breaks: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    r"""First byte and end of each span with what strip took from its lines, and up to `breaks` '\n' after it.

    Bytes are counted from the text's beginning. `breaks`: 1 for lines, more than a text has for paragraphs.
    """
    return _whole(batch.data, batch.offsets, *spans[:3], breaks)


def words_in(words: Words, spans: Spans) -> NDArray[np.int64]:
    """How many words begin in each span."""
    first = np.searchsorted(words.starts, spans.starts)
    return np.searchsorted(words.starts, spans.starts + spans.lengths) - first


@_kernel
def mix(value: Any) -> Any:
    """The finalizer of SplitMix64, of a uint64 or of each of an array."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@_kernel
def _power(n: int) -> np.uint64:
    power = np.uint64(1)
    for _ in range(n):
        power *= _BASE
    return power


@_kernel
def _sum(hashes: Hashes, begin: int, n: int) -> np.uint64:
    """The polynomial sum of n words' hashes, before the finalizer."""
    total = np.uint64(0)
    for word in range(begin, begin + n):
        total = total * _BASE + hashes[word]
    return total


@_kernel
def _rightmost_least(values: Hashes, begin: int, end: int) -> int:
    least = begin
    for at in range(begin, end):
        if values[at] <= values[least]:
            least = at
    return least


@_kernel
def _winnow(offsets: Ints, hashes: Hashes, n: int, window: int) -> tuple[Ints, Small, Hashes]:
    power = _power(n)
    most = longest = 0
    for text in range(len(offsets) - 1):
        size = offsets[text + 1] - offsets[text] - n + 1
        most += max(size, 0)
        longest = max(longest, size)
    borders = np.zeros(len(offsets), np.int64)
    at, found = np.empty(most, np.int32), np.empty(most, np.uint64)
    values = np.empty(longest, np.uint64)
    count = 0
    for text in range(len(offsets) - 1):
        begin, size = offsets[text], offsets[text + 1] - offsets[text] - n + 1
        chosen = -1
        total = _sum(hashes, begin, n) if size >= window else np.uint64(0)
        for last in range(size if size >= window else 0):
            if last:
                total = total * _BASE + hashes[begin + last + n - 1] - power * hashes[begin + last - 1]
            values[last] = mix(total)
            if last < window - 1:
                continue
            first = last - window + 1
            before = chosen
            if chosen < first:
                chosen = _rightmost_least(values, first, last + 1)
            elif values[last] < values[chosen]:
                chosen = last
            if chosen != before:
                at[count], found[count] = chosen, values[chosen]
                count += 1
        borders[text + 1] = count
    return borders, at[:count].copy(), found[:count].copy()


@_kernel
def _around(
    offsets: Ints, hashes: Hashes, borders: Ints, anchors: Small, before: int, after: int, n: int
) -> tuple[Ints, Small, Hashes]:
    """The n-grams that begin from `before` words before an anchor to `after` words behind it, each once."""
    power = _power(n)
    most = 0
    for text in range(len(offsets) - 1):
        size = max(offsets[text + 1] - offsets[text] - n + 1, 0)
        most += min(size, (borders[text + 1] - borders[text]) * (before + after + 1))
    found_borders = np.zeros(len(offsets), np.int64)
    at, found = np.empty(most, np.int32), np.empty(most, np.uint64)
    count = 0
    for text in range(len(offsets) - 1):
        begin, size = offsets[text], offsets[text + 1] - offsets[text] - n + 1
        done, total = 0, np.uint64(0)  # the n-grams before `done` are dealt with; `total` is that of done - 1
        for anchor in range(borders[text], borders[text + 1]):
            start = max(anchors[anchor] - before, done)
            for place in range(start, min(anchors[anchor] + after + 1, size)):
                if place == done and place > 0 and count > found_borders[text]:
                    total = total * _BASE + hashes[begin + place + n - 1] - power * hashes[begin + place - 1]
                else:
                    total = _sum(hashes, begin + place, n)
                at[count], found[count] = place, mix(total)
                count += 1
                done = place + 1
        found_borders[text + 1] = count
    return found_borders, at[:count].copy(), found[:count].copy()


@_kernel
def _find(offsets: Ints, hashes: Hashes, n: int, wanted: Hashes, starts: Small) -> tuple[Ints, Small, Hashes]:
    power = _power(n)
    bits = 0
    while (1 << bits) < len(starts) - 1:
        bits += 1
    shift = np.uint64(64 - bits)
    borders = np.zeros(len(offsets), np.int64)
    at, found = np.empty(64, np.int32), np.empty(64, np.uint64)
    count = 0
    for text in range(len(offsets) - 1):
        begin, size = offsets[text], offsets[text + 1] - offsets[text] - n + 1
        total = _sum(hashes, begin, n) if size > 0 else np.uint64(0)
        for place in range(size):
            if place:
                total = total * _BASE + hashes[begin + place + n - 1] - power * hashes[begin + place - 1]
            value = mix(total)
            top = np.int64(value >> shift)
            for entry in range(starts[top], starts[top + 1]):
                if wanted[entry] != value:
                    continue
                if count == len(at):
                    at = np.concatenate((at, np.empty_like(at)))
                    found = np.concatenate((found, np.empty_like(found)))
                at[count], found[count] = place, np.uint64(entry)
                count += 1
        borders[text + 1] = count
    return borders, at[:count].copy(), found[:count].copy()


@_kernel
def _folded(data: Bytes, table: Table, starts: Ints, lengths: Small) -> Hashes:
    found = np.empty(len(starts), np.uint64)
    for span in range(len(starts)):
        at, end, hashed = starts[span], starts[span] + lengths[span], HASH_SEED
        while at < end:
            code, width = code_point(data, at, end)
            hashed = (hashed ^ np.uint64(code + (table[code] >> FOLD_SHIFT))) * HASH_PRIME
            hashed ^= hashed >> np.uint64(32)
            at += width
        found[span] = hashed
    return found


@_kernel
def _whole(data: Bytes, texts: Ints, offsets: Ints, starts: Ints, lengths: Small, breaks: int) -> tuple[Ints, Ints]:
    firsts, ends = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    for text in range(len(texts) - 1):
        for span in range(offsets[text], offsets[text + 1]):
            first, end = starts[span], starts[span] + lengths[span]
            while first > texts[text] and data[first - 1] != 10:
                first -= 1
            while end < texts[text + 1] and data[end] != 10:
                end += 1
            left = breaks
            while left > 0 and end < texts[text + 1] and data[end] == 10:
                end += 1
                left -= 1
            firsts[span], ends[span] = first - texts[text], end - texts[text]
    return firsts, ends
