"""Comments in source code, found by kernels that know strings: a `#` in a string is no comment.

One walk over the text from token to token: comments, strings and what else a syntax gives a meaning (see
`filters.code_syntax`). A string that its line does not close ends with the line, so a quote that was misread costs one
line; what goes over lines (block comments, tripled quotes, template strings) and is not closed goes to the text's end.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from filters.code_strings import _back_over_blanks, _is_letter, _string
from filters.code_syntax import BLOCKS, FIRST, LINES, NESTED, POD, SPACED, STATEMENTS, packed
from filters.segment import Bytes, Ints

_kernel = numba.njit(cache=True, nogil=True)
_inline = numba.njit(cache=True, nogil=True, inline="always")


def comment_characters(data: Bytes, offsets: Ints, syntaxes: Ints) -> Ints:
    """Characters of each text that stand in comments, their marks included: int64[n].

    The texts are `data[offsets[i]:offsets[i + 1]]`, UTF-8; `syntaxes` int64[n] are positions in
    `filters.code_syntax.SYNTAXES`, -1 for none (0 characters then). The line break after a line comment does not
    count. In Python, a string that is a statement of its own counts, from quote to quote.
    """
    return _comments(data, offsets, syntaxes, *packed())


@_kernel
def _comments(
    data: Bytes,
    offsets: Ints,
    syntaxes: Ints,
    special: NDArray[np.bool_],
    quotes: NDArray[np.uint8],
    triple: NDArray[np.bool_],
    marks: NDArray[np.uint8],
    sizes: Ints,
    flags: Ints,
) -> Ints:
    found = np.zeros(len(syntaxes), np.int64)
    for text in range(len(syntaxes)):
        syntax = syntaxes[text]
        if syntax < 0:
            continue
        begin, end, depth = offsets[text], offsets[text + 1], 0
        meant = special[syntax]
        at = begin
        while at < end:
            byte = data[at]
            if not meant[byte]:
                at += 1
                continue
            stop = _comment(data, begin, at, end, marks[syntax], sizes[syntax], flags[syntax])
            is_comment = stop > at
            if not is_comment:
                stop = _string(data, begin, at, end, quotes[syntax], triple[syntax], flags[syntax])
                if flags[syntax] & STATEMENTS:
                    if stop > at + 1:
                        is_comment = depth == 0 and _is_statement(data, begin, at, stop, end)
                    elif byte == 0x28 or byte == 0x5B or byte == 0x7B:  # ( [ {
                        depth += 1
                    elif depth > 0:
                        depth -= 1
            if is_comment:
                for i in range(at, stop):
                    found[text] += data[i] & 0xC0 != 0x80
            at = stop
    return found


@_kernel
def _comment(data: Bytes, begin: int, at: int, end: int, marks: NDArray[np.uint8], sizes: Ints, flags: int) -> int:
    """The end of the comment that begins at `at`; `at` where none does."""
    for block in range(LINES, LINES + BLOCKS):
        if sizes[block] and _matches(data, at, end, marks[block], sizes[block]):
            closer = block + BLOCKS
            return _block_end(data, at, end, marks[block], sizes[block], marks[closer], sizes[closer], flags & NESTED)
    if flags & POD and data[at] == 0x3D and at + 1 < end and _is_letter(data[at + 1]) and _starts_line(data, begin, at):
        return _pod_end(data, at, end)
    for line in range(LINES):
        if sizes[line] and _matches(data, at, end, marks[line], sizes[line]):
            if flags & SPACED and at > begin and data[at - 1] > 0x20:
                continue
            if flags & FIRST and not _starts_line(data, begin, _back_over_blanks(data, begin, at)):
                continue
            return _line_end(data, at, end)
    return at


@_kernel
def _block_end(
    data: Bytes,
    at: int,
    end: int,
    opener: NDArray[np.uint8],
    opener_size: int,
    closer: NDArray[np.uint8],
    closer_size: int,
    nested: int,
) -> int:
    depth = 1
    at += opener_size
    while at < end:
        if data[at] == closer[0] and _matches(data, at, end, closer, closer_size):
            at += closer_size
            depth -= 1
            if depth == 0:
                return at
        elif nested and data[at] == opener[0] and _matches(data, at, end, opener, opener_size):
            at += opener_size
            depth += 1
        else:
            at += 1
    return end


@_kernel
def _pod_end(data: Bytes, at: int, end: int) -> int:
    """The end of the line that begins with =cut or =end."""
    while at < end:
        stop = _line_end(data, at, end)
        if stop - at >= 4 and data[at] == 0x3D:
            word = (data[at + 1], data[at + 2], data[at + 3])
            if word == (0x63, 0x75, 0x74) or word == (0x65, 0x6E, 0x64):
                return stop
        at = stop + 1
    return end


@_kernel
def _is_statement(data: Bytes, begin: int, at: int, stop: int, end: int) -> bool:
    """Whether the string `data[at:stop]`, with a prefix of r or u, is all that its line holds beside a comment."""
    left = at
    while left > begin and left > at - 2 and data[left - 1] | 0x20 in (0x72, 0x75):
        left -= 1
    left = _back_over_blanks(data, begin, left)
    if left > begin:
        if data[left - 1] != 0x0A:
            return False
        left -= 2 if left - 2 >= begin and data[left - 2] == 0x0D else 1
        if left > begin and data[left - 1] == 0x5C:
            return False
    while stop < end and (data[stop] == 0x20 or data[stop] == 0x09):
        stop += 1
    return stop == end or data[stop] in (0x0A, 0x0D, 0x23)


@_inline
def _matches(data: Bytes, at: int, end: int, mark: NDArray[np.uint8], size: int) -> bool:
    if at + size > end:
        return False
    same = True
    for i in range(size):
        same &= data[at + i] == mark[i]
    return same


@_inline
def _starts_line(data: Bytes, begin: int, at: int) -> bool:
    return at == begin or data[at - 1] == 0x0A


@_kernel
def _line_end(data: Bytes, at: int, end: int) -> int:
    while at < end and data[at] != 0x0A and data[at] != 0x0D:
        at += 1
    return at
