"""A file, or a member of an archive, that is one record: its decompressed bytes, as far as they may go."""

from __future__ import annotations

import zipfile
from pathlib import Path

from pipelines.ingest.frames import BrokenFrame, FrameReader
from pipelines.ingest.records import Failure, too_large

# What books are zipped with. Other methods decompress without bounds: 4 kB of bzip2 can hold 80 MB.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class TooLarge(ValueError):
    """What is to be read is larger than allowed; the argument says what that is, in bytes."""


def read_whole(path: Path, limit: int) -> bytes | Failure:
    """All bytes of a plain or compressed file; the record's failure where it is damaged or has more than `limit`.

    No more than `limit` and one piece are read.
    """
    parts: list[bytes] = []
    size = 0
    with FrameReader(path) as frames:
        try:
            for piece in frames.pieces():
                parts.append(piece)
                size += len(piece)
                if size > limit:
                    return too_large("", limit)
        except BrokenFrame as broken:
            return Failure("record", "", broken.reason, f"after {size} bytes of text; {broken}")
    return b"".join(parts)


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """All bytes of a zip archive's member; what the directory says of its size is not believed.

    Raises TooLarge for more than `limit`, KeyError where there is no such member, ValueError where it is compressed by
    another method than books are, and what zipfile raises for a damaged one.
    """
    info = archive.getinfo(name)
    if info.compress_type not in METHODS:
        raise ValueError(f"{name} is compressed by method {info.compress_type}")
    with archive.open(info) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(limit)
    return data
