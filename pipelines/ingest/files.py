"""Which files a source has, by paths that do not depend on where the source lies, and how tasks share them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import ConfigError

REPOSITORY_INTERNALS = {".git", ".hg", ".svn", ".bzr", "CVS", "__pycache__"}
LEAST_TARGET = 2_000_000  # bytes; below this, starting a task costs more than it gains
FEWEST_PARTITIONS = 64  # so that small inputs keep many cores busy; a constant, so that plans are the same everywhere


@dataclass(frozen=True, slots=True, order=True)
class InputFile:
    """A file of a source: path relative to the root with '/', size in bytes, modification time in nanoseconds."""

    path: str
    size: int
    mtime_ns: int


def discover(
    paths: list[str], root: str | None = None, suffixes: tuple[str, ...] | None = None
) -> tuple[str, list[InputFile]]:
    """The source's root (absolute) and its files, sorted by path, each once.

    `paths` are files, globs, or directories, which are searched recursively for files with one of `suffixes` (all
    files where that is None; never inside a version control system's own directories). The default root is the
    common parent of the patterns' fixed parts, so a copy of the whole input elsewhere has the same relative paths.
    Symbolic links are listed, not judged: the reader refuses those that leave the root, and says so in a row.
    Raises ConfigError where a pattern matches nothing or a file lies outside the root.
    """
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


def partitions(files: list[InputFile], target_bytes: int = 64_000_000, max_files: int = 2_000) -> list[list[InputFile]]:
    """Share files out to tasks: neighbours together, up to `target_bytes` (less for a small source) or `max_files`.

    Depends on the list alone, not on the machine, so that the same input makes the same tasks everywhere.
    """
    total = sum(file.size for file in files)
    target = min(target_bytes, max(LEAST_TARGET, total // FEWEST_PARTITIONS))
    result: list[list[InputFile]] = []
    size = 0
    for file in files:
        if not result or size + file.size > target or len(result[-1]) >= max_files:
            result.append([])
            size = 0
        result[-1].append(file)
        size += file.size
    return result


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
