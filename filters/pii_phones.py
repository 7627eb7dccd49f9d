"""Telephone numbers: international ones, common national forms, and what a word before them calls a telephone number.

Conservative: a bare row of digits is none, nor is what a word before it calls an order, an ISBN or the like. Numbers
that are set aside for fiction (555-0100 to 555-0199 in North America) stay.
"""

import re
from collections.abc import Iterator

from filters.pii_checks import CONTEXT, LABELLED_OTHERWISE, LEFT, RIGHT, SEPARATOR, SPACE, Span

# Least and most digits of a national significant number, by country codes: ITU-T E.164 and the ITU's national plans.
_PLANS = {
    (6, 13): "43",
    (7, 9): "353",
    (7, 10): "46",
    (7, 12): "49",
    (8, 8): "45 47 65",
    (8, 9): "32 36 66 972",
    (8, 10): "20 57 60 63 64 82 84",
    (8, 11): "39",
    (9, 9): "27 31 33 34 40 41 48 61 351 380",
    (9, 10): "44 81 92",
    (10, 10): "1 7 30 90 91 98",
    (10, 11): "52 54 55 86",
}
NATIONAL_DIGITS = {code: digits for digits, codes in _PLANS.items() for code in codes.split()}
# The other country codes in use (ITU Operational Bulletin, list of E.164 country codes): 7 to 12 digits.
_OTHER = (7, 12)
_CODES = re.compile(
    r"5[1368]|62|9[345]|21[1-368]|2[2-46][0-9]|25[0-8]|29[01789]|35[02-9]|37[0-9]|38[12356-9]|42[013]|50[0-9]|59[0-9]"
    r"|67[02-9]|68[0-35-9]|69[0-2]|85[02356]|88[0-6]|96[0-8]|97[013-7]|99[2-68]"
)

_GAP = rb"(?:" + SEPARATOR + rb"|[/()]){0,4}"
_INTERNATIONAL = re.compile(LEFT + rb"(?<![+=/.-])\(?\+[1-9](?:" + _GAP + rb"\d){7,16}(?!\d)" + RIGHT)
_TRUNK_ZERO = re.compile(rb"\(0\)")
_DECIMAL = re.compile(rb"\(?\+\d{5,}\.")

_NATIONAL = re.compile(
    LEFT + rb"(?<![+=/.#$-])(?<!\d[.-])(?P<number>"
    # North America: (212) 736-5000, 212-736-5000, 212.736.5000, 1-212-736-5000
    rb"(?:1[ .-])?(?:\([2-9]\d\d\)[ ]?|[2-9]\d\d(?P<a>[.-]))[2-9]\d\d(?(a)(?P=a)|[ .-])\d{4}"
    # The following are groups of digits that others may stand before.
    rb"|(?<!\d[ ])(?<!\d\xc2\xa0)(?:"
    # France: 01 42 68 53 00
    rb"0[1-9](?P<b>[ .-]|\xc2\xa0)\d\d(?:(?P=b)\d\d){3}"
    # An area code in parentheses: (020) 7946 0958, (030) 226 55 09
    rb"|\(0[1-9]\d{0,3}\)[ ]?\d{2,8}(?:[ -]\d{2,6}){0,3}"
    # Three groups with a trunk zero: 020 7946 0958, 0161 496 0000, 03-3581-0101, 0412 345 678
    rb"|0[1-9]\d{0,3}(?:[ -]|\xc2\xa0)\d{3,4}(?:[ -]|\xc2\xa0)\d{3,4}"
    # Switzerland: 044 826 76 76
    rb"|0[1-9]\d[ ]\d{3}[ ]\d\d[ ]\d\d"
    # The United Kingdom: 01632 960960; Germany and Austria: 030/2265509, 089 / 2180-0
    rb"|0[1-9]\d{3}[ ]\d{6}|0[1-9]\d{1,3}[ ]?/[ ]?\d{2,8}(?:[ -]\d{1,4}){0,3}"
    rb"))(?![ .-]?\d)(?!\xc2\xa0\d)" + RIGHT
)

