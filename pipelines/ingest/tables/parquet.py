"""Parquet: one document a row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.ingest.frames import BrokenFrame
from pipelines.ingest.records import Document, Failure
from pipelines.ingest.source import FileSource
from pipelines.ingest.tables import arrow_rows
from pipelines.ingest.tables.columns import DEFAULT_COLUMNS, Columns, with_unique_ids
from pipelines.ingest.tables.packed import unpacked, with_packings

READ_BYTES = 1 << 20  # of a column at a time; otherwise a row group's columns are held whole
EXPANDED_BYTES = 64_000_000  # of values from dictionaries at a time, or one row of them
_PAGE = re.compile(rb"\x15([\x80-\xff]*[\0-\x7f])\x15([\x80-\xff]*[\0-\x7f])", re.DOTALL)


class ParquetSource(FileSource):
    """Spark data source of Parquet files."""

    suffixes: ClassVar[tuple[str, ...]] = with_packings(".parquet", ".pq")


def read_parquet(
    path: Path, name: str, *, max_text_bytes: int, columns: Columns = DEFAULT_COLUMNS
) -> Iterator[Document | Failure]:
    """Documents of one file, by row; nested columns are left out.

    A file that is no Parquet, lacks a column that is asked for, or whose text is nested or no text, is a failure; so
    is the rest of a row group that cannot be read, and a row whose text is not UTF-8 or too long, or whose id
    another row has before it. A packed file is unpacked on disk.
    """
    try:
        yield from with_unique_ids(_records(path, name, max_text_bytes, columns), columns)
    except BrokenFrame as broken:
        yield Failure("file", "", broken.reason, str(broken))
    except pa.ArrowException as error:
        yield Failure("file", "", "unreadable", f"{type(error).__name__}: {error}")


ParquetSource.read = staticmethod(read_parquet)


def _records(path: Path, name: str, max_text_bytes: int, columns: Columns) -> Iterator[Document | Failure]:
    with (
        unpacked(path) as whole,
        pq.ParquetFile(whole, page_checksum_verification=True, buffer_size=READ_BYTES) as file,
    ):
        schema = file.schema_arrow
        if problem := arrow_rows.problem(schema, columns):
            yield Failure("file", "", *problem)
            return
        chosen = arrow_rows.chosen(schema, columns)
        first = 1
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            number = first
            try:
                for batch in _batches(file, whole, group, chosen):
                    yield from arrow_rows.documents(batch, columns, number, name, max_text_bytes)
                    number += batch.num_rows
                if number != first + rows:  # a damaged page header can end a column without an error
                    raise OSError("its pages hold fewer")
            except (OSError, pa.ArrowException) as error:
                yield Failure("file", str(number), "broken row group", f"{first + rows - number} rows lost: {error}")
            first += rows


def _batches(file: pq.ParquetFile, whole: IO[bytes], group: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    metadata = file.metadata.row_group(group)
    # What the reader finds wrong with a column is an exception; metadata.column() would end the process.
    if next(file.iter_batches(1, row_groups=[group], columns=columns, use_threads=False), None) is None:
        return
    # A few bytes can say a thousand times which value of a dictionary a row has: each row may be as long as all of it.
    paths = [file.schema.column(i).path for i in range(len(file.schema))]
    longest = sum(_dictionary_bytes(whole, metadata.column(i)) for i, path in enumerate(paths) if path in columns)
    rows = arrow_rows.rows_at_once(metadata.total_byte_size, metadata.num_rows)
    rows = min(rows, max(1, EXPANDED_BYTES // max(1, longest)))
    yield from file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False)


def _dictionary_bytes(whole: IO[bytes], chunk: pq.ColumnChunkMetaData) -> int:
    """Size of a column's dictionary once it is decompressed, 0 where it has none.

    A page's header (parquet.thrift, PageHeader, in Thrift's compact protocol) begins with two fields of type i32:
    the page's kind, of which 2 is a dictionary, and its size without compression.
    """
    whole.seek(min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset))
    found = _PAGE.match(whole.read(16))
    if not found:
        return int(chunk.total_uncompressed_size)  # what cannot be told may be that much
    kind, size = (sum((byte & 127) << 7 * i for i, byte in enumerate(varint)) >> 1 for varint in found.groups())
    return size if kind == 2 else 0
