"""Splitting UTF-8 into pre-tokens, as Oniguruma does by the patterns of `tokenizer.patterns`, on Arrow's own buffers.

Every pattern is an alternation, matched over and over from where the last match ended; every character is in some
match. A function here takes the place of the alternatives of one pattern, in their order, as a backtracking engine
tries them. No run of characters is looked at more than a fixed number of times, so the time is linear in the text even
where Oniguruma gives up (white space of more than ten million characters).
"""

from typing import Any

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tokenizer.character_classes import LETTER, LINE_END, LOWER, NUMBER, OTHER, SPACE, UPPER, character_classes
from tokenizer.patterns import check_pattern

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Number = int | np.integer[Any]

KERNELS = {"gpt2": 0, "digits1": 1, "digits2": 2, "digits3": 3, "cl100k": 3, "llama3": 3, "o200k": 4}
"""The number by which `next_end` knows a pattern; 1 to 3 are the most digits that stay together."""

_GPT2, _O200K = KERNELS["gpt2"], KERNELS["o200k"]
_BLANK, _APOSTROPHE, _SLASH = ord(" "), ord("'"), ord("/")
_D, _E, _L, _M, _R, _S, _T, _V = map(ord, "delmrstv")
_kernel = numba.njit(cache=True, nogil=True)


def split(text: str, pattern: str) -> list[str]:
    """The pre-tokens of a text; raises ValueError where no pattern has that name."""
    check_pattern(pattern)
    data = np.frombuffer(text.encode(), np.uint8)
    ends = _ends(data, character_classes(), KERNELS[pattern])
    return [bytes(data[start:end]).decode() for start, end in zip([0, *ends], ends)]


def buffers(texts: pa.Array) -> tuple[Bytes, Ints]:
    """The bytes of all texts (string or binary), and where each begins, int64[n + 1]; raises ValueError for a null."""
    if texts.null_count:
        raise ValueError(f"{texts.null_count} of {len(texts)} texts are null")
    texts = texts.cast(pa.large_binary())
    _, starts, values = texts.buffers()
    if not len(texts) or values is None or not values.size:
        return np.empty(0, np.uint8), np.zeros(len(texts) + 1, np.int64)
    return np.frombuffer(values, np.uint8), np.frombuffer(starts, np.int64, len(texts) + 1, texts.offset * 8)


@_kernel
def _ends(data: Bytes, classes: Bytes, pattern: Number) -> Ints:
    ends = np.empty(len(data), np.int64)
    count = 0
    at: Number = 0
    while at < len(data):
        at = ends[count] = next_end(data, at, len(data), classes, pattern)
        count += 1
    return ends[:count]


@_kernel
def next_end(data: Bytes, at: Number, end: Number, classes: Bytes, pattern: Number) -> Number:
    """Where the pre-token ends that begins at byte `at` of a text that ends at `end`; `at` < `end`.

    `data`: UTF-8. What is not UTF-8 is split somehow, but never beyond `end`.
    """
    if pattern == _GPT2:
        return _gpt2(data, at, end, classes)
    if pattern == _O200K:
        return _o200k(data, at, end, classes)
    return _cl100k(data, at, end, classes, pattern)


@_kernel
def _gpt2(data: Bytes, at: Number, end: Number, classes: Bytes) -> Number:
    after = _contraction(data, at, end, False)
    if after > at:
        return after
    begin = at + 1 if data[at] == _BLANK else at
    kind, width = _look(data, begin, end, classes)
    same = kind & (LETTER | NUMBER | OTHER)
    if same:
        return _run(data, begin + width, end, classes, same)
    return _white_space(data, at, end, classes, False)


@_kernel
def _cl100k(data: Bytes, at: Number, end: Number, classes: Bytes, digits: Number) -> Number:
    after = _contraction(data, at, end, True)
    if after > at:
        return after
    kind, width = _look(data, at, end, classes)
    if kind & LETTER:
        return _run(data, at + width, end, classes, LETTER)
    if kind & NUMBER:
        return _digits(data, at + width, end, classes, digits - 1)
    if not kind & LINE_END:
        following, more = _look(data, at + width, end, classes)
        if following & LETTER:
            return _run(data, at + width + more, end, classes, LETTER)
    begin = at + 1 if data[at] == _BLANK else at
    after = _run(data, begin, end, classes, OTHER)
    if after > begin:
        return _run(data, after, end, classes, LINE_END)
    return _white_space(data, at, end, classes, True)


