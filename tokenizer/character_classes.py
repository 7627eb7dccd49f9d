"""What kind of character each code point is, to the regular expressions of `tokenizers`.

The split kernel must split where Oniguruma, the engine inside `tokenizers`, does, whose Unicode version is neither
Python's nor that of Arrow. So `tokenizers` was asked for the class of every code point, once; the answer is kept as the
places where it changes. A test asks again and compares all of them.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LETTER, NUMBER, SPACE, OTHER, LINE_END, UPPER, LOWER = (1 << bit for bit in range(7))
"""Exactly one of the first four; LINE_END with SPACE; UPPER, LOWER, or both, with LETTER, and both for marks. What is
no character, a surrogate, is OTHER."""

EXPRESSIONS = {
    LETTER: r"\p{L}",
    NUMBER: r"\p{N}",
    SPACE: r"\s",
    OTHER: r"[^\s\p{L}\p{N}]",
    LINE_END: r"[\r\n]",
    UPPER: r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]",
    LOWER: r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]",
}
"""The character classes that the patterns of `tokenizer.patterns` are made of."""

CODE_POINTS = 0x110000
_TABLE = Path(__file__).with_name("character_classes.npy")  # uint32: first code point of a run << 8 | its classes
_PART = 1 << 16  # code points asked at once: `tokenizers` needs over 100 bytes for each byte of text


@lru_cache(maxsize=1)
def character_classes() -> NDArray[np.uint8]:
    """The classes of each code point, uint8[0x110000], as sums of the constants above."""
    table = np.load(_TABLE)
    starts = table >> 8
    return np.repeat((table & 0xFF).astype(np.uint8), np.diff(starts, append=CODE_POINTS))


def packed(classes: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """What the table's file holds, for the classes of each code point."""
    starts = np.flatnonzero(np.diff(classes, prepend=~classes[:1]))
    return ((starts << 8) | classes[starts]).astype(np.uint32)


def ask() -> NDArray[np.uint8]:
    """The classes of each code point according to the `tokenizers` that is installed; takes some seconds."""
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    classes = np.zeros(CODE_POINTS, np.uint8)
    classes[0xD800:0xE000] = OTHER
    points = np.array([*range(0xD800), *range(0xE000, CODE_POINTS)])
    for bit, expression in EXPRESSIONS.items():
        runs = Split(Regex(expression + "+"), behavior="removed", invert=True)
        for first in range(0, len(points), _PART):
            part = points[first : first + _PART]
            for _, (start, end) in runs.pre_tokenize_str("".join(map(chr, part))):
                classes[part[start:end]] |= bit
    return classes
