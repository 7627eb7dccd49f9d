"""JSON Lines (plain, gzip, Zstandard): one document a line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from pipelines.ingest.frames import BrokenFrame, FrameReader
from pipelines.ingest.records import Document, Failure, too_large
from pipelines.ingest.source import FileSource
from pipelines.ingest.tables import DEFAULT_COLUMNS, Columns, to_document, with_unique_ids


class JsonlSource(FileSource):
    """Spark data source of JSON Lines."""

    suffixes: ClassVar[tuple[str, ...]] = tuple(
        kind + packing for kind in (".jsonl", ".ndjson", ".json") for packing in ("", ".gz", ".zst")
    )


def read_jsonl(
    path: Path, name: str, *, max_text_bytes: int, columns: Columns = DEFAULT_COLUMNS
) -> Iterator[Document | Failure]:
    """Documents of one file, by line. Blank lines are not counted.

    A line that is no JSON object, not UTF-8, or longer than `max_text_bytes` is a failure; the next line is read. So
    is one whose id another line has before it.
    """
    return with_unique_ids(_records(path, name, max_text_bytes, columns), columns)


JsonlSource.read = staticmethod(read_jsonl)


def _records(path: Path, name: str, max_text_bytes: int, columns: Columns) -> Iterator[Document | Failure]:
    number = 0
    with FrameReader(path) as frames:
        try:
            for number, line in enumerate(lines(frames.pieces(), max_text_bytes), start=1):
                if line is None:
                    yield too_large(str(number), max_text_bytes)
                elif line.strip():
                    yield _document(line, columns, number, name)
        except BrokenFrame as broken:
            yield Failure("file", str(number + 1), broken.reason, f"the lines from here on are lost; {broken}")


def lines(pieces: Iterable[bytes], limit: int) -> Iterator[bytes | None]:
    """Lines without their ends, None for each that is longer than `limit` bytes, of which no more is ever held."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        first, *others = piece.split(b"\n")
        size += len(first)
        if size <= limit:
            held.append(first)
        if others:
            yield b"".join(held) if size <= limit else None
            for line in others[:-1]:
                yield line if len(line) <= limit else None
            held, size = [others[-1]], len(others[-1])
        if size > limit:
            held = []
    if size:
        yield b"".join(held) if size <= limit else None


def _document(line: bytes, columns: Columns, number: int, name: str) -> Document | Failure:
    try:
        row = json.loads(line.removeprefix(codecs.BOM_UTF8).decode())
    except UnicodeDecodeError as error:
        return Failure("record", str(number), "not UTF-8", f"{error.reason} at byte {error.start} of the line")
    except (ValueError, RecursionError) as error:  # no JSON; a number of thousands of digits; nested too deeply
        return Failure("record", str(number), "broken JSON", str(error))
    if not isinstance(row, dict):
        return Failure("record", str(number), "not a JSON object", type(row).__name__)
    return to_document(row, columns, number, name)
