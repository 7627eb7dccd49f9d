"""JSON Lines, and JSON files that are one array of records: one document a record."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from pipelines.ingest.frames import BrokenFrame
from pipelines.ingest.records import Document, Failure, too_large
from pipelines.ingest.source import FileSource
from pipelines.ingest.tables.columns import DEFAULT_COLUMNS, Columns, to_document, with_unique_ids
from pipelines.ingest.tables.json_arrays import elements
from pipelines.ingest.tables.packed import pieces, with_packings, without_packing

JSON_SUFFIXES = with_packings(".jsonl", ".ndjson", ".json")
_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?\s*+\[")


class JsonlSource(FileSource):
    """Spark data source of JSON Lines."""

    suffixes: ClassVar[tuple[str, ...]] = JSON_SUFFIXES


def read_jsonl(
    path: Path, name: str, *, max_text_bytes: int, columns: Columns = DEFAULT_COLUMNS
) -> Iterator[Document | Failure]:
    """Documents of one file, by line, or by element where it is a .json file that begins with an array.

    A record that is no JSON object, not UTF-8, or longer than `max_text_bytes` is a failure; the next one is read. So
    is one whose id another record has before it. Blank lines are no records.
    """
    return with_unique_ids(_documents(path, name, max_text_bytes, columns), columns)


JsonlSource.read = staticmethod(read_jsonl)


def _documents(path: Path, name: str, max_text_bytes: int, columns: Columns) -> Iterator[Document | Failure]:
    for number, value in values(path, max_text_bytes):
        if isinstance(value, Failure):
            yield value
        elif isinstance(value, dict):
            yield to_document(value, columns, number, name)
        else:
            yield Failure("record", str(number), "not a JSON object", type(value).__name__)


def values(path: Path, max_text_bytes: int) -> Iterator[tuple[int, Any | Failure]]:
    """The JSON value of each record of a file, or why there is none, with its number, from 1."""
    number = 0
    try:
        for number, record in enumerate(_records(path, max_text_bytes), start=1):
            if record is None:
                yield number, too_large(str(number), max_text_bytes)
            elif record.strip():
                yield number, _value(record, number)
    except BrokenFrame as broken:
        lost = f"the records from here on are lost; {broken}"
        yield number + 1, Failure("file", str(number + 1), broken.reason, lost)
    except EOFError as error:
        yield number + 1, Failure("file", str(number + 1), str(error))


def _records(path: Path, limit: int) -> Iterator[bytes | None]:
    stream = pieces(path)
    first = next(stream, b"")
    split = elements if without_packing(path.name).endswith(".json") and _ARRAY.match(first) else lines
    return split(chain([first], stream), limit)


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


def _value(record: bytes, number: int) -> Any | Failure:
    try:
        return json.loads(record.removeprefix(codecs.BOM_UTF8).decode())
    except UnicodeDecodeError as error:
        return Failure("record", str(number), "not UTF-8", f"{error.reason} at byte {error.start} of the record")
    except (ValueError, RecursionError) as error:  # no JSON; a number of thousands of digits; nested too deeply
        return Failure("record", str(number), "broken JSON", str(error))
