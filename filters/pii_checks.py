"""Exact checks of e-mail addresses, IP addresses, payment cards and IBANs, in plain Python, for the few candidates.

A finder takes UTF-8 bytes and returns the spans (first byte, end) of what it finds, rising. It looks no further than
`CONTEXT` bytes before and `AHEAD` bytes behind a run of the alphabet that its kind is written in (see
`filters.pii_candidates`), so that it finds in a window what it finds in the whole text. Nothing is found next to a
placeholder that could not be found next to the masked value: masked text gives nothing new.
"""

import ipaddress
import re
from collections.abc import Iterator

CONTEXT, AHEAD = 64, 24
"""Bytes around a candidate that decide about it."""

PLACEHOLDERS = {
    "email": "<EMAIL>",
    "ipv4": "<IP_ADDRESS>",
    "ipv6": "<IP_ADDRESS>",
    "phone": "<PHONE>",
    "card": "<CARD>",
    "iban": "<IBAN>",
    "key": "<KEY>",
}
"""What stands for each kind. Fixed words say nothing about the value and cannot depend on a worker or an order; a keyed
hash would let whoever has the key find a number out of its few billions, and would tie a person's pages together."""

SPACE = rb"(?:[ ]|\xc2\xa0)"
SEPARATOR = rb"(?:[ .-]|\xc2\xa0|\xe2\x80[\x90-\x93])"
_WORDS = sorted({placeholder.strip("<>").encode() for placeholder in PLACEHOLDERS.values()})
_TOUCHING = b"".join(b"(?<!%s>)" % word for word in _WORDS)
_BEHIND = b"".join(b"(?<!%s>[ ./-])(?<!%s>\xc2\xa0)" % (word, word) for word in _WORDS)
LEFT = rb"(?<![A-Za-z0-9_])(?<![\xc3-\xd4][\x80-\xbf])" + _TOUCHING + _BEHIND
"""Not behind a letter or a digit, nor behind a placeholder, which was one."""
RIGHT = rb"(?![A-Za-z0-9_]|[\xc3-\xd4][\x80-\xbf]|(?:[ ./-]|\xc2\xa0)?<(?:" + b"|".join(_WORDS) + rb")>)"
"""Not in front of one."""

_THEN = rb"[ \t.:;=#\"'(\[/-]{0,5}$"
"""What may stand between a word that names a value, and the value."""

Span = tuple[int, int]

# The characters of RFC 5321's local part that people use, and letters of two bytes: Latin, Greek, Cyrillic (RFC 6531).
_LETTER = rb"(?:[A-Za-z0-9]|[\xc3-\xd4][\x80-\xbf])"
_LOCAL = rb"(?:[A-Za-z0-9._%+-]|[\xc3-\xd4][\x80-\xbf])"
_EMAIL = re.compile(
    rb"(?<![A-Za-z0-9._%+-])(?<![\xc3-\xd4][\x80-\xbf])" + _TOUCHING + rb"[.%+-]*"
    rb"(?P<address>(?P<local>(?=[A-Za-z0-9_\xc3-\xd4])" + _LOCAL + rb"{1,64})"
    rb"@(?P<domain>(?:" + _LETTER + rb"(?:" + _LETTER + rb"|-){0,62}\.){1,8}"
    rb"(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,24}|(?:[\xc3-\xd4][\x80-\xbf]){2,24})))" + RIGHT + rb"(?!@)"
)
# RFC 2606 and RFC 6761: names set aside for documentation and tests.
_EXAMPLE = re.compile(rb"(?i)(?:^|\.)(?:example\.(?:com|net|org|edu)|example|test|invalid|localhost|local)$")
_FILE = re.compile(rb"(?i)\.(?:png|jpe?g|gif|svg|webp|avif|bmp|ico|css|js|json|html?|xml|pdf|zip|gz|exe|dll)$")


def emails(text: bytes) -> Iterator[Span]:
    """E-mail addresses, but for those of documentation, `git@HOST` (an SSH remote) and file names (logo@2x.png)."""
    for match in _EMAIL.finditer(text):
        domain = match["domain"]
        if match["local"] == b"git" or match["local"].endswith(b".") or b".." in match["local"]:
            continue
        if not _EXAMPLE.search(domain) and not _FILE.search(domain):
            yield match.span("address")


