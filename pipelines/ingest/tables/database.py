"""Tables of relational databases through ADBC (SQLite, PostgreSQL): one document a row, read in ranges of a key.

What is read while others write to the table is not promised to be of one moment: each range is a query of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import xxhash
from pydantic import Field

from pipelines.errors import ConfigError
from pipelines.ingest.files import InputFile, Span
from pipelines.ingest.options import parse
from pipelines.ingest.records import Document, Failure, too_large
from pipelines.ingest.source import FileSource
from pipelines.ingest.tables.arrow_rows import as_binary, is_scalar
from pipelines.ingest.tables.columns import Columns, to_document, with_unique_ids
from pipelines.ingest.tables.connections import DatabaseError, cursor, is_postgresql, resolve, sqlite_file
from pipelines.ingest.tables.queries import LEAST, MOST, Table
from pipelines.source_config import Source

DEFAULT_COLUMNS = Columns()
MAX_PARTS = 10_000
BATCH = {True: ("adbc.postgresql.batch_size_hint_bytes", "4000000"), False: ("adbc.sqlite.query.batch_rows", "16")}


class DatabaseSource(FileSource):
    """Spark data source of tables; the config's `paths` are their names, or what a query's rows are called in ids."""

    of_files: ClassVar[bool] = False

    @classmethod
    def discover(cls, source: Source) -> tuple[str, list[InputFile]]:
        """The tables: estimated bytes of text, and a number that changes with the count of rows and the last key.

        Raises ConfigError where the database does not answer, or has no such table or column.
        """
        found = []
        for name in source.paths:
            try:
                found.append(_facts(source, name))
            except DatabaseError as error:
                raise ConfigError(f"{name}: {error}") from error
        return "", found

    @classmethod
    def spans(cls, source: Source, file: InputFile, target: int) -> list[Span | None]:
        """Ranges of the key with about `target` bytes of text each; a table whose key is no integer is one range."""
        parts = min(MAX_PARTS, file.size // target)
        uri, table, _columns = _asked(file.path, **parse(cls.read, source.options))
        if parts < 2:
            return [None]
        with cursor(uri) as opened:
            if not _one(opened, table.facts())[3]:
                return [None]
            opened.execute(table.borders(parts))
            borders = sorted({int(border) for (border,) in opened.fetchall()})
        return list(pairwise([LEAST, *borders[1:], MOST]))


def read_database(
    root: str,
    name: str,
    *,
    max_text_bytes: int,
    span: Span | None = None,
    key: Annotated[
        str,
        Field(
            description="the column that tells rows apart: ids hold it; where it is an integer, tasks read ranges of it"
        ),
    ] = "id",
    uri: Annotated[
        str | None,
        Field(description="sqlite:///FILE or postgresql://USER:${PASSWORD}@HOST/DATABASE; ${VAR} is replaced in tasks"),
    ] = None,
    uri_env: Annotated[str | None, Field(description="environment variable that holds the uri, in tasks too")] = None,
    query: Annotated[str | None, Field(description="SQL in the place of a table; `paths` then names its rows")] = None,
    columns: Columns = DEFAULT_COLUMNS,
) -> Iterator[Document | Failure]:
    """Documents of a table, or of a range of its key, by row.

    A row without a key, with a text longer than `max_text_bytes` or not UTF-8, or whose key another row has, is a
    failure. Values are as the database writes them as text, times in UTC; null and the empty text are the same.
    """
    uri, table, columns = _asked(name, key, uri, uri_env, query, columns)
    yield from with_unique_ids(_documents(uri, table, columns, name, max_text_bytes, span), columns)


DatabaseSource.read = staticmethod(read_database)


def _asked(
    name: str,
    key: str = "id",
    uri: str | None = None,
    uri_env: str | None = None,
    query: str | None = None,
    columns: Columns = DEFAULT_COLUMNS,
) -> tuple[str, Table, Columns]:
    """The address, the table, and its columns with the key as their id."""
    if columns.id not in (None, key):
        raise ConfigError("options.columns.id: the key tells rows apart")
    address = resolve(uri, uri_env)
    table = Table.of(name, query, key, columns.text, is_postgresql(address))
    return address, table, columns.model_copy(update={"id": key})


def _facts(source: Source, name: str) -> InputFile:
    uri, table, columns = _asked(name, **parse(read_database, source.options))
    with cursor(uri) as opened:
        there = _schema(opened, table).names
        if missing := sorted(columns.wanted() - {*there}):
            raise ConfigError(f"{name} has no column {', '.join(missing)}; its columns are {', '.join(there)}")
        rows, least, greatest, _ = _one(opened, table.facts())
        (size,) = _one(opened, table.mean_bytes())
    made_of = f"{rows} {least} {greatest}"
    if not is_postgresql(uri):
        status = sqlite_file(uri).stat()
        made_of += f" {status.st_size} {status.st_mtime_ns}"
    return InputFile(name, int(rows * size), xxhash.xxh3_64_intdigest(made_of.encode()) >> 1)


def _one(opened: Any, query: str) -> Any:
    opened.execute(query)
    return opened.fetchone()


def _schema(opened: Any, table: Table) -> pa.Schema:
    opened.execute(table.no_rows())
    return opened.fetch_record_batch().schema


def _documents(
    uri: str, table: Table, columns: Columns, name: str, limit: int, span: Span | None
) -> Iterator[Document | Failure]:
    with cursor(uri) as opened:
        schema = _schema(opened, table)
        scalars = [field.name for field in schema if is_scalar(field.type)] if columns.meta is None else []
        names = list(dict.fromkeys([table.key, *sorted(columns.wanted() - {columns.text}), *scalars]))
        names = [name for name in names if name != columns.text]
        option, value = BATCH[table.postgresql]
        opened.adbc_statement.set_options(**{option: value})
        opened.execute(table.rows(names, limit, span))
        without_key = 0
        for batch in opened.fetch_record_batch():
            sizes, *values = (as_binary(column).to_pylist() for column in batch.columns)
            for size, text, *others in zip(sizes, *values, strict=True):
                row = {key: other.decode("utf-8", "replace") for key, other in zip(names, others, strict=True) if other}
                without_key += table.key not in row
                yield _document(row, size, text, columns, name, limit, without_key)


def _document(
    row: dict[str, Any], size: int, text: bytes, columns: Columns, name: str, limit: int, number: int
) -> Document | Failure:
    if columns.id not in row:
        return Failure("record", str(number), "no id", f"column {columns.id!r}")
    position = f"{columns.id}={row[columns.id]}"
    if size > limit:
        return too_large(position, limit)
    try:
        row[columns.text] = text.decode()
    except UnicodeDecodeError as error:
        return Failure("record", position, "not UTF-8", f"{error.reason} at byte {error.start} of the text")
    return to_document(row, columns, number, name)
