"""The three ways to a page's main text, as functions; pipelines.ingest.web.html runs them in a process of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from pipelines.ingest.books.markup import is_too_costly
from pipelines.ingest.encoding import Decoded
from pipelines.ingest.extraction.charset import decode_page

Name = Literal["gristmill", "fast", "trafilatura"]
MANY_TAGS = 20_000
"""Pages of fewer tags are parsed in a second however they are nested (Lexbor: 20,000 open elements in 0.7 s)."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page's main text, or None and the gate that says why there is none; title; encoding and what told it.

    `meta` holds what the page says of itself: `language`, `author`, `published`, each only where it is there. Gates:
    `too_deep` (nested beyond what is parsed in reasonable time), `too_slow`, `too_large_in_memory` (its limits were
    passed), `crashed` (the process of the extractor died), `not_extracted` (it threw; `meta["error"]` says what).
    """

    text: str | None
    gate: str | None = None
    title: str = ""
    charset: str = ""
    charset_found: str = ""
    meta: dict[str, str] = field(default_factory=dict)


Extract = Callable[[bytes, str | None, str], Page]


def extractor(name: Name) -> Extract:
    """A function of a page's bytes, the charset that HTTP declares, and the URL."""
    if name == "gristmill":
        return _gristmill()
    return _fast if name == "fast" else _trafilatura()


def attempt(extract: Extract, body: bytes, charset: str | None, url: str) -> Page:
    """What `extract` makes of a page; where it throws, the gate of that."""
    try:
        return extract(body, charset, url)
    except MemoryError:
        return Page(None, "too_large_in_memory")
    except Exception as error:
        return Page(None, "not_extracted", meta={"error": type(error).__name__})


def _page(decoded: Decoded, text: str | None, title: str, meta: dict[str, str] | None = None) -> Page:
    gate = "too_deep" if text is None else None
    return Page(text, gate, title, decoded.charset, decoded.found, meta or {})


def _gristmill() -> Extract:
    # Here, since kernels take a second to load, which those who choose another extractor need not wait.
    from pipelines.ingest.extraction import model
    from pipelines.ingest.extraction.facts import facts
    from pipelines.ingest.extraction.page import analyse, main_text

    trees = model.shipped()

    def extract(body: bytes, charset: str | None, url: str) -> Page:
        decoded = decode_page(body, charset)
        if decoded.text.count("<") > MANY_TAGS and is_too_costly(decoded.text):
            return _page(decoded, None, "")
        analysis = analyse(decoded.text)
        told = facts(analysis.html)
        told.pop("title", None)
        return _page(decoded, main_text(analysis, trees), analysis.title, told)

    return extract


def _fast(body: bytes, charset: str | None, url: str) -> Page:
    """Resiliparse's main content."""
    decoded = decode_page(body, charset)
    if is_too_costly(decoded.text):
        return _page(decoded, None, "")
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
    return _page(decoded, text, " ".join((tree.title or "").split()))


def _trafilatura() -> Extract:
    from trafilatura import bare_extraction  # an extra; pipelines.ingest.web.html has seen that it is there

    def extract(body: bytes, charset: str | None, url: str) -> Page:
        decoded = decode_page(body, charset)
        if decoded.text.count("<") > MANY_TAGS and is_too_costly(decoded.text):
            return _page(decoded, None, "")
        found = bare_extraction(decoded.text, url=url or None, include_comments=False, with_metadata=False)
        if found is None:
            return _page(decoded, "", "")
        assert not isinstance(found, dict)  # only where it is asked for one
        return _page(decoded, found.text or "", found.title or "")

    return extract
