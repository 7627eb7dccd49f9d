"""A page's bytes as text."""

from __future__ import annotations

import re

from pipelines.ingest.encoding import Decoded, decode

_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_XML = re.compile(rb"""\A\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]{1,40})""")
SEARCHED = 4096
"""Bytes in which a page must declare its encoding; WHATWG HTML, section 4.2.5.4, has 1,024, which many overstep."""


def decode_page(body: bytes, charset: str | None) -> Decoded:
    """Decode by byte order mark, UTF-8, what HTTP declares, what <meta> or the XML declaration does, detection."""
    declared = _META.search(body, 0, SEARCHED) or _XML.match(body)
    label = declared[1].decode("ascii", "replace") if declared else None
    return decode(body, ("http", charset), ("meta", label))
