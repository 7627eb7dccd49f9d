"""Unicode normalization: the one form in which prose enters a corpus, and the little that is done to source code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from filters import folding, invisible, mojibake
from filters.glance import BREAKS, LINES, MARK, PRIVATE, REMOVED, SPACES, SURROGATE, TRAILING, Glance, glance

_NARROW_SPACE = re.compile("(?<![\u1800-\u18aa])\u202f")
_BLANK_LINES = re.compile("\n{3,}")

_WHITE_SPACE = {"line_ends", "spaces", "lines"}
_TURNS = 8  # as often is a repaired text repaired: more than twice is needed only by what was made for it

Step = Callable[[str], tuple[str, int]]


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
            before, seen = text, glance(text)
            if turn and not seen.suspects and counts.keys() <= idle:
                return text, counts
            for name, step in (*self._steps(seen, give_up=turn >= _TURNS), ("lines", _plain_lines)):
                if step is _plain_lines and text == before and not seen.kinds & LINES:
                    break  # most texts: to go through their lines again is dear
                text, changed = step(text)
                if changed:
                    counts[name] = counts.get(name, 0) + changed
            turn += 1
            if text == before or (not seen.suspects and counts.keys() <= _WHITE_SPACE):
                return text, counts

    def _steps(self, seen: Glance, *, give_up: bool) -> Iterator[tuple[str, Step]]:
        """The steps before `lines` that have something to do in a text that looks like this."""
        if seen.kinds & SURROGATE:
            yield "surrogates", _without_surrogates
        if self.mojibake and seen.suspects:
            yield "mojibake", partial(mojibake.repair, suspects=seen.suspects, give_up=give_up)
        if found := seen.odd & REMOVED:
            yield "controls", partial(_without, chars=found)
        if found := seen.odd & BREAKS:
            yield "line_ends", partial(_plain_line_ends, breaks=found)
        if found := seen.odd & SPACES:
            yield "spaces", partial(_plain_spaces, spaces=found)
        if self.private_use and seen.kinds & PRIVATE:
            yield "private_use", invisible.without_private_use
        if self.directions and seen.odd & invisible.DIRECTIONS:
            yield "directions", invisible.without_directions
        if self.zero_width and (found := seen.odd & invisible.ZERO_WIDTH):
            yield "zero_width", partial(invisible.without_zero_width, found=found)
        if self.punctuation:
            yield "punctuation", folding.plain_punctuation
        if self.form != "NFC" or seen.kinds & MARK:
            yield "form", partial(folding.formed, form=self.form)
        if self.accents:
            yield "accents", folding.without_accents
        if self.lower:
            yield "lower", folding.lower


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
    if any(char + "\n" in plain for char in TRAILING):
        plain = "\n".join([line.rstrip() for line in plain.split("\n")])
    if "\n\n\n" in plain:
        plain = _BLANK_LINES.sub("\n\n", plain)
    plain = plain.strip("\n")
    return plain, len(text) - len(plain)
