"""Parquet: one document a row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from pipelines.ingest.records import Document, Failure, too_large
from pipelines.ingest.source import FileSource
from pipelines.ingest.tables import DEFAULT_COLUMNS, Columns, to_document, with_unique_ids

BATCH_BYTES = 8_000_000  # to aim at; rows are taken to be of equal size


class ParquetSource(FileSource):
    """Spark data source of Parquet files."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")


def read_parquet(
    path: Path, name: str, *, max_text_bytes: int, columns: Columns = DEFAULT_COLUMNS
) -> Iterator[Document | Failure]:
    """Documents of one file, by row; nested columns are left out.

    A file that is no Parquet, lacks a column that is asked for, or whose text is nested or no text, is a failure; so
    is the rest of a row group that cannot be read, and a row whose text is not UTF-8 or too long, or whose id
    another row has before it.
    """
    return with_unique_ids(_records(path, name, max_text_bytes, columns), columns)


ParquetSource.read = staticmethod(read_parquet)


def _records(path: Path, name: str, max_text_bytes: int, columns: Columns) -> Iterator[Document | Failure]:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema = file.schema_arrow
        if problem := _problem(schema, columns):
            yield Failure("file", "", *problem)
            return
        chosen = [f.name for f in schema if _is_scalar(f.type) and (columns.meta is None or f.name in columns.wanted())]
        first = 1
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            number = first
            try:
                for batch in _batches(file, group, chosen):
                    yield from _documents(batch, columns, number, name, max_text_bytes)
                    number += batch.num_rows
                if number != first + rows:  # a damaged page header can end a column without an error
                    raise OSError("its pages hold fewer")
            except (OSError, pa.ArrowException) as error:
                yield Failure("file", str(number), "broken row group", f"{first + rows - number} rows lost: {error}")
            first += rows


def _problem(schema: pa.Schema, names: Columns) -> tuple[str, str] | None:
    missing = sorted(names.wanted() - set(schema.names))
    if missing:
        return "missing column", ", ".join(missing)
    kind = schema.field(names.text).type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if not (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
        return "text is not a string", f"column {names.text!r} is {kind}"
    return None


def _is_scalar(kind: pa.DataType) -> bool:
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def _batches(file: pq.ParquetFile, group: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    metadata = file.metadata.row_group(group)
    size = max(1, metadata.total_byte_size // max(1, metadata.num_rows))
    yield from file.iter_batches(min(2_000, max(1, BATCH_BYTES // size)), row_groups=[group], columns=columns)


def _documents(
    batch: pa.RecordBatch, names: Columns, first: int, name: str, limit: int
) -> Iterator[Document | Failure]:
    values = {key: _values(column) for key, column in zip(batch.schema.names, batch.columns, strict=True)}
    sizes = pc.binary_length(_as_binary(batch.column(names.text))).to_pylist()
    for i in range(batch.num_rows):
        number = first + i
        if (sizes[i] or 0) > limit:
            yield too_large(str(number), limit)
            continue
        row = {key: column[i] for key, column in values.items()}
        try:
            # Parquet does not hold writers to UTF-8. A broken text is a failure; other columns are mended.
            row = {
                key: value.decode("utf-8", "strict" if key == names.text else "replace")
                if isinstance(value, bytes)
                else value
                for key, value in row.items()
            }
        except UnicodeDecodeError as error:
            yield Failure("record", str(number), "not UTF-8", f"{error.reason} at byte {error.start} of the text")
            continue
        yield to_document(row, names, number, name)


def _values(column: pa.Array) -> list[Any]:
    return list(_as_binary(column).to_pylist())


def _as_binary(column: pa.Array) -> pa.Array:
    """A string column as the bytes it holds, a dictionary as its values; any other as it is."""
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_string(column.type):
        return column.cast(pa.binary())
    if types.is_large_string(column.type) or types.is_string_view(column.type):
        return column.cast(pa.large_binary())
    return column
