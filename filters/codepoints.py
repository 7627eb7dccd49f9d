"""What each Unicode code point is to the segmentation: one flat table, shipped with the package.

The table is a file, not Python's `unicodedata`, so that the same text has the same words under every Python. It is
made by `python -m filters.codepoints`, from the general categories and case foldings of `unicodedata` and from the
properties Script, Line_Break and Sentence_Terminal of the `regex` package.
"""

import sys
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

UNICODE = "14.0.0"
"""The Unicode version that the shipped table was made from."""

# Classes, in the entry's low four bits: from CONNECTOR up they begin words, from NUMBER up they are alphanumeric, from
# LETTER up alphabetic.
OTHER = 0
SPACE = 1  # what str.isspace says
APOSTROPHE = 2  # ' and ’
POINT = 3  # . and ,
EXTEND = 4  # M* and Cf: goes on with the word before it, starts none
CONNECTOR = 5  # Pc
NUMBER = 6  # N*
LETTER = 7  # L*, of a script that puts spaces between words
SINGLE = 8  # L*, of a script written without spaces: a word of its own

CLASS_MASK = 15
TERMINAL = 16  # flag: ends a sentence (Sentence_Terminal, or a closing quotation mark " ' ” ’)
FOLD_SHIFT = 8  # the bits above: folded code point minus code point

_FILE = Path(__file__).with_name("codepoints.npy")
_CODE_POINTS = sys.maxunicode + 1


@cache
def table() -> NDArray[np.int32]:
    """Class, flags and case folding of each code point: int32[0x110000], read-only.

    An entry is `(fold(c) - c) << FOLD_SHIFT | flags | class`. The fold is Unicode's simple case folding (the C and S
    lines of CaseFolding.txt); besides, İ folds to i and ’ to '.
    """
    runs = np.load(_FILE, allow_pickle=False)
    entries = np.repeat(runs[:, 1], np.diff(runs[:, 0], append=_CODE_POINTS))
    entries.flags.writeable = False
    return entries


def build() -> NDArray[np.int32]:
    """The table as runs of equal entries, by this Python's Unicode data: int32[runs, 2], first code point and entry."""
    import regex

    unspaced = regex.compile(r"[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{Line_Break=SA}]")
    terminal = regex.compile(r"[\p{Sentence_Terminal}\"'”’]")
    entries = np.empty(_CODE_POINTS, np.int32)
    for code in range(_CODE_POINTS):
        char = chr(code)
        assigned = unicodedata.category(char) != "Cn"
        flags = TERMINAL if assigned and terminal.match(char) else 0
        entries[code] = (_fold(char) - code) << FOLD_SHIFT | flags | _class(char, bool(unspaced.match(char)))
    starts = np.flatnonzero(np.diff(entries, prepend=entries[0] ^ 1))
    return np.stack([starts, entries[starts]], axis=1).astype(np.int32)


def _class(char: str, unspaced: bool) -> int:
    if char in "'’":
        return APOSTROPHE
    if char in ".,":
        return POINT
    if char.isspace():
        return SPACE
    category = unicodedata.category(char)
    if category == "Cf":
        return OTHER if char == "\u200b" else EXTEND  # the zero width space separates words in Khmer and Thai
    if (unspaced and (category[0] == "L" or category == "Nl")) or 0x20000 <= ord(char) <= 0x3FFFD:
        return SINGLE  # two planes are set aside for ideographs, assigned or not
    return {"L": LETTER, "N": NUMBER, "M": EXTEND}.get(category[0], CONNECTOR if category == "Pc" else OTHER)


def _fold(char: str) -> int:
    if char == "’":
        return ord("'")
    folded = char.casefold()
    return ord(folded if len(folded) == 1 else char.lower()[0])


if __name__ == "__main__":
    if unicodedata.unidata_version != UNICODE:
        sys.exit(f"this Python has Unicode {unicodedata.unidata_version}, the table is of {UNICODE}")
    np.save(_FILE, build())
