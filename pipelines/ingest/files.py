"""Which files a source has, by paths that do not depend on where the source lies, and how tasks share them."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.errors import ConfigError
from pipelines.ingest import remote

REPOSITORY_INTERNALS = {".git", ".hg", ".svn", ".bzr", "CVS", "__pycache__"}
LEAST_TARGET = 2_000_000  # bytes; below this, starting a task costs more than it gains
FEWEST_PARTITIONS = 64  # so that small inputs keep many cores busy; a constant, so that plans are the same everywhere
LEAST_SPAN = 4_000_000  # bytes; to find the first record of a smaller one costs more than it gains

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, order=True)
class InputFile:
    """A file of a source: path relative to the root with '/', size in bytes, modification time in nanoseconds.

    Of a remote file the last is a number that changes with its content.
    """

    path: str
    size: int
    mtime_ns: int


class Part(NamedTuple):
    """What a task reads of a file: the records that begin in bytes [begin, end) of it, or all of them."""

    path: str
    span: Span | None
    size: int


def discover(
    paths: list[str],
    root: str | None = None,
    suffixes: tuple[str, ...] | None = None,
    storage: Mapping[str, Any] | None = None,
) -> tuple[str, list[InputFile]]:
    """The source's root (absolute, or a URL) and its files, sorted by path, each once.

    `paths` are files, globs, or directories, on this machine or as URLs, for which fsspec gets `storage`. Directories
    are searched recursively for files with one of `suffixes` (all files where that is None; never inside a version
    control system's own directories). The default root is the common parent of the patterns' fixed parts (of URLs, of
    the files), so a copy of the whole input elsewhere has the same relative paths.
    Symbolic links are listed, not judged: the reader refuses those that leave the root, and says so in a row.
    Raises ConfigError where a pattern matches nothing or a file lies outside the root.
    """
    are_urls = {remote.is_url(path) for path in paths}
    if True in are_urls:
        if False in are_urls:
            raise ConfigError("a source's paths are all URLs, or none is")
        return _discover_remote(paths, root, suffixes, storage or {})
    patterns = [os.path.abspath(path) for path in paths]  # noqa: PTH100 (Path.resolve would follow links)
    top = os.path.abspath(root) if root else os.path.commonpath([_fixed_part(p) for p in patterns])  # noqa: PTH100
    found: set[str] = set()
    for given, pattern in zip(paths, patterns, strict=True):
        matches = set(_match(pattern, suffixes))
        if not matches:
            wanted = f" (files ending in {', '.join(suffixes)})" if suffixes and Path(pattern).is_dir() else ""
            raise ConfigError(f"nothing matches {given!r}{wanted}")
        found |= matches
    outside = sorted(path for path in found if not Path(path).is_relative_to(top))
    if outside:
        raise ConfigError(f"{outside[0]} is not below the root {top}")
    return top, sorted(_input_file(path, top) for path in found)


def partitions(
    files: list[InputFile],
    target_bytes: int = 64_000_000,
    max_files: int = 2_000,
    spans: Callable[[InputFile, int], list[Span | None]] = lambda _file, _target: [None],
) -> list[list[Part]]:
    """Share files out to tasks: neighbours together, up to `target_bytes` (less for a small source) or `max_files`.

    `spans` cuts a file into parts of about so many bytes. Depends on the list alone, not on the machine, so that the
    same input makes the same tasks everywhere.
    """
    total = sum(file.size for file in files)
    target = min(target_bytes, max(LEAST_TARGET, total // FEWEST_PARTITIONS))
    result: list[list[Part]] = []
    size = 0
    for file in files:
        cuts = spans(file, target)
        for span in cuts:
            part = Part(file.path, span, file.size // len(cuts))
            if not result or size + part.size > target or len(result[-1]) >= max_files:
                result.append([])
                size = 0
            result[-1].append(part)
            size += part.size
    return result


def even_spans(file: InputFile, target: int) -> list[Span | None]:
    """A large file in spans of about `target` bytes, a small one whole."""
    count = file.size // max(target, LEAST_SPAN)
    if count < 2:
        return [None]
    borders = [file.size * i // count for i in range(count + 1)]
    return list(pairwise(borders))


def _discover_remote(
    paths: list[str], root: str | None, suffixes: tuple[str, ...] | None, storage: Mapping[str, Any]
) -> tuple[str, list[InputFile]]:
    found: dict[str, tuple[int, int]] = {}
    for path in paths:
        matches = {url: (size, tag) for url, size, tag in remote.find(path, suffixes, storage)}
        if not matches:
            raise ConfigError(f"nothing matches {path!r}")
        found |= matches
    top = root.rstrip("/") if root else _common_folder(found)
    outside = sorted(url for url in found if not url.startswith(f"{top}/"))
    if outside:
        raise ConfigError(f"{outside[0]} is not below the root {top}")
    return top, [InputFile(url[len(top) + 1 :], *found[url]) for url in sorted(found)]


def _common_folder(urls: Iterable[str]) -> str:
    """The deepest folder that holds all of these files. Raises ConfigError where they share no server or bucket."""
    folders = [url.split("/")[:-1] for url in urls]
    common = [names[0] for names in takewhile(lambda names: len(set(names)) == 1, zip(*folders))]
    if len(common) < 3:  # scheme, nothing, server or bucket
        raise ConfigError("a source's paths lie in one file system")
    return "/".join(common)


def _fixed_part(pattern: str) -> str:
    """The directory that all matches of a pattern share by its spelling."""
    path = Path(pattern)
    if path.is_dir():
        return pattern
    fixed = Path(path.anchor)
    for part in path.parts[1:-1]:
        if glob.has_magic(part) and not (fixed / part).exists():
            break
        fixed /= part
    return str(fixed)


def _match(pattern: str, suffixes: tuple[str, ...] | None) -> Iterator[str]:
    # A file's own name may hold the characters of a glob.
    matches = [pattern] if os.path.lexists(pattern) else glob.iglob(pattern, recursive=True)  # noqa: PTH207
    for match in matches:
        if os.path.isdir(match):  # noqa: PTH112
            yield from _walk(match, suffixes)
        else:
            yield match


def _walk(directory: str, suffixes: tuple[str, ...] | None) -> Iterator[str]:
    for folder, directories, names in os.walk(directory):
        # os.walk does not enter links to directories: they are listed like files, for the reader to refuse.
        links = [name for name in directories if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118
        directories[:] = [name for name in directories if name not in REPOSITORY_INTERNALS]
        for name in (*names, *links):
            if suffixes is None or name.lower().endswith(suffixes):
                yield os.path.join(folder, name)  # noqa: PTH118


def _input_file(path: str, root: str) -> InputFile:
    relative = Path(path).relative_to(root).as_posix()
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:  # a dangling link: the reader says so
        return InputFile(relative, 0, 0)
    return InputFile(relative, status.st_size, status.st_mtime_ns)
