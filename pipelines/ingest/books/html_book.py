"""Books as one HTML file, as Project Gutenberg and others give them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import ClassVar

from selectolax.lexbor import LexborHTMLParser

from pipelines.ingest.books import works
from pipelines.ingest.books.whole_file import read_whole
from pipelines.ingest.books.works import MAX_MARKUP, Chapter, Documents
from pipelines.ingest.books.xhtml import decode_html, parse_html, sections
from pipelines.ingest.records import Document, Failure
from pipelines.ingest.source import FileSource

FEWEST_CHAPTERS = 3
_DATES = ("dc.date", "dc.created", "dcterms.created", "dcterms.date", "date")
_NAMES = {"author": "author", "dc.creator": "author", "dc.title": "title", "dc.language": "language"}
_NAMES |= dict.fromkeys(_DATES, "date")
_GUTENBERG = re.compile(
    r"^(?:The )?Project Gutenberg(?:['’]s)?(?: E-?(?:Book|text))?(?: of)? "
    r"|[ |,;—-]+(?:a |the )?Project Gutenberg.{0,10}$",
    re.IGNORECASE,
)


class HtmlBookSource(FileSource):
    """Spark data source of books that are one HTML file each."""

    suffixes: ClassVar[tuple[str, ...]] = (".html", ".htm", ".xhtml", ".html.gz", ".htm.gz")


def read_html_book(
    path: Path, name: str, *, max_text_bytes: int, documents: Documents = "book"
) -> Iterator[Document | Failure]:
    """The documents of one book; `meta`: title, author, language, date as far as its head has them.

    All of the page's text is the book's, but for what `pipelines.ingest.books.xhtml.sections` leaves out and Project
    Gutenberg's header and footer. Chapters begin at headings of the highest level of which there are FEWEST_CHAPTERS.
    """
    limit = min(MAX_MARKUP, max_text_bytes)
    data = read_whole(path, limit)
    if isinstance(data, Failure):
        yield data
        return
    try:
        page = parse_html(decode_html(data))
    except ValueError as error:
        yield Failure("record", "", "too costly to parse", str(error))
        return
    yield from works.documents(name, _facts(page), _chapters(page), documents)


HtmlBookSource.read = staticmethod(read_html_book)


def _chapters(page: LexborHTMLParser) -> list[Chapter]:
    if page.body is None:
        return []
    level = next((tag for tag in ("h1", "h2", "h3") if len(page.css(tag)) >= FEWEST_CHAPTERS), None)
    numbers = count(1)
    found = sections(page.body, lambda node: str(next(numbers)) if level and node.tag == level else None)
    return [Chapter(section.key or "0", section.title, section.text) for section in found]


def _facts(page: LexborHTMLParser) -> dict[str, str]:
    title = page.css_first("title")
    found = {"title": _plain(title.text())} if title else {}
    for element in page.css("meta[name][content]"):
        key = _NAMES.get((element.attributes.get("name") or "").lower())
        if key and (value := _plain(element.attributes.get("content") or "")):
            found[key] = value
    root = page.css_first("html")
    language = root and (root.attributes.get("lang") or root.attributes.get("xml:lang"))
    if language:
        found.setdefault("language", language)
    return {key: value for key, value in found.items() if value}


def _plain(text: str) -> str:
    return _GUTENBERG.sub("", " ".join(text.split())).strip()
