"""Record batches as documents: what Parquet, Arrow files and databases have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from pipelines.ingest.records import Document, Failure, too_large
from pipelines.ingest.tables.columns import Columns, to_document

BATCH_BYTES = 8_000_000  # to aim at; rows are taken to be of equal size
BATCH_ROWS = 2_000


def rows_at_once(size: int, rows: int) -> int:
    """How many of `rows` rows of `size` bytes together are turned into Python's objects at once."""
    return min(BATCH_ROWS, max(1, BATCH_BYTES * rows // max(1, size)))


def problem(schema: pa.Schema, names: Columns) -> tuple[str, str] | None:
    """Reason and detail, where a table lacks a column that is asked for, or its text is no text."""
    missing = sorted(names.wanted() - set(schema.names))
    if missing:
        return "missing column", ", ".join(missing)
    # A file may have two columns of one name: they cannot be told apart.
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1} & names.wanted())
    if twice:
        return "two columns have one name", ", ".join(twice)
    kind = schema.field(names.text).type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if not (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
        return "text is not a string", f"column {names.text!r} is {kind}"
    return None


def chosen(schema: pa.Schema, names: Columns) -> list[str]:
    """The columns to read: those asked for, where they hold scalars; all that do, where `meta` is not given."""
    return [
        field.name
        for field in schema
        if is_scalar(field.type) and (names.meta is None or field.name in names.wanted())
        if schema.names.count(field.name) == 1
    ]


def documents(batch: pa.RecordBatch, names: Columns, first: int, name: str, limit: int) -> Iterator[Document | Failure]:
    """The documents of a batch whose first row has the number `first`.

    A row whose text is longer than `limit` bytes or not UTF-8 is a failure; other columns are mended.
    """
    step = rows_at_once(batch.nbytes, batch.num_rows)
    for start in range(0, batch.num_rows, step):
        yield from _documents(batch.slice(start, step), names, first + start, name, limit)


def _documents(
    batch: pa.RecordBatch, names: Columns, first: int, name: str, limit: int
) -> Iterator[Document | Failure]:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    too_long = _longer_than(columns[names.text], limit)
    if any(too_long) and not types.is_dictionary(columns[names.text].type):
        nothing = pa.scalar(None, columns[names.text].type)
        columns[names.text] = pc.if_else(pa.array(too_long), nothing, columns[names.text])
    # Neither Parquet nor Arrow holds writers to UTF-8.
    values = {key: _values(column, mend=key != names.text) for key, column in columns.items()}
    for i in range(batch.num_rows):
        number = first + i
        if too_long[i]:
            yield too_large(str(number), limit)
            continue
        row = {key: column[i] for key, column in values.items()}
        try:
            text = row[names.text]
            row[names.text] = None if text is None else text.decode()
        except UnicodeDecodeError as error:
            yield Failure("record", str(number), "not UTF-8", f"{error.reason} at byte {error.start} of the text")
            continue
        yield to_document(row, names, number, name)


def as_binary(column: pa.Array) -> pa.Array:
    """A string column as the bytes that it holds; any other as it is."""
    if types.is_string(column.type):
        return column.cast(pa.binary())
    if types.is_large_string(column.type) or types.is_string_view(column.type):
        return column.cast(pa.large_binary())
    return column


def _values(column: pa.Array, mend: bool) -> list[Any]:
    """A column's values, texts mended or as bytes; a dictionary's are one object each, however many rows have them."""
    if types.is_dictionary(column.type):
        used = column.indices.unique().drop_null()
        values = dict(zip(used.to_pylist(), _values(column.dictionary.take(used), mend)))
        return [values.get(index) for index in column.indices.to_pylist()]
    found = as_binary(column).to_pylist()
    return (
        [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in found] if mend else found
    )


def _longer_than(column: pa.Array, limit: int) -> list[bool]:
    """Which texts of a column are longer than `limit` bytes."""
    if types.is_dictionary(column.type):
        lengths = pc.binary_length(as_binary(column.dictionary)).take(column.indices)
    else:
        lengths = pc.binary_length(as_binary(column))
    return list(pc.fill_null(pc.greater(lengths, limit), False).to_pylist())


def is_scalar(kind: pa.DataType) -> bool:
    """Whether values of a type are single, and no bytes."""
    kind = kind.value_type if types.is_dictionary(kind) else kind
    is_json = getattr(kind, "extension_name", "") == "arrow.json"
    return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind) or is_json)
