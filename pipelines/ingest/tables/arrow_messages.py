"""The messages of an Arrow stream before Arrow reads them: how large each becomes, so that none takes all memory.

The framing of messages is that of the Arrow columnar format, "Serialization and Interprocess Communication (IPC)":
0xFFFFFFFF, the metadata's length, the metadata (a FlatBuffers table of Message.fbs), the body. A file is such a stream
between magic numbers, with a footer that this reader has no use for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

MAGIC = b"ARROW1\0\0"
CONTINUATION = b"\xff\xff\xff\xff"
SCHEMA, DICTIONARY, RECORDS = 1, 2, 3  # Message.fbs: union MessageHeader
MAX_METADATA = 1 << 26  # bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it lies in the stream, or without its bytes where it would take more memory than is allowed."""

    kind: int
    rows: int  # of a batch of records
    size: int  # bytes in memory
    data: bytes | None


def messages(file: IO[bytes], limit: int) -> Iterator[Message]:
    """The messages of a stream or of an IPC file up to its end mark.

    Raises ValueError, struct.error or EOFError where one cannot be read.
    """
    head = file.read(8)
    is_file = head == MAGIC
    if is_file:
        head = file.read(8)
    while head:
        # Before version 0.15 there was no continuation mark.
        mark, rest = (head[:4], head[4:]) if head.startswith(CONTINUATION) else (b"", head)
        if rest.startswith(bytes(4)):
            return  # the end mark
        if len(head) < 8:
            raise EOFError("the file ends within a message")
        (length,) = struct.unpack_from("<i", rest)
        if not 0 < length <= MAX_METADATA:
            raise ValueError(f"metadata of {length} bytes")
        metadata = rest[4:] + _exactly(file, length - len(rest[4:]))
        table = _Table(metadata, struct.unpack_from("<I", metadata)[0])
        kind, body = table.number(1, "B"), table.number(3, "q")
        if body < 0:
            raise ValueError(f"a body of {body} bytes")
        rows = table.table(2).number(0, "q") if kind == RECORDS else 0
        if body > limit:
            _skip(file, body)
            yield Message(kind, rows, body, None)
        else:
            data = _exactly(file, body)
            size = _expanded(table, kind, data)
            framed = mark + rest[:4] + metadata + data if size <= limit else None
            yield Message(kind, rows, size, framed)
        head = file.read(8)
    if is_file:
        raise EOFError("the file ends before its end mark")


class _Table:
    """A FlatBuffers table: fields are found through the offsets in front of it (FlatBuffers' internals, "Tables")."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.offsets = at - struct.unpack_from("<i", data, at)[0]
        if self.offsets < 0:
            raise ValueError("metadata that point out of themselves")
        (self.length,) = struct.unpack_from("<H", data, self.offsets)

    def place(self, field: int) -> int | None:
        """Where a field lies, None where it is absent."""
        slot = 4 + 2 * field
        if slot + 2 > self.length:
            return None
        (offset,) = struct.unpack_from("<H", self.data, self.offsets + slot)
        return self.at + offset if offset else None

    def number(self, field: int, kind: str) -> int:
        """A number, by default 0."""
        place = self.place(field)
        return 0 if place is None else int(struct.unpack_from(f"<{kind}", self.data, place)[0])

    def table(self, field: int) -> _Table:
        """A table within. Raises ValueError where there is none."""
        place = self.place(field)
        if place is None:
            raise ValueError("metadata without a header")
        return _Table(self.data, place + struct.unpack_from("<I", self.data, place)[0])

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """A vector of structs of two 64-bit integers."""
        place = self.place(field)
        if place is None:
            return []
        place += struct.unpack_from("<I", self.data, place)[0]
        (count,) = struct.unpack_from("<I", self.data, place)
        if count > len(self.data) // 16:
            raise ValueError(f"{count} buffers")
        return list(struct.iter_unpack("<qq", self.data[place + 4 : place + 4 + 16 * count]))


def _expanded(message: _Table, kind: int, body: bytes) -> int:
    """Bytes of a message's buffers once they are decompressed: each compressed one begins with its length, or -1."""
    if kind not in (RECORDS, DICTIONARY):
        return len(body)
    batch = message.table(2) if kind == RECORDS else message.table(2).table(1)
    if batch.place(3) is None:  # no compression
        return len(body)
    sizes = (struct.unpack_from("<q", body, at)[0] for at, length in batch.pairs(2) if length >= 8 and at >= 0)
    return sum(size for size in sizes if size > 0) + len(body)


def _exactly(file: IO[bytes], size: int) -> bytes:
    """So many bytes. Raises EOFError where there are fewer; holds no more than there are."""
    parts = []
    while size > 0 and (part := file.read(min(size, 1 << 24))):
        parts.append(part)
        size -= len(part)
    if size > 0:
        raise EOFError("the file ends within a message")
    return b"".join(parts)


def _skip(file: IO[bytes], size: int) -> None:
    while size > 0:
        part = file.read(min(size, 1 << 20))
        if not part:
            raise EOFError("the file ends within a message")
        size -= len(part)
