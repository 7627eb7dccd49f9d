"""Unicode normalization: the one form in which prose enters a corpus, and the little that is done to source code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from filters import folding, invisible, mojibake

_BREAKS = frozenset("\r\x0b\x0c\x85\u2028\u2029")
_SPACES = frozenset("\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f")
_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {*map(ord, _BREAKS | {"\n", "\t"})}
_NONCHARACTERS = {*range(0xFDD0, 0xFDF0), *(plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF))}
_REMOVED = frozenset(map(chr, {*_CONTROLS, *_NONCHARACTERS, 0xFEFF}))
_NARROW_SPACE = re.compile("(?<![\u1800-\u18aa])\u202f")
# What is left at a line's end of all white space, once the steps before have made it plain.
_TRAILING = (" \n", "\t\n", "\u3000\n", "\u202f\n")
_BLANK_LINES = re.compile("\n{3,}")

# What a character may need, as bits of a table: one look at a text says which steps have something to do in it.
_TRAIL, _LEAD, _WIDE, _HIT, _ODD, _PRIVATE, _MARK, _SURROGATE = (1 << bit for bit in range(8))
# Of the common characters, those that NFC neither changes nor joins to what stands before them.
STABLE = ((0, 0x2FF), (0x2002, 0x20CF), (0x3001, 0x3029), (0x3030, 0x3098), (0x309B, 0xA66E), (0xAC00, 0xD7A3))
_BLOCK = 1 << 16  # characters looked at in one go: small enough for the cache
_ODD_ASCII = bytes(code for code in range(0x80) if chr(code) in _REMOVED or chr(code) in _BREAKS)

_WHITE_SPACE = {"line_ends", "spaces", "lines"}
_TURNS = 8  # as often is a repaired text repaired: more than twice is needed only by what was made for it

Step = Callable[[str], tuple[str, int]]


class _Look(NamedTuple):
    """What was seen in a text."""

    kinds: int = 0
    odd: frozenset[str] = frozenset()  # characters that may go, or become white space
    suspects: tuple[int, ...] = ()  # places that may be mojibake, ascending


@dataclass(frozen=True, slots=True)
class Normalizer:
    r"""Normalizes prose (web pages, books, plain text). Idempotent; time is linear in the length of any text.

    The steps, in their order; each can be switched off that has an option of its name, and is off where this says so:

    - surrogates: a pair becomes its character, an unpaired one U+FFFD, since UTF-8 can hold neither.
    - mojibake: lines that were read in the wrong encoding are repaired; see `filters.mojibake`.
    - controls: control characters (general category Cc) other than tab and line ends, the noncharacters (U+FDD0 to
      U+FDEF, U+nFFFE, U+nFFFF) and U+FEFF, a byte order mark wherever it stands, go. None of them is text.
    - line_ends: CRLF, CR, VT, FF, NEL, U+2028 and U+2029 become ``\n``.
    - spaces: every other space (general category Zs) becomes U+0020. Two stay: the ideographic space U+3000, as wide
      as the letters around it, and U+202F behind a Mongolian letter, where it joins a suffix and changes the letters.
    - private_use, directions, zero_width: what shows nothing and belongs to no spelling goes; see `filters.invisible`.
    - punctuation (off): ASCII quotation marks, hyphens and dots; see `filters.folding`.
    - form: NFC, or NFKC, which also undoes what only looks different: full width, ligatures, superscripts (Unicode
      Standard Annex 15). Only where text is not in the form yet, marks beyond 30 in a row are first set apart by
      U+034F, as the annex's Stream-Safe Text Format does: to sort an endless run would take quadratic time.
    - accents (off): marks go from Latin and Greek letters: é becomes e; ø and ł, which hold none, stay.
    - lower (off): lower case, by Unicode's full mapping, without regard to the language.
    - lines: white space at the end of each line goes, of more than two line ends in a row two stay (one blank line),
      and the text neither begins with blank lines nor ends with a line end. Indentation stays.

    All are taken again while one of them has made work for an earlier one.
    """

    form: Literal["NFC", "NFKC"] = "NFC"
    mojibake: bool = True
    private_use: bool = True
    directions: bool = True
    zero_width: bool = True
    punctuation: bool = False
    accents: bool = False
    lower: bool = False

    def __call__(self, text: str) -> tuple[str, dict[str, int]]:
        """The normalized text, and how many characters each step removed or replaced, of those that did any."""
        counts: dict[str, int] = {}
        turn = 0
        # What makes no work for other steps: white space never does where nothing is suspicious, and of what NFC puts
        # together, only a letter that now looks like mojibake does.
        idle = _WHITE_SPACE | ({"form"} if self.form == "NFC" else set())
        while True:
            before, look = text, _look(text)
            if turn and not look.suspects and counts.keys() <= idle:
                return text, counts
            for name, step in self._steps(look, give_up=turn >= _TURNS):
                text, changed = step(text)
                if changed:
                    counts[name] = counts.get(name, 0) + changed
            turn += 1
            if text == before or (not look.suspects and counts.keys() <= _WHITE_SPACE):
                return text, counts

    def _steps(self, look: _Look, *, give_up: bool) -> Iterator[tuple[str, Step]]:
        """The steps that have something to do in a text that looks like this."""
        if look.kinds & _SURROGATE:
            yield "surrogates", _without_surrogates
        if self.mojibake and look.suspects:
            yield "mojibake", partial(mojibake.repair, suspects=look.suspects, give_up=give_up)
        if found := look.odd & _REMOVED:
            yield "controls", partial(_without, chars=found)
        if found := look.odd & _BREAKS:
            yield "line_ends", partial(_plain_line_ends, breaks=found)
        if found := look.odd & _SPACES:
            yield "spaces", partial(_plain_spaces, spaces=found)
        if self.private_use and look.kinds & _PRIVATE:
            yield "private_use", invisible.without_private_use
        if self.directions and look.odd & invisible.DIRECTIONS:
            yield "directions", invisible.without_directions
        if self.zero_width and (found := look.odd & invisible.ZERO_WIDTH):
            yield "zero_width", partial(invisible.without_zero_width, found=found)
        if self.punctuation:
            yield "punctuation", folding.plain_punctuation
        if self.form != "NFC" or look.kinds & _MARK:
            yield "form", partial(folding.formed, form=self.form)
        if self.accents:
            yield "accents", folding.without_accents
        if self.lower:
            yield "lower", folding.lower
        yield "lines", _plain_lines


_DEFAULT = Normalizer()


def normalize(text: str) -> str:
    """Prose as the default `Normalizer` leaves it."""
    return _DEFAULT(text)[0]


def normalize_code(text: str) -> str:
    """Source code as it is, but for surrogates: a pair becomes its character, an unpaired one U+FFFD.

    Anything else may be meant: tabs in a Makefile, a form feed in Emacs Lisp, a no-break space in a string literal.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _look(text: str) -> _Look:
    if text.isascii() and len(text.encode().translate(None, _ODD_ASCII)) == len(text):
        return _Look()
    kinds, odd, suspects, table = 0, set[str](), list[int](), _table()
    for start in range(0, len(text), _BLOCK):
        piece = text[start : start + _BLOCK + 2]  # what follows a lead is looked at with it
        codes = np.frombuffer(piece.encode("utf-32-le", "surrogatepass"), np.uint32)
        found = table.take(codes)
        seen = int(np.bitwise_or.reduce(found))
        if seen & _ODD:
            odd.update(map(chr, codes[found & _ODD != 0].tolist()))
        if seen & _HIT or (seen & _TRAIL and seen & _LEAD):
            suspects += [start + place for place in _suspects(found, seen)]
        kinds |= seen
    return _Look(kinds, frozenset(odd), tuple(suspects))


