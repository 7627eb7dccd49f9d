"""Bytes to text: which encoding, and how it was found out."""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass

import chardet
from resiliparse.parse.encoding import map_encoding_to_html5

# Longest first: a UTF-32 mark begins with a UTF-16 one.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
FALLBACK = "cp1252"
# A text whose bytes beyond ASCII are UTF-8 but for at most this share is damaged UTF-8, not another encoding: in other
# encodings nearly every letter beyond ASCII breaks.
DAMAGE = 0.1
HEAD = 4096  # bytes by which UTF-16 and UTF-32 without a mark are told
PLAUSIBLE = 0.98  # share of a text's characters that are letters, marks, digits, punctuation, symbols or white space
DETECTED_ON = 24_000  # bytes of a longer text that are shown to the detector, in WINDOWS pieces from all of it
WINDOWS = 32
PIECES = 12  # in which a sample is shown again that may be damaged
LINE = 2_000  # bytes before and behind a place within which its line must begin and end
# Where the standard's encoding of a name is larger than Python's of that name: the codec that reads all of it.
_LARGER = {"shift_jis": "cp932", "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "big5": "big5hkscs"}
# All but the encodings of mainframes, in which no file of today is written.
_ERAS = chardet.EncodingEra.ALL & ~chardet.EncodingEra.MAINFRAME
_NOTATIONS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "utf_7"})
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_MULTI_BYTE = ("cp932", "euc_jp", "gb18030", "big5hkscs", "cp949")
_SPACES_LE, _SPACES_BE = (b"\n\0", b"\r\0", b" \0"), (b"\0\n", b"\0\r", b"\0 ")
_OE = re.compile(r"[^\W\d_]½|½[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text, the Python name of its encoding, and what told it: bom, utf-8, detected, fallback, or who declared it."""

    text: str
    charset: str
    found: str


def decode(data: bytes, *declared: tuple[str, str | None]) -> Decoded:
    """Decode by byte order mark, UTF-8, the declared encodings in order, detection (chardet), Windows-1252.

    `declared` are pairs of who says so and the label, as the WHATWG Encoding Standard maps it (so Latin-1 means
    Windows-1252). UTF-8 goes before declarations, even with a few broken bytes (DAMAGE), since text in another
    encoding is hardly ever valid UTF-8, while mislabelled UTF-8 is common; only 7-bit encodings (ISO-2022) have to be
    declared to be seen. Of a long text, samples are detected and all is decoded. Never raises.
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
    if (text := _utf_8(data)) is not None:
        return Decoded(text, "utf-8", next((who for who, codec in labels if codec == "utf-8"), "utf-8"))
    guesses = [(who, codec) for who, codec in labels if codec != "utf-8"]
    for who, guess in guesses:
        try:
            return Decoded(data.decode(guess), guess, who)
        except UnicodeError:
            continue
    if detected := _detect(data):
        try:
            return Decoded(data.decode(detected), detected, "detected")
        except UnicodeError:
            guesses.append(("detected", detected))
    # Nothing fits throughout: what is declared goes before guesses.
    who, guess = (*guesses, ("fallback", FALLBACK))[0]
    return Decoded(data.decode(guess, "replace"), guess, who)


def codec_of(label: str) -> str | None:
    """The Python codec of an encoding's label, as web browsers read labels; None where there is none."""
    name = map_encoding_to_html5(label.strip().strip("\"'"), fallback_utf8=False) or label.strip()
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    # rot13 and base64 do not make text of bytes; the others are notations, not encodings of documents.
    codec = _LARGER.get(info.name, info.name)
    return codec if info._is_text_encoding and codec.replace("-", "_") not in _NOTATIONS else None


def _utf_8(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    return text if broken <= DAMAGE * sum(1 for _ in _BEYOND_ASCII.finditer(data)) else None


def _wide(data: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark.

    Told by zero bytes, which any text in them has that holds a space or a line end, and by what they then spell.
    """
    head = data[:HEAD]
    if b"\0" not in head or len(head) < 4:
        return None
    zeros = [head[i::4].count(0) for i in range(4)]
    quarter = len(head) // 4
    for codec, count in (("utf-32-le", zeros[2] + zeros[3]), ("utf-32-be", zeros[0] + zeros[1])):
        if count >= 1.9 * quarter and _spells(head, codec):
            return codec
    # Text of one byte a letter may hold zeros too, and pairs of its bytes spell Chinese. But it has them at even and
    # odd places alike, and few bytes beyond ASCII. Chinese itself has many of these, and zeros in a letter (U+4E00), so
    # that only its spaces and line ends tell the order.
    if sum(byte > 127 for byte in head) < 0.2 * len(head):
        little, big, enough = zeros[1] + zeros[3], zeros[0] + zeros[2], 0.1 * quarter
    elif _utf_8(head) is not None:
        return None
    else:
        pairs = [head[i : i + 2] for i in range(0, len(head), 2)]
        little, big, enough = sum(map(pairs.count, _SPACES_LE)), sum(map(pairs.count, _SPACES_BE)), 1
    if max(little, big) < enough or max(little, big) < 4 * min(little, big):
        return None
    codec = "utf-16-le" if little > big else "utf-16-be"
    return codec if _spells(head, codec) else None


def _spells(head: bytes, codec: str) -> bool:
    """Whether the bytes make a text in this encoding: next to no controls and code points that nobody uses."""
    text = head[: len(head) // 4 * 4].decode(codec, "replace")
    good = sum(char in "\t\n\f\r" or unicodedata.category(char)[0] in "LMNPZS" for char in text if char != "\ufffd")
    return good >= PLAUSIBLE * len(text)


def _detect(data: bytes) -> str | None:
    """The Python codec that fits the text best; None for UTF-8, which has been tried, and where nothing fits."""
    sample = _sample(data)
    codec = _named(sample)
    if codec not in _MULTI_BYTE and any(_nearly_fits(sample, other) for other in _MULTI_BYTE):
        # One bad byte in a text rules its encoding out, but it is in one piece of it only.
        lines = sample.splitlines(keepends=True)
        step = -(-len(lines) // PIECES)
        votes = [_named(b"".join(lines[i : i + step])) for i in range(0, len(lines), step)]
        codec = next((other for other in _MULTI_BYTE if votes.count(other) > 0.5 * len(votes)), codec)
    # The two differ in eight signs; in Latin-9 the place of ½ is that of œ, which stands beside letters.
    if codec == "cp1252" and _OE.search(sample.decode("cp1252", "replace")):
        return "iso8859-15"
    return None if codec in ("ascii", "utf-8") else codec


def _named(sample: bytes) -> str | None:
    found = chardet.detect(sample, encoding_era=_ERAS, no_match_encoding="ascii")["encoding"]
    return codec_of(found) if found else None


def _nearly_fits(sample: bytes, codec: str) -> bool:
    text = sample.decode(codec, "replace")
    return 0 < text.count("\ufffd") <= DAMAGE * sum(char > "\x7f" for char in text)


def _sample(data: bytes) -> bytes:
    """Lines that hold bytes beyond ASCII, whole but for long ones, from WINDOWS places; a short text as it is."""
    if len(data) <= DETECTED_ON:
        return data
    pieces: list[bytes] = []
    end = 0
    for window in range(WINDOWS):
        place = _BEYOND_ASCII.search(data, max(end, len(data) * window // WINDOWS))
        if place is None:
            break
        at = place.start()
        begin = data.rfind(b"\n", max(end - 1, at - LINE, 0), at) + 1
        if begin == 0 and (end > 0 or at > LINE):
            continue  # no line begins near, and elsewhere a character may be cut
        line_end = data.find(b"\n", at + DETECTED_ON // WINDOWS, at + LINE)
        end = line_end + 1 or at + LINE
        pieces.append(data[begin:end])
    return b"".join(pieces) or data[:DETECTED_ON]
