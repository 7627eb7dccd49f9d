"""Files that lie elsewhere: whatever fsspec reaches (s3://, gs://, webhdfs://, http://, https://, ...)."""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import fsspec
import xxhash
from fsspec import AbstractFileSystem

from pipelines.errors import ConfigError, GristmillError

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_BLOCK = 4 << 20  # bytes asked for at a time
# Its addresses hold characters that elsewhere make a pattern, and it lists nothing.
_WITHOUT_FOLDERS = ("http", "https")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A remote file, as much of a pathlib.Path as readers need. `storage` goes to fsspec, credentials among it."""

    url: str
    storage: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The last part of its URL."""
        return posixpath.basename(self.url)

    def open(self, mode: str = "rb") -> IO[bytes]:
        """A seekable binary file.

        Raises FileNotFoundError and PermissionError, which are the file's matter; what else goes wrong, now or while it
        is read, is the server's: GristmillError, with which the task fails and is tried again, not the file.
        """
        system, path = _system(self.url, self.storage)
        with _reached(self.name):
            return io.BufferedReader(_Reached(system.open(path, mode, block_size=_BLOCK), self.name))


class _Reached(io.RawIOBase):
    """A file of fsspec's that says of its failures whose they are."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.file, self.file_name = file, name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _reached(self.file_name):
            data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def close(self) -> None:
        self.file.close()
        super().close()


@contextmanager
def _reached(name: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # drivers raise what their libraries raise
        raise GristmillError(f"{name} cannot be reached: {type(error).__name__}: {error}") from error


def is_url(path: str) -> bool:
    """Whether a path names a file system of fsspec's."""
    return _URL.match(path) is not None


def find(pattern: str, suffixes: tuple[str, ...] | None, storage: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """(URL, size in bytes, a number that changes with the content) of each file that `pattern` names.

    A pattern is a file, a folder (all files below it with one of `suffixes`) or a glob; over HTTP a file alone. The
    number is a hash of what the server says of the file: entity tag, time of modification or the like. Raises
    ConfigError where the file system cannot be asked.
    """
    system, path = _system(pattern, storage)
    try:
        for found in _matches(system, pattern, path, suffixes):
            size = system.info(found).get("size")
            if size is None:
                raise ConfigError(f"{pattern}: the server does not say how long it is, or reads no ranges of it")
            yield _url(pattern, system, found), size, xxhash.xxh3_64_intdigest(str(system.ukey(found)).encode()) >> 1
    except ConfigError:
        raise
    except FileNotFoundError:
        return
    except Exception as error:  # drivers raise what their libraries raise
        raise ConfigError(f"{pattern}: {type(error).__name__}: {error}") from error


def _matches(system: AbstractFileSystem, pattern: str, path: str, suffixes: tuple[str, ...] | None) -> Iterator[str]:
    if pattern.split("://")[0] in _WITHOUT_FOLDERS or system.isfile(path):
        yield path
        return
    for match in sorted(system.glob(path)):
        if system.isfile(match):
            yield match
        else:
            yield from (name for name in sorted(system.find(match)) if not suffixes or name.lower().endswith(suffixes))


def _system(url: str, storage: Mapping[str, Any]) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL, and the path in it. Raises ConfigError where it is unknown or its driver is missing."""
    try:
        system, path = fsspec.url_to_fs(url, **storage)
    except (ImportError, ValueError, TypeError) as error:
        raise ConfigError(f"{url}: {error}") from error
    return system, path


def _url(pattern: str, system: AbstractFileSystem, found: str) -> str:
    """The URL of a file that was found: over HTTP it is one already."""
    return found if is_url(found) else f"{pattern.split('://', 1)[0]}://{found.removeprefix('/')}"
