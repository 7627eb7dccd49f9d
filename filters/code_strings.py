"""Strings, character literals and regular expressions in source code: where each ends, so comments are told apart."""

import numba
import numpy as np
from numpy.typing import NDArray

from filters.code_syntax import APART, CHAR, GUARDED, PLAIN, RAW_CPP, RAW_RUST, RAW_SHARP, REGEX, SHORT
from filters.segment import Bytes

_kernel = numba.njit(cache=True, nogil=True)
_inline = numba.njit(cache=True, nogil=True, inline="always")

# What a regular expression of JavaScript can stand behind; behind all else, a slash divides.
_BEFORE_REGEX = np.zeros(256, np.bool_)
_BEFORE_REGEX[list(b"\n!%&(*+,-:;=?[^{|}~")] = True


@_kernel
def _string(
    data: Bytes, begin: int, at: int, end: int, quotes: NDArray[np.uint8], triple: NDArray[np.bool_], flags: int
) -> int:
    """The end of the string (regular expression, guarded character) that begins at `at`; `at + 1` where none does."""
    byte = data[at]
    if flags & GUARDED and byte == 0x5C:
        return min(at + 2, end)
    if flags & REGEX and byte == 0x2F:
        return _regex_end(data, begin, at, end)
    if flags & RAW_RUST and byte == 0x72:
        return _rust_end(data, begin, at, end)
    kind = quotes[byte]
    if kind == 0:
        return at + 1
    behind = at > begin and (_is_letter(data[at - 1]) or _is_digit(data[at - 1]))
    if flags & APART and behind:
        return at + 1
    if kind == CHAR:
        return _char_end(data, at, end)
    if flags & RAW_CPP and byte == 0x22 and behind and data[at - 1] == 0x52:
        return _cpp_end(data, at, end)
    if flags & RAW_SHARP and byte == 0x22 and at > begin and data[at - 1] == 0x40:
        return _quoted_end(data, at + 1, end, byte, PLAIN)
    if triple[byte] and at + 2 < end and data[at + 1] == byte and data[at + 2] == byte:
        at += 3
        while at < end:
            if data[at] == 0x5C:
                at += 2
            elif data[at] == byte and at + 2 < end and data[at + 1] == byte and data[at + 2] == byte:
                return at + 3
            else:
                at += 1
        return end
    return _quoted_end(data, at + 1, end, byte, kind)


@_kernel
def _quoted_end(data: Bytes, at: int, end: int, quote: int, kind: int) -> int:
    while at < end:
        if data[at] == quote:
            return at + 1
        if kind == SHORT and (data[at] == 0x0A or data[at] == 0x0D):
            return at
        if data[at] == 0x5C and kind != PLAIN:
            at += 2 if at + 2 < end and data[at + 1] == 0x0D and data[at + 2] == 0x0A else 1
        at += 1
    return end


@_kernel
def _char_end(data: Bytes, at: int, end: int) -> int:
    r"""The end of 'x', '\x' or '\u0000'; behind the quote where it opens none of these."""
    if at + 2 < end and data[at + 1] == 0x5C:
        for close in range(at + 3, min(at + 14, end)):
            if data[close] == 0x27:
                return close + 1
        return at + 1
    close = at + 2
    while close < end and data[close] & 0xC0 == 0x80:
        close += 1
    return close + 1 if close < end and data[close] == 0x27 and data[at + 1] != 0x27 else at + 1


@_kernel
def _rust_end(data: Bytes, begin: int, at: int, end: int) -> int:
    """The end of r"..." or r#"..."#; behind the letter where it opens no raw string."""
    quote = at + 1
    while quote < end and data[quote] == 0x23:
        quote += 1
    hashes = quote - at - 1
    is_named = at > begin and (_is_letter(data[at - 1]) or _is_digit(data[at - 1])) and data[at - 1] != 0x62
    if is_named or quote >= end or data[quote] != 0x22:
        return at + 1
    closed = -1  # hashes behind the last quote; below 0 where there was none
    for i in range(quote + 1, end):
        if data[i] == 0x22:
            closed = 0
        elif closed >= 0:
            closed = closed + 1 if data[i] == 0x23 else -1
        if closed == hashes:
            return i + 1
    return end


@_kernel
def _cpp_end(data: Bytes, at: int, end: int) -> int:
    """The end of the raw string whose quote is at `at`; the standard allows delimiters of 16 characters."""
    parenthesis = at + 1
    while parenthesis < end and parenthesis < at + 18 and data[parenthesis] != 0x28:
        parenthesis += 1
    if parenthesis >= end or data[parenthesis] != 0x28:
        return at + 1
    size = parenthesis - at - 1
    for i in range(parenthesis + 1, end - size - 1):
        if data[i] == 0x29 and data[i + size + 1] == 0x22:
            same = True
            for k in range(size):
                same &= data[i + 1 + k] == data[at + 1 + k]
            if same:
                return i + size + 2
    return end


@_kernel
def _regex_end(data: Bytes, begin: int, at: int, end: int) -> int:
    """The end of the regular expression that opens at `at`, the line's at the latest; behind a slash that divides."""
    before = _back_over_blanks(data, begin, at)
    if before > begin and not _BEFORE_REGEX[data[before - 1]]:
        return at + 1
    in_class, i = False, at + 1
    while i < end and data[i] != 0x0A and data[i] != 0x0D:
        if data[i] == 0x5C:
            i += 1
        elif data[i] == 0x5B:
            in_class = True
        elif data[i] == 0x5D:
            in_class = False
        elif data[i] == 0x2F and not in_class:
            return i + 1
        i += 1
    return min(i, end)  # not at + 1: every slash would look through the rest of an endless line


@_kernel
def _back_over_blanks(data: Bytes, begin: int, at: int) -> int:
    while at > begin and (data[at - 1] == 0x20 or data[at - 1] == 0x09 or data[at - 1] == 0x0C):
        at -= 1
    return at


@_inline
def _is_letter(byte: int) -> bool:
    return 0x61 <= byte | 0x20 <= 0x7A


@_inline
def _is_digit(byte: int) -> bool:
    return 0x30 <= byte <= 0x39
