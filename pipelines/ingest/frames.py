"""Files as decompressed bytes, frame by frame (gzip members, Zstandard and LZ4 frames), with an account of damage.

General readers hide where frames begin and end quietly where a file is cut off. Here both are known: a record's
position is its frame's offset in the file, and a broken frame is an exception after which reading goes on.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard
from fastwarc.stream_io import Lz4Reader

GZIP, ZSTD, LZ4 = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"
ZSTD_DICTIONARY = b"\x5d\x2a\x4d\x18"
PIECE = 1 << 18  # bytes decompressed at a time
MAX_DICTIONARY = 1 << 26  # bytes
HEAD = 4096  # bytes that are decompressed in smaller pieces, where a frame begins
# Zstandard's decoder returns all that its input holds, so it is fed little: a block of 4 bytes can hold 128 KiB.
INPUT = {GZIP: 1 << 16, ZSTD: 512}


class BrokenFrame(Exception):
    """A frame that cannot be read on: its offset, and the compressed bytes that are lost with it.

    The reader continues with the next frame that can be told from noise. The message holds what is not in `reason`.
    """

    def __init__(self, offset: int, reason: str, lost: int, detail: str = "") -> None:
        super().__init__("; ".join(part for part in (detail, f"{lost} compressed bytes skipped") if part))
        self.offset = offset
        self.reason = reason


class FrameReader:
    """Reads a plain, gzip, Zstandard or LZ4 file, told apart by its first bytes. A plain or LZ4 file is one frame.

    After `read`, `frame` is the offset in the file of the frame that the piece came from.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")
        self.raw = self.file.read(1 << 16)  # compressed bytes not yet used
        self.raw_start = 0  # their offset in the file
        self.frame = 0
        self.decoder: Any = None
        self.dictionary: Any = None
        self.given = 0  # bytes that the frame has given so far
        self.magic = next((magic for magic in (GZIP, ZSTD, LZ4) if self.raw.startswith(magic)), b"")
        if self.raw.startswith(ZSTD_DICTIONARY):
            self.magic = ZSTD
            self._read_dictionary()
        self.lz4 = Lz4Reader(str(path)) if self.magic == LZ4 else None

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self) -> bytes:
        """The next piece, never empty and never across frames; b"" at the end. Raises BrokenFrame."""
        if self.lz4 is not None:
            return self._read_lz4()
        if not self.magic:
            data, self.raw = self.raw or self.file.read(PIECE), b""
            return data
        while self.decoder is not None or self._open():
            try:
                data = self._decode()
            except (zlib.error, zstandard.ZstdError) as error:
                raise self._broken("damaged compressed data", str(error)) from None
            if self.decoder.eof:
                self.decoder = None
            if data:
                return data
        return b""

    def pieces(self) -> Iterator[bytes]:
        """All pieces to the end. Raises BrokenFrame."""
        while data := self.read():
            yield data

    def _open(self) -> bool:
        """Begin the next frame. False at the end of the file. Raises BrokenFrame where something else follows."""
        if len(self.raw) < 4:
            self._fill()
        if not self.raw:
            return False
        self.frame = self.raw_start
        if not self.raw.startswith(self.magic):
            if not self.raw.strip(b"\0") and self._rest_is_zero():
                return False  # padding after the last frame, as tapes and some archivers leave
            raise self._broken("no compressed frame begins here")
        if self.magic == GZIP:
            self.decoder = zlib.decompressobj(wbits=31)
            self.given = 0
        else:
            self.decoder = zstandard.ZstdDecompressor(dict_data=self.dictionary).decompressobj()
        return True

    def _decode(self) -> bytes:
        if not self.raw and not self._fill() and self.magic == GZIP and (held := self.decoder.decompress(b"", PIECE)):
            return bytes(held)  # more output than fitted into the last piece
        if not self.raw and not self.decoder.eof:
            raise self._broken("the file ends within a compressed frame")
        size = INPUT[self.magic]
        data, rest = self.raw[:size], self.raw[size:]
        if self.magic == GZIP:
            # A frame begins with small pieces, so that a record's header is known where what follows is broken.
            result = self.decoder.decompress(data, PIECE if self.given >= HEAD else HEAD // 8)
            self.given += len(result)
            tail = self.decoder.unused_data if self.decoder.eof else self.decoder.unconsumed_tail
        else:
            result = self.decoder.decompress(data)
            tail = self.decoder.unused_data
        self.raw_start += len(data) - len(tail)
        self.raw = tail + rest
        return bytes(result)

    def _fill(self) -> bool:
        more = self.file.read(1 << 16)
        self.raw += more
        return bool(more)

    def _broken(self, reason: str, detail: str = "") -> BrokenFrame:
        """Move to the next frame's magic bytes after the broken frame's first one."""
        self.decoder = None
        self.file.seek(self.frame + 1)
        self.raw_start, self.raw = self.frame + 1, b""
        while True:
            at = self.raw.find(self.magic)
            # The flags of a gzip member have three bits that are always zero: one more check against noise.
            while self.magic == GZIP and 0 <= at < len(self.raw) - 3 and self.raw[at + 3] & 0xE0:
                at = self.raw.find(self.magic, at + 1)
            keep = len(self.raw) - 3 if at < 0 else at
            self.raw_start += max(keep, 0)
            self.raw = self.raw[max(keep, 0) :]
            if at >= 0 or not self._fill():
                break
        if at < 0:
            self.raw_start, self.raw = self.raw_start + len(self.raw), b""
        return BrokenFrame(self.frame, reason, self.raw_start - self.frame, detail)

    def _rest_is_zero(self) -> bool:
        while more := self.file.read(1 << 16):
            if more.strip(b"\0"):
                self.file.seek(self.raw_start)
                self.raw = self.file.read(1 << 16)
                return False
        return True

    def _read_lz4(self) -> bytes:
        try:
            return bytes(self.lz4.read(PIECE))  # type: ignore[union-attr]
        except OSError as error:
            self.lz4, self.magic, self.raw = None, b"", b""
            size = self.file.seek(0, 2)
            raise BrokenFrame(0, "damaged compressed data", size, str(error)) from None

    def _read_dictionary(self) -> None:
        """The dictionary that a .warc.zst carries in front: a skippable frame, itself compressed or not."""
        size = int.from_bytes(self.raw[4:8], "little")
        if size > MAX_DICTIONARY:
            raise ValueError(f"a Zstandard dictionary of {size} bytes")
        while len(self.raw) < 8 + size and self._fill():
            pass
        data = self.raw[8 : 8 + size]
        self.raw, self.raw_start = self.raw[8 + size :], 8 + size
        if data.startswith(ZSTD):
            data = zstandard.ZstdDecompressor().stream_reader(data).read(MAX_DICTIONARY)
        self.dictionary = zstandard.ZstdCompressionDict(data)
