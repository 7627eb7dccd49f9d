"""Cuts a web archive into records, and says where it could not.

FastWARC's own iterator ends quietly where an archive is cut off, gives one position to all records of a file that was
compressed as a whole, and does not say what it skipped (2.0.1). So records are cut here, on frames whose damage is
known, and FastWARC parses what is inside them. Layout: ISO 28500:2017 (WARC 1.1).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.ingest.frames import BrokenFrame, FrameReader

MAX_HEADER = 64_000  # bytes; FastWARC's own limit is 32 KiB
_START = re.compile(rb"(?:\A|(?<=\n))WARC/\d+\.\d+[ \t\r]*\n")


@dataclass(frozen=True, slots=True)
class WarcRecord:
    """A record: `headers` with lower-case keys, `block` its content, None where it is longer than the limit."""

    position: str
    headers: dict[str, str]
    length: int
    block: bytes | None


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch without a readable record. `headers` are those of the record that it cut, where they were read."""

    position: str
    reason: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)


class _Broken(Exception):
    """The record at hand cannot be read on: what is wrong, more about it, and where, if not within a record."""

    def __init__(self, reason: str, detail: str = "", position: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail, self.position = reason, detail, position


def warc_records(path: Path, max_block: int) -> Iterator[WarcRecord | Damage]:
    """All records of a file in order, and damage between them. Positions are unique within the file.

    A record's position is the offset of its compressed frame in the file; for a further record of the same frame,
    `FRAME+OFFSET`, the second being counted in the frame's decompressed bytes; in a plain file simply the offset.
    """
    with FrameReader(path) as frames:
        yield from _Cutter(frames, max_block).records()


class _Cutter:
    def __init__(self, frames: FrameReader, max_block: int) -> None:
        self.frames, self.max_block = frames, max_block
        self.plain = not frames.magic
        self.buffer, self.at = b"", 0  # decompressed bytes, and how many of them are used
        self.start = 0  # offset of buffer[0] among all decompressed bytes
        self.begins: deque[tuple[int, int]] = deque()  # (decompressed offset, frame): where frames in the buffer begin

    def records(self) -> Iterator[WarcRecord | Damage]:
        while True:
            headers: dict[str, str] = {}
            position = ""
            try:
                if not self._skip_blank_lines():
                    return
                position = self._position()
                self._headers(headers)
                record = self._record(position, headers)
            except _Broken as broken:
                yield self._damage(broken, position or broken.position, headers)
                continue
            # The checksum of a frame stands at its end: it is checked before its record is believed.
            try:
                self._skip_blank_lines()
                yield record
            except _Broken as broken:
                if broken.position == position:
                    yield self._damage(broken, position, headers)
                else:
                    yield record
                    yield self._damage(broken, broken.position, {})

    def _damage(self, broken: _Broken, position: str, headers: dict[str, str]) -> Damage:
        """Damage at a position, once reading has moved to the next record."""
        lost = self._resynchronize()
        parts = (broken.detail, f"{lost} bytes skipped" if lost else "")
        return Damage(position, broken.reason, "; ".join(part for part in parts if part), headers)

    def _position(self) -> str:
        """Where the next byte lies in the file."""
        offset = self.start + self.at
        if self.plain:
            return str(offset)
        while len(self.begins) > 1 and self.begins[1][0] <= offset:
            self.begins.popleft()
        begin, frame = self.begins[0]
        return str(frame) if begin == offset else f"{frame}+{offset - begin}"

    def _headers(self, headers: dict[str, str]) -> None:
        """Fill `headers`, so that what was read before a break is known."""
        if not _START.match(self._line() + b"\n"):
            raise _Broken("no WARC record begins here")
        key = ""
        size = 0
        while line := self._line().rstrip(b"\r"):
            size += len(line)
            if size > MAX_HEADER:
                raise _Broken("WARC header too long")
            text = line.decode("utf-8", "replace")
            name, colon, value = text.partition(":")
            if text[0] in " \t" and key:
                headers[key] += " " + text.strip()
            elif colon:
                key = name.strip().lower()
                headers.setdefault(key, value.strip())

    def _record(self, position: str, headers: dict[str, str]) -> WarcRecord:
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            raise _Broken("no valid Content-Length", length[:100])
        return WarcRecord(position, headers, int(length), self._take(int(length)))

    def _take(self, length: int) -> bytes | None:
        """The next `length` bytes, or None, having passed over them, where they are more than the limit."""
        keep = length <= self.max_block
        parts: list[bytes] = []
        missing = length
        while missing:
            if self.at == len(self.buffer):
                filled = self._fill()
                # Where each record has a frame of its own, one that reaches into the next lies about its length.
                if not filled or (filled == 2 and _START.match(self.buffer)):
                    raise _Broken("the record is cut off", f"{length - missing} of {length} bytes are there")
            part = self._cut(min(missing, len(self.buffer) - self.at))
            missing -= len(part)
            if keep:
                parts.append(part)
        return b"".join(parts) if keep else None

    def _line(self) -> bytes:
        while (end := self.buffer.find(b"\n", self.at, self.at + MAX_HEADER)) < 0:
            there = len(self.buffer) - self.at
            if there >= MAX_HEADER:
                raise _Broken("WARC header too long")
            if not self._fill():
                raise _Broken("the file ends within a WARC header", f"{there} bytes of a line are there")
        return self._cut(end + 1 - self.at)[:-1]

    def _skip_blank_lines(self) -> bool:
        """False at the end of the archive."""
        while True:
            while self.at < len(self.buffer) and self.buffer[self.at] in b"\r\n":
                self.at += 1
            if self.at < len(self.buffer):
                return True
            if not self._fill():
                return False

    def _resynchronize(self) -> int:
        """Move to the next line that begins a record. Returns how many bytes were passed over."""
        lost = 0
        while True:
            self._trim()
            if found := _START.search(self.buffer):
                return lost + len(self._cut(found.start()))
            # A line that begins a record may be cut in two by the buffer's end.
            line = self.buffer.rfind(b"\n") + 1
            lost += len(self._cut(line if len(self.buffer) - line < 100 else len(self.buffer)))
            try:
                if not self._fill():
                    return lost + len(self._cut(len(self.buffer)))
            except _Broken:
                continue

    def _cut(self, count: int) -> bytes:
        data = self.buffer[self.at : self.at + count]
        self.at += len(data)
        return data

    def _trim(self) -> None:
        self.buffer, self.start, self.at = self.buffer[self.at :], self.start + self.at, 0

    def _fill(self) -> int:
        """Read a piece into the buffer. Returns 0 at the end, 2 where a frame began, else 1."""
        self._trim()
        try:
            data = self.frames.read()
        except BrokenFrame as broken:
            # What the broken frame has given so far is part of the record that it broke.
            self._cut(len(self.buffer))
            raise _Broken(broken.reason, str(broken), str(broken.offset)) from None
        if not data:
            return 0
        begins = not self.begins or self.begins[-1][1] != self.frames.frame
        if begins:
            self.begins.append((self.start + len(self.buffer), self.frames.frame))
        self.buffer += data
        return 2 if begins else 1
