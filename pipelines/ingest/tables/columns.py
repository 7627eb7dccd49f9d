"""Rows of tables as documents: which column is the text, the address, the id, the group, and what goes to `meta`."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import xxhash
from pydantic import BaseModel, ConfigDict, Field

from filters.normalize import normalize_code as well_formed
from pipelines.ingest.records import Document, Failure, gated

# Keys of meta that mean something to later stages: a column of that name is kept as `column.NAME`.
RESERVED = frozenset({"gate", "group", "file", "position"})


class OriginColumns(BaseModel):
    """Which columns of a table say where a row comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str | None = Field(None, description="the column of the address; by default file and position")
    id: str | None = Field(None, description="of what tells rows apart in ids; by default the row's number")
    group: str | None = Field(None, description="of what splits keep together; by default each row is alone")
    meta: list[str] | None = Field(None, description="those to keep in `meta`; by default all that hold scalars")

    def wanted(self) -> set[str]:
        """The columns that are asked for by name."""
        return {*(name for name in (self.uri, self.id, self.group) if name), *(self.meta or ())}


class Columns(OriginColumns):
    """Which columns of a table are what."""

    text: str = Field("text", description="the column of the text")

    def wanted(self) -> set[str]:
        """The columns that are asked for by name."""
        return super().wanted() | {self.text}


DEFAULT_COLUMNS = Columns()


class Origin(NamedTuple):
    """Position, address and meta of a row."""

    position: str
    uri: str
    meta: dict[str, str]


def origin(
    row: Mapping[str, Any], columns: OriginColumns, number: int, name: str, used: Collection[str] = ()
) -> Origin | Failure:
    """Where a row comes from; `number` (from 1) is its position, or the value of the id column.

    Of the columns in `used` nothing goes to `meta` unless it is asked for. A row without an id is a failure.
    """
    position = str(number)
    if columns.id:
        key = scalar(row.get(columns.id))
        if not key:
            return Failure("record", position, "no id", f"column {columns.id!r}")
        position = well_formed(f"{columns.id}={key}")  # JSON can hold surrogates that no bytes stand for
    uri = (scalar(row.get(columns.uri)) if columns.uri else None) or f"{name}#{position}"
    group = scalar(row.get(columns.group)) if columns.group else None
    return Origin(position, uri, _meta(row, columns, used) | {"group": group or f"{name}#{position}"})


def to_document(row: Mapping[str, Any], columns: Columns, number: int, name: str) -> Document | Failure:
    """The document of a row, `number` (from 1) in its file.

    A row without the text column, or with something else than text in it, is a failure; null is the gate `no_text`.
    """
    found = origin(row, columns, number, name, {columns.text})
    if isinstance(found, Failure):
        return found
    if columns.text not in row:
        return Failure("record", found.position, "no text column", f"column {columns.text!r}")
    text = row[columns.text]
    if text is None:
        return gated(*found[:2], "no_text", found.meta)
    if not isinstance(text, str):
        return Failure("record", found.position, "text is not a string", type(text).__name__)
    return Document(found.position, found.uri, text, found.meta)


def with_unique_ids(records: Iterable[Document | Failure], columns: OriginColumns) -> Iterator[Document | Failure]:
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


def _meta(row: Mapping[str, Any], columns: OriginColumns, used: Collection[str]) -> dict[str, str]:
    special = {*used, columns.uri, columns.group}
    names = [key for key in row if key not in special] if columns.meta is None else columns.meta
    values = ((key, scalar(row.get(key))) for key in names)
    return {f"column.{key}" if key in RESERVED else key: value for key, value in values if value is not None}