_IPV4 = re.compile(
    # Not a file's, a program's or a package's version: linux-2.6.32.5, Firefox/3.0.0.11, ==1.2.3.4, ^1.2.3.4
    LEFT + rb"(?<![.~^$#])(?<![=<>!~]=)(?<![A-Za-z][/-])(\d{1,3}(?:\.\d{1,3}){3})"
    # Neither 1.2.3.4.5 nor 1.2.3.4-rc1; 91.198.174.1-91.198.174.9 is a range
    rb"(?!\.[\w]|[-+~](?!\d{1,3}(?:\.\d{1,3}){3}(?![\w.]))\w)" + RIGHT
)
_VERSION = re.compile(
    rb"(?i)(?<![a-z])(?:v|ver|vers|versions?|releases?|rel|builds?|revision|rev|update|upgraded?|to|firmware|driver|kernel"
    rb"|sdk|sections?|sect|sec|chapter|clause|article|figure|fig|table|rule|oid|\xc2\xa7)" + _THEN
)
_HOST = re.compile(
    rb"(?i)(?<![a-z])(?:ip|ipv4|dns|host|server|nameserver|address|addr|from|peer|client|gateway)" + _THEN
)
_RESOLVERS = """
    8.8.8.8 8.8.4.4 2001:4860:4860::8888 2001:4860:4860::8844 2001:4860:4860::64 2001:4860:4860::6464
    1.1.1.1 1.1.1.2 1.1.1.3 1.0.0.1 1.0.0.2 1.0.0.3
    2606:4700:4700::1111 2606:4700:4700::1001 2606:4700:4700::1112 2606:4700:4700::1002
    9.9.9.9 9.9.9.10 149.112.112.112 2620:fe::fe 2620:fe::9
    208.67.222.222 208.67.220.220 208.67.222.123 208.67.220.123 2620:119:35::35 2620:119:53::53
    4.2.2.1 4.2.2.2 4.2.2.3 4.2.2.4 4.2.2.5 4.2.2.6
    94.140.14.14 94.140.15.15 2a10:50c0::ad1:ff 2a10:50c0::ad2:ff
    77.88.8.8 77.88.8.1 64.6.64.6 64.6.65.6 114.114.114.114 223.5.5.5 223.6.6.6
"""
POPULAR = frozenset(map(ipaddress.ip_address, _RESOLVERS.split()))
"""Resolvers that everybody uses: of Google, Cloudflare, Quad9, OpenDNS, Level 3, AdGuard, Yandex, Verisign, AliDNS."""


def ipv4(text: bytes) -> Iterator[Span]:
    """Addresses of hosts on the public Internet (`ipaddress.is_global`), but for popular resolvers and versions.

    Four numbers are a version or a heading behind a word that says so, and, unless a word before them says otherwise,
    if each has one digit (as in bigcode's filter) or two of them are 0.
    """
    for match in _IPV4.finditer(text):
        if not _is_public(match[1].decode()):
            continue
        before = text[max(0, match.start() - CONTEXT) : match.start()]
        numbers = match[1].split(b".")
        if (len(match[1]) == 7 or numbers.count(b"0") >= 2) and not _HOST.search(before):
            continue
        if not _VERSION.search(before):
            yield match.span(1)


_IPV6 = re.compile(LEFT + rb"(?<!:)([23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]*[0-9A-Fa-f:])(?![:]|\.\d)" + RIGHT)


def ipv6(text: bytes) -> Iterator[Span]:
    """Public addresses of 2000::/3, all that is given out (RFC 4291), but for popular resolvers."""
    for match in _IPV6.finditer(text):
        address = match[1]
        if address.endswith(b":") and not address.endswith(b"::"):
            address = address[:-1]
        if 3 <= len(address) <= 39 and _is_public(address.decode()):
            yield match.start(1), match.start(1) + len(address)


