"""Archives as entries: tar (plain, gzip, bzip2, xz, Zstandard) and zip, told apart by their bytes, read front to back.

An archive is hostile until shown otherwise. Nothing is written to disk, no link is followed, no name that leads out of
the archive is read, a header that asks for much memory is refused, and an archive that unpacks to much more than any
real one is left where that shows.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import zstandard

SUFFIXES = (
    ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".tzst",
    ".crate", ".zip", ".whl", ".egg", "-sources.jar",
)  # fmt: skip
"""Ends of names of archives of source code. What kind of archive it is, its bytes say."""

UNPACKED = 1 << 30
RATIO = 200
"""An archive is read until it has unpacked to RATIO times its size, or to UNPACKED bytes where that is more.

Source code packs to a third with gzip and to a tenth with xz; gzip cannot do better than 1:1032. By this project's
choice.
"""

MOST_HEADER = 1 << 20  # bytes of a tar header (a long name, PAX records)
MOST_LINK = 4096  # bytes of a link's target (Linux's PATH_MAX)
ZIP_END = 22 + 0xFFFF  # bytes that a zip directory's end record and its comment take at most

# What the standard library's readers throw at damaged data.
DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, OSError,
    NotImplementedError, RuntimeError, ValueError, struct.error, OverflowError, IndexError,
)  # fmt: skip


class Refused(ValueError):
    """An archive that is not read on: the message says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a tree: its path there, its size by the tree's own word, and how to read the first n bytes of it.

    Where `refused` says why, it is not read and is a failure; `detail` says more. `gate` stops it without one (a
    submodule, a link within the tree). `revision` is the commit that the whole tree was made from, where it says so.
    """

    name: str
    size: int
    read: Callable[[int], bytes]
    refused: str = ""
    detail: str = ""
    gate: str = ""
    revision: str = ""


def is_archive(name: str) -> bool:
    """Whether a file of this name is read as an archive."""
    return name.lower().endswith(SUFFIXES)


def entries(path: Path, limit: int) -> Iterator[Entry]:
    """The entries of an archive in its own order; each is to be read before the next one is asked for.

    `limit` is the bytes that may be read of one. Raises one of DAMAGE where the archive cannot be read on.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(tarfile.BLOCKSIZE)
        file.seek(0)
        allowed = max(UNPACKED, RATIO * size)
        opener = next((opener for magic, opener in _PACKINGS.items() if head.startswith(magic)), None)
        if opener:
            with opener(file) as raw:
                yield from _tar_entries(_Forward(raw, allowed), limit)
        elif head.startswith((b"PK\3\4", b"PK\5\6")) or (not _is_tar(head) and zipfile.is_zipfile(file)):
            yield from _zip_entries(file, size, min(limit, allowed), allowed)
        else:
            yield from _tar_entries(_Forward(file, allowed), limit)


def explain(error: BaseException) -> str:
    """What an exception says, without a path of this machine."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{type(error).__name__}: {said}".removesuffix(": ")


def unsafe(name: str) -> str:
    """Why an entry of this name is refused; empty where it is not."""
    parts = name.replace("\\", "/").split("/")
    leads_out = name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name
    return "name leads out of the archive" if leads_out else ""


def link(name: str, target: str) -> dict[str, str]:
    """The fields of an Entry that is a link to `target`, relative to the tree's root."""
    end = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if unsafe(name) or unsafe(end) or target.startswith("/"):
        return {"refused": unsafe(name) or "link leads out of the archive", "detail": f"to {target}"}
    return {"gate": "link"}


def _open_zstd(file: IO[bytes]) -> Any:
    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)


_PACKINGS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x5d\0\0": lzma.LZMAFile,  # the format before xz, of .tar.lzma
    b"\x28\xb5\x2f\xfd": _open_zstd,
}


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _zip_entries(file: IO[bytes], size: int, limit: int, allowed: int) -> Iterator[Entry]:
    with zipfile.ZipFile(file) as archive:
        found = archive.infolist()
        comment = archive.comment[:40].decode("ascii", "replace")
        revision = comment if len(archive.comment) == 40 and _is_hash(comment) else ""  # as `git archive` writes it
        for info in found:
            if info.is_dir():
                continue
            if info.file_size <= limit:  # longer ones are not read
                allowed -= info.file_size
            if allowed < 0:
                raise Refused("unpacks to much more than its size")
            yield _zip_entry(archive, info, revision)
    # A damaged directory can swallow entries: its end says how many there should be (0xFFFF: more than fit there).
    file.seek(max(0, size - ZIP_END))
    tail = file.read()
    said = int.from_bytes(tail[(end := tail.rfind(b"PK\5\6")) + 10 : end + 12], "little")
    if said not in (len(found), 0xFFFF):
        raise zipfile.BadZipFile(f"the directory has {len(found)} of {said} entries")


