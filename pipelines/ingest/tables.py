"""Rows of tables as documents: which column is the text, the address, the id, the group, and what goes to `meta`."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import xxhash
from pydantic import BaseModel, ConfigDict, Field

from filters.normalize import normalize_code as well_formed
from pipelines.ingest.records import Document, Failure, gated

# Keys of meta that mean something to later stages: a column of that name is kept as `column.NAME`.
RESERVED = frozenset({"gate", "group", "file", "position"})


class Columns(BaseModel):
    """Which columns of a table are what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field("text", description="the column of the text")
    uri: str | None = Field(None, description="of the address; by default file and position")
    id: str | None = Field(None, description="of what tells rows apart in ids; by default the row's number")
    group: str | None = Field(None, description="of what splits keep together; by default each row is alone")
    meta: list[str] | None = Field(None, description="those to keep in `meta`; by default all that hold scalars")

    def wanted(self) -> set[str]:
        """The columns that are asked for by name."""
        return {self.text, *(name for name in (self.uri, self.id, self.group) if name), *(self.meta or ())}


DEFAULT_COLUMNS = Columns()


def to_document(row: Mapping[str, Any], columns: Columns, number: int, name: str) -> Document | Failure:
    """The document of a row; `number` (from 1) is its position, or the value of the id column.

    A row without the text column, or with something else than text in it, is a failure; null is the gate `no_text`.
    """
    position = str(number)
    if columns.id:
        key = scalar(row.get(columns.id))
        if not key:
            return Failure("record", position, "no id", f"column {columns.id!r}")
        position = well_formed(f"{columns.id}={key}")  # JSON can hold surrogates that no bytes stand for
    if columns.text not in row:
        return Failure("record", position, "no text column", f"column {columns.text!r}")
    text = row[columns.text]
    if text is not None and not isinstance(text, str):
        return Failure("record", position, "text is not a string", type(text).__name__)
    uri = (scalar(row.get(columns.uri)) if columns.uri else None) or f"{name}#{position}"
    group = scalar(row.get(columns.group)) if columns.group else None
    meta = _meta(row, columns) | {"group": group or f"{name}#{position}"}
    return gated(position, uri, "no_text", meta) if text is None else Document(position, uri, text, meta)


def with_unique_ids(records: Iterable[Document | Failure], columns: Columns) -> Iterator[Document | Failure]:
    """The records of one file; a document whose id has occurred before is a failure. Holds a hash of each id."""
    if not columns.id:
        yield from records
        return
    seen: set[int] = set()
    for record in records:
        if isinstance(record, Document):
            key = xxhash.xxh3_64_intdigest(record.position.encode())
            if key in seen:
                yield Failure("record", record.position, "the id occurs twice", f"column {columns.id!r}")
                continue
            seen.add(key)
        yield record


def scalar(value: Any) -> str | None:
    """A scalar as text; None for null and for what is nested."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, decimal.Decimal)):
        return str(value)
    if isinstance(value, (datetime.date, datetime.time)):  # datetime is a date
        return value.isoformat()
    return None


def _meta(row: Mapping[str, Any], columns: Columns) -> dict[str, str]:
    special = {columns.text, columns.uri, columns.group}
    names = [key for key in row if key not in special] if columns.meta is None else columns.meta
    values = ((key, scalar(row.get(key))) for key in names)
    return {f"column.{key}" if key in RESERVED else key: value for key, value in values if value is not None}
