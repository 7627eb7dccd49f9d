"""Books as EPUB 2 or 3: their text in reading order, without the publisher's pages, whole or by chapters."""

from __future__ import annotations

import posixpath
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from selectolax.lexbor import LexborNode

from pipelines.ingest.books.epub_package import Entry, Item, Package, nav_entries, ncx_entries
from pipelines.ingest.books.epub_pages import is_named, is_notes, is_publishers, is_told
from pipelines.ingest.books.whole_file import TooLarge, read_member
from pipelines.ingest.books.works import MAX_MARKUP, Chapter, Documents, documents
from pipelines.ingest.books.xhtml import Section, parse, sections
from pipelines.ingest.books.xml_tree import local, read_tree
from pipelines.ingest.records import Document, Failure, too_large
from pipelines.ingest.source import FileSource

# The two algorithms that scramble fonts alone; any other encrypts content (EPUB Open Container Format, section 4.3).
FONT_SCRAMBLING = {"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"}
# Where schemes of rights management keep their keys.
SCHEMES = {
    "META-INF/rights.xml": "Adobe ADEPT",
    "META-INF/license.lcpl": "Readium LCP",
    "META-INF/sinf.xml": "Apple FairPlay",
}
_UNREADABLE = (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
EDGE = 8  # documents at the book's beginning and end that are judged by their text
MAX_NAMED = 20  # documents that `meta` names


class EpubSource(FileSource):
    """Spark data source of EPUB books."""

    suffixes: ClassVar[tuple[str, ...]] = (".epub",)


def read_epub(
    path: Path, name: str, *, max_text_bytes: int, documents: Documents = "book"
) -> Iterator[Document | Failure]:
    """The documents of one book; `meta` holds what its package says: title, author, language, date and more.

    Chapters begin where the table of contents says, or with each content document where there is no table.
    `meta["left_out"]` names the content documents that are the publisher's, `meta["missing"]` those that are absent or
    broken; where all are, the book is a failure. So are an encrypted book, a file that is no EPUB, and a book with more
    than `max_text_bytes` of content.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            yield from _Book(archive, max_text_bytes).read(name, documents)
    except TooLarge:
        yield too_large("", min(max_text_bytes, MAX_MARKUP))
    except (
        zipfile.BadZipFile,
        ElementTree.ParseError,
        UnicodeError,
        KeyError,
        ValueError,
        zlib.error,
        NotImplementedError,
    ) as error:
        # A KeyError's text is the message in quotes.
        yield Failure("record", "", "not an EPUB book", str(error.args[0] if isinstance(error, KeyError) else error))


EpubSource.read = staticmethod(read_epub)


class _Book:
    """An open archive; `left` is how many bytes of content may still be read from it."""

    def __init__(self, archive: zipfile.ZipFile, limit: int) -> None:
        self.archive, self.left = archive, limit

    def read(self, name: str, how: Documents) -> Iterator[Document | Failure]:
        if scheme := self.encryption():
            yield Failure("record", "", "encrypted book", f"its content needs a key: {scheme}")
            return
        container = self.xml("META-INF/container.xml")
        rootfile = next((e.get("full-path") for e in container.iter() if local(e) == "rootfile"), None)
        if rootfile is None:
            raise ValueError("META-INF/container.xml names no package document")
        package = Package(self.xml(rootfile), posixpath.dirname(rootfile))
        entries, told = self.contents(package)
        spine = package.spine()
        chapters = _Chapters(entries)
        left_out, missing = [], []
        for place, item in enumerate(spine):
            types = told.get(item.name, "")
            if is_told(types) or not (item.linear or is_notes(item.name, types)):
                left_out.append(item.name)
                continue
            try:
                found = self.sections(item, chapters.fragments[item.name])
            except TooLarge:
                raise
            except _UNREADABLE:
                missing.append(item.name)
                continue
            if self.is_publishers(item, types, found, at_edge=not EDGE <= place < len(spine) - EDGE):
                left_out.append(item.name)
                continue
            chapters.add(item.name, found)
        if len(missing) == len(spine) - len(left_out) and missing:
            yield Failure("record", "", "no chapter can be read", f"{len(missing)} chapters")
            return
        lists = {"left_out": left_out, "missing": missing}
        meta = package.facts() | {key: " ".join(names[:MAX_NAMED]) for key, names in lists.items() if names}
        yield from documents(name, meta, chapters.made(), how)

    def encryption(self) -> str | None:
        """What the book is encrypted by, None where it is not."""
        names = set(self.archive.namelist())
        if any(info.flag_bits & 0x1 for info in self.archive.infolist()):
            return "zip encryption"
        scheme = next((scheme for name, scheme in SCHEMES.items() if name in names), None)
        if "META-INF/encryption.xml" in names:
            encryption = self.xml("META-INF/encryption.xml")
            methods = {e.get("Algorithm") or "" for e in encryption.iter() if local(e) == "EncryptionMethod"}
            if unknown := sorted(methods - FONT_SCRAMBLING):
                return scheme or unknown[0]
        # Keys without anything that is encrypted by them are left behind by tools that undo the encryption.
        return scheme if scheme == "Readium LCP" else None

    def contents(self, package: Package) -> tuple[list[Entry], dict[str, str]]:
        """The table of contents, without entries for parts of a chapter, and what is told of documents' types."""
        nav, ncx = package.navigation()
        entries: list[Entry] = []
        told = package.guide()
        try:
            if nav and (body := parse(self.member(nav))):
                entries, landmarks = nav_entries(body, nav)
                told |= landmarks
            if not entries and ncx:
                entries = ncx_entries(self.xml(ncx), ncx)
        except (*_UNREADABLE, ElementTree.ParseError):
            pass  # a book without its table is a book
        return _without_parts_of_chapters(entries), told

    def sections(self, item: Item, wanted: set[str]) -> list[Section]:
        body = parse(self.member(item.name))
        return sections(body, lambda node: _key(node, wanted)) if body is not None else []

    def is_publishers(self, item: Item, types: str, found: list[Section], *, at_edge: bool) -> bool:
        stem = posixpath.splitext(posixpath.basename(item.name))[0]
        return is_named(stem) or (at_edge and not types and is_publishers(stem, found))

    def xml(self, name: str) -> ElementTree.Element:
        """A member as a tree. Raises KeyError where there is none, ValueError where it is no XML or too large."""
        try:
            return read_tree(self.member(name), MAX_MARKUP)
        except (NotImplementedError, RuntimeError, EOFError, TooLarge) as error:
            raise ValueError(f"{name}: {error}") from None

    def member(self, name: str) -> bytes:
        """A member's bytes. Raises TooLarge, KeyError where there is none, and others of _UNREADABLE."""
        data = read_member(self.archive, name, min(self.left, MAX_MARKUP))
        self.left -= len(data)
        return data


def _without_parts_of_chapters(entries: list[Entry]) -> list[Entry]:
    """Entries below one for a whole document lead to parts of it."""
    kept: list[Entry] = []
    whole: Entry | None = None
    for entry in entries:
        if whole is not None and entry.depth > whole.depth and entry.name == whole.name:
            continue
        kept.append(entry)
        whole = entry if not entry.fragment else whole
    return kept


def _key(node: LexborNode, wanted: set[str]) -> str | None:
    if not wanted:
        return None
    found = node.attributes.get("id") or node.attributes.get("name")
    return found if found in wanted else None


class _Chapters:
    """A book's sections as chapters; what the table of contents does not name goes on with the one before."""

    def __init__(self, entries: list[Entry]) -> None:
        self.titles = {(entry.name, entry.fragment): entry.title for entry in reversed(entries)}
        self.fragments: dict[str, set[str]] = defaultdict(set)  # the places that the table names, by document
        for entry in entries:
            if entry.fragment:
                self.fragments[entry.name].add(entry.fragment)
        self.texts: dict[str, list[str]] = {}  # by position
        self.headings: dict[str, str] = {}

    def add(self, name: str, found: list[Section]) -> None:
        for section in found:
            if not section.paragraphs:
                continue
            key = (name, section.key)
            position = f"{name}#{section.key}" if section.key else name
            if position not in self.texts and (key in self.titles or not self.titles or not self.texts):
                self.headings[position] = self.titles.get(key) or section.title
                self.texts[position] = []
            self.texts[next(reversed(self.texts))].append(section.text)

    def made(self) -> list[Chapter]:
        return [Chapter(at, self.headings[at], "\n\n".join(texts)) for at, texts in self.texts.items()]
