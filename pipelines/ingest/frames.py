"""Files as decompressed bytes, frame by frame (gzip members, Zstandard and LZ4 frames), with an account of damage.

General readers hide where frames begin and end quietly where a file is cut off. Here both are known: a record's
position is its frame's offset in the file, and a broken frame is an exception after which reading goes on. What is
read of a frame, and in which pieces, depends on its own bytes alone, wherever reading began.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard
from lz4.frame import LZ4FrameDecompressor

GZIP, ZSTD, LZ4 = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"
PIECE = 1 << 20  # bytes decompressed at a time
MAX_DICTIONARY = 1 << 26  # bytes
CHUNK = 1 << 16  # bytes read of the file at a time
STEP = 32  # compressed bytes at a time where a frame breaks early
# How much a decoder is fed at once. Zstandard's returns all that its input holds: 4 bytes can be a block of 128 KiB.
INPUT = {GZIP: 1 << 16, ZSTD: 512, LZ4: 1 << 16}
# The flags of a gzip member have three bits that are always zero: one more check against noise.
_BEGINS = {GZIP: re.compile(re.escape(GZIP) + rb"[\0-\x1f]"), **{m: re.compile(re.escape(m)) for m in (ZSTD, LZ4)}}
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")  # frames of Zstandard and LZ4 that hold no data
_DICTIONARY = b"\x5d\x2a\x4d\x18"
_SUFFIXES = {".gz": GZIP, ".zst": ZSTD, ".lz4": LZ4}
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a]")
_ERRORS = (zlib.error, zstandard.ZstdError, RuntimeError)  # the last is what lz4 raises


class BrokenFrame(Exception):
    """A frame that cannot be read on: its offset, and the compressed bytes that are lost with it.

    The reader continues with the next frame that can be told from noise. The message holds what is not in `reason`.
    """

    def __init__(self, offset: int, reason: str, lost: int, detail: str = "") -> None:
        super().__init__("; ".join(part for part in (detail, f"{lost} compressed bytes skipped") if part))
        self.offset, self.reason, self.lost, self.detail = offset, reason, lost, detail


class FrameReader:
    """Reads a plain, gzip, Zstandard or LZ4 file, told apart by its first bytes. A plain file is one frame.

    After `read`, `frame` is the offset in the file of the frame that the piece came from.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")
        self.raw = self.file.read(CHUNK)  # compressed bytes not yet used
        self.raw_start = 0  # their offset in the file
        self.frame = 0
        self.opened = b""  # compressed bytes from the frame's beginning on, at least as many as a decoder is fed first
        self.decoder: Any = None
        self.zstd: Any = None  # made once: it holds a dictionary, and tables that take time to make
        self.given = 0  # bytes that the frame has given so far
        self.padding = 0  # zeros behind the last frame, as tapes and some archivers leave; or damage
        self.error = ""  # what broke the frame behind the piece that was given last
        self.magic = ZSTD if self.raw.startswith(_DICTIONARY) else _magic(self.raw, path.name)
        if self.magic == ZSTD:
            dictionary = self._read_dictionary() if self.raw.startswith(_DICTIONARY) else None
            self.zstd = zstandard.ZstdDecompressor(dict_data=dictionary)

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self) -> bytes:
        """The next piece, never empty and never across frames; b"" at the end. Raises BrokenFrame."""
        if not self.magic:
            data, self.raw = self.raw or self.file.read(PIECE), b""
            return data
        while self.decoder is not None or self._open():
            if self.error:
                raise self._broken("damaged compressed data", self.error)
            try:
                data = self._decode()
            except _ERRORS as error:
                data = b"" if self.given else self._salvage()
                if not data:
                    raise self._broken("damaged compressed data", str(error)) from None
                self.error = str(error)
            self.given += len(data)
            if self.decoder.eof and not self.error:
                self.decoder = None
            if data:
                return data
        return b""

    def pieces(self) -> Iterator[bytes]:
        """All pieces to the end. Raises BrokenFrame."""
        while data := self.read():
            yield data

    def seek(self, offset: int) -> bool:
        """Move to the first bytes at or after `offset` that look like the beginning of a frame. False at the end."""
        self.decoder, self.error = None, ""
        self.raw, self.raw_start = b"", offset
        if self.opened and self.frame <= offset < self.frame + len(self.opened):
            self.raw = self.opened[offset - self.frame :]
        self.file.seek(offset + len(self.raw))
        while True:
            found = _BEGINS[self.magic].search(self.raw)
            keep = found.start() if found else max(0, len(self.raw) - 3)
            self.raw, self.raw_start = self.raw[keep:], self.raw_start + keep
            if found:
                return True
            if not self._fill():
                self.raw, self.raw_start = b"", self.raw_start + len(self.raw)
                return False

    def _open(self) -> bool:
        """Begin the next frame. False at the end of the file. Raises BrokenFrame where something else follows."""
        self._pass_over_skippable()
        if not self.raw:
            return False
        while len(self.raw) < INPUT[self.magic] and self._fill():
            pass
        self.frame, self.opened, self.given = self.raw_start, self.raw, 0
        if not self.raw.startswith(self.magic):
            if not self.raw.strip(b"\0") and (size := self._zeros_to_the_end()):
                self.padding = size
                return False
            raise self._broken("no compressed frame begins here")
        self.decoder = self._new_decoder()
        return True

    def _new_decoder(self) -> Any:
        if self.magic == GZIP:
            return zlib.decompressobj(wbits=31)
        if self.magic == ZSTD:
            return self.zstd.decompressobj()
        return LZ4FrameDecompressor()

    def _decode(self) -> bytes:
        """What the next bytes of a frame hold, which may be nothing. Raises BrokenFrame at the end of the file."""
        decoder, size = self.decoder, INPUT[self.magic]
        holds = self.magic == LZ4 and not decoder.needs_input  # lz4 keeps what it has not decoded, zlib gives it back
        while not holds and len(self.raw) < size and self._fill():
            pass
        data = b"" if holds else self.raw[:size]
        result = bytes(decoder.decompress(data) if self.magic == ZSTD else decoder.decompress(data, PIECE))
        if not (data or holds or result or decoder.eof):
            raise self._broken("the file ends within a compressed frame")
        rest = (decoder.unused_data or b"") if decoder.eof else getattr(decoder, "unconsumed_tail", b"")
        self.raw_start += len(data) - len(rest)
        self.raw = rest + self.raw[len(data) :]
        return result

    def _salvage(self) -> bytes:
        """What a frame that breaks in its first piece holds before, so that a record's header may be known."""
        data = self.opened[: INPUT[self.magic]]
        decoder = self._new_decoder()
        parts: list[bytes] = []
        try:
            for at in range(0, len(data), STEP):
                parts.append(decoder.decompress(data[at : at + STEP]))  # noqa: PERF401 (the parts before an error)
        except _ERRORS:
            pass
        return b"".join(parts)

    def _fill(self) -> bool:
        more = self.file.read(CHUNK)
        self.raw += more
        return bool(more)

    def _broken(self, reason: str, detail: str = "") -> BrokenFrame:
        """Move to what looks like a frame behind the beginning of the broken one."""
        self.seek(self.frame + 1)
        return BrokenFrame(self.frame, reason, self.raw_start - self.frame, detail)

    def _zeros_to_the_end(self) -> int:
        """How many zeros there are up to the end; 0 where there is anything else."""
        size = len(self.raw)
        while more := self.file.read(CHUNK):
            size += len(more)
            if more.strip(b"\0"):
                self.file.seek(self.raw_start + len(self.raw))
                return 0
        return size

    def _pass_over_skippable(self) -> None:
        while True:
            while len(self.raw) < 8 and self._fill():
                pass
            if self.magic == GZIP or not _SKIPPABLE.match(self.raw):
                return
            self.raw_start += 8 + int.from_bytes(self.raw[4:8], "little")
            self.file.seek(self.raw_start)
            self.raw = self.file.read(CHUNK)

    def _read_dictionary(self) -> zstandard.ZstdCompressionDict:
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
        return zstandard.ZstdCompressionDict(data)


def _magic(head: bytes, name: str) -> bytes:
    """The compression of a file by its first bytes; by its name where these are damaged, and are no text."""
    found = next((magic for magic in INPUT if head.startswith(magic)), b"")
    promised = next((magic for suffix, magic in _SUFFIXES.items() if name.lower().endswith(suffix)), b"")
    is_damaged = promised and _CONTROL.search(head, 0, 16) and _BEGINS[promised].search(head)
    return found or (promised if is_damaged else b"")
