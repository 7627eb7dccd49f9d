"""Well-formed HTML, as a parser writes its tree, cut into tags and stretches of text.

Lexbor reads whatever the web holds and writes its tree again with every tag closed, every attribute in double quotes
and every `&`, `<` and `>` of the text escaped (WHATWG HTML, section 13.3). That is quick to read in a kernel: no Python
object is made for a node.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.extraction.tags import FLAGS, MATH, RAW, SCRIPT, SVG, TEXT, UNKNOWN

Bytes = NDArray[np.uint8]
kernel = numba.njit(cache=True, nogil=True)

_PRIME, _BASIS = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)
_LT, _GT, _SLASH, _QUOTE, _SPACE, _BANG, _EQUALS, _DASH = (np.uint8(ord(char)) for char in '<>/" !=-')
_TYPE = np.frombuffer(b"math/tex", np.uint8)


class Tokens(NamedTuple):
    """`tag` int16[n]: number of an element that opens, its negative where it closes, 0 for text; `begin` and `end`
    int64[n]: its attributes or its text. Elements without markup in them (RAW) are left out, but for <math> and for
    TeX in <script>, one token each whose text is what they hold, with the tag MATH or SCRIPT."""

    tag: NDArray[np.int16]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]


@kernel
def tokenize(html: Bytes, keys: NDArray[np.uint64], numbers: NDArray[np.uint8]) -> Tokens:
    """The tokens of a document that Lexbor wrote."""
    most = 1
    for byte in html:
        most += byte == _LT
    tag, begin, end = np.empty(2 * most, np.int16), np.empty(2 * most, np.int64), np.empty(2 * most, np.int64)
    count, at, size = 0, 0, len(html)
    while at < size:
        if html[at] != _LT:
            tag[count], begin[count] = TEXT, at
            at = _find(html, at, _LT)
            end[count] = at
            count += 1
            continue
        if at + 1 < size and html[at + 1] == _BANG:
            at = _behind_comment(html, at)
            continue
        closes = at + 1 < size and html[at + 1] == _SLASH
        first = at + 1 + closes
        last, number = _name(html, first, keys, numbers)
        stop = _end_of_tag(html, last)
        at = min(stop + 1, size)
        if closes:
            tag[count], begin[count], end[count] = -number, stop, stop
            count += 1
        elif FLAGS[number] & RAW:
            close = _close(html, at, first, last, number == SVG)
            is_tex = number == SCRIPT and _contains(html, last, stop, _TYPE)
            if is_tex or number == MATH:
                tag[count], begin[count], end[count] = number, at if is_tex else first - 1, close
                count += 1
            at = min(_end_of_tag(html, close) + 1, size)
        else:
            tag[count], begin[count], end[count] = number, last, stop
            count += 1
    return Tokens(tag[:count], begin[:count], end[:count])


@kernel
def attribute(html: Bytes, at: int, end: int) -> Any:
    """The attribute at or after `at`, before `end`: where its name begins and ends, its value begins and ends.

    All are `end` where there is none.
    """
    while at < end and html[at] == _SPACE:
        at += 1
    name = at
    at = _end_of_name(html, at, end)
    name_end = at
    if at + 1 < end and html[at] == _EQUALS and html[at + 1] == _QUOTE:
        return name, name_end, at + 2, min(_find(html, at + 2, _QUOTE), end)
    return name, name_end, at, at


@kernel
def _end_of_name(html: Bytes, at: int, end: int) -> int:
    """Where the name of an attribute ends; it may begin with `=`, and have quotes in it."""
    at += 1
    while at < end and html[at] != _EQUALS and html[at] != _SPACE and html[at] != _GT:
        at += 1
    return min(at, end)


@kernel
def _find(html: Bytes, at: int, byte: np.uint8) -> int:
    while at < len(html) and html[at] != byte:
        at += 1
    return at


@kernel
def _behind_comment(html: Bytes, at: int) -> int:
    """Behind a comment, or a document type."""
    size = len(html)
    if not (at + 3 < size and html[at + 2] == _DASH and html[at + 3] == _DASH):
        return min(_find(html, at, _GT) + 1, size)
    at += 4
    while at < size and not (html[at] == _GT and html[at - 1] == _DASH and html[at - 2] == _DASH):
        at += 1
    return min(at + 1, size)


@kernel
def _name(html: Bytes, at: int, keys: NDArray[np.uint64], numbers: NDArray[np.uint8]) -> Any:
    """Where the name of an element ends, and its number."""
    key = _BASIS
    while at < len(html) and html[at] != _GT and html[at] != _SPACE and html[at] != _SLASH:
        key = (key ^ np.uint64(html[at])) * _PRIME
        at += 1
    slot = np.int64(key & np.uint64(511))
    while keys[slot] != 0:
        if keys[slot] == key:
            return at, np.int64(numbers[slot])
        slot = (slot + 1) & 511
    return at, np.int64(UNKNOWN)


@kernel
def _end_of_tag(html: Bytes, at: int) -> int:
    """The `>` of the tag whose name ends at `at`."""
    size = len(html)
    while at < size and html[at] != _GT:
        if html[at] == _SPACE or html[at] == _SLASH:
            at += 1
            continue
        at = _end_of_name(html, at, size)
        if at + 1 < size and html[at] == _EQUALS and html[at + 1] == _QUOTE:
            at = _find(html, at + 2, _QUOTE) + 1
    return min(at, size)


@kernel
def _close(html: Bytes, at: int, first: int, last: int, nests: bool) -> int:
    """Where the end tag is of the element whose name is at [first, last), of the outermost one where it nests."""
    depth, length = 1, last - first
    while at + length + 1 < len(html):
        if html[at] == _LT:
            closes = html[at + 1] == _SLASH
            if (closes or nests) and _same(html, at + 1 + closes, first, length):
                depth += -1 if closes else 1
                if depth == 0:
                    return at
        at += 1
    return len(html)


@kernel
def _same(html: Bytes, at: int, other: int, length: int) -> bool:
    if at + length > len(html):
        return False
    step = 0
    while step < length and html[at + step] == html[other + step]:
        step += 1
    return step == length


@kernel
def _contains(html: Bytes, begin: int, end: int, part: Bytes) -> bool:
    for at in range(begin, end - len(part) + 1):
        step = 0
        while step < len(part) and html[at + step] == part[step]:
            step += 1
        if step == len(part):
            return True
    return False