def _zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, revision: str) -> Entry:
    fields: dict[str, str] = {"refused": unsafe(info.filename)}
    if info.flag_bits & 1:
        fields = {"refused": "encrypted entry"}
    elif info.create_system == 3 and stat.S_ISLNK(info.external_attr >> 16):  # made on Unix
        try:
            fields = link(info.filename, _read_zip(archive, info, MOST_LINK).decode("utf-8", "replace"))
        except DAMAGE as error:
            fields = {"refused": "unreadable entry", "detail": explain(error)}
    return Entry(info.filename, info.file_size, partial(_read_zip, archive, info), revision=revision, **fields)


def _read_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> bytes:
    with archive.open(info) as file:
        return file.read(size)


def _tar_entries(raw: _Forward, limit: int) -> Iterator[Entry]:
    with tarfile.open(fileobj=raw, mode="r:") as archive:  # type: ignore[call-overload]
        while (info := archive.next()) is not None:
            if not info.isdir():
                yield _tar_entry(archive, info, raw, limit)
            archive.members.clear()  # type: ignore[attr-defined]  # else the archive keeps every header it has read
    # tarfile ends quietly at a header that it cannot read: only a block of zeros, or the file's end, is an end.
    if raw.last.strip(b"\0"):
        raise tarfile.ReadError(f"broken header at byte {raw.at - len(raw.last)} of the unpacked archive")


def _tar_entry(archive: tarfile.TarFile, info: tarfile.TarInfo, raw: _Forward, limit: int) -> Entry:
    comment = archive.pax_headers.get("comment", "")
    fields: dict[str, str] = {"refused": unsafe(info.name)}
    if info.issym() or info.islnk():
        # A hard link names its target from the archive's root, a symbolic one from the link's own folder.
        fields = link(info.name if info.issym() else posixpath.basename(info.name), info.linkname)
        fields["refused"] = unsafe(info.name) or fields.get("refused", "")
    elif not info.isreg():
        fields = {"refused": fields["refused"] or "special file"}

    def read(size: int) -> bytes:
        file = archive.extractfile(info)
        assert file is not None  # only regular files are read
        raw.most = limit + tarfile.RECORDSIZE
        try:
            return file.read(size)
        finally:
            raw.most = MOST_HEADER

    return Entry(info.name, info.size, read, revision=comment if _is_hash(comment) else "", **fields)


def _is_hash(text: str) -> bool:
    return len(text) == 40 and all(char in "0123456789abcdef" for char in text)


class _Forward:
    """A file that is read front to back, with a bound on each read and on all of them.

    tarfile takes a header into memory whole, and one may say that it is endless.
    """

    def __init__(self, file: Any, allowed: int) -> None:
        self.file, self.allowed = file, allowed
        self.at = 0
        self.most = MOST_HEADER  # bytes of one read
        self.last = b""  # what the last read gave, where that was a block

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self.most:
            raise tarfile.ReadError(f"a header of {size} bytes")
        parts = []
        while size and (part := self.file.read(size)):  # zstandard's reader may give less than it is asked for
            parts.append(part)
            size -= len(part)
        data = b"".join(parts)
        self.at += len(data)
        if self.at > self.allowed:
            raise Refused("unpacks to much more than its size")
        self.last = data if len(data) <= tarfile.BLOCKSIZE else b""
        return data

    def seek(self, offset: int) -> int:
        if offset < self.at:
            raise tarfile.ReadError("an entry of a negative size")
        while self.at < offset and self.read(min(offset - self.at, self.most)):
            pass
        return self.at

    def tell(self) -> int:
        return self.at

    def close(self) -> None:
        self.file.close()

    def write(self, data: bytes) -> int:
        """Never called: tarfile's type asks for it."""
        raise OSError("read only")
