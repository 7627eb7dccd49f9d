"""Which files a source of code has: Git repositories as one entry each, all else as files."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import ConfigError
from pipelines.ingest import remote
from pipelines.ingest.code import repositories
from pipelines.ingest.files import InputFile

if TYPE_CHECKING:
    from pipelines.source_config import Source

Discover = Callable[["Source"], tuple[str, list[InputFile]]]


def discover(source: Source, files_of: Discover) -> tuple[str, list[InputFile]]:
    """The source's root and its files, sorted; `files_of` finds plain files.

    A directory that holds .git, or is a bare repository, is one entry: its size is that of its objects, and in the
    place of a time stands a number of the commit that is read, so that another commit is another input. The files of
    its working tree are no entries. Raises ConfigError where there is nothing, or something lies outside the root.
    """
    if any(remote.is_url(path) for path in source.paths):
        return files_of(source)
    revision = str(source.options.get("revision", "HEAD"))
    found = [_of_path(source, path, revision, files_of) for path in source.paths]
    absolute = sorted(
        {(str(Path(top) / file.path), file.size, file.mtime_ns) for top, files in found for file in files}
    )
    root = os.path.abspath(source.root) if source.root else os.path.commonpath([top for top, _ in found])  # noqa: PTH100
    outside = [path for path, _, _ in absolute if not Path(path).is_relative_to(root)]
    if outside:
        raise ConfigError(f"{outside[0]} is not below the root {root}")
    return root, [InputFile(Path(path).relative_to(root).as_posix(), size, time) for path, size, time in absolute]


def _of_path(source: Source, path: str, revision: str, files_of: Discover) -> tuple[str, list[InputFile]]:
    """What one of the source's paths names, with a root of its own."""
    matches = [path] if os.path.lexists(path) else sorted(glob.glob(path, recursive=True))  # noqa: PTH207
    folders = [os.path.abspath(match) for match in matches if Path(match).is_dir()]  # noqa: PTH100
    places = sorted({place for folder in folders for place in _repositories(folder)})
    alone = source.model_copy(update={"paths": [path], "root": None})
    if not places:
        return files_of(alone)
    try:
        top, files = files_of(alone)
    except ConfigError:  # repositories without a working tree, and nothing else
        top, files = os.path.commonpath(folders), []
    if top in places:  # the path is the repository: its own name is a part of what it holds
        top, files = str(Path(top).parent), []
    inner = [Path(place).relative_to(top) for place in places]
    others = [file for file in files if not any(Path(file.path).is_relative_to(place) for place in inner)]
    return top, [*others, *(_entry(place, top, revision) for place in places)]


def _repositories(folder: str) -> Iterator[str]:
    for where, folders, _ in os.walk(folder):
        if repositories.git_directory(Path(where)):
            folders.clear()
            yield where


def _entry(place: str, top: str, revision: str) -> InputFile:
    try:
        number = int(repositories.commit(Path(place), revision)[:15], 16)  # fits into 63 bits
    except ValueError:  # the reader says what is wrong
        number = 0
    return InputFile(Path(place).relative_to(top).as_posix(), repositories.stored_bytes(Path(place)), number)