def _suspects(kinds: NDArray[np.uint8], seen: int) -> list[int]:
    """Where a text of these n kinds, all of them in `seen`, may be mojibake: positions, ascending."""
    places: NDArray[np.intp] = np.flatnonzero(kinds[:-1] >> 1 & kinds[1:] & _TRAIL)
    if len(places):
        after_next = np.minimum(places + 2, len(kinds) - 1)
        places = places[(kinds[places] & _WIDE == 0) | (places + 2 == after_next) & (kinds[after_next] & _TRAIL != 0)]
    if seen & _HIT:
        places = np.union1d(places, np.flatnonzero(kinds & _HIT))
    return places.tolist()


@cache
def _table() -> NDArray[np.uint8]:
    """The bits of each code point: uint8[0x110000]."""
    table = np.full(0x110000, _MARK, np.uint8)
    for first, last in STABLE:
        table[first : last + 1] = 0
    for bit, chars in (
        (_TRAIL, mojibake.TRAIL),
        (_LEAD, mojibake.LEAD | mojibake.WIDE_LEAD),
        (_WIDE, mojibake.WIDE_LEAD - mojibake.LEAD),  # needs two trails
        (_HIT, mojibake.HIT),
        (_ODD, _REMOVED | _BREAKS | _SPACES | invisible.DIRECTIONS | invisible.ZERO_WIDTH),
    ):
        table[[*map(ord, chars)]] |= bit
    for bit, ranges in ((_PRIVATE, invisible.PRIVATE), (_SURROGATE, ((0xD800, 0xDFFF),))):
        for first, last in ranges:
            table[first : last + 1] |= bit
    return table


def _without_surrogates(text: str) -> tuple[str, int]:
    return normalize_code(text), sum("\ud800" <= char <= "\udfff" for char in text)


def _without(text: str, chars: frozenset[str]) -> tuple[str, int]:
    size = len(text)
    for char in chars:
        text = text.replace(char, "")
    return text, size - len(text)


def _plain_line_ends(text: str, breaks: frozenset[str]) -> tuple[str, int]:
    changed = sum(map(text.count, breaks))
    if "\r" in breaks:
        text = text.replace("\r\n", "\n")
    for char in breaks:
        text = text.replace(char, "\n")
    return text, changed


def _plain_spaces(text: str, spaces: frozenset[str]) -> tuple[str, int]:
    text, changed = _NARROW_SPACE.subn(" ", text) if "\u202f" in spaces else (text, 0)
    for char in spaces - {"\u202f"}:
        changed += text.count(char)
        text = text.replace(char, " ")
    return text, changed


def _plain_lines(text: str) -> tuple[str, int]:
    plain = text + "\n"
    if any(trailing in plain for trailing in _TRAILING):  # few texts have any, and to split them all is dear
        plain = "\n".join([line.rstrip() for line in plain.split("\n")])
    if "\n\n\n" in plain:
        plain = _BLANK_LINES.sub("\n\n", plain)
    plain = plain.strip("\n")
    return plain, len(text) - len(plain)