@_kernel
def _o200k(data: Bytes, at: Number, end: Number, classes: Bytes) -> Number:
    kind, width = _look(data, at, end, classes)
    # A word may begin with one character that is no letter, number or line end; a mark may be that, or be in the word.
    begin = at if kind & (LINE_END | LETTER | NUMBER) else at + width
    after = _lower_word(data, begin, end, classes)
    if after == begin:
        begin = at
        after = _lower_word(data, begin, end, classes)
    if after == begin and kind & (LINE_END | NUMBER) == 0:
        begin = at if kind & LETTER else at + width
        after = _run(data, begin, end, classes, UPPER)
    if after > begin:
        return _contraction(data, after, end, True)
    if kind & NUMBER:
        return _digits(data, at + width, end, classes, 2)
    begin = at + 1 if data[at] == _BLANK else at
    after = _run(data, begin, end, classes, OTHER)
    if after > begin:
        while after < end and (data[after] == _SLASH or data[after] == 10 or data[after] == 13):
            after += 1
        return after
    return _white_space(data, at, end, classes, True)


@_kernel
def _lower_word(data: Bytes, at: Number, end: Number, classes: Bytes) -> Number:
    """The end of `UPPER*LOWER+`; `at` where that does not match.

    Where no lower letter follows the run of UPPER, it gives back characters until one of them is LOWER as well.
    """
    both, after = at, at
    while after < end:
        kind, width = _look(data, after, end, classes)
        if not kind & UPPER:
            break
        after += width
        if kind & LOWER:
            both = after
    lower = _run(data, after, end, classes, LOWER)
    return lower if lower > after else both


@_kernel
def _white_space(data: Bytes, at: Number, end: Number, classes: Bytes, lines: bool) -> Number:
    r"""The end of `\s*[\r\n]+|\s+(?!\S)|\s+`, without the first where not `lines`, at white space."""
    after, last, line = at, at, at
    while after < end:
        kind, width = _look(data, after, end, classes)
        if not kind & SPACE:
            break
        last = after
        after += width
        if kind & LINE_END:
            line = after
    if lines and line > at:
        return line
    return after if after == end or last == at else last


@_kernel
def _digits(data: Bytes, at: Number, end: Number, classes: Bytes, most: Number) -> Number:
    """The end of up to `most` numbers."""
    for _ in range(most):
        kind, width = _look(data, at, end, classes)
        if not kind & NUMBER:
            break
        at += width
    return at


@_kernel
def _contraction(data: Bytes, at: Number, end: Number, folded: bool) -> Number:
    """The end of `'s|'t|'re|'ve|'m|'ll|'d`, in any case where `folded`; `at` where there is none.

    In any case, s is U+017F as well (ſ, C5 BF in UTF-8). None of the others has a third form.
    """
    if at + 1 >= end or data[at] != _APOSTROPHE:
        return at
    case = 0x20 if folded else 0  # sets the bit by which small letters of ASCII differ, and makes no other a letter
    first = data[at + 1] | case
    if first in (_S, _T, _M, _D):
        return at + 2
    if at + 2 >= end:
        return at
    second = data[at + 2] | case
    if (first in (_R, _V) and second == _E) or (first == _L and second == _L):
        return at + 3
    if folded and data[at + 1] == 0xC5 and data[at + 2] == 0xBF:
        return at + 3
    return at


@_kernel
def _run(data: Bytes, at: Number, end: Number, classes: Bytes, kinds: Number) -> Number:
    """The end of the characters from `at` on that are of one of `kinds`."""
    while at < end:
        kind, width = _look(data, at, end, classes)
        if not kind & kinds:
            break
        at += width
    return at


@_kernel
def _look(data: Bytes, at: Number, end: Number, classes: Bytes) -> tuple[Number, Number]:
    """The classes of the character at byte `at`, and its width in bytes; 0 and 0 at the end."""
    if at >= end:
        return 0, 0
    if data[at] < 0x80:
        return np.int64(classes[data[at]]), 1
    return _look_beyond_ascii(data, at, end, classes)


@_kernel
def _look_beyond_ascii(data: Bytes, at: Number, end: Number, classes: Bytes) -> tuple[Number, Number]:
    lead = np.int64(data[at])
    width = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if at + width > end:
        return OTHER, end - at
    point = (lead & (0xFF >> (width + 1))) << 6 | (data[at + 1] & 0x3F)
    if width > 2:
        point = point << 6 | (data[at + 2] & 0x3F)
    if width > 3:
        point = point << 6 | (data[at + 3] & 0x3F)
    return np.int64(classes[min(point, 0x10FFFF)]), width
