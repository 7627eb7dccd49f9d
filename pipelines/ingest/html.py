"""A web page's bytes as its main text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from pipelines.ingest.encoding import decode
from pipelines.ingest.markup import is_too_costly

_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""\A\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]{1,40})""")


@dataclass(frozen=True, slots=True)
class Page:
    """A page's main text, None where the page is nested too deeply to be parsed; title; encoding and what told it."""

    text: str | None
    title: str
    charset: str
    charset_found: str


def main_text(data: bytes, http_charset: str | None = None) -> Page:
    """Decode a page (byte order mark, UTF-8, HTTP, <meta>, detection), and extract its main content by Resiliparse."""
    declared = _META_CHARSET.search(data, 0, 4096) or _XML_ENCODING.match(data)
    label = declared[1].decode("ascii", "replace") if declared else None
    decoded = decode(data, ("http", http_charset), ("meta", label))
    if is_too_costly(decoded.text):
        return Page(None, "", decoded.charset, decoded.found)
    tree = HTMLTree.parse(decoded.text)
    text = extract_plain_text(
        tree,
        main_content=True,
        preserve_formatting=True,
        list_bullets=True,
        alt_texts=False,
        links=False,
        form_fields=False,
        noscript=False,
        comments=False,
    )
    return Page(text, " ".join((tree.title or "").split()), decoded.charset, decoded.found)
