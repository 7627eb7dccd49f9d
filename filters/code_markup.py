"""Markup among source code: the visible text of HTML, by one scan that builds no tree, and XML's header."""

import numba
import numpy as np
from numpy.typing import NDArray

from filters.segment import Bytes, Ints

XML_HEADER = np.frombuffer(b"<?xml version=", np.uint8)
XML_HEADER_WITHIN = 100
"""Characters at a text's beginning that the header has to lie in (bigcode-dataset, `filter_xml`)."""

HIDDEN = (np.frombuffer(b"script", np.uint8), np.frombuffer(b"style", np.uint8))
"""Elements whose content is no visible text (bigcode-dataset, `filter_html`)."""

LONGEST_REFERENCE = 33
"""Bytes of HTML's longest named character reference, from `&` to `;`."""

_kernel = numba.njit(cache=True, nogil=True)


@_kernel
def xml_headers(data: Bytes, offsets: Ints) -> NDArray[np.bool_]:
    """Whether `<?xml version=` stands within the first 100 characters of each text: bool[n]."""
    found = np.zeros(len(offsets) - 1, np.bool_)
    for text in range(len(found)):
        at, end, characters = offsets[text], offsets[text + 1], 0
        while at < end:
            characters += data[at] & 0xC0 != 0x80
            if characters + len(XML_HEADER) - 1 > XML_HEADER_WITHIN:
                break
            if _matches(data, at, end, XML_HEADER):
                found[text] = True
                break
            at += 1
    return found


@_kernel
def visible_characters(data: Bytes, offsets: Ints) -> Ints:
    """Characters of each text that are visible: int64[n].

    That is all but tags, comments, declarations and what is in script and style elements. White space counts; a
    character reference (`&amp;`, known or not) is one character. `<` opens a tag where a letter or `/` and a letter
    follow, a comment or declaration where `!` or `?` follows; else it is text. A tag ends at `>` outside quotes, which
    count behind `=`. What is not closed goes to the text's end, as in the HTML standard.
    """
    found = np.zeros(len(offsets) - 1, np.int64)
    for text in range(len(found)):
        at, end, total = offsets[text], offsets[text + 1], 0
        while at < end:
            byte = data[at]
            if byte == 0x3C:
                stop = _markup_end(data, at, end)
                if stop > at:
                    at = stop
                    continue
            elif byte == 0x26:
                at = _reference_end(data, at, end)
                total += 1
                continue
            total += byte & 0xC0 != 0x80
            at += 1
        found[text] = total
    return found


@_kernel
def _markup_end(data: Bytes, at: int, end: int) -> int:
    """The end of what the `<` at `at` opens; `at` where it opens nothing."""
    if at + 1 == end:
        return at
    sign = data[at + 1]
    if sign == 0x21 or sign == 0x3F:  # ! ?
        if at + 3 < end and sign == 0x21 and data[at + 2] == 0x2D and data[at + 3] == 0x2D:
            for i in range(at + 4, end - 2):
                if data[i] == 0x2D and data[i + 1] == 0x2D and data[i + 2] == 0x3E:
                    return i + 3
            return end
        return _behind(data, at, end, 0x3E)
    if sign == 0x2F:
        return _tag_end(data, at, end) if at + 2 < end and _is_letter(data[at + 2]) else at
    if not _is_letter(sign):
        return at
    stop = _tag_end(data, at, end)
    for name in HIDDEN:
        if _names(data, at + 1, end, name):
            return _hidden_end(data, stop, end, name)
    return stop


@_kernel
def _tag_end(data: Bytes, at: int, end: int) -> int:
    last = 0  # the last byte that was no white space
    while at < end:
        byte = data[at]
        if byte == 0x3E:
            return at + 1
        if last == 0x3D and (byte == 0x22 or byte == 0x27):
            at = _behind(data, at + 1, end, byte) - 1
        if byte > 0x20:
            last = byte
        at += 1
    return end


@_kernel
def _hidden_end(data: Bytes, at: int, end: int, name: NDArray[np.uint8]) -> int:
    """The end of the next end tag of that name."""
    while at < end:
        if data[at] == 0x3C and at + 1 < end and data[at + 1] == 0x2F and _names(data, at + 2, end, name):
            return _tag_end(data, at, end)
        at += 1
    return end


@_kernel
def _reference_end(data: Bytes, at: int, end: int) -> int:
    """The end of the character reference that begins at `at`; behind the ampersand where none does."""
    stop = at + 1
    if stop < end and data[stop] == 0x23:
        stop += 1
    begin = stop
    while stop < end and stop - at < LONGEST_REFERENCE - 1 and (_is_letter(data[stop]) or 0x30 <= data[stop] <= 0x39):
        stop += 1
    return stop + 1 if begin < stop < end and data[stop] == 0x3B else at + 1


@_kernel
def _names(data: Bytes, at: int, end: int, name: NDArray[np.uint8]) -> bool:
    """Whether a tag's name, in any case, is `name`."""
    if at + len(name) > end:
        return False
    for i in range(len(name)):
        if data[at + i] | 0x20 != name[i]:
            return False
    after = at + len(name)
    return after == end or data[after] <= 0x20 or data[after] == 0x2F or data[after] == 0x3E


@_kernel
def _matches(data: Bytes, at: int, end: int, mark: NDArray[np.uint8]) -> bool:
    if at + len(mark) > end:
        return False
    same = True
    for i in range(len(mark)):
        same &= data[at + i] == mark[i]
    return same


@_kernel
def _behind(data: Bytes, at: int, end: int, byte: int) -> int:
    while at < end and data[at] != byte:
        at += 1
    return min(at + 1, end)


@_kernel
def _is_letter(byte: int) -> bool:
    return 0x61 <= byte | 0x20 <= 0x7A
