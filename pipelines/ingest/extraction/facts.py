"""What a page says of itself: title, language, author, date."""

from __future__ import annotations

import re
from html import unescape

_TITLE = re.compile(rb"<title>(.*?)</title>", re.DOTALL)
_META = re.compile(rb"<meta\b[^>]*>")
_ATTRIBUTE = re.compile(rb'\s([\w:-]+)="([^"]*)"')
_LANGUAGE = re.compile(rb'<html\b[^>]*?\s(?:xml:)?lang="([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)"')
_NAMES = {
    b"author": "author",
    b"article:author": "author",
    b"dc.creator": "author",
    b"dcterms.creator": "author",
    b"article:published_time": "published",
    b"datepublished": "published",
    b"date": "published",
    b"dc.date": "published",
    b"dcterms.created": "published",
    b"og:title": "title",
    b"og:locale": "language",
}
MOST = 300  # characters of a fact


def title(html: bytes) -> str:
    """The title of a page as Lexbor writes it, white space collapsed; without <title>, that for social networks."""
    head = _head(html)
    found = _TITLE.search(head)
    return _clean(found[1]) if found else facts(html).get("title", "")


def facts(html: bytes) -> dict[str, str]:
    """`language`, `author`, `published`, and `title` where <meta> names them, of a page as Lexbor writes it."""
    found: dict[str, str] = {}
    head = _head(html)
    if language := _LANGUAGE.search(head):
        found["language"] = language[1].decode()
    for meta in _META.findall(head):
        attributes = dict(_ATTRIBUTE.findall(meta))
        name = attributes.get(b"property") or attributes.get(b"name") or attributes.get(b"itemprop") or b""
        key = _NAMES.get(name.lower())
        value = _clean(attributes.get(b"content", b""))
        # An author's address is not a name.
        if key and value and key not in found and not value.startswith(("http://", "https://")):
            found[key] = value
    return found


def _head(html: bytes) -> bytes:
    end = html.find(b"</head>")
    return html[: end if end >= 0 else 0]


def _clean(value: bytes) -> str:
    return " ".join(unescape(value.decode("utf-8", "replace")).split())[:MOST]
