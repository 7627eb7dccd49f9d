"""Headers of records in web archives: WARC (ISO 28500:2017, and its drafts 0.17 and 0.18) and ARC (Internet Archive).

ARC has one line for a record. Version 1: URL, IP address, date, MIME type, length; version 2 has more fields before the
length. It is told here in WARC's terms, so that no reader of records has to know which it was.
"""

from __future__ import annotations

import re

LONGEST_LINE = 16_000  # bytes of a line that begins a record
_WARC = rb"WARC/\d+\.\d+[ \t\r]*\n"
# URLs of old crawlers hold spaces: the address and the date behind them are what tells a record from other lines.
_ARC = rb"([A-Za-z][\w+.-]{1,30}:[^\r\n]{0,8192}?) ([\da-fA-F.:]{2,45}) (\d{12,18}) ([^\r\n]{1,4096})\r?\n"
_BEGIN = re.compile(rb"(?:%b)|(?:%b)" % (_WARC, _ARC))
# Two patterns, since each is searched for by its first bytes.
_SEARCHES = (re.compile(rb"\n(?=%b)" % _WARC), re.compile(rb"\n(?=%b)" % _ARC))
_ARC_LINE = re.compile(_ARC)


def begins_record(data: bytes, at: int = 0) -> bool:
    """Whether the line at `at` begins a record."""
    return _BEGIN.match(data, at) is not None


def find_record(data: bytes, at: int) -> int:
    """Where the first line behind a line end at or after `at` begins a record; -1 where none does."""
    return min((found.end() for search in _SEARCHES if (found := search.search(data, at))), default=-1)


def has_one_line(line: bytes) -> bool:
    """Whether a line that begins a record is all of its header, which is so in ARC."""
    return not line.startswith(b"WARC/")


def warc_headers(lines: bytes) -> dict[str, str]:
    """The fields of a WARC header without its first line, by name in lower case; of equal names the first.

    Lines that are none (crawlers break long URLs) are passed over; one that begins with white space goes on with the
    last field. What is not UTF-8 is replaced.
    """
    headers: dict[str, str] = {}
    key = ""
    for line in lines.decode("utf-8", "replace").split("\n"):
        if line[:1] in (" ", "\t") and key:
            headers[key] = f"{headers[key]} {line.strip()}".strip()
            continue
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            headers.setdefault(key, value.strip())
    return headers


def arc_headers(line: bytes) -> dict[str, str]:
    """What the line of an ARC record says, as WARC would."""
    found = _ARC_LINE.match(line)
    assert found is not None
    url, address, date, rest = (group.decode("utf-8", "replace") for group in found.groups())
    fields = rest.split() or [""]
    return {
        "warc-type": "warcinfo" if url.startswith("filedesc:") else "response",
        "warc-target-uri": url,
        "warc-ip-address": address,
        "warc-date": "{}-{}-{}T{}:{}:{}Z".format(date[:4], *(date[i : i + 2] for i in range(4, 14, 2))),
        "content-type": " ".join(fields[:-1][:1]),
        "content-length": fields[-1],
    }
