"""One glance at a text says which steps of `filters.normalize` have something to do in it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from filters import invisible, mojibake

BREAKS = frozenset("\r\x0b\x0c\x85\u2028\u2029")
SPACES = frozenset("\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f")
_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {*map(ord, BREAKS | {"\n", "\t"})}
_NONCHARACTERS = {*range(0xFDD0, 0xFDF0), *(plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF))}
REMOVED = frozenset(map(chr, {*_CONTROLS, *_NONCHARACTERS, 0xFEFF}))
# What is left at a line's end of all white space, once other steps have made it plain.
TRAILING = " \t\u3000\u202f"

# What a character may need, as bits of a table. The last is no character's: that lines have something to tidy.
_TRAIL, _LEAD, _WIDE, _HIT, _ODD, PRIVATE, MARK, SURROGATE, LINES = (1 << bit for bit in range(9))
# Of the common characters, those that NFC neither changes nor joins to what stands before them.
STABLE = ((0, 0x2FF), (0x2002, 0x20CF), (0x3001, 0x3029), (0x3030, 0x3098), (0x309B, 0xA66E), (0xAC00, 0xD7A3))
_BLOCK = 1 << 16  # characters looked at in one go: small enough for the cache

Codes = NDArray[np.uint32]


class Glance(NamedTuple):
    """What was seen in a text."""

    kinds: int = 0  # PRIVATE, MARK, SURROGATE, LINES
    odd: frozenset[str] = frozenset()  # characters that may go, or become white space
    suspects: tuple[int, ...] = ()  # places that may be mojibake, ascending


def glance(text: str) -> Glance:
    """What there may be to do in `text`."""
    kinds, odd, suspects, table = 0, set[str](), list[int](), _table()
    for start in range(0, len(text), _BLOCK):
        piece = text[start : start + _BLOCK + 2]  # what follows a lead is looked at with it
        codes = np.frombuffer(piece.encode("utf-32-le", "surrogatepass"), np.uint32)
        seen, suspected = _seen(codes, table)
        if seen & _ODD:
            odd.update(map(chr, codes[table.take(codes) & _ODD != 0].tolist()))
        if suspected:
            suspects += [start + place for place in _suspects(table.take(codes))]
        kinds |= seen
    if text and (text[0] == "\n" or text[-1] == "\n" or text[-1] in TRAILING):
        kinds |= LINES
    return Glance(kinds, frozenset(odd), tuple(suspects))


@numba.njit(cache=True, nogil=True)
def _seen(codes: Codes, table: NDArray[np.uint8]) -> tuple[int, bool]:
    """All bits of a text's characters together, and whether any place in it may be mojibake."""
    kinds = 0
    before_last = last = 0  # bits of the two characters before
    breaks = 0  # line ends in a row
    white = suspected = False
    for code in codes:
        bits = table[code]
        kinds |= bits
        suspected |= bits & _HIT != 0
        if bits & _TRAIL:
            narrow = last & _LEAD and not last & _WIDE
            wide = before_last & _WIDE and last & _TRAIL
            suspected |= narrow or wide
        before_last, last = last, bits
        if code == 0x0A:
            breaks += 1
            if white or breaks > 2:
                kinds |= LINES
            white = False
        else:
            breaks = 0
            white = code == 0x20 or code == 0x09 or code == 0x3000 or code == 0x202F
    return kinds, suspected


def _suspects(kinds: NDArray[np.uint8]) -> list[int]:
    """Where a text of these n kinds may be mojibake: positions, ascending."""
    places: NDArray[np.intp] = np.flatnonzero(kinds[:-1] >> 1 & kinds[1:] & _TRAIL)
    if len(places):
        after_next = np.minimum(places + 2, len(kinds) - 1)
        places = places[(kinds[places] & _WIDE == 0) | (places + 2 == after_next) & (kinds[after_next] & _TRAIL != 0)]
    return np.union1d(places, np.flatnonzero(kinds & _HIT)).tolist()


@cache
def _table() -> NDArray[np.uint8]:
    """The bits of each code point: uint8[0x110000]."""
    table = np.full(0x110000, MARK, np.uint8)
    for first, last in STABLE:
        table[first : last + 1] = 0
    for bit, chars in (
        (_TRAIL, mojibake.TRAIL),
        (_LEAD, mojibake.LEAD | mojibake.WIDE_LEAD),
        (_WIDE, mojibake.WIDE_LEAD - mojibake.LEAD),  # needs two trails
        (_HIT, mojibake.HIT),
        (_ODD, REMOVED | BREAKS | SPACES | invisible.DIRECTIONS | invisible.ZERO_WIDTH),
    ):
        table[[*map(ord, chars)]] |= bit
    for bit, ranges in ((PRIVATE, invisible.PRIVATE), (SURROGATE, ((0xD800, 0xDFFF),))):
        for first, last in ranges:
            table[first : last + 1] |= bit
    return table
