"""Books as TEI XML (P4 and P5), as ELTeC and most digital editions have them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pipelines.ingest.books import works
from pipelines.ingest.books.whole_file import TooLarge, read_whole
from pipelines.ingest.books.works import MAX_MARKUP, Documents
from pipelines.ingest.books.xml_text import Markup, chapters
from pipelines.ingest.books.xml_tree import local, read_tree
from pipelines.ingest.records import Document, Failure, too_large
from pipelines.ingest.source import FileSource

_NOT_READ_NAMES = (
    "teiHeader titlePage rdg del surplus fw figDesc graphic facsimile sourceDoc standOff interpGrp spanGrp linkGrp "
    "index ptr gap"
)
_NOT_READ = frozenset(_NOT_READ_NAMES.split())
# Of elements that say one thing twice (TEI P5, 3.5), what the editors made of it: corrected, regular, expanded.
_FOR = {"sic": "corr", "orig": "reg", "abbr": "expan"}
# Types of divisions, as editions name them, that are not the author's.
_MATTER_TYPES = (
    "titlepage title_page title-page halftitle half-title imprint colophon copyright contents toc tableofcontents "
    "table_of_contents cover advert adverts advertisement advertisements ads publishers_advertisements licence license"
)
_MATTER = frozenset(_MATTER_TYPES.split())
_BLOCKS = (
    "p ab lg sp speaker stage list item row table figure floatingText trailer closer salute signed dateline postscript "
    "titlePart castItem castGroup"
)


def _is_skipped(element: ElementTree.Element) -> bool:
    name = local(element)
    if name == "ref":  # to a note; other references are words
        kind = element.get("type", "").lower()
        return kind.startswith(("note", "fn")) or "".join(element.itertext()).strip() in ("*", "†", "‡")
    return name in _NOT_READ or (name.startswith("div") and element.get("type", "").lower() in _MATTER)


MARKUP = Markup(
    divisions=frozenset(["div", "div0", "div1", "div2", "div3", "div4", "div5", "div6", "div7", "text"]),
    headings=frozenset(["head", "epigraph", "argument", "opener", "byline", "docAuthor", "docDate"]),
    blocks=frozenset(_BLOCKS.split()),
    lines=frozenset({"l"}),
    cells=frozenset({"cell", "label"}),
    notes=frozenset({"note"}),
    is_skipped=_is_skipped,
)


class TeiSource(FileSource):
    """Spark data source of TEI XML."""

    suffixes: ClassVar[tuple[str, ...]] = (".xml", ".tei", ".xml.gz", ".tei.gz")


def read_tei(
    path: Path, name: str, *, max_text_bytes: int, documents: Documents = "book"
) -> Iterator[Document | Failure]:
    """The documents of one TEI text; `meta`: title, author, language, date of its header.

    Chapters are divisions (`div`) without divisions in them. Notes stand behind their paragraph; running heads, title
    pages, tables of contents and variant readings are left out. XML of another kind, or not well-formed, is a failure.
    """
    data = read_whole(path, max_text_bytes)
    if isinstance(data, Failure):
        yield data
        return
    limit = min(MAX_MARKUP, max_text_bytes)
    try:
        root = read_tree(data, limit, skipped=("facsimile", "sourceDoc", "standOff"))
        if local(root) not in ("TEI", "TEI.2", "teiCorpus", "teiCorpus.2"):
            raise ValueError(f"its root is {local(root)[:40]!r}")
    except TooLarge:
        yield too_large("", limit)
    except (ElementTree.ParseError, ValueError) as error:
        yield Failure("record", "", "not a TEI text", str(error))
    else:
        _settle(root)
        yield from works.documents(name, _facts(root), chapters(_parts(root), MARKUP), documents)


TeiSource.read = staticmethod(read_tei)


def _settle(root: ElementTree.Element) -> None:
    """Of what an edition gives in two forms, keep one."""
    for choice in [element for element in root.iter() if local(element) == "choice"]:
        there = {local(child) for child in choice}
        for child in list(choice):
            if _FOR.get(local(child)) in there:
                choice.remove(child)


def _parts(root: ElementTree.Element) -> list[ElementTree.Element]:
    """Front matter, bodies and back matter in their order, but for those of texts within a text."""
    found: list[ElementTree.Element] = []
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if local(element) in ("front", "body", "back"):
            found.append(element)
        else:
            waiting += reversed([child for child in element if local(child) != "teiHeader"])
    return found


def _facts(root: ElementTree.Element) -> dict[str, str]:
    """Title and authors of the title statement, the language, and the date of the first source, else of the file."""
    header = next((element for element in root if local(element) == "teiHeader"), None)
    if header is None:
        return {}
    statement = next((e for e in header.iter() if local(e) == "titleStmt"), header)
    source = next((e for e in header.iter() if local(e) == "sourceDesc"), header)
    titles = [e for e in statement.iter() if local(e) == "title"]
    main = [e for e in titles if e.get("type") == "main"] or titles
    authors = "; ".join(_plain(e) for e in statement.iter() if local(e) == "author" and _plain(e))
    languages = [e.get("ident", "") for e in header.iter() if local(e) == "language"]
    dates = [e.get("when") or _plain(e) for e in source.iter() if local(e) == "date"]
    facts = {
        "title": _plain(main[0]) if main else "",
        "author": authors,
        "language": root.get("{http://www.w3.org/XML/1998/namespace}lang") or next(filter(None, languages), ""),
        "date": next(filter(None, dates), ""),
    }
    return {key: value for key, value in facts.items() if value}


def _plain(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())
