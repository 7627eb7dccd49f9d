"""An EPUB's package: its facts, the documents of its reading order, and its table of contents.

EPUB 2.0.1 (OPF, NCX) and EPUB 3 (package document, navigation document). Elements are told by their local names.
"""

from __future__ import annotations

import posixpath
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from urllib.parse import unquote

from selectolax.lexbor import LexborNode

from pipelines.ingest.books.xhtml import NOT_TEXT
from pipelines.ingest.books.xml_tree import local

FACTS = ("title", "creator", "language", "date", "identifier", "rights", "publisher")
# What the guide of an EPUB 2 calls the pages that EPUB 3 marks by epub:type, with the spellings that are met.
_GUIDE_NOT_TEXT = (
    "cover title-page titlepage toc copyright-page copyright copyrightpage colophon index loi lot other.copyright-page "
    "other.titlepage other.ad other.ads other.advertisement other.adcard other.backad"
)
GUIDE_NOT_TEXT = frozenset(_GUIDE_NOT_TEXT.split())
NOTES = frozenset({"footnotes", "endnotes", "rearnotes", "footnote", "endnote", "rearnote", "notes"})


@dataclass(frozen=True, slots=True)
class Item:
    """A content document of the reading order: its name in the archive, and whether it is in the line of reading."""

    name: str
    linear: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the table of contents: its title, the document and the place in it ("" for its beginning)."""

    title: str
    name: str
    fragment: str
    depth: int


class Package:
    """A package document (OPF) that lies in `folder` of the archive."""

    def __init__(self, root: ElementTree.Element, folder: str) -> None:
        self.root, self.folder = root, folder
        self.items = {e.get("id"): e for e in root.iter() if local(e) == "item"}

    def facts(self) -> dict[str, str]:
        """The Dublin Core elements of the package, the first of each kind, but all creators, as `author`."""
        facts: dict[str, list[str]] = {}
        for element in self.root.iter():
            if element.tag.startswith("{http://purl.org/dc/elements/1.1/}") and local(element) in FACTS:
                value = " ".join("".join(element.itertext()).split())
                if value:
                    facts.setdefault(local(element), []).append(value)
        authors = facts.pop("creator", [])
        return {key: values[0] for key, values in facts.items()} | ({"author": "; ".join(authors)} if authors else {})

    def spine(self) -> list[Item]:
        """The content documents in reading order, each once, without the navigation. Raises ValueError for none."""
        found: dict[str, Item] = {}
        for reference in (e for e in self.root.iter() if local(e) == "itemref"):
            item = self.items.get(reference.get("idref"))
            if item is None or not _is_content(item) or not NOT_TEXT.isdisjoint(item.get("properties", "").split()):
                continue
            name = resolve(self.folder, item.get("href", ""))[0]
            found.setdefault(name, Item(name, reference.get("linear", "yes") != "no"))
        if not found:
            raise ValueError("the package's spine names no content document")
        return list(found.values())

    def guide(self) -> dict[str, str]:
        """What the guide (EPUB 2) says of documents: their type by name."""
        references = (e for e in self.root.iter() if local(e) == "reference")
        return {resolve(self.folder, e.get("href", ""))[0]: e.get("type", "").lower() for e in references}

    def navigation(self) -> tuple[str | None, str | None]:
        """The names of the navigation document (EPUB 3) and of the NCX (EPUB 2)."""
        nav = ncx = None
        for item in self.items.values():
            name = resolve(self.folder, item.get("href", ""))[0]
            nav = nav or (name if "nav" in item.get("properties", "").split() else None)
            ncx = ncx or (name if item.get("media-type") == "application/x-dtbncx+xml" else None)
        return nav, ncx


def nav_entries(body: LexborNode, name: str) -> tuple[list[Entry], dict[str, str]]:
    """The table of contents of a navigation document, and what its landmarks say of documents: their type by name."""
    entries: list[Entry] = []
    landmarks: dict[str, str] = {}
    for nav in body.css("nav"):
        types = f"{nav.attributes.get('epub:type') or ''} {nav.attributes.get('role') or ''}".split()
        for link in nav.css("a[href]"):
            target, fragment = resolve(posixpath.dirname(name), link.attributes.get("href") or "")
            if "landmarks" in types:
                landmarks[target] = link.attributes.get("epub:type") or ""
            elif "toc" in types or "doc-toc" in types:
                entries.append(Entry(" ".join(link.text().split()), target, fragment, _depth(link)))
    return entries, landmarks


def ncx_entries(root: ElementTree.Element, name: str) -> list[Entry]:
    """The table of contents of an NCX, in its order."""
    entries: list[Entry] = []
    waiting = [(root, 0)]
    while waiting:
        element, depth = waiting.pop()
        if local(element) == "navPoint":
            depth += 1
            label = next((e for e in element if local(e) == "navLabel"), None)
            content = next((e for e in element if local(e) == "content"), None)
            if content is not None:
                title = " ".join("".join(label.itertext()).split()) if label is not None else ""
                target, fragment = resolve(posixpath.dirname(name), content.get("src", ""))
                entries.append(Entry(title, target, fragment, depth))
        waiting += [(child, depth) for child in reversed(element) if local(child) in ("navMap", "navPoint")]
    return entries


def resolve(folder: str, href: str) -> tuple[str, str]:
    """A reference from a document in `folder`: the name in the archive, and the place in the document."""
    path, _, fragment = href.partition("#")
    return posixpath.normpath(posixpath.join(folder, unquote(path))), unquote(fragment)


def _is_content(item: ElementTree.Element) -> bool:
    kind = item.get("media-type", "html")
    return "html" in kind or kind in ("text/plain", "text/x-oeb1-document", "application/x-dtbook+xml")


def _depth(link: LexborNode) -> int:
    depth, node = 0, link.parent
    while node is not None and depth < 50:
        depth += node.tag == "li"
        node = node.parent
    return depth
