"""Spans of words shrunk to whole lines or sentences, so that what is left after a cut still reads as text.

A sentence ends behind a terminal mark (Unicode's Sentence_Terminal) and the closing quotation marks after it, where
white space follows or the mark is none of ASCII's (as in Chinese); the white space belongs to it. A line's end ends it
too. Abbreviations are not known: a cut after "Mr. " is possible.
"""

from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray

from filters import codepoints
from filters.codepoints import CLASS_MASK, CONNECTOR, SPACE, TERMINAL
from filters.segment import Bytes, Ints, Table, _decode

Border = Literal["word", "sentence", "line"]

_kernel = numba.njit(cache=True, nogil=True)


def snap(text: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64], border: Border) -> NDArray[np.int64]:
    """The spans with borders of the given kind: int64[spans, 2], first byte and end in `text` (UTF-8).

    A span begins and ends with a word. `word`: as it is, with the white space behind it in its line. `sentence`,
    `line`: the whole sentences or lines, with their white space or '\\n', of which it holds all words; where there is
    none, the span is empty. Raises ValueError for another border.
    """
    if border not in ("word", "sentence", "line"):
        raise ValueError(f"no border {border!r}: it is 'word', 'sentence' or 'line'")
    data = np.frombuffer(text, np.uint8)
    snapped = np.empty((len(starts), 2), np.int64)
    _snap(data, codepoints.table(), starts, ends, ("word", "sentence", "line").index(border), snapped)
    return snapped


@_kernel
def _snap(data: Bytes, table: Table, starts: Ints, ends: Ints, border: int, snapped: NDArray[np.int64]) -> None:
    for span in range(len(starts)):
        left, right = starts[span], ends[span]
        if border == 0:
            while right < len(data) and data[right] != 10:
                code, width = _decode(data, right, len(data))
                if table[code] & CLASS_MASK != SPACE:
                    break
                right += width
        else:
            left, right = _between_words(data, table, left, right)
            left, right = _units(data, table, left, right, border == 1)
        snapped[span] = left, right


@_kernel
def _between_words(data: Bytes, table: Table, left: int, right: int) -> tuple[int, int]:
    """The span with what stands between it and the neighbouring words."""
    while left > 0:
        at = left - 1
        while at > 0 and data[at] & 0xC0 == 0x80:
            at -= 1
        code, _ = _decode(data, at, len(data))
        if table[code] & CLASS_MASK >= CONNECTOR:
            break
        left = at
    while right < len(data):
        code, width = _decode(data, right, len(data))
        if table[code] & CLASS_MASK >= CONNECTOR:
            break
        right += width
    return left, right


@_kernel
def _units(data: Bytes, table: Table, left: int, right: int, sentences: bool) -> tuple[int, int]:
    """The first border from `left` and the last up to `right`, borders being where a line (or sentence) begins."""
    at = left
    while at > 0 and data[at - 1] != 10:
        at -= 1
    first = last = -1
    ended, gap = False, 0  # whether a sentence's end was read; behind it: 1 room for another, 2 white space
    while True:
        begins = at == 0 or at == len(data) or data[at - 1] == 10
        code, width = (np.int64(10), 1) if at >= len(data) else _decode(data, at, len(data))
        entry = table[code]
        if ended and entry & CLASS_MASK != SPACE and (gap == 2 or (gap == 1 and not entry & TERMINAL)):
            begins = True
        if begins:
            ended, gap = False, 0
            if at >= left:
                first = at if first < 0 else first
                last = at
        if at >= right:
            break
        if entry & CLASS_MASK == SPACE:
            gap = 2
        elif entry & TERMINAL and (ended or code not in (0x22, 0x27, 0x2019, 0x201D)):
            ended = sentences
            gap = 1 if code >= 0x80 and code not in (0x2019, 0x201D) else 0
        else:
            ended = False
        at += width
    return (first, last) if 0 <= first < last else (left, left)
