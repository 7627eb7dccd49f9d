"""What a block's text is like: counts that mean the same in all scripts, as far as there is such a thing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.extraction.blocks import Blocks
from pipelines.ingest.extraction.tokens import Bytes, kernel

_NAMES = "size words letters upper digits numbers ends commas marks quotes first last hash"
COUNTS = _NAMES.split()
"""Columns of `measure`. `size` is characters but white space, one of Chinese, Japanese and Korean writing counting
twice; `words` runs of letters and digits, or half the characters of those; `numbers` runs of digits; `ends` and
`commas` punctuation of sentences; `marks` what separates links and labels; `first` and `last` kinds of character
(CLASS); `hash` tells equal texts, whatever their case and white space."""
SIZE, WORDS, LETTERS, UPPER, DIGITS, NUMBERS, ENDS, COMMAS, MARKS, QUOTES, FIRST, LAST, HASH = range(len(COUNTS))
SMALL_LETTER, UPPER_LETTER, DIGIT, END, COMMA, MARK, QUOTE, OTHER, WHITE, WIDE = range(1, 11)
_PRIME = np.int64(1_000_003)


def _classes() -> NDArray[np.uint8]:
    """CLASS of the first 2^16 code points; beyond, all are letters or pictures."""
    table = np.full(0x10000, SMALL_LETTER, np.uint8)
    for begin, end in ((0, 0x80), (0x80, 0xC0), (0x2000, 0x2C00), (0x3000, 0x3040), (0xFE10, 0xFE70), (0xFF00, 0xFF10)):
        table[begin:end] = OTHER
    table[[0xD7, 0xF7]] = OTHER
    for kind, chars in (
        (END, ".!?…。！？｡．؟۔।॥։።፧၊။។៕"),
        (COMMA, ",;:，、；：،؛՝፣､"),
        (MARK, "|»«›‹•·/>→←↑↓▸►▼▲★☆–©®™+*=#&@_~\\^<[]{}●○■□◆✓✔"),
        (QUOTE, "\"'“”„‘’‚()「」『』（）《》〈〉"),
        (WHITE, " \t\n\v\f\r\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u2028"
                "\u2029\u202f\u205f\u3000\ufeff"),
    ):  # fmt: skip
        for char in chars:
            table[ord(char)] = kind
    for point in range(0x10000):
        char = chr(point)
        if char.isdecimal():
            table[point] = DIGIT
        elif point < 0x2000 and char.isupper():
            table[point] = UPPER_LETTER
        elif char.isascii() and char.islower():
            table[point] = SMALL_LETTER
    table[0x2E80:0x2FE0] = table[0x3040:0x3100] = table[0x3400:0x4DC0] = table[0x4E00:0xA000] = WIDE
    table[0xAC00:0xD7B0] = table[0xF900:0xFB00] = WIDE
    return table


CLASS = _classes()


@kernel
def measure(blocks: Blocks, classes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """int64[blocks, len(COUNTS)]: the counts of each block."""
    counts = np.zeros((len(blocks.begin), 13), np.int64)
    for block in range(len(blocks.begin)):
        _count(blocks.text, blocks.begin[block], blocks.end[block], classes, counts[block])
    return counts


@kernel
def _count(text: Bytes, at: int, end: int, classes: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    before, wide = np.int64(WHITE), 0
    while at < end:
        point, at = decode(text, at, end)
        kind = np.int64(classes[point]) if point < 0x10000 else np.int64(SMALL_LETTER)
        if kind == WHITE:
            before = kind
            continue
        if counts[SIZE] == 0:
            counts[FIRST] = kind
        counts[LAST] = kind
        counts[SIZE] += 1
        folded = point + 32 if kind == UPPER_LETTER else point  # right for ASCII, Greek and Cyrillic, near enough else
        counts[HASH] = counts[HASH] * _PRIME + folded
        is_wordy = kind <= DIGIT
        counts[LETTERS] += kind <= UPPER_LETTER or kind == WIDE
        counts[UPPER] += kind == UPPER_LETTER
        counts[DIGITS] += kind == DIGIT
        counts[NUMBERS] += kind == DIGIT and before != DIGIT
        counts[WORDS] += is_wordy and before > DIGIT
        counts[ENDS] += kind == END and before != END
        counts[COMMAS] += kind == COMMA
        counts[MARKS] += kind == MARK
        counts[QUOTES] += kind == QUOTE
        wide += kind == WIDE
        before = kind
    counts[SIZE] += wide
    counts[WORDS] += (wide + 1) // 2


@kernel
def decode(text: Bytes, at: int, end: int) -> Any:
    """The code point at `at`, and where the next is; bytes that are no UTF-8 count as Latin-1."""
    first = np.int64(text[at])
    if first < 0xC0 or at + 1 >= end:
        return first, at + 1
    second = np.int64(text[at + 1]) & 63
    if first < 0xE0:
        return (first & 31) << 6 | second, at + 2
    if at + 2 >= end:
        return first, at + 1
    third = np.int64(text[at + 2]) & 63
    if first < 0xF0:
        return (first & 15) << 12 | second << 6 | third, at + 3
    if at + 3 >= end:
        return first, at + 1
    return (first & 7) << 18 | second << 12 | third << 6 | np.int64(text[at + 3]) & 63, at + 4
