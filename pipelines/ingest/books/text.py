"""Plain text, one document a file: encoding found out, and what only the medium added to a book taken off again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from pipelines.ingest.books.gutenberg import HEADER, without_gutenberg
from pipelines.ingest.books.page_furniture import without_furniture
from pipelines.ingest.books.unwrap import unwrap as unwrapped
from pipelines.ingest.books.whole_file import read_whole
from pipelines.ingest.encoding import decode
from pipelines.ingest.records import Document, Failure, gated
from pipelines.ingest.source import FileSource

# Share of control characters (other than white space) beyond which a file is not text; NULs alone are taken off later.
MAX_CONTROL = 0.02
PIECE = 2_000_000  # characters; few books are longer
FEWEST_A_LINE = 8  # characters of a line on the mean
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]|\0{8}")
_ENCODING = re.compile(rb"^Character set encoding:[ \t]*([\w. -]{1,40}?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


class TextSource(FileSource):
    """Spark data source of plain text files."""

    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".txt.gz", ".txt.zst")


def read_text(
    path: Path,
    name: str,
    *,
    max_text_bytes: int,
    gutenberg: Annotated[bool, Field(description="leave out Project Gutenberg's header, credits and footer")] = True,
    page_furniture: Annotated[
        bool, Field(description="leave out page numbers and running heads, where they count on through the text")
    ] = True,
    unwrap: Annotated[bool, Field(description="join the lines of paragraphs that were broken to a width")] = True,
    dehyphenate: Annotated[
        bool, Field(description="join words hyphenated at line ends, as the text writes them elsewhere")
    ] = True,
) -> Iterator[Document | Failure]:
    """The document of one file. `meta`: charset, and title, author, language, release_date of a Gutenberg header.

    What the options do, they do only where the text itself gives strong evidence of it, so that they are no danger to
    verse, tables and texts that are no books; `meta` counts it (page_furniture, joined_lines, joined_words). Gates:
    `binary` (not text), `no_text`. A file that decompresses to more than `max_text_bytes` is a failure, and read no
    further.
    """
    data = read_whole(path, max_text_bytes)
    if isinstance(data, Failure):
        yield data
        return
    header = _ENCODING.search(data, 0, HEADER)
    decoded = decode(data, ("declared", header[1].decode("ascii") if header else None))
    meta = {"group": name, "charset": decoded.charset, "charset_found": decoded.found}
    if is_binary(decoded.text):
        yield gated("", name, "binary", meta)
        return
    text = decoded.text.replace("\r\n", "\n").replace("\r", "\n")
    if gutenberg:
        text, facts = without_gutenberg(text)
        meta |= facts
    pieces: list[str] = []
    counts: Counter[str] = Counter()
    for piece in _pieces(text):
        if page_furniture and _may_be_book(piece):
            piece, removed = without_furniture(piece)
            counts["page_furniture"] += removed
        if (unwrap or dehyphenate) and _may_be_book(piece):
            piece, joined = unwrapped(piece, join=unwrap, dehyphenate=dehyphenate)
            counts.update({f"joined_{what}": number for what, number in joined.items()})
        pieces.append(piece)
    meta |= {what: str(number) for what, number in counts.items() if number}
    yield Document("", name, "".join(pieces), meta)


TextSource.read = staticmethod(read_text)


def is_binary(text: str) -> bool:
    """Whether more than MAX_CONTROL of the first 100,000 characters are control characters."""
    head = text[:100_000]
    return len(_CONTROL.findall(head)) > MAX_CONTROL * len(head)


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces of about PIECE characters, cut at blank lines: their lines take many times their memory."""
    begin = 0
    while begin < len(text):
        least, most = begin + PIECE, begin + 2 * PIECE
        end = text.find("\n\n", least, most) + 2
        end = end if end > 1 else min(most, len(text))
        yield text[begin:end]
        begin = end


def _may_be_book(piece: str) -> bool:
    """Whether lines are as long as in prose or verse; what is nearly all line ends would take long to look at."""
    return (piece.count("\n") + piece.count("\f")) * FEWEST_A_LINE <= len(piece)
