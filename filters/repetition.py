"""Gopher's repetition signals: repeated lines, paragraphs and word n-grams.

Rae et al. 2021, arXiv 2112.11446, section A.1.1 and table A1. Where implementations differ, these follow datatrove: of
a repeated line or paragraph only the second and later copies count; duplicate n-grams are counted greedily from left to
right without overlap; the denominator is always all characters of the text, white space included. Differences: words
are those of `filters.segment`, without punctuation marks and case-folded; lines and paragraphs are compared without the
white space around them, and blank ones do not count. Every share of an empty text is 0.

N-grams are compared by identity, not by a hash of their own: the (n+1)-gram at a position is the pair of the n-grams
there and one further on, and only n-grams that occur twice can be part of one that does. So the work shrinks with n,
and ten rounds of hashing bound it: linear time, whatever the text.
"""

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import TextBatch
from filters.family import signal

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Small = NDArray[np.int32]

TOP = (2, 3, 4)
DUPLICATE = (5, 6, 7, 8, 9, 10)

_share = pa.float64()

SCHEMA = pa.schema(
    [
        signal("dup_lines", _share, "Share of lines that are copies of an earlier line (Dolma: of any other line)."),
        signal("dup_paragraphs", _share, "Share of paragraphs that are copies of an earlier one."),
        signal("dup_line_chars", _share, "Characters of the lines counted in dup_lines, per character of the text."),
        signal(
            "dup_paragraph_chars",
            _share,
            "Characters of the paragraphs counted in dup_paragraphs, per character of the text.",
        ),
        *(
            signal(
                f"top_{n}gram",
                _share,
                f"""Characters in all occurrences of the most frequent {n}-gram of words (of several, the first in the
                text), a space counted between words, per character of the text. As in datatrove, a {n}-gram that
                occurs once can be the most frequent one, and overlapping occurrences count in full (above 1 then).""",
            )
            for n in TOP
        ),
        *(
            signal(
                f"dup_{n}gram",
                _share,
                f"""Characters of words in {n}-grams that occurred before, per character of the text. Greedy, from left
                to right: behind a duplicate, reading goes on after its last word, and what it covers is not noted as
                having occurred.""",
            )
            for n in DUPLICATE
        ),
    ]
)


class Repetition:
    """The family `repetition`. Gopher's thresholds are in `rules/gopher_repetition.yaml`."""

    name = "repetition"
    version = 1
    schema = SCHEMA

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """One row per text; no nulls, never NaN."""
        words, lines, paragraphs = batch.words, batch.lines, batch.paragraphs
        line_copies, line_chars = _copies(lines.offsets, lines.hashes, lines.chars).T
        paragraph_copies, paragraph_chars = _copies(paragraphs.offsets, paragraphs.hashes, paragraphs.chars).T
        grams = _repeated_grams(words.offsets, words.hashes, words.chars)
        characters = np.maximum(words.characters, 1)
        columns = [
            line_copies / np.maximum(np.diff(lines.offsets), 1),
            paragraph_copies / np.maximum(np.diff(paragraphs.offsets), 1),
            line_chars / characters,
            paragraph_chars / characters,
            *(grams / characters[:, None]).T,
        ]
        return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=SCHEMA)


