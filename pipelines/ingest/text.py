"""Plain text, one document a file: encoding found out, Project Gutenberg's header and footer taken off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pipelines.ingest.encoding import decode
from pipelines.ingest.frames import BrokenFrame, FrameReader
from pipelines.ingest.records import Document, Failure, gated, too_large
from pipelines.ingest.source import FileSource

# Share of control characters (other than white space) beyond which a file is not text; NULs alone are taken off later.
MAX_CONTROL = 0.02
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]|\0{8}")

# How Project Gutenberg has marked the borders of its books since 1991 ("Etext", "EBook"; "THE" and "THIS"; with and
# without stars at the end; older books end their header with the small print).
_START = re.compile(
    r"^(?:\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG E(?:TEXT|BOOK)[^*\n]*(?:\n[^*\n]+){0,2}(?:\*\*\*)?[^\n]*"
    r"|\*+ ?START\*+ ?THE (?:PROJECT GUTENBERG ETEXT|SMALL PRINT)[^\n]*"
    r"|\*END[^\n]{0,6}THE SMALL PRINT!?[^\n]*(?:\n[^\n]+\*END\*)?)$",
    re.IGNORECASE | re.MULTILINE,
)
_SMALL_PRINT_END = re.compile(
    r"^\*END[^\n]{0,6}THE SMALL PRINT!?[^\n]*(?:\n[^\n]*\*END\*)?$", re.IGNORECASE | re.MULTILINE
)
_END = re.compile(
    r"^(?:\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|(?:\*\*\* ?)?End of (?:the |this )?Project Gutenberg(?:['’]s)?(?: E(?:text|book))?\b"
    r"|End of (?:the |this )?Project Gutenberg Etext)",
    re.IGNORECASE | re.MULTILINE,
)
_CREDIT = re.compile(
    r"\A\s*(?:(?:Produced|Prepared|Transcribed|Scanned|E-?text (?:prepared|produced)|This e-?(?:text|book) was)\b[^\n]*"
    r"(?:\n[^\n]+)*\n\s*\n)"
)
_FIELD = re.compile(r"^(Title|Author|Language|Release Date):[ \t]*(\S[^\n]*(?:\n[ \t]+[^\n]+)*)", re.MULTILINE)
_ENCODING = re.compile(rb"^Character set encoding:[ \t]*([\w. -]{1,40}?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
HEADER = 20_000  # bytes or characters from a file's start within which its header begins
HEADER_END = 60_000  # characters within which it ends: the small print of the 1990s is long


class TextSource(FileSource):
    """Spark data source of plain text files."""

    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".txt.gz", ".txt.zst")


def read_text(path: Path, name: str, *, max_text_bytes: int) -> Iterator[Document | Failure]:
    """The document of one file. `meta`: charset, and title, author, language, release_date of a Gutenberg header.

    Gates: `binary` (not text), `no_text`. A file that decompresses to more than `max_text_bytes` is a failure, and
    read no further.
    """
    parts: list[bytes] = []
    size = 0
    with FrameReader(path) as frames:
        try:
            for piece in frames.pieces():
                parts.append(piece)
                size += len(piece)
                if size > max_text_bytes:
                    yield too_large("", max_text_bytes)
                    return
        except BrokenFrame as broken:
            yield Failure("record", "", broken.reason, f"after {size} bytes of text; {broken}")
            return
    data = b"".join(parts)
    header = _ENCODING.search(data, 0, HEADER)
    decoded = decode(data, ("declared", header[1].decode("ascii") if header else None))
    meta = {"group": name, "charset": decoded.charset, "charset_found": decoded.found}
    if is_binary(decoded.text):
        yield gated("", name, "binary", meta)
        return
    text, facts = without_gutenberg(decoded.text)
    yield Document("", name, text, meta | facts)


TextSource.read = staticmethod(read_text)


def is_binary(text: str) -> bool:
    """Whether more than MAX_CONTROL of the first 100,000 characters are control characters."""
    head = text[:100_000]
    return len(_CONTROL.findall(head)) > MAX_CONTROL * len(head)


def without_gutenberg(text: str) -> tuple[str, dict[str, str]]:
    """A book without Project Gutenberg's header and footer, and the facts that its header states.

    A text without such a header comes back as it is.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    start = _START.search(text, 0, HEADER_END)
    if start is None or "gutenberg" not in text[: start.end()].lower():
        return text, {}
    # Some books of the 1990s have both marks: the small print then lies between them.
    small_print = _SMALL_PRINT_END.search(text, start.end(), HEADER_END)
    begin = (small_print or start).end()
    facts: dict[str, str] = {}
    for match in _FIELD.finditer(text, 0, start.start()):
        value = re.sub(r"\s*\[[^\]]*#\d+\].*", "", " ".join(match[2].split()))
        facts.setdefault(match[1].lower().replace(" ", "_"), value)
    ends = [match.start() for match in _END.finditer(text, max(begin, len(text) - HEADER_END))]
    body = text[begin : min(ends, default=len(text))]
    if credit := _CREDIT.match(body):
        body = body[credit.end() :]
    return body.strip("\n") + "\n", facts
