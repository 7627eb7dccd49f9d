"""Books as EPUB 2 or 3, one document a book: its text in reading order, without what is the publisher's."""

from __future__ import annotations

import posixpath
import re
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

from pipelines.ingest.records import Document, Failure, too_large
from pipelines.ingest.source import FileSource
from pipelines.ingest.xhtml import NOT_TEXT, xhtml_text

MAX_XML = 20_000_000  # bytes of one document in a book: its tree takes about ten times as much memory
# The two algorithms that scramble fonts alone; any other encrypts content (EPUB Open Container Format, section 4.3).
FONT_SCRAMBLING = {"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"}
FACTS = ("title", "creator", "language", "date", "identifier", "rights", "publisher")
# What the guide of an EPUB 2 calls the pages that EPUB 3 marks by epub:type, and what its files are often called.
GUIDE_NOT_TEXT = {"cover", "title-page", "toc", "copyright-page", "colophon", "index", "loi", "lot"}
FILE_NOT_TEXT = re.compile(
    r"(cover|title-?page|toc|nav|contents|colophon|(un)?copyright|imprint)(page)?", re.IGNORECASE
)


class EpubSource(FileSource):
    """Spark data source of EPUB books."""

    suffixes: ClassVar[tuple[str, ...]] = (".epub",)


def read_epub(path: Path, name: str, *, max_text_bytes: int) -> Iterator[Document | Failure]:
    """The document of one book; `meta` holds what its package says: title, author, language, date and more.

    An encrypted book, a file that is no EPUB, and a book with more than `max_text_bytes` of content are failures.
    A chapter that is missing or broken is named in `meta["missing"]`; where all are, the book is a failure.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield _read(archive, name, max_text_bytes)
    except (zipfile.BadZipFile, ElementTree.ParseError, UnicodeError, KeyError, ValueError, zlib.error) as error:
        # A KeyError's text is the message in quotes.
        yield Failure("record", "", "not an EPUB book", str(error.args[0] if isinstance(error, KeyError) else error))


EpubSource.read = staticmethod(read_epub)


class _TooLarge(Exception):
    pass


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> Document | Failure:
    if _is_encrypted(archive):
        return Failure("record", "", "encrypted book", "its content needs a key")
    container = _xml(archive, "META-INF/container.xml")
    rootfile = next((e.get("full-path") for e in container.iter() if _local(e) == "rootfile"), None)
    if rootfile is None:
        raise ValueError("META-INF/container.xml names no package document")
    package = _xml(archive, rootfile)
    meta = {"group": name, **_facts(package)}
    texts, missing, left = [], [], limit
    chapters = _spine(package, posixpath.dirname(rootfile))
    for chapter in chapters:
        try:
            data = _member(archive, chapter, min(left, MAX_XML))
            left -= len(data)
            texts.append(xhtml_text(data))
        except _TooLarge:
            return too_large("", min(limit, MAX_XML))
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError):
            missing.append(chapter)
    if len(missing) == len(chapters):
        return Failure("record", "", "no chapter can be read", f"{len(missing)} chapters")
    if missing:
        meta["missing"] = " ".join(missing)
    return Document("", name, "\n\n".join(text for text in texts if text), meta)


def _spine(package: ElementTree.Element, folder: str) -> list[str]:
    """Names of the content documents in reading order, without navigation, covers and the publisher's pages."""
    items = {e.get("id"): e for e in package.iter() if _local(e) == "item"}
    skipped = {
        _resolve(folder, e.get("href", ""))
        for e in package.iter()
        if _local(e) == "reference" and e.get("type", "").lower() in GUIDE_NOT_TEXT
    }
    chapters = []
    for reference in (e for e in package.iter() if _local(e) == "itemref"):
        item = items.get(reference.get("idref"))
        if item is None or not ("html" in item.get("media-type", "html") or item.get("media-type") == "text/plain"):
            continue
        chapter = _resolve(folder, item.get("href", ""))
        is_text = chapter not in skipped and not NOT_TEXT & set(item.get("properties", "").split())
        if is_text and not FILE_NOT_TEXT.fullmatch(posixpath.splitext(posixpath.basename(chapter))[0]):
            chapters.append(chapter)
    if not chapters:
        raise ValueError("the package's spine names no content document")
    return chapters


def _facts(package: ElementTree.Element) -> dict[str, str]:
    """The Dublin Core elements of the package, the first of each kind, but all creators."""
    facts: dict[str, list[str]] = {}
    for element in package.iter():
        if element.tag.startswith("{http://purl.org/dc/elements/1.1/}") and _local(element) in FACTS:
            value = " ".join("".join(element.itertext()).split())
            if value:
                facts.setdefault(_local(element), []).append(value)
    authors = facts.pop("creator", [])
    return {key: values[0] for key, values in facts.items()} | ({"author": "; ".join(authors)} if authors else {})


def _is_encrypted(archive: zipfile.ZipFile) -> bool:
    if any(info.flag_bits & 0x1 for info in archive.infolist()):
        return True
    if "META-INF/encryption.xml" not in archive.namelist():
        return False
    encryption = _xml(archive, "META-INF/encryption.xml")
    methods = {e.get("Algorithm") for e in encryption.iter() if _local(e) == "EncryptionMethod"}
    return not methods <= FONT_SCRAMBLING


def _xml(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    try:
        data = _member(archive, name, MAX_XML)
    except _TooLarge:
        raise ValueError(f"{name} is larger than {MAX_XML} bytes") from None
    except (NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"{name}: {error}") from None
    if b"<!ENTITY" in data:  # no book needs its own entities, and nested ones grow without bounds
        raise ValueError(f"{name} declares entities")
    return ElementTree.fromstring(data)


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A member's bytes; what the directory says of its size is not believed. Raises _TooLarge, KeyError."""
    with archive.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise _TooLarge
    return data


def _resolve(folder: str, href: str) -> str:
    return posixpath.normpath(posixpath.join(folder, unquote(href.partition("#")[0])))


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
