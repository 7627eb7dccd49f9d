"""What to cut of a text so that the rest still reads as text: whole words, sentences or lines, no heaps of blank lines.

A sentence ends behind a terminal mark (Unicode's Sentence_Terminal) and the closing quotation marks after it, where
white space follows or the mark is none of ASCII's (as in Chinese); the white space belongs to it. A line's end ends it
too, unless the line goes on in the next, which is then one with it: it ends without a terminal mark, and the next
begins at once with a letter that is no capital, or with a word that would have made the line longer than any of its
paragraph, as where text was wrapped at a width. So less is cut where lines end by chance as if they were wrapped, and
where a script has no capitals. Abbreviations are not known: a cut after "Mr. " is possible.
"""

from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray

from filters import codepoints
from filters.codepoints import CLASS_MASK, CONNECTOR, FOLD_SHIFT, LETTER, SINGLE, SPACE, TERMINAL
from filters.segment import Bytes, Table, code_point

Border = Literal["word", "sentence", "line"]
Marks = NDArray[np.bool_]

NAMES = ("word", "sentence", "line")
WORD, SENTENCE, LINE = range(3)
NEWLINE = 10
NARROWEST = 40  # characters; a paragraph whose lines are all shorter is a list or verse, not wrapped text

_kernel = numba.njit(cache=True, nogil=True)


def whole(text: bytes, marked: Marks, border: Border) -> NDArray[np.int64]:
    r"""The words, sentences or lines of `text` (UTF-8) that are marked as a whole: int64[spans, 2], first byte and end.

    `marked`: bool[len(text)]; words count, what stands between them does not: a unit goes with what stands behind it,
    and units without a word go between two that go. A span that does not begin with its line leaves the line its '\n',
    and takes the white space before it if it is the line's last. Raises ValueError for another border, or where
    `marked` has another length.
    """
    if border not in NAMES:
        raise ValueError(f"no border {border!r}: it is 'word', 'sentence' or 'line'")
    if len(marked) != len(text):
        raise ValueError(f"{len(marked)} marks for {len(text)} bytes")
    return _whole(np.frombuffer(text, np.uint8), codepoints.table(), marked, NAMES.index(border))


