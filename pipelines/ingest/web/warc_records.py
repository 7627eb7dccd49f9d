"""Cuts a web archive (WARC or ARC) into records, and says where it could not.

FastWARC's own iterator ends quietly where an archive is cut off, gives one position to all records of a file that was
compressed as a whole, does not say what it skipped (2.0.1), and reads no ARC. So records are cut here, on frames whose
damage is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.ingest.frames import FrameReader
from pipelines.ingest.web.archive_streams import FrameStream, PlainStream, Span
from pipelines.ingest.web.record_headers import (
    LONGEST_LINE,
    arc_headers,
    begins_record,
    find_record,
    has_one_line,
    warc_headers,
)

MAX_HEADER = 64_000  # bytes; FastWARC's own limit is 32 KiB
MAX_BLANK = 64  # bytes of line ends behind a record that are looked through where they are not as they should be
NO_RECORD = "no WARC record begins here"
_BLANK_LINE = re.compile(rb"\n\r*\n")  # some archives have been through a conversion of line ends
_LINE_ENDS = re.compile(rb"[\r\n]*")
_ENDS_WARC, _ENDS_ARC = (b"\r\n\r\n", b"\n\n"), (b"\n", b"\r\n")


@dataclass(frozen=True, slots=True)
class WarcRecord:
    """A record: `headers` with lower-case keys, `block` its content, None where it is longer than the limit."""

    position: str
    headers: dict[str, str]
    length: int
    block: bytes | None


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch without a readable record. `headers` are those of the record that it cut, where they were read.

    `lost` is how many bytes of the file it takes, `lost_within` how many decompressed bytes of frames that are whole.
    """

    position: str
    reason: str
    detail: str
    headers: dict[str, str]
    lost: int
    lost_within: int

    @property
    def is_record(self) -> bool:
        """Whether a record is lost with it, and not only what stands between records."""
        return bool(self.headers) or self.reason not in (NO_RECORD, "no compressed frame begins here")