_WORDS = """
    telephone telefax telefono teléfono téléphone telefone telefon tel tél tlf phone fax mobile mobil mob handy móvil
    celular cell whatsapp hotline телефон тел 电话 電話 전화
"""
_FORMS = {form for word in _WORDS.split() for form in (word, word.title(), word.upper())}
_LABEL = "|".join(sorted(_FORMS, key=lambda form: (-len(form), form))).encode()
_LABELLED = re.compile(
    rb"(?<![A-Za-z<_])(?<![\xc3-\xd4][\x80-\xbf])(?:" + _LABEL + rb")(?i:[ ]?(?:no|nr|number|num))?"
    # A colon or the like (U+FF1A is the full-width one), or white space and a trunk zero.
    rb"(?:(?:[ ]?(?:[.:=/#]|\xef\xbc\x9a)){1,2}" + SPACE + rb"{0,3}|" + SPACE + rb"{1,3}(?=\(?0))"
    rb"(?P<number>\(?\d(?:" + _GAP + rb"\d){6,14})(?!\d)(?!" + SEPARATOR + rb"\d)" + RIGHT
)
_DATE = re.compile(
    rb"(?:19|20)\d\d[ ./-]{1,3}(?:19|20)\d\d|(?:19|20)\d\d[./-]?[01]\d[./-]?[0-3]\d"
    rb"|[0-3]?\d[./-][0-3]?\d[./-](?:19|20)\d\d"
)


def phones(text: bytes) -> list[Span]:
    """Spans of telephone numbers, rising; where two overlap, the one that begins first, then the longer one."""
    spans = sorted({*_international(text), *_national(text), *_labelled(text)}, key=lambda span: (span[0], -span[1]))
    kept: list[Span] = []
    for span in spans:
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept


def _international(text: bytes) -> Iterator[Span]:
    for match in _INTERNATIONAL.finditer(text):
        if _DECIMAL.match(match[0]):
            continue
        # Numbers may follow each other: the longest beginning that ends at a gap and is a number.
        ends = [m.end() for m in re.finditer(rb"\d(?!\d)", match[0])]
        for end in reversed(ends):
            digits = re.sub(rb"\D", b"", _TRUNK_ZERO.sub(b"", match[0][:end])).decode()
            if is_international(digits):
                found = match[0][:end]
                # A parenthesis that opens before the number and does not close in it is not the number's.
                opens = found.startswith(b"(") and found.count(b"(") > found.count(b")")
                yield match.start() + opens, match.start() + end
                break


def is_international(digits: str) -> bool:
    """Whether digits behind a '+' are a number of a country: its code is in use and the length is one of its own."""
    for size in (1, 2, 3):
        code = digits[:size]
        if code in NATIONAL_DIGITS or _CODES.fullmatch(code):
            least, most = NATIONAL_DIGITS.get(code, _OTHER)
            valid = least <= len(digits) - size <= most and len(digits) <= 15
            return valid and (code != "1" or is_north_american(digits[1:]))
    return False


def is_north_american(digits: str) -> bool:
    """Whether ten digits are a number of the North American plan (NANP): no N11 code, and not one for fiction."""
    area, exchange = digits[:3], digits[3:6]
    fictional = exchange == "555" and digits[6:8] == "01"
    return area[0] in "23456789" and area[1:] != "11" and exchange[0] in "23456789" and not fictional


def _national(text: bytes) -> Iterator[Span]:
    for match in _NATIONAL.finditer(text):
        digits = re.sub(rb"\D", b"", match["number"]).decode()
        if digits[0] == "0" and not 8 <= len(digits) <= 12:
            continue
        if digits[0] != "0" and not is_north_american(digits[-10:]):
            continue
        if not _is_called_otherwise(text, match.start("number")) and not _DATE.fullmatch(match["number"]):
            yield match.span("number")


def _labelled(text: bytes) -> Iterator[Span]:
    for match in _LABELLED.finditer(text):
        if not _DATE.fullmatch(match["number"]):
            yield match.span("number")


def _is_called_otherwise(text: bytes, at: int) -> bool:
    return LABELLED_OTHERWISE.search(text[max(0, at - CONTEXT) : at]) is not None
