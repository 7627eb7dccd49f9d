"""Books as FictionBook 2 (.fb2), plain, gzipped or zipped."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pipelines.ingest.books import works
from pipelines.ingest.books.whole_file import TooLarge, read_member, read_whole
from pipelines.ingest.books.works import MAX_MARKUP, Documents
from pipelines.ingest.books.xml_text import Markup, chapters
from pipelines.ingest.books.xml_tree import local, read_tree
from pipelines.ingest.records import Document, Failure, too_large
from pipelines.ingest.source import FileSource

ZIP = b"PK\x03\x04"


def _is_skipped(element: ElementTree.Element) -> bool:
    return local(element) in ("image", "coverpage") or (local(element) == "a" and element.get("type") == "note")


MARKUP = Markup(
    divisions=frozenset({"section"}),
    headings=frozenset({"title", "epigraph", "annotation", "image"}),
    blocks=frozenset(["p", "subtitle", "poem", "stanza", "cite", "text-author", "date", "tr", "table", "empty-line"]),
    lines=frozenset({"v"}),
    cells=frozenset({"th", "td"}),
    notes=frozenset(),
    is_skipped=_is_skipped,
)


class FictionBookSource(FileSource):
    """Spark data source of FictionBook files."""

    suffixes: ClassVar[tuple[str, ...]] = (".fb2", ".fb2.gz", ".fb2.zip", ".fbz")


def read_fictionbook(
    path: Path, name: str, *, max_text_bytes: int, documents: Documents = "book"
) -> Iterator[Document | Failure]:
    """The documents of one book; `meta`: title, author, language, date, genre of its description.

    Chapters are sections without sections in them; notes, which are bodies of their own, come last. An encrypted file
    and one that is no FictionBook are failures.
    """
    data = _read(path, max_text_bytes)
    if isinstance(data, Failure):
        yield data
        return
    limit = min(MAX_MARKUP, max_text_bytes)
    try:
        root = read_tree(data, limit, skipped=("binary", "stylesheet"))
        if local(root) != "FictionBook":
            raise ValueError(f"its root is {local(root)[:40]!r}")
    except TooLarge:
        yield too_large("", limit)
    except (ElementTree.ParseError, ValueError) as error:
        yield Failure("record", "", "not a FictionBook", str(error))
    else:
        bodies = [element for element in root if local(element) == "body"]
        yield from works.documents(name, _facts(root), chapters(bodies, MARKUP), documents)


FictionBookSource.read = staticmethod(read_fictionbook)


def _read(path: Path, limit: int) -> bytes | Failure:
    with path.open("rb") as file:
        if file.read(4) != ZIP:
            return read_whole(path, limit)
        try:
            with zipfile.ZipFile(file) as archive:
                book = next((info for info in archive.infolist() if info.filename.lower().endswith(".fb2")), None)
                if book is None:
                    return Failure("record", "", "not a FictionBook", "the archive holds no .fb2 file")
                if book.flag_bits & 0x1:
                    return Failure("record", "", "encrypted book", "its content needs a key: zip encryption")
                return read_member(archive, book.filename, limit)
        except TooLarge:
            return too_large("", limit)
        except (
            KeyError,
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            ValueError,
        ) as error:
            return Failure("record", "", "not a FictionBook", str(error))


def _facts(root: ElementTree.Element) -> dict[str, str]:
    info = next((element for element in root.iter() if local(element) == "title-info"), None)
    if info is None:
        return {}
    found: dict[str, list[str]] = {}
    for element in info:
        words = [" ".join((part.text or "").split()) for part in element] if local(element) == "author" else []
        value = " ".join(filter(None, words)) or " ".join("".join(element.itertext()).split())
        if local(element) == "date":
            value = element.get("value") or value
        if value:
            found.setdefault(local(element), []).append(value)
    names = {"book-title": "title", "author": "author", "lang": "language", "date": "date", "genre": "genre"}
    return {key: "; ".join(found[name]) for name, key in names.items() if name in found}