class _Broken(Exception):
    """The record at hand cannot be read on."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


@dataclass(slots=True)
class _Begun:
    """What is known of the record at hand; another one is looked for behind the line end at `resume`."""

    begin: int
    position: str
    resume: int
    headers: dict[str, str] = field(default_factory=dict)
    ends: tuple[bytes, ...] = _ENDS_WARC


class Archive:
    """The records of a file in order, and damage between them. Positions are unique within the file.

    A record's position is the offset of its compressed frame in the file; for a further record of the same frame,
    `FRAME+OFFSET`, the second being counted in the frame's decompressed bytes; in a plain file simply the offset.
    Blocks longer than `max_block` bytes are passed over and never held. With a span, only what begins in these bytes
    of the file is read, so that spans that tile a file give together what one reading does; what follows damage is
    read with it until a record begins whose frames are whole.
    """

    def __init__(self, path: Path, max_block: int, span: Span | None = None) -> None:
        self.frames = FrameReader(path)
        self.stream = FrameStream(self.frames, span) if self.frames.magic else PlainStream(self.frames, span)
        self.max_block = max_block
        self.buffer, self.at = b"", 0  # decompressed bytes, and how many of them are used
        self.start = 0  # offset of buffer[0] among all decompressed bytes
        self.keep = 0  # offset from which on the buffer is kept

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.frames.file.close()

    def __iter__(self) -> Iterator[WarcRecord | Damage]:
        first, end = self.stream.wanted
        while True:
            if self._skip_line_ends():
                begin = self.start + self.at
                if begin >= end:
                    return
                found = self._next(begin, self.max_block if begin >= first else -1)
                if begin >= first:
                    yield found
            elif broken := self.stream.broken:
                yield self._damage(_Begun(self.stream.tell, str(broken.offset), self.stream.tell), "", "")
            elif not self._cross():
                return

    def bytes_passed(self) -> int:
        """How many bytes of the file have been gone through, lost ones included."""
        return self.stream.bytes_passed()

    def _next(self, begin: int, max_block: int) -> WarcRecord | Damage:
        self.keep = begin
        record = _Begun(begin, self.stream.position(begin), begin)
        try:
            length = self._read_header(record)
            block = self._block(length, max_block)
            self._check_end(record)
        except _Broken as broken:
            return self._damage(record, broken.reason, broken.detail)
        return WarcRecord(record.position, record.headers, length, block)

    def _read_header(self, record: _Begun) -> int:
        """Read the header, and return the length of the block."""
        while (end := self.buffer.find(b"\n", self.at, self.at + LONGEST_LINE)) < 0:
            if len(self.buffer) - self.at >= LONGEST_LINE or not self._more():
                raise _Broken(NO_RECORD)
        if not begins_record(self.buffer, self.at):
            raise _Broken(NO_RECORD)
        line = self.buffer[self.at : end + 1]
        self.at = end + 1
        record.resume = self.start + end
        if has_one_line(line):
            record.headers.update(arc_headers(line))
            record.ends = _ENDS_ARC
        else:
            record.headers.update(warc_headers(self._header_lines()))
            record.resume = self.start + self.at - 1
        length = record.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            raise _Broken("no valid Content-Length", length[:100])
        return int(length)

    def _header_lines(self) -> bytes:
        while not (found := _BLANK_LINE.search(self.buffer, self.at - 1, self.at + MAX_HEADER)):
            if len(self.buffer) - self.at >= MAX_HEADER:
                raise _Broken("WARC header too long")
            if not self._more():
                raise _Broken("the record is cut off", "within its header")
        lines = self.buffer[self.at : found.end()]
        if find_record(lines, 0) >= 0:
            raise _Broken("the record is cut off", "another begins within its header")
        self.at = found.end()
        return lines

    def _block(self, length: int, max_block: int) -> bytes | None:
        """The next `length` bytes, or None, having passed over them, where they are more than the limit."""
        if length > max_block:
            there = self._pass_over(length)
        elif self._has(length):
            begin, self.at = self.at, self.at + length
            return self.buffer[begin : self.at]
        else:
            there = len(self.buffer) - self.at
        if there < length:
            raise _Broken("the record is cut off", f"{there} of {length} bytes are there")
        return None

    def _pass_over(self, length: int) -> int:
        """Skip `length` bytes, and return how many there were."""
        stop = self.start + self.at + length
        if isinstance(self.stream, PlainStream) and stop > self.start + len(self.buffer):
            self._jump(stop)
            return length - (stop - self.start)
        while (end := self.start + len(self.buffer)) < stop:
            self.start, self.buffer, self.at = end, self.stream.read(), 0
            if not self.buffer:
                return length - (stop - end)
        self.at = stop - self.start
        return length

    def _check_end(self, record: _Begun) -> None:
        """Raise _Broken where a record's frame is broken, or its block does not end where its header says.

        The checksum of a frame stands at its end: it is checked before its record is believed. Behind a block stand
        line ends (two in WARC, one in ARC). Where writers left some out, at least a record follows, or the end.
        """
        self._has(4)
        if self.buffer.startswith(record.ends, self.at):
            follows = self._skip_line_ends()
        else:
            self._has(MAX_BLANK)
            found = _LINE_ENDS.match(self.buffer, self.at, self.at + MAX_BLANK)
            assert found is not None
            self.at = found.end()
            follows = self._has(1)
            self._has(LONGEST_LINE)
            if follows and not begins_record(self.buffer, self.at):
                raise _Broken("the record does not end where its header says")
        if not follows and self.stream.breaks_here():
            raise _Broken("")

    def _damage(self, record: _Begun, reason: str, detail: str) -> Damage:
        """Damage that begins with a record, once reading has moved to the next one."""
        if broken := self.stream.broken:
            reason, detail = broken.reason, broken.detail
        lost = within = 0
        begin = record.begin
        self._go_back(record.resume)
        while (found := find_record(self.buffer, self.at)) < 0:
            # A line that begins a record may be cut in two by the buffer's end.
            line = self.buffer.rfind(b"\n", self.at)
            self.at = line if line >= 0 and len(self.buffer) - line < LONGEST_LINE else len(self.buffer)
            self.keep = self.start + self.at
            if self._more():
                continue
            self.at = found = len(self.buffer)
            if self.stream.broken is None:
                break
            lost += self.stream.broken.lost
            within += max(0, self.stream.broken_at - begin)
            begin = self.start + self.at
            self.stream.broken = None
        self.at = found
        within += self.start + self.at - begin
        if isinstance(self.stream, PlainStream):
            lost, within = within, 0
        told = [detail] if detail else []
        told += [f"{lost} bytes of the file skipped"] if lost else []
        told += [f"{within} decompressed bytes skipped"] if within else []
        return Damage(record.position, reason, "; ".join(told), record.headers, lost, within)

    def _go_back(self, offset: int) -> None:
        """To where another record may begin, if that is still at hand: what was passed over in a frame is not."""
        if offset >= self.start:
            self.at = offset - self.start
        elif isinstance(self.stream, PlainStream):
            self._jump(offset)

    def _jump(self, offset: int) -> None:
        assert isinstance(self.stream, PlainStream)
        self.stream.jump(offset)
        self.start, self.buffer, self.at = self.stream.tell, b"", 0

    def _cross(self) -> bool:
        """Begin the next stretch. False at the end."""
        self.start += len(self.buffer)
        self.buffer, self.at = self.stream.cross() or b"", 0
        return bool(self.buffer)

    def _skip_line_ends(self) -> bool:
        """To the next byte that is no line end. False at the end of the stretch."""
        while True:
            found = _LINE_ENDS.match(self.buffer, self.at)
            assert found is not None
            self.at = found.end()
            if self.at < len(self.buffer):
                return True
            self.keep = self.start + self.at
            if not self._more():
                return False

    def _has(self, count: int) -> bool:
        """Get the next `count` bytes into the buffer. False where the stretch ends before."""
        missing = self.at + count - len(self.buffer)
        if missing <= 0:
            return True
        used = max(0, min(self.at, self.keep - self.start))
        parts = [self.buffer[used:]]
        while missing > 0 and (data := self.stream.read()):
            parts.append(data)
            missing -= len(data)
        self.buffer, self.start, self.at = b"".join(parts), self.start + used, self.at - used
        return missing <= 0

    def _more(self) -> bool:
        """Get more bytes into the buffer. False at the end of the stretch."""
        return self._has(len(self.buffer) - self.at + 1)
