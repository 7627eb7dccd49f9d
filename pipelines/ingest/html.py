"""A web page's bytes as its main text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from pipelines.ingest.encoding import decode

# Resiliparse's time grows with the square of the depth of nested <div> and <article>: half a second at 5,000, minutes
# at 100,000; of all other elements it is linear (measured with 2.0.1, 200,000 deep).
MAX_DEPTH = 5_000
_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""\A\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]{1,40})""")
_TAG = re.compile(r"<(/?)(?:div|article)\b", re.IGNORECASE)


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
    if is_too_deep(decoded.text):
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


def is_too_deep(html: str) -> bool:
    """Whether more than MAX_DEPTH elements that are costly to nest are open at once, as counted by their tags alone."""
    if html.count("<") <= MAX_DEPTH:  # most pages
        return False
    depth = 0
    for slash in _TAG.findall(html):
        depth = max(depth - 1, 0) if slash else depth + 1
        if depth > MAX_DEPTH:
            return True
    return False
