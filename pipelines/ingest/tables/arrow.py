"""Arrow IPC streams and files (Feather is such a file): one document a row."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, ClassVar

import pyarrow as pa
from pydantic import Field

from pipelines.ingest.frames import PIECE, BrokenFrame
from pipelines.ingest.records import Document, Failure
from pipelines.ingest.source import FileSource
from pipelines.ingest.tables import arrow_rows
from pipelines.ingest.tables.arrow_messages import RECORDS, Message, messages
from pipelines.ingest.tables.columns import DEFAULT_COLUMNS, Columns, with_unique_ids
from pipelines.ingest.tables.packed import PieceFile, pieces, with_packings

_DAMAGE = (ValueError, OSError, NotImplementedError, MemoryError, pa.ArrowException)


class ArrowSource(FileSource):
    """Spark data source of Arrow IPC files and streams."""

    suffixes: ClassVar[tuple[str, ...]] = with_packings(".arrow", ".arrows", ".feather", ".ipc")


def read_arrow(
    path: Path,
    name: str,
    *,
    max_text_bytes: int,
    max_batch_bytes: Annotated[
        int, Field(gt=0, description="bytes of a batch of rows in memory; a larger one is an error row")
    ] = 1_000_000_000,
    columns: Columns = DEFAULT_COLUMNS,
) -> Iterator[Document | Failure]:
    """Documents of one file, by row; nested columns are left out.

    A file is read like a stream, so what lies before a damage is read. A file that is no Arrow, lacks a column that is
    asked for, or whose text is nested or no text, is a failure; so is a batch that is too large or broken, and a row
    whose text is not UTF-8 or too long, or whose id another row has before it.
    """
    with io.BufferedReader(PieceFile(pieces(path)), PIECE) as file:
        yield from with_unique_ids(_records(file, name, max_text_bytes, max_batch_bytes, columns), columns)


ArrowSource.read = staticmethod(read_arrow)


def _records(
    file: IO[bytes], name: str, max_text_bytes: int, max_batch_bytes: int, columns: Columns
) -> Iterator[Document | Failure]:
    number = 1
    reader: _Reader | None = None
    try:
        for message in messages(file, max_batch_bytes):
            if reader is None:
                reader = _Reader(message, columns)
                if problem := arrow_rows.problem(reader.schema, columns):
                    yield Failure("file", "", *problem)
                    return
                continue
            try:
                if message.data is None:
                    raise ValueError(f"{message.size} bytes in memory; max_batch_bytes is {max_batch_bytes}")
                if batch := reader.read(message):
                    yield from arrow_rows.documents(batch, columns, number, name, max_text_bytes)
            except _DAMAGE as error:
                if message.kind != RECORDS:  # what refers to a dictionary cannot be read without it
                    raise
                yield Failure("file", str(number), "broken batch", f"{message.rows} rows lost: {error}")
            number += message.rows
    except BrokenFrame as broken:
        yield Failure("file", str(number), broken.reason, f"the rows from here on are lost; {broken}")
    except (*_DAMAGE, struct.error, EOFError) as error:
        yield Failure("file", str(number), "broken Arrow data", f"the rows from here on are lost; {error}")


class _Reader:
    """Arrow's own reader, given one message at a time."""

    def __init__(self, schema: Message, columns: Columns) -> None:
        if schema.data is None:
            raise ValueError(f"a schema of {schema.size} bytes")
        self.fed = _Fed(schema.data)
        self.schema = pa.ipc.read_schema(pa.py_buffer(schema.data))
        wanted = {*arrow_rows.chosen(self.schema, columns)}
        fields = [i for i, name in enumerate(self.schema.names) if name in wanted]
        options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        self.stream = pa.ipc.open_stream(self.fed, options=options)

    def read(self, message: Message) -> pa.RecordBatch | None:
        """The batch that a message holds, checked; None where it holds something else."""
        assert message.data is not None
        self.fed.append(message.data)
        if message.kind != RECORDS:
            return None
        try:
            batch = self.stream.read_next_batch()
        finally:
            self.fed.waiting.clear()  # what a broken message left is not the next one's
        for column in batch.columns:
            # Buffers of a damaged file may point anywhere. A text that is not UTF-8 is its row's failure alone.
            (column if pa.types.is_dictionary(column.type) else arrow_rows.as_binary(column)).validate(full=True)
        return batch


class _Fed(io.RawIOBase):
    """A file of the bytes that were appended so far."""

    def __init__(self, data: bytes) -> None:
        self.waiting = [memoryview(data)]

    def append(self, data: bytes) -> None:
        self.waiting.append(memoryview(data))

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts = []
        while self.waiting and size:
            first = self.waiting.pop(0)
            if 0 <= size < len(first):
                self.waiting.insert(0, first[size:])
                first = first[:size]
            parts.append(first)
            size -= len(first)
        return b"".join(parts)
