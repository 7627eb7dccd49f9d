"""What every reader yields, and the Arrow rows that it becomes: one row for each candidate record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa
import xxhash

from filters.normalize import normalize_code as well_formed

BATCH_BYTES = 8_000_000
BATCH_ROWS = 2_000
MAX_DETAIL = 500  # characters

SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("uri", pa.string()),
        ("text", pa.string()),  # null in a failure, and where a gate stopped the document: meta["gate"] says which
        ("meta", pa.map_(pa.string(), pa.string())),
        (
            "failure",  # null in a document
            pa.struct(
                [("level", pa.string()), ("path", pa.string()), ("reason", pa.string()), ("detail", pa.string())]
            ),
        ),
    ]
)


@dataclass(frozen=True, slots=True)
class Document:
    """A record that was read. `text` is None where a gate stopped it; `meta["gate"]` is then the gate's name.

    `position` names the record within its file and is unique there ("" where the file is the record).
    `meta["group"]` is what the split hashes: a host, a book, a repository.
    """

    position: str
    uri: str
    text: str | None
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be read: one record, or a file (the whole of it, or a stretch that holds no known record)."""

    level: Literal["record", "file"]
    position: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A document or a failure with its file's path relative to the source's root, and its final UTF-8 text."""

    path: str
    record: Document | Failure
    text: bytes | None = None


def gated(position: str, uri: str, gate: str, meta: dict[str, str]) -> Document:
    """A document that `gate` stopped before there was a text."""
    return Document(position, uri, None, {**meta, "gate": gate})


def too_large(position: str, limit: int) -> Failure:
    """The failure of a record whose text is longer than `limit` bytes."""
    return Failure("record", position, "text too large", f"more than {limit} bytes")


def document_id(source: str, path: str, position: str) -> str:
    """32 hex digits: the 128-bit xxh3 of source name, path relative to the source's root, and position in the file."""
    return xxhash.xxh3_128_hexdigest(f"{source}\0{path}\0{position}".encode("utf-8", "surrogateescape"))


def batches(source: str, rows: Iterable[Row]) -> Iterator[pa.RecordBatch]:
    """Rows as batches of SCHEMA.

    Each is of at most BATCH_ROWS rows and BATCH_BYTES of text and `meta`, or one longer text.
    """
    pending: list[Row] = []
    size = 0
    for row in rows:
        more = len(row.text or b"")
        if isinstance(row.record, Document):
            more += sum(map(len, row.record.meta.values()))
        if pending and (size + more > BATCH_BYTES or len(pending) == BATCH_ROWS):
            yield _batch(source, pending)
            pending, size = [], 0
        pending.append(row)
        size += more
    if pending:
        yield _batch(source, pending)


def _batch(source: str, rows: list[Row]) -> pa.RecordBatch:
    """One batch; keys of `meta` are sorted."""
    columns = [
        [document_id(source, row.path, row.record.position) for row in rows],
        [source] * len(rows),
        [well_formed(row.record.uri if isinstance(row.record, Document) else row.path) for row in rows],
        [row.text for row in rows],
        [_meta(row) for row in rows],
        [_failure(row) for row in rows],
    ]
    return pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def _meta(row: Row) -> list[tuple[str, str]]:
    if isinstance(row.record, Failure):
        return []
    meta = {**row.record.meta, "file": row.path}
    if row.record.position:
        meta["position"] = row.record.position
    # As a dict: two keys may be equal once they are well formed.
    return sorted({well_formed(key): well_formed(value) for key, value in sorted(meta.items())}.items())


def _failure(row: Row) -> dict[str, str] | None:
    if isinstance(row.record, Document):
        return None
    where = f"at {row.record.position}" if row.record.position else ""
    # Details quote what was found in broken files: it is kept short and printable.
    quoted = "".join(char if char.isprintable() else "\ufffd" for char in row.record.detail[:MAX_DETAIL])
    detail = ": ".join(part for part in (where, quoted) if part)
    return {
        "level": row.record.level,
        "path": well_formed(row.path),
        "reason": row.record.reason,
        "detail": well_formed(detail),
    }
