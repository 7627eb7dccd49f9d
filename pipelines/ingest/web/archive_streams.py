"""A web archive as stretches of decompressed bytes, so that damage in one reaches no other.

In a compressed archive a stretch ends where a frame begins with a record, where a frame is broken, and at the end. So
what a stretch gives does not depend on what stands before it, and an archive can be read from within.
"""

from __future__ import annotations

import os
import sys
from collections import deque

from pipelines.ingest.frames import GZIP, LZ4, PIECE, ZSTD, BrokenFrame, FrameReader
from pipelines.ingest.web.record_headers import begins_record

Span = tuple[int, int]

HOP = 1 << 13  # bytes read at a time where blocks are passed over
# Data that do not compress stand in a frame as they are, and may themselves be an archive. The longest run of such
# data: RFC 1951 (3.2.4), RFC 8878 (3.1.1.2.4), the LZ4 frame format's largest block.
VERBATIM = {GZIP: 1 << 16, ZSTD: 1 << 17, LZ4: 1 << 22}
ENOUGH = 1 << 26  # decompressed bytes without damage


class PlainStream:
    """An archive without compression: one stretch, in which blocks can be passed over without being read.

    A span's records are found from the first record on, by their lengths: a page may hold what looks like a record.
    """

    def __init__(self, frames: FrameReader, span: Span | None) -> None:
        self.file = frames.file
        self.size = self.file.seek(0, os.SEEK_END)
        self.wanted = span or (0, self.size)  # where the records begin that are to be read
        self.broken: BrokenFrame | None = None
        self.broken_at = 0
        self.jump(0)

    def read(self) -> bytes:
        """The next piece; b"" at the end."""
        data: bytes = self.file.read(PIECE if self.tell >= self.wanted[0] else HOP)
        self.tell += len(data)
        return data

    def jump(self, offset: int) -> None:
        """Go on reading at an offset."""
        self.tell = self.file.seek(min(offset, self.size))

    def cross(self) -> bytes | None:
        """There is no other stretch."""
        return None

    def breaks_here(self) -> bool:
        """There are no frames that could break."""
        return False

    def position(self, offset: int) -> str:
        """The name of the record at an offset."""
        return str(offset)

    def bytes_passed(self) -> int:
        """How many bytes of the file are in the span."""
        return max(0, min(self.wanted[1], self.size) - self.wanted[0])


class FrameStream:
    """A compressed archive, from the first firm frame of a span to that of the next.

    A frame is firm that begins with a record, and from which on all is whole for longer than data can stand verbatim
    in a frame: an archive within a page is not taken for the archive.
    """

    def __init__(self, frames: FrameReader, span: Span | None) -> None:
        self.frames, self.span = frames, span
        self.wanted = (0, sys.maxsize)  # all that is read
        self.tell = 0  # decompressed bytes given so far
        self.ahead = b""  # the first piece of the next stretch
        self.broken: BrokenFrame | None = None  # what ended the stretch, if it was neither a record nor the end
        self.broken_at = 0  # the decompressed offset at which the broken frame begins
        self.frame = -1  # the frame of the last piece
        self.begins: deque[tuple[int, int]] = deque()  # (decompressed offset, frame) of those not yet left behind
        self.ended = span is not None and span[0] > 0 and not self._go_to_first(*span)
        self.first = frames.raw_start

    def read(self) -> bytes:
        """The next piece of the stretch; b"" at its end."""
        if self.ahead or self.broken or self.ended:
            return b""
        try:
            data = self.frames.read() or self._padding()
        except BrokenFrame as broken:
            self.broken = broken
            self.broken_at = self.begins[-1][0] if self.breaks_here() else self.tell
            return b""
        if data and self.frames.frame != self.frame:
            self.frame = self.frames.frame
            if begins_record(data):
                self.ahead = data
                return b""
            self.begins.append((self.tell, self.frame))
        self.tell += len(data)
        return data

    def cross(self) -> bytes | None:
        """The first piece of the next stretch, which begins with a record; None where there is none in the span."""
        data, self.ahead = self.ahead, b""
        if data and self.span and self.frame >= self.span[1]:
            self.ended = self._is_firm(self.frame)
            self.frames.read()  # the first piece again
        if self.ended or not data:
            return None
        self.begins = deque([(self.tell, self.frame)])
        self.tell += len(data)
        return data

    def breaks_here(self) -> bool:
        """Whether the frame is broken that gave the last piece."""
        return self.broken is not None and self.broken.offset == self.frame

    def position(self, offset: int) -> str:
        """The name of the record at a decompressed offset: its frame's offset in the file; if it is not the first one
        there, `FRAME+OFFSET`, the second being counted in the frame's decompressed bytes.
        """
        while len(self.begins) > 1 and self.begins[1][0] <= offset:
            self.begins.popleft()
        begin, frame = self.begins[0]
        return str(frame) if begin == offset else f"{frame}+{offset - begin}"

    def bytes_passed(self) -> int:
        """How many bytes of the file were gone through."""
        return (self.frame if self.ended and self.frame >= 0 else self.frames.raw_start) - self.first

    def _padding(self) -> bytes:
        """Raise BrokenFrame for zeros at the end: they may be what a crash left of records."""
        frames, size = self.frames, self.frames.padding
        if size:
            begin, frames.padding, frames.raw = frames.raw_start, 0, b""
            frames.raw_start += size
            raise BrokenFrame(begin, "no compressed frame begins here", size, "zeros up to the end")
        return b""

    def _go_to_first(self, begin: int, end: int) -> bool:
        while self.frames.seek(begin) and self.frames.raw_start < end:
            if self._is_firm(self.frames.raw_start):
                return True
            begin = self.frames.raw_start + 1
        return False

    def _is_firm(self, offset: int) -> bool:
        """Whether the frame at an offset is firm. Reading goes on at its beginning."""
        try:
            return self._holds(offset)
        except BrokenFrame:
            return False
        finally:
            self.frames.seek(offset)

    def _holds(self, offset: int) -> bool:
        self.frames.seek(offset)
        given = 0
        while given < ENOUGH and (data := self.frames.read()):
            if not given and not (self.frames.frame == offset and begins_record(data)):
                return False
            if self.frames.frame > offset + VERBATIM[self.frames.magic]:
                return True
            given += len(data)
        return given > 0
