"""Bytes to text: which encoding, and how it was found out."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

# Longest first: a UTF-32 mark begins with a UTF-16 one.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
FALLBACK = "cp1252"
# A text declared to be UTF-8 whose broken bytes are at most this share of its bytes beyond ASCII is damaged UTF-8,
# not another encoding: in other encodings nearly every letter beyond ASCII breaks.
DAMAGE = 0.1
_NOTATIONS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "utf_7"})
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text, the Python name of its encoding, and what told it: bom, utf-8, detected, fallback, or who declared it."""

    text: str
    charset: str
    found: str


def decode(data: bytes, *declared: tuple[str, str | None]) -> Decoded:
    """Decode by byte order mark, strict UTF-8, the declared encodings in order, detection (uchardet), Windows-1252.

    `declared` are pairs of who says so and the label, as the WHATWG Encoding Standard maps it (so Latin-1 means
    Windows-1252). Valid UTF-8 goes before declarations, since text in another encoding is hardly ever valid UTF-8,
    while mislabelled UTF-8 is common; only 7-bit encodings (ISO-2022) have to be declared to be seen. Never raises.
    """
    for mark, charset in MARKS:
        if data.startswith(mark):
            return Decoded(data[len(mark) :].decode(charset, "replace"), charset, "bom")
    labels = [(who, codec) for who, label in declared if label and (codec := codec_of(label))]
    if wide := _wide(data):
        return Decoded(data.decode(wide, "replace"), wide, "detected")
    for who, codec in labels:
        if codec.startswith("iso2022") and b"\x1b" in data:
            return Decoded(data.decode(codec, "replace"), codec, who)
    try:
        return Decoded(data.decode(), "utf-8", next((who for who, codec in labels if codec == "utf-8"), "utf-8"))
    except UnicodeDecodeError:
        pass
    detected = detect_encoding(data, html5_compatible=False)
    guesses = [*labels, ("detected", codec_of(detected) if detected else None)]
    for who, guess in guesses:
        if guess == "utf-8":
            text = data.decode("utf-8", "replace")
            if text.count("\ufffd") <= DAMAGE * len(_BEYOND_ASCII.findall(data)):
                return Decoded(text, "utf-8", who)
        elif guess:
            try:
                return Decoded(data.decode(guess), guess, who)
            except UnicodeError:
                continue
    # Nothing fits throughout: what is declared goes before guesses.
    who, guess = next(((who, guess) for who, guess in guesses if guess not in (None, "utf-8")), ("fallback", FALLBACK))
    assert guess is not None
    return Decoded(data.decode(guess, "replace"), guess, who)


def codec_of(label: str) -> str | None:
    """The Python codec of an encoding's label, as web browsers read labels; None where there is none."""
    name = map_encoding_to_html5(label.strip().strip("\"'"), fallback_utf8=False) or label.strip()
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    # rot13 and base64 do not make text of bytes; the others are notations, not encodings of documents.
    return info.name if info._is_text_encoding and info.name.replace("-", "_") not in _NOTATIONS else None


def _wide(data: bytes) -> str | None:
    """UTF-16 without a mark: mostly Latin text, so that nearly every other byte is zero."""
    head = data[:2000]
    if len(head) < 4 or b"\0" not in head:
        return None
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if odd > 0.7 * half and even < 0.1 * half:
        return "utf-16-le"
    if even > 0.7 * half and odd < 0.1 * half:
        return "utf-16-be"
    return None