def _is_public(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return ip.is_global and not ip.is_multicast and ip not in POPULAR


LABELLED_OTHERWISE = re.compile(
    rb"(?i)(?<![a-z])(?:isbn|issn|doi|pmid|pmcid|arxiv|order|orders|invoice|bestellung|ref|reference|patent|case|ticket"
    rb"|serial|item|sku|part|model|ean|gtin|upc|imei|vin|id|ids|version|vol|volume|pages?|pp|bug|issue|bid|lot|claim"
    rb"|article|product|tracking|registration|commit|hash|sha1?|md5)(?:[ -]?1[03])?"
    rb"(?:[ ]?(?:no|nr|number|num|id))?" + _THEN
)
"""What a number that is neither a card nor a telephone number is called, right before it."""

_CARD = re.compile(
    LEFT + rb"(?<![.,/#+=$-])(?:(?<!\d" + rb"[ -]))"
    rb"(?P<number>\d{13,19}|\d{4}(?P<a>[ -]|\xc2\xa0)\d{4}(?P=a)\d{4}(?P=a)\d{4}(?:(?P=a)\d{3})?"
    rb"|\d{4}(?P<b>[ -]|\xc2\xa0)\d{6}(?P=b)\d{4,5})(?![.,]\d|[ -]\d)" + RIGHT
)
# ISO/IEC 7812 issuers: first and last prefix, lengths. As the networks publish them.
ISSUERS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4, 4, (13, 16, 19)),  # Visa
    (51, 55, (16,)),  # Mastercard
    (2221, 2720, (16,)),
    (34, 34, (15,)),  # American Express
    (37, 37, (15,)),
    (300, 305, (14,)),  # Diners Club
    (36, 36, (14,)),
    (38, 39, (14,)),
    (3528, 3589, (16, 17, 18, 19)),  # JCB
    (6011, 6011, (16, 17, 18, 19)),  # Discover
    (644, 649, (16, 17, 18, 19)),
    (65, 65, (16, 17, 18, 19)),
    (62, 62, (16, 17, 18, 19)),  # UnionPay
    (5018, 5018, (16, 18, 19)),  # Maestro
    (6304, 6304, (16, 18, 19)),
    (6759, 6763, (16, 18, 19)),
    (2200, 2204, (16, 17, 18, 19)),  # Mir
)


def cards(text: bytes) -> Iterator[Span]:
    """Payment card numbers, written together or in the groups of four (4-6-5, 4-6-4) that are printed on cards."""
    for match in _CARD.finditer(text):
        digits = re.sub(rb"\D", b"", match["number"]).decode()
        before = text[max(0, match.start() - CONTEXT) : match.start()]
        if _has_issuer(digits) and is_luhn(digits) and not LABELLED_OTHERWISE.search(before):
            yield match.span("number")


def _has_issuer(digits: str) -> bool:
    return any(
        len(digits) in lengths and first <= int(digits[: len(str(first))]) <= last for first, last, lengths in ISSUERS
    )


def is_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: from the right every second digit is doubled; the sum of all digits ends in 0."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


# Characters of an IBAN: SWIFT's IBAN registry, release 101.
_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
IBAN_LENGTHS = {country: length for length, countries in _COUNTRIES.items() for country in countries.split()}
_IBAN_START = re.compile(LEFT + rb"[A-Z]{2}\d{2}(?=[ ]?[A-Z0-9])")
_IBANS = {length: re.compile(rb"(?:[A-Z0-9][ ]?){%d}[A-Z0-9]" % (length - 1) + RIGHT) for length in _COUNTRIES}


def ibans(text: bytes) -> Iterator[Span]:
    """IBANs (ISO 13616), written together or with single spaces: their country's length, check digits by mod 97."""
    for match in _IBAN_START.finditer(text):
        length = IBAN_LENGTHS.get(match[0][:2].decode())
        if length is None:
            continue
        whole = _IBANS[length].match(text, match.start())
        if whole and is_iban(whole[0].replace(b" ", b"").decode()):
            yield whole.span()


def is_iban(iban: str) -> bool:
    """ISO 7064 MOD 97-10: the first four characters moved to the end, A to Z read as 10 to 35, leave 1."""
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1
