r"""Data in source code: encoded runs, as The Stack v2 finds them, and lines of literals.

The Stack v2 (Lozhkov et al. 2024, arXiv 2402.19173, section 2.1) looks for three regular expressions:

    base64     [a-zA-Z0-9+/\n=]{64,}
    hex        (?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}
    escapes    (?:\\u[0-9a-fA-F]{4}){8,}

The kernels find what they match, in one walk each, `\b` and `\s` read in ASCII. That takes the expressions at their
word, with what they miss ("0x1f, 0x2e": the blank behind a comma ends a run) and what they take in that is no data (a
ruler of 64 equals signs, a list of words one to a line).
"""

import numba
import numpy as np
from numpy.typing import NDArray

from filters.segment import Bytes, Ints

BASE64_RUN = 64
"""Characters of a run of base64 at least (The Stack v2)."""

PAIRS_RUN = 8
"""Pairs of hexadecimal digits, or escapes, in a run at least (The Stack v2)."""

BASE64, HEX, WORD, SPACE, LITERAL, SUFFIX, IN_PAIRS, IN_ESCAPES = (1 << group for group in range(8))  # of bytes

_kernel = numba.njit(cache=True, nogil=True)


def _classes() -> NDArray[np.uint8]:
    classes = np.zeros(256, np.uint8)
    digits, hexadecimal, letters = b"0123456789", b"abcdefABCDEF", bytes(range(65, 91)) + bytes(range(97, 123))
    for group, members in (
        (BASE64, digits + letters + b"+/\n="),
        (HEX, digits + hexadecimal),
        (WORD, digits + letters + b"_"),
        (SPACE, b" \t\n\r\f\v"),
        (LITERAL, digits + b" \t\r\f\v+-.,;:()[]{}<>'\""),
        (SUFFIX, hexadecimal + b"xXuUlL"),
        (IN_PAIRS, digits + hexadecimal + b"x\\, \t\n\r\f\v"),
        (IN_ESCAPES, digits + hexadecimal + b"u\\"),
    ):
        classes[list(members)] |= group
    return classes


_CLASSES = _classes()


@_kernel
def encoded_runs(data: Bytes, offsets: Ints) -> Ints:
    """Per text, characters of the longest encoded run, and of all together: int64[n, 2].

    A character that two expressions match counts twice, as in data-prep-kit.
    """
    found = np.zeros((len(offsets) - 1, 2), np.int64)
    for text in range(len(found)):
        begin, end = offsets[text], offsets[text + 1]
        # All that an expression matches lies in a run of the bytes that it knows, and few texts have a run that long.
        for group, least in ((BASE64, BASE64_RUN), (IN_PAIRS, 3 * PAIRS_RUN - 1), (IN_ESCAPES, 6 * PAIRS_RUN)):
            start, stop = _next_run(data, begin, end, group, least)
            while start < end:
                longest, total = stop - start, stop - start
                if group == IN_PAIRS:
                    longest, total = _pairs(data, begin, start, stop, end)
                elif group == IN_ESCAPES:
                    longest, total = _escapes(data, start, stop)
                found[text, 0] = max(found[text, 0], longest)
                found[text, 1] += total
                start, stop = _next_run(data, stop, end, group, least)
    return found


@_kernel
def data_lines(data: Bytes, offsets: Ints) -> Ints:
    r"""Per text, lines of literals and lines that hold more than white space, both between '\n': int64[n, 2].

    A line of literals holds a digit, and else only digits, signs, brackets, quotes, separators and white space, and
    letters of numbers (a to f, x, u, l) behind a digit or another such letter: `0x1F, -2.5e3f,` or `{ "12", 7 },`.
    """
    found = np.zeros((len(offsets) - 1, 2), np.int64)
    for text in range(len(found)):
        at, end = offsets[text], offsets[text + 1]
        while at < end:
            is_literal, is_blank, has_digit, in_number = True, True, False, False
            while is_literal and at < end and data[at] != 0x0A:
                group = _CLASSES[data[at]]
                is_digit = 0x30 <= data[at] <= 0x39
                has_digit |= is_digit
                in_number = is_digit or (in_number and group & SUFFIX != 0)
                is_literal = in_number or group & LITERAL != 0
                is_blank &= group & SPACE != 0
                at += 1
            while at < end and data[at] != 0x0A:
                at += 1
            found[text, 0] += is_literal and has_digit
            found[text, 1] += not is_blank
            at += 1
    return found


@_kernel
def _next_run(data: Bytes, at: int, end: int, group: int, least: int) -> tuple[int, int]:
    """The next longest run of `least` or more bytes of a group in `data[at:end]`; (end, end) where there is none.

    One byte in `least` is looked at: a run of that length holds one of them.
    """
    probe = at + least - 1
    while probe < end:
        if not _CLASSES[data[probe]] & group:
            at = probe + 1
            probe += least
            continue
        start = stop = probe
        while start > at and _CLASSES[data[start - 1]] & group:
            start -= 1
        while stop < end and _CLASSES[data[stop]] & group:
            stop += 1
        if stop - start >= least:
            return start, stop
        at = stop
        probe = stop + least
    return end, end


@_kernel
def _pairs(data: Bytes, begin: int, at: int, stop: int, end: int) -> tuple[int, int]:
    """Characters of the longest run of pairs in `data[at:stop]`, and of all."""
    longest = total = 0
    while at < stop:
        start, pairs = at, 0
        after = _pair_end(data, begin, at, end)
        while after > at:
            pairs += 1
            at = after
            after = _pair_end(data, begin, at, end)
        if pairs >= PAIRS_RUN:
            longest = max(longest, at - start)
            total += at - start
        elif at == start:
            at += 1
    return longest, total


@_kernel
def _pair_end(data: Bytes, begin: int, at: int, end: int) -> int:
    r"""The end of one `\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)` at `at`; `at` where there is none."""
    if at >= end or _is_word(data, begin, at - 1, end) == _is_word(data, begin, at, end):
        return at
    stop = at
    if at + 1 < end and data[at + 1] == 0x78 and (data[at] == 0x30 or data[at] == 0x5C):
        stop += 2
    if stop + 1 >= end or not _CLASSES[data[stop]] & _CLASSES[data[stop + 1]] & HEX:
        return at
    stop += 2
    if stop < end and data[stop] == 0x2C:
        return stop + 1
    if _is_word(data, begin, stop, end):
        return at
    while stop < end and _CLASSES[data[stop]] & SPACE:
        stop += 1
    return stop


@_kernel
def _is_word(data: Bytes, begin: int, at: int, end: int) -> bool:
    return begin <= at < end and _CLASSES[data[at]] & WORD != 0


@_kernel
def _escapes(data: Bytes, at: int, stop: int) -> tuple[int, int]:
    """Characters of the longest run of escapes in `data[at:stop]`, and of all."""
    longest = total = run = 0
    while at <= stop:
        if at + 5 < stop and data[at] == 0x5C and data[at + 1] == 0x75 and _is_hex4(data, at + 2):
            run += 6
            at += 6
            continue
        if run >= 6 * PAIRS_RUN:
            longest = max(longest, run)
            total += run
        run = 0
        at += 1
    return longest, total


@_kernel
def _is_hex4(data: Bytes, at: int) -> bool:
    return _CLASSES[data[at]] & _CLASSES[data[at + 1]] & _CLASSES[data[at + 2]] & _CLASSES[data[at + 3]] & HEX != 0
