"""Whole files as unpacked bytes, whatever packed them, for readers that go through them from beginning to end."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipelines.ingest.frames import GZIP, LZ4, PIECE, ZSTD, BrokenFrame, FrameReader

XZ = b"\xfd7zXZ\0"
BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)")  # digits of pi, or of its root where it is empty
PACKINGS = ("", ".gz", ".zst", ".bz2", ".xz", ".lz4")
MAX_XZ_MEMORY = 1 << 28  # bytes; `xz -9` needs 65 MiB, a hostile header asks for 4 GiB
GROWTH = 100  # times the packed size, to which a file may unpack on disk
LEAST_GROWTH = 100_000_000  # bytes that any file may


def with_packings(*endings: str) -> tuple[str, ...]:
    """File name endings, each alone and with that of each packing."""
    return tuple(ending + packing for ending in endings for packing in PACKINGS)


def without_packing(name: str) -> str:
    """A file name in lower case, less the ending of a packing."""
    name = name.lower()
    return next((name.removesuffix(packing) for packing in PACKINGS[1:] if name.endswith(packing)), name)


def pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a plain, gzip, Zstandard, LZ4, bzip2 or xz file, told apart by its first bytes, in pieces.

    Raises BrokenFrame where it is damaged or cut off.
    """
    with path.open("rb") as file:
        head = file.read(16)
        if decoder := _decoder(head):
            file.seek(0)
            yield from _streams(file, decoder)
            return
    with FrameReader(path) as frames:
        yield from frames.pieces()


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """A file that can be read at any place: itself where it is plain, else unpacked into a temporary one.

    Raises BrokenFrame, and ValueError where it unpacks to more than GROWTH times its size.
    """
    with path.open("rb") as file:
        head = file.read(16)
        if not (_decoder(head) or head.startswith((GZIP, ZSTD, LZ4))):
            file.seek(0)
            yield file
            return
        allowed = max(LEAST_GROWTH, GROWTH * file.seek(0, 2))
    with tempfile.TemporaryFile() as whole:
        for piece in pieces(path):
            whole.write(piece)
            if whole.tell() > allowed:
                raise ValueError(f"it unpacks to more than {allowed} bytes")
        whole.seek(0)
        yield whole


def _decoder(head: bytes) -> Callable[[], Any] | None:
    if BZIP2.match(head):
        return bz2.BZ2Decompressor
    if head.startswith(XZ):
        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_MEMORY)
    return None


def _streams(file: IO[bytes], new: Callable[[], Any]) -> Iterator[bytes]:
    """The bytes of streams that follow each other, zeros between them or not."""
    decoder: Any = None
    held, begin = b"", 0

    def broken(reason: str, detail: str = "") -> BrokenFrame:
        return BrokenFrame(begin, reason, file.seek(0, 2) - begin, detail)

    while True:
        if decoder is None or decoder.needs_input:
            held = held or file.read(PIECE)
            if not held:
                if decoder is None:
                    return
                raise broken("the file ends within a compressed frame")
        if decoder is None:
            held = held.lstrip(b"\0")
            if not held:
                continue
            decoder, begin = new(), file.tell() - len(held)
        try:
            data = decoder.decompress(held, PIECE)
        except (OSError, lzma.LZMAError) as error:
            raise broken("damaged compressed data", str(error)) from None
        held = b""
        if data:
            yield data
        if decoder.eof:
            held, decoder = decoder.unused_data, None


class PieceFile(io.RawIOBase):
    """Pieces of bytes as a file that is read once, from its beginning to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.piece = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill as much of `buffer` as is at hand; 0 at the end."""
        self.piece = self.piece or next(self.pieces, b"")
        size = min(len(buffer), len(self.piece))
        buffer[:size] = self.piece[:size]
        self.piece = self.piece[size:]
        return size
