"""Words, lines and paragraphs of texts, found in Arrow's UTF-8 buffers by compiled kernels.

A word is a maximal run of letters, digits and connector punctuation (general categories L*, N*, Pc) with the marks and
format characters (M*, Cf) that follow them; ' or ’ between letters and '.' or ',' between digits join, as in UAX #29.
In scripts written without spaces (Han, Hiragana, Katakana, and those of line breaking class SA: Thai, Lao, Khmer,
Myanmar, Tai, Ahom) each letter with its marks is a word. What UAX #29 does beyond that (colons in Swedish, Hebrew
quotes) is left out. White space is what `str.isspace` says.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from filters import codepoints
from filters.codepoints import (
    APOSTROPHE,
    CLASS_MASK,
    CONNECTOR,
    EXTEND,
    FOLD_SHIFT,
    LETTER,
    NUMBER,
    POINT,
    SINGLE,
    SPACE,
)

VERSION = f"1, Unicode {codepoints.UNICODE}"
"""Version of these definitions; whatever is measured on words or lines depends on it."""

HASH_SEED = np.uint64(0x9E3779B97F4A7C15)
HASH_PRIME = np.uint64(0xD6E8FEB86659FD93)

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Small = NDArray[np.int32]
Table = NDArray[np.int32]

_kernel = numba.njit(cache=True, nogil=True)


class Words(NamedTuple):
    """The words of n texts; those of text i are `[offsets[i]:offsets[i + 1]]` of the other arrays but the last two."""

    offsets: NDArray[np.int64]  # [n + 1]
    starts: NDArray[np.int64]  # first byte in the batch's data
    lengths: NDArray[np.int32]  # bytes
    chars: NDArray[np.int32]  # code points
    hashes: NDArray[np.uint64]  # of the folded word, by `h = (h ^ c) * HASH_PRIME; h ^= h >> 32` over its code points
    alphabetic: NDArray[np.bool_]  # has a letter (L*)
    characters: NDArray[np.int64]  # [n] code points of the whole text
    alphanumeric: NDArray[np.int64]  # [n] code points of the whole text that are letters or digits (L*, N*)


class Spans(NamedTuple):
    """The lines (or paragraphs) of n texts that hold more than white space; `offsets` as in `Words`.

    A span is stripped of white space on both sides; `widths` alone counts the characters before stripping.
    """

    offsets: NDArray[np.int64]  # [n + 1]
    starts: NDArray[np.int64]  # first byte in the batch's data
    lengths: NDArray[np.int32]  # bytes
    chars: NDArray[np.int32]  # code points
    widths: NDArray[np.int32]  # code points between the line breaks
    hashes: NDArray[np.uint64]  # of the bytes


def segment_words(data: Bytes, offsets: Ints) -> Words:
    """The words of the texts `data[offsets[i]:offsets[i + 1]]`."""
    texts = len(offsets) - 1
    # A word that touches its neighbour holds a letter of three bytes, the others have a byte between them.
    most = int(offsets[-1] - offsets[0] + texts) // 2
    words = Words(
        np.zeros(texts + 1, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.empty(most, np.uint64),
        np.empty(most, np.bool_),
        np.zeros(texts, np.int64),
        np.zeros(texts, np.int64),
    )
    count = _words(data, offsets, codepoints.table(), *words)
    return words._replace(
        starts=words.starts[:count],
        lengths=words.lengths[:count],
        chars=words.chars[:count],
        hashes=words.hashes[:count],
        alphabetic=words.alphabetic[:count],
    )


def segment_lines(data: Bytes, offsets: Ints) -> Spans:
    r"""What stands between '\n', where it is more than white space."""
    return _segment_spans(data, offsets, 1)


def segment_paragraphs(data: Bytes, offsets: Ints) -> Spans:
    r"""What stands between two or more '\n' in a row (datatrove's `\n{2,}`), where it is more than white space."""
    return _segment_spans(data, offsets, 2)


def _segment_spans(data: Bytes, offsets: Ints, breaks: int) -> Spans:
    texts = len(offsets) - 1
    most = _count_newlines(data, offsets[0], offsets[-1]) // breaks + texts
    spans = Spans(
        np.zeros(texts + 1, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.empty(most, np.uint64),
    )
    count = _spans(data, offsets, codepoints.table(), breaks, *spans)
    return spans._replace(
        starts=spans.starts[:count],
        lengths=spans.lengths[:count],
        chars=spans.chars[:count],
        widths=spans.widths[:count],
        hashes=spans.hashes[:count],
    )


@_kernel
def code_point(data: Bytes, at: int, end: int) -> tuple[Any, int]:
    """Code point and bytes of the character at `at`; what is cut short or no UTF-8 counts as U+FFFD, one byte."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    if 0xC0 <= first < 0xE0 and at + 1 < end:
        return (first & 0x1F) << 6 | (data[at + 1] & 0x3F), 2
    if 0xE0 <= first < 0xF0 and at + 2 < end:
        return (first & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F), 3
    if 0xF0 <= first < 0xF5 and at + 3 < end:
        high = (first & 0x07) << 18 | (data[at + 1] & 0x3F) << 12
        return min(high | (data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F), 0x10FFFF), 4
    return 0xFFFD, 1


@_kernel
def _is_at(group: int, data: Bytes, at: int, end: int, table: Table) -> bool:
    """Whether the character at `at`, if there is one, is of a class."""
    if at >= end:
        return False
    code, _ = code_point(data, at, end)
    return table[code] & CLASS_MASK == group


@_kernel
def _joins(group: int, kind: int, data: Bytes, after: int, end: int, table: Table) -> bool:
    """Whether a character that begins no word goes on with one whose last character, but for marks, is a `kind`."""
    if group == APOSTROPHE:
        return kind == LETTER and _is_at(LETTER, data, after, end, table)
    if group == POINT:
        return kind == NUMBER and _is_at(NUMBER, data, after, end, table)
    return group == EXTEND


@_kernel
def _words(
    data: Bytes,
    borders: Ints,
    table: Table,
    offsets: Ints,
    starts: Ints,
    lengths: Small,
    chars: Small,
    hashes: NDArray[np.uint64],
    alphabetic: NDArray[np.bool_],
    characters: Ints,
    alphanumeric: Ints,
) -> int:
    """Fill in the columns of `Words`; how many words there are."""
    count = 0
    for text in range(len(borders) - 1):
        at, end = borders[text], borders[text + 1]
        total = alnum = 0
        while at < end:
            code, width = code_point(data, at, end)
            entry = table[code]
            group = kind = entry & CLASS_MASK
            if group < CONNECTOR:
                total += 1
                at += width
                continue
            start, size, hashed, letters = at, 0, HASH_SEED, False
            while True:  # over the word's characters
                hashed = (hashed ^ np.uint64(code + (entry >> FOLD_SHIFT))) * HASH_PRIME
                hashed ^= hashed >> np.uint64(32)
                size += 1
                alnum += group >= NUMBER
                letters |= group >= LETTER
                if group != EXTEND:
                    kind = group
                at += width
                if at >= end:
                    break
                code, width = np.int64(data[at]), 1
                if code >= 0x80:  # ASCII without a call: a quarter faster
                    code, width = code_point(data, at, end)
                entry = table[code]
                group = entry & CLASS_MASK
                if group >= CONNECTOR:
                    if group == SINGLE or kind == SINGLE:
                        break
                elif not _joins(group, kind, data, at + width, end, table):
                    break
            starts[count], lengths[count], chars[count] = start, at - start, size
            hashes[count], alphabetic[count] = hashed, letters
            count += 1
            total += size
        offsets[text + 1] = count
        characters[text], alphanumeric[text] = total, alnum
    return count


@_kernel
def _count_newlines(data: Bytes, start: int, end: int) -> int:
    count = 0
    for at in range(start, end):
        count += data[at] == 10
    return count


@_kernel
def _strip(data: Bytes, start: int, end: int, table: Table) -> tuple[int, int]:
    """The borders of what is left of `data[start:end]` without white space around it."""
    while start < end:
        code, width = code_point(data, start, end)
        if table[code] & CLASS_MASK != SPACE:
            break
        start += width
    while start < end:
        last = end - 1
        while last > start and data[last] & 0xC0 == 0x80:
            last -= 1
        if not _is_at(SPACE, data, last, end, table):
            break
        end = last
    return start, end


@_kernel
def _count_characters(data: Bytes, start: int, end: int) -> int:
    count = 0
    for at in range(start, end):
        count += data[at] & 0xC0 != 0x80
    return count


@_kernel
def _hash_bytes(data: Bytes, start: int, end: int) -> np.uint64:
    hashed = HASH_SEED
    for at in range(start, end):
        hashed = (hashed ^ np.uint64(data[at])) * HASH_PRIME
        hashed ^= hashed >> np.uint64(32)
    return hashed


@_kernel
def _spans(
    data: Bytes,
    borders: Ints,
    table: Table,
    breaks: int,
    offsets: Ints,
    starts: Ints,
    lengths: Small,
    chars: Small,
    widths: Small,
    hashes: NDArray[np.uint64],
) -> int:
    r"""Fill in the columns of `Spans`, borders being runs of `breaks` or more '\n'; how many spans there are."""
    count = 0
    for text in range(len(borders) - 1):
        begin, end = borders[text], borders[text + 1]
        at = begin
        while begin < end:
            while at < end and data[at] != 10:
                at += 1
            after = at
            while after < end and data[after] == 10:
                after += 1
            if after - at < breaks and at < end:
                at = after
                continue
            left, right = _strip(data, begin, at, table)
            if left < right:
                starts[count], lengths[count] = left, right - left
                chars[count] = _count_characters(data, left, right)
                widths[count] = _count_characters(data, begin, at)
                hashes[count] = _hash_bytes(data, left, right)
                count += 1
            begin = at = after
        offsets[text + 1] = count
    return count
