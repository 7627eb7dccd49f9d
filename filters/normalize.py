"""Unicode normalization: the one form in which prose enters a corpus, and the little that is done to source code."""

import re
import unicodedata
from functools import cache

import numpy as np

_BREAKS = "\r\x0b\x0c\x85\u2028\u2029"
_SPACES = "\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f"
_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {*map(ord, "\n\t" + _BREAKS)}
_NONCHARACTERS = {*range(0xFDD0, 0xFDF0), *(plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF))}
_REMOVED = frozenset(map(chr, {*_CONTROLS, *_NONCHARACTERS, 0xFEFF}))

_ODD = np.zeros(0x110000, np.bool_)  # the characters that any step before NFC touches
_ODD[[*map(ord, {*_REMOVED, *_BREAKS, *_SPACES})]] = True
_ODD_ASCII = bytes(code for code in range(0x80) if _ODD[code])
_BLOCK = 1 << 16  # characters looked at in one go: small enough for the cache

_NARROW_SPACE = re.compile("(?<![\u1800-\u18aa])\u202f")
_TRAILING = (" \n", "\t\n", "\u3000\n", "\u202f\n")
_BLANK_LINES = re.compile("\n{3,}")

_LONGEST_MARK_RUN = 30
_GRAPHEME_JOINER = "\u034f"


def normalize(text: str) -> str:
    r"""Normalize prose (web pages, books, plain text). Idempotent; time is linear in the length of any text.

    In this order, so that what one step joins the next still sees:

    1. Surrogates: a pair becomes its character, an unpaired one U+FFFD, since UTF-8 can hold neither.
    2. Removed: control characters (general category Cc) other than tab and line ends, the noncharacters (U+FDD0 to
       U+FDEF, U+nFFFE, U+nFFFF), and U+FEFF, a byte order mark wherever it stands. None of them is text.
    3. Line ends: CRLF, CR, VT, FF, NEL, U+2028 and U+2029 become ``\n``.
    4. White space: every other space (general category Zs) becomes U+0020. Two stay: the ideographic space U+3000, as
       wide as the letters around it (NFC keeps its full-width neighbours wide as well), and U+202F behind a Mongolian
       letter, where it joins a suffix and changes the letters' shapes.
    5. NFC (Unicode Standard Annex 15). Only where text is not in NFC yet, marks beyond 30 in a row are first set apart
       by U+034F, as the annex's Stream-Safe Text Format does: to sort an endless run would take quadratic time.
    6. Lines: white space at the end of each line goes, of more than two line ends in a row two stay (one blank line),
       and the text neither begins with blank lines nor ends with a line end. Indentation stays.

    U+200B, U+200C and U+200D stay: they belong to the spelling of Khmer, Persian, Hindi and many others.
    """
    text = _plain_space(normalize_code(text))
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", _mark_floods().sub(rf"\g<0>{_GRAPHEME_JOINER}", text))
    text += "\n"
    if any(trailing in text for trailing in _TRAILING):
        text = "\n".join([line.rstrip() for line in text.split("\n")])
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.strip("\n")


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


def _plain_space(text: str) -> str:
    """Steps 2 to 4: characters removed, line ends, white space. Few texts hold more than two or three of them."""
    odd = _odd_characters(text)
    for char in odd & _REMOVED:
        text = text.replace(char, "")
    if "\r" in odd:
        text = text.replace("\r\n", "\n")
    for char in odd.intersection(_BREAKS):
        text = text.replace(char, "\n")
    if "\u202f" in odd:
        text = _NARROW_SPACE.sub(" ", text)
        odd.remove("\u202f")
    for char in odd.intersection(_SPACES):
        text = text.replace(char, " ")
    return text


def _odd_characters(text: str) -> set[str]:
    if text.isascii() and len(text.encode().translate(None, _ODD_ASCII)) == len(text):
        return set()
    found: set[str] = set()
    for start in range(0, len(text), _BLOCK):
        codes = np.frombuffer(text[start : start + _BLOCK].encode("utf-32-le"), np.uint32)
        found.update(map(chr, codes[_ODD[codes]]))
    return found


@cache
def _mark_floods() -> re.Pattern[str]:
    """Thirty marks of a non-zero combining class, with another one behind them."""
    marks = "".join(chr(code) for code in range(0x300, 0x110000) if unicodedata.combining(chr(code)))
    return re.compile(f"[{marks}]{{{_LONGEST_MARK_RUN}}}(?=[{marks}])")