def closed(text: bytes, spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Spans int64[n, 2] of bytes, in any order, as disjoint rising ones: int64[m, 2], m <= n.

    Where whole lines go that have a blank line, or nothing, before them, the blank lines behind them go too.
    """
    order = np.lexsort((spans[:, 1], spans[:, 0]))
    return _closed(np.frombuffer(text, np.uint8), codepoints.table(), spans[order])


@_kernel
def _whole(data: Bytes, table: Table, marked: Marks, border: int) -> NDArray[np.int64]:
    spans, count = np.empty((16, 2), np.int64), 0
    start = at = 0
    has_word = goes = taken = False  # of the unit: has a word, all its words are marked; whether the last one went
    chars = said = widest = 0  # characters of the line; those up to its last word or mark; of the paragraph's lines
    ended, gap = False, 0  # whether a sentence's end was read; behind it: 1 room for another, 2 white space
    while True:
        end = at >= len(data)
        code, width = (np.int64(NEWLINE), 1) if end else code_point(data, at, len(data))
        entry = table[code]
        group = entry & CLASS_MASK
        begins = end
        if not end and (at == 0 or data[at - 1] == NEWLINE):
            if border != WORD and said == 0:
                widest = _widest(data, table, at)
            begins = at > 0 and (border == WORD or said == 0 or ended or not _goes_on(data, table, at, said, widest))
            chars = said = 0
        elif border == SENTENCE and ended and group != SPACE:
            begins |= gap == 2 or (gap == 1 and not entry & TERMINAL)
        elif border == WORD and group >= CONNECTOR and has_word:
            begins |= marked[at] != goes
        if begins:
            if has_word and goes:
                if not taken:
                    if count == len(spans):
                        spans = np.concatenate((spans, np.empty_like(spans)))
                    spans[count, 0] = start
                    count += 1
                spans[count - 1, 1] = at
            taken = goes if has_word else taken
            start, has_word, goes, ended, gap = at, False, False, False, 0
        if end:
            break
        if group >= CONNECTOR:
            goes = marked[at] and (goes or not has_word)
            has_word = True
        chars += 1
        said = said if group == SPACE else chars
        if group == SPACE:
            gap = 2
        elif entry & TERMINAL and (ended or code not in (0x22, 0x27, 0x2019, 0x201D)):
            ended = True
            gap = 1 if code >= 0x80 and code not in (0x2019, 0x201D) else 0
        else:
            ended = False
        at += width
    for span in range(count):
        spans[span, 0], spans[span, 1] = _within_line(data, table, spans[span, 0], spans[span, 1])
    return spans[:count].copy()


@_kernel
def _widest(data: Bytes, table: Table, at: int) -> int:
    """Characters, without white space at the end, of the longest line of the paragraph that begins here."""
    widest = chars = said = 0
    while at < len(data):
        code, width = code_point(data, at, len(data))
        chars += 1
        if code == NEWLINE:
            if said == 0:
                break
            chars = said = 0
        elif table[code] & CLASS_MASK != SPACE:
            said = chars
            widest = max(widest, said)
        at += width
    return widest


@_kernel
def _goes_on(data: Bytes, table: Table, at: int, said: int, widest: int) -> bool:
    """Whether a line of `said` characters, which does not end a sentence, goes on in the one that begins here."""
    code, width = code_point(data, at, len(data))
    group = table[code] & CLASS_MASK
    if group == SPACE:
        return False
    if group == LETTER and table[code] >> FOLD_SHIFT == 0:
        return True
    if widest < NARROWEST:
        return False
    room = widest - said - 1
    while group != SPACE and room >= 0:
        room -= 1
        at += width
        if group == SINGLE or at >= len(data):
            break
        code, width = code_point(data, at, len(data))
        group = table[code] & CLASS_MASK
    return room < 0


@_kernel
def _within_line(data: Bytes, table: Table, start: int, end: int) -> tuple[int, int]:
    """A span that begins within a line and ends one: without the line's end, with the white space before it."""
    if start > 0 and data[start - 1] != NEWLINE and (end == len(data) or data[end - 1] == NEWLINE):
        end -= data[end - 1] == NEWLINE
        before = _before(data, start)
        while data[before] != NEWLINE and _is_space(data, table, before):
            start = before
            if start == 0:
                break
            before = _before(data, start)
    return start, end


@_kernel
def _before(data: Bytes, at: int) -> int:
    """Where the character before `at` begins."""
    at -= 1
    while at > 0 and data[at] & 0xC0 == 0x80:
        at -= 1
    return at


@_kernel
def _is_space(data: Bytes, table: Table, at: int) -> bool:
    code, _ = code_point(data, at, len(data))
    return table[code] & CLASS_MASK == SPACE


@_kernel
def _closed(data: Bytes, table: Table, spans: NDArray[np.int64]) -> NDArray[np.int64]:
    found, count = np.empty_like(spans), 0
    after_blank = False
    for span in range(len(spans)):
        start, end = spans[span]
        if count and start <= found[count - 1, 1]:
            found[count - 1, 1] = max(found[count - 1, 1], end)
        else:
            found[count] = start, end
            after_blank = _is_after_blank(data, table, start)
            count += 1
        if after_blank:
            found[count - 1, 1] = _behind_blanks(data, table, found[count - 1, 1])
    return found[:count].copy()


@_kernel
def _is_after_blank(data: Bytes, table: Table, start: int) -> bool:
    """Whether a line begins here, with a blank line or nothing before it."""
    if start == 0:
        return True
    if data[start - 1] != NEWLINE:
        return False
    at = start - 1
    while at > 0:
        at = _before(data, at)
        if data[at] == NEWLINE:
            return True
        if not _is_space(data, table, at):
            return False
    return True


@_kernel
def _behind_blanks(data: Bytes, table: Table, end: int) -> int:
    """Where the first line begins, from a line's beginning on, that is not blank."""
    if end == 0 or end >= len(data) or data[end - 1] != NEWLINE:
        return end
    at = end
    while at < len(data):
        code, width = code_point(data, at, len(data))
        if table[code] & CLASS_MASK != SPACE:
            break
        at += width
        if code == NEWLINE:
            end = at
    return end if at < len(data) else at
