"""Mojibake in a token: UTF-8 that was read as CP1252 or Latin-1, so that "é" has become "Ã©".

A suspect is a run of characters that stand for the bytes of one character beyond ASCII in UTF-8: in Latin-1 or in
CP1252, a lead byte and as many bytes from 0x80 to 0xBF as it asks for, nothing overlong and no surrogate. Some suspects
are sound text: `CAFÉ®`, `OLÉ”`, `Úžas`. So a suspect is mojibake where one of these holds:

    clear      one of its later characters neither ends words (quotes, dashes, ordinals, signs of trade marks, ...) nor
               is a letter of Czech or French
    runs       another suspect touches it
    capital    its lead is a capital behind a small letter
    Ã or Â     its lead is one of these, and no quote, dash or ellipsis follows

Besides these, `â€` always is: what is left of a quotation mark or a dash whose third byte was a control character. The
idea to ask what text of a wrong encoding looks like is ftfy's (Speer 2019), whose tables are finer.
"""

from functools import cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from filters.codepoints import CLASS_MASK, FOLD_SHIFT, LETTER
from filters.segment import Bytes, Table, code_point

ENDING = "‘’‚“”„‹›«»…–—"
"""Quotes, dashes and ellipsis: what may follow a capital in sound text, Ã and Â too."""
AMBIGUOUS = ENDING + "™®©°·•ªº¹²³¡¿§´¨¸ŠŒŽšœžŸ\xad"
"""These as well, but for Ã and Â."""

_BYTE, _ENDING, _AMBIGUOUS = 0xFF, 0x100, 0x200
_kernel = numba.njit(cache=True, nogil=True)


@cache
def byte_table() -> NDArray[np.int32]:
    """By code point up to U+2122: the byte from 0x80 that it stands for, else 0; flags: ends words, ambiguous."""
    table = np.zeros(0x2123, np.int32)
    table[0x80:0x100] = np.arange(0x80, 0x100)
    for byte in range(0x80, 0xA0):
        char = bytes([byte]).decode("cp1252", "ignore")
        if char:
            table[ord(char)] = byte
    table[[ord(char) for char in ENDING]] |= _ENDING
    table[[ord(char) for char in AMBIGUOUS]] |= _AMBIGUOUS
    return table


@_kernel
def _entry(data: Bytes, at: int, end: int, units: Table) -> tuple[Any, int]:
    """The byte table's entry of the character at `at`, 0 behind the end, and where the next character begins."""
    if at >= end:
        return 0, at
    code, width = code_point(data, at, end)
    return (np.int64(units[code]) if code < len(units) else 0), at + width


@_kernel
def _suspect(data: Bytes, at: int, end: int, units: Table) -> tuple[int, bool, bool]:
    """Where the suspect at `at` ends, or `at`; whether it is clear; whether its second character ends words."""
    lead, spot = _entry(data, at, end, units)
    lead &= _BYTE
    more = 0
    if 0xC2 <= lead < 0xF5:
        more = 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3
    clear = ending = False
    for place in range(more):
        unit, spot = _entry(data, spot, end, units)
        byte = unit & _BYTE
        if not 0x80 <= byte < 0xC0:
            return at, False, False
        if place == 0:
            ending = unit & _ENDING != 0
            if (lead == 0xE0 and byte < 0xA0) or (lead == 0xF0 and byte < 0x90):
                return at, False, False
            if (lead == 0xED and byte >= 0xA0) or (lead == 0xF4 and byte >= 0x90):
                return at, False, False
        clear |= unit & _AMBIGUOUS == 0
    return (spot if more else at), clear, ending


@_kernel
def is_mojibake(data: Bytes, start: int, end: int, table: Table, units: Table) -> bool:
    """Whether a token `data[start:end]`, UTF-8, holds mojibake."""
    at, small, touched = start, False, False
    while at < end:
        code, width = code_point(data, at, end)
        if code == 0xE2 and _entry(data, at + width, end, units)[0] & _BYTE == 0x80:
            return True
        after, clear, ending = _suspect(data, at, end, units)
        capital = table[code] >> FOLD_SHIFT != 0
        if after > at:
            if clear or touched or (capital and small) or (not ending and (code == 0xC3 or code == 0xC2)):
                return True
            at, small, touched = after, False, True
        else:
            small = not capital and table[code] & CLASS_MASK == LETTER
            at, touched = at + width, False
    return False
