"""What makes texts alike that differ in form only: normalization forms, ASCII punctuation, accents, case.

Each function returns the text and how many of its characters were replaced.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache
from typing import Literal

_LONGEST_MARK_RUN = 30
_GRAPHEME_JOINER = "\u034f"

_PLAIN = {"'": "‘’‚‛´′‹›", '"': "“”„‟″«»", "-": "‐‑‒–—―−", "...": "…"}
# Marks behind a Latin or Greek letter, in NFD. In other scripts a mark makes another letter (й), or is a vowel.
_ACCENTS = re.compile(
    "(?<=[A-Za-z\xaa-\u02af\u0370-\u03ff\u1d00-\u1dbf\u2c60-\u2c7f\ua720-\ua7ff\uab30-\uab6f])"
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)


def plain_punctuation(text: str) -> tuple[str, int]:
    """``‘’‚‛´′‹› “”„‟″«» ‐‑‒–—―− …`` as ``' " - ...``; full-width and other scripts' punctuation stays."""
    changed = 0
    for plain, chars in _PLAIN.items():
        for char in chars:
            changed += text.count(char)
            text = text.replace(char, plain)
    return text, changed


def formed(text: str, form: Literal["NFC", "NFD", "NFKC"]) -> tuple[str, int]:
    """The text in a normalization form (Unicode Standard Annex 15)."""
    if unicodedata.is_normalized(form, text):
        return text, 0
    formed = unicodedata.normalize(form, _mark_floods().sub(rf"\g<0>{_GRAPHEME_JOINER}", text))
    return formed, _replaced(text, formed)


@cache
def _mark_floods() -> re.Pattern[str]:
    """Thirty marks of a non-zero combining class, or what NFKC makes marks of, with another one behind them."""
    marks = "".join(chr(code) for code in range(0x300, 0x110000) if unicodedata.combining(chr(code)))
    return re.compile(f"[{marks}\uff9e\uff9f]{{{_LONGEST_MARK_RUN}}}(?=[{marks}\uff9e\uff9f])")


def without_accents(text: str) -> tuple[str, int]:
    """The text, in NFC, without the marks on Latin and Greek letters; the count is of letters."""
    if text.isascii():
        return text, 0
    kept, changed = _ACCENTS.subn("", formed(text, "NFD")[0])
    return (unicodedata.normalize("NFC", kept), changed) if changed else (text, 0)


def lower(text: str) -> tuple[str, int]:
    """The text in lower case, by Unicode's full mapping."""
    small = text.lower()
    return small, 0 if small == text else _replaced(text, small)


def _replaced(before: str, after: str) -> int:
    """How many characters of a text are not in what became of it."""
    return (Counter(before) - Counter(after)).total()
