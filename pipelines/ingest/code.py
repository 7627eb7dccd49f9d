"""Source code: one document for each source file of a directory, a wheel or zip, or a tar archive."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, ClassVar

from pipelines.ingest.encoding import MARKS, codec_of
from pipelines.ingest.languages import language_of
from pipelines.ingest.records import Document, Failure, gated, too_large
from pipelines.ingest.source import FileSource

ZIPS = (".whl", ".zip", ".egg")
TARS: dict[str, Callable[..., Any]] = {
    ".tar": open,
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tbz2": bz2.open,
    ".tar.xz": lzma.open,
    ".txz": lzma.open,
}
ZIP_END = 22 + 0xFFFF  # bytes that a zip directory's end record and its comment take at most
# A comment in the first two lines that names the encoding (PEP 263); Emacs and Vim read the same.
_COOKIE = re.compile(rb"\A(?:[^\n]*\n)?[ \t\f]*(?:#|;|//|/\*)[^\n]*?coding[:=][ \t]*([-\w.]+)")


class CodeSource(FileSource):
    """Spark data source of source code. All files of a directory are candidates."""

    normalize: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive: its name, size by the archive's word, what forbids to read it, and how to open it."""

    name: str
    size: int
    refused: str
    open: Callable[[], IO[bytes]]


def read_code(path: Path, name: str, *, max_text_bytes: int) -> Iterator[Document | Failure]:
    """Documents of one archive (its entries), or of one file that is none.

    `meta`: language, path (within the repository), repository and group (the archive, or the file's topmost
    directory), charset. Gates: `file_type` (no known language), `binary` (NUL bytes). Links, devices, and names that
    lead out of the archive are failures and never followed; so is a file longer than `max_text_bytes`.
    """
    entries = _entries(path, max_text_bytes)
    if entries is None:
        folder, slash, inner = name.partition("/")
        entry = Entry(name, path.stat().st_size, "", lambda: path.open("rb"))
        yield _read(entry, "", name, inner or name, folder if slash else name, max_text_bytes)
        return
    seen: dict[str, int] = {}
    for entry in entries:
        seen[entry.name] = times = seen.get(entry.name, 0) + 1
        # An archive may hold a name twice: the second is another record. No entry that is read has a name with a
        # colon in front, so none has this position as its name.
        position = entry.name if times == 1 else f"{times}:{entry.name}"
        yield _read(entry, position, f"{name}!/{entry.name}", entry.name, name, max_text_bytes)
    if not seen:
        yield Failure("file", "", "empty archive", "no files")


CodeSource.read = staticmethod(read_code)


def decode_code(data: bytes) -> tuple[str, str, str] | None:
    """Text, encoding and what told it (bom, cookie, utf-8, fallback), or None for binary data.

    Line ends and all else stay as they are. Bytes that are neither UTF-8 nor what a coding cookie names are read as
    Latin-1, which maps every byte.
    """
    for mark, charset in MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(charset, "replace"), charset, "bom"
    if b"\0" in data:
        return None
    cookie = _COOKIE.match(data)
    codec = codec_of(cookie[1].decode("ascii", "replace")) if cookie else None
    attempts = [(codec, "cookie")] if codec else []
    for charset, found in (*attempts, ("utf-8", "utf-8")):
        try:
            return data.decode(charset), charset, found
        except UnicodeError:
            continue
    return data.decode("latin-1"), "latin-1", "fallback"


def _read(entry: Entry, position: str, uri: str, path: str, repository: str, limit: int) -> Document | Failure:
    if entry.refused:
        return Failure("record", position, entry.refused, uri)
    meta = {"path": path, "repository": repository, "group": repository}
    language = language_of(path)
    if language is None:
        return gated(position, uri, "file_type", meta)
    meta["language"] = language
    if entry.size > limit:
        return too_large(position, limit)
    try:
        with entry.open() as file:
            data = file.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        return Failure("record", position, "unreadable entry", str(error))
    if len(data) > limit:
        return too_large(position, limit)
    decoded = decode_code(data)
    if decoded is None:
        return gated(position, uri, "binary", meta)
    text, charset, found = decoded
    return Document(position, uri, text, {**meta, "charset": charset, "charset_found": found})


def _entries(path: Path, limit: int) -> Iterator[Entry] | None:
    name = path.name.lower()
    if name.endswith(ZIPS):
        return _zip_entries(path)
    opener = next((opener for suffix, opener in TARS.items() if name.endswith(suffix)), None)
    return _tar_entries(path, opener, limit) if opener else None


def _zip_entries(path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        found = archive.infolist()
        for info in found:
            if not info.is_dir():
                is_link = info.create_system == 3 and stat.S_ISLNK(info.external_attr >> 16)  # made on Unix
                refused = "link" if is_link else _unsafe(info.filename)
                yield Entry(info.filename, info.file_size, refused, partial(archive.open, info))
    # A damaged directory can swallow entries: its end says how many there should be (0xFFFF: more than fit there).
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - ZIP_END))
        tail = file.read()
    said = int.from_bytes(tail[(end := tail.rfind(b"PK\5\6")) + 10 : end + 12], "little")
    if said not in (len(found), 0xFFFF):
        raise zipfile.BadZipFile(f"the directory has {len(found)} of {said} entries")


def _tar_entries(path: Path, opener: Callable[..., Any], limit: int) -> Iterator[Entry]:
    with opener(path, "rb") as raw, tarfile.open(fileobj=_BoundedReads(raw, limit), mode="r:") as archive:
        while (info := archive.next()) is not None:
            if not info.isdir():
                kind = "" if info.isreg() else "link" if info.issym() or info.islnk() else "special file"
                yield Entry(info.name, info.size, kind or _unsafe(info.name), partial(_open_tar, archive, info))
            archive.members.clear()  # type: ignore[attr-defined]  # else the archive keeps every header it has read
        # tarfile ends quietly at a header that it cannot read: only a block of zeros, or the file's end, is an end.
        raw.seek(archive.offset)
        if raw.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError(f"broken header at byte {archive.offset} of the unpacked archive")


def _open_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    assert file is not None  # only regular files are opened
    return file


def _unsafe(name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    return "name leads out of the archive" if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] else ""


class _BoundedReads:
    """A file whose reads are bounded: tarfile takes a header into memory whole, and one may say that it is endless."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self.file, self.limit = file, limit
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= max(self.limit, tarfile.RECORDSIZE) + 1:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.file.read(size)

    def write(self, data: bytes) -> int:
        """Never called: tarfile's type asks for it."""
        raise OSError("read only")