@numba.njit(cache=True, nogil=True)
def _group(keys: Hashes, first: Small, counts: Small, slots: Small, length: int) -> None:
    """Group the first `length` positions by key: `first[i]` becomes the first one with i's key, -1 where i is alone.

    Positions with a negative `first` are left out. `counts[p]` is the size of the group that begins at p. `slots` is
    scratch, at least twice as long as there are positions to group, rounded up to a power of two.
    """
    members = 0
    for at in range(length):
        members += first[at] >= 0
    size = 1
    while size < 2 * members:
        size *= 2
    slots[:size] = -1
    for at in range(length):
        if first[at] < 0:
            continue
        key = keys[at]
        mixed = (key ^ (key >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
        slot = np.int64(mixed >> np.uint64(32)) & (size - 1)
        while slots[slot] >= 0 and keys[slots[slot]] != key:
            slot = (slot + 1) & (size - 1)
        if slots[slot] < 0:
            slots[slot] = at
            counts[at] = 0
        first[at] = slots[slot]
        counts[first[at]] += 1
    for at in range(length):
        if first[at] >= 0 and counts[first[at]] == 1:
            first[at] = -1


@numba.njit(cache=True, nogil=True)
def _scratch(offsets: Ints) -> tuple[Small, Small, Small]:
    """Room for `_group` on the largest text: first, counts, slots."""
    most = 0
    for text in range(len(offsets) - 1):
        most = max(most, offsets[text + 1] - offsets[text])
    size = 1
    while size < 2 * most:
        size *= 2
    return np.empty(most, np.int32), np.empty(most, np.int32), np.empty(size, np.int32)


@numba.njit(cache=True, nogil=True)
def _copies(offsets: Ints, hashes: Hashes, chars: Small) -> Ints:
    """Per text: spans that are copies of an earlier one, and their characters: int64[n, 2]."""
    found = np.zeros((len(offsets) - 1, 2), np.int64)
    first, counts, slots = _scratch(offsets)
    for text in range(len(offsets) - 1):
        begin, length = offsets[text], offsets[text + 1] - offsets[text]
        first[:length] = 0
        _group(hashes[begin : begin + length], first, counts, slots, length)
        for at in range(length):
            if first[at] >= 0 and first[at] != at:
                found[text, 0] += 1
                found[text, 1] += chars[begin + at]
    return found


@numba.njit(cache=True, nogil=True)
def _repeated_grams(offsets: Ints, hashes: Hashes, chars: Small) -> Ints:
    """Per text: characters in the top 2- to 4-gram, then in duplicate 5- to 10-grams: int64[n, 9]."""
    found = np.zeros((len(offsets) - 1, 9), np.int64)
    first, counts, slots = _scratch(offsets)
    keys = np.empty(len(first), np.uint64)
    for text in range(len(offsets) - 1):
        begin, length = offsets[text], offsets[text + 1] - offsets[text]
        first[:length] = 0
        keys[:length] = hashes[begin : begin + length]
        _group(keys, first, counts, slots, length)
        for n in range(2, min(10, length) + 1):
            grams = length - n + 1
            for at in range(grams):
                if first[at] >= 0 and first[at + 1] >= 0:
                    keys[at] = np.uint64(first[at]) << np.uint64(32) | np.uint64(first[at + 1])
                else:
                    first[at] = -1
            _group(keys, first, counts, slots, grams)
            if n <= 4:
                found[text, n - 2] = _top(first, counts, chars[begin : begin + length], n)
            else:
                found[text, n - 2] = _duplicates(first, counts, chars[begin : begin + length], n)
    return found


@numba.njit(cache=True, nogil=True)
def _top(first: Small, counts: Small, chars: Small, n: int) -> int:
    """Characters, spaces between words included, of all occurrences of the most frequent n-gram."""
    best, most = 0, 1
    for at in range(len(chars) - n + 1):
        if first[at] == at and counts[at] > most:
            best, most = at, counts[at]
    size = n - 1
    for word in range(best, best + n):
        size += chars[word]
    return size * most


@numba.njit(cache=True, nogil=True)
def _duplicates(first: Small, counts: Small, chars: Small, n: int) -> int:
    """Characters of words in n-grams that occurred before, read greedily. Uses up `counts`."""
    total = at = 0
    while at <= len(chars) - n:
        if first[at] < 0:
            at += 1
        elif counts[first[at]] > 0:
            counts[first[at]] = 0  # from now on, this n-gram has occurred
            at += 1
        else:
            for word in range(at, at + n):
                total += chars[word]
            at += n
    return total
