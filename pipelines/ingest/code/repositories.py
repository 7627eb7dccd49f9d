"""Git repositories as entries: one revision's tree, read from the object store, with or without a working tree.

By libgit2 (pygit2), which reads packs and loose objects in this process: no program is started, no hook runs, no
filter is applied, and nothing is fetched, whatever the repository's own config says. The size of an object is known
before it is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.errors import ConfigError
from pipelines.ingest.code.containers import MOST_LINK, Entry, Refused, link, unsafe

MOST_ENTRIES = 5_000_000
"""A tree with more is not read on: a few nested trees that name each other many times stand for billions of files."""

_TREE, _LINK, _SUBMODULE = 0o040000, 0o120000, 0o160000  # modes of what is no plain file


def git_directory(folder: Path) -> Path | None:
    """Where a directory's own Git repository lies: in its .git, or in itself where it is bare; None where it has none.

    A .git that is a link or a file (a submodule's, a linked working tree's) leads elsewhere and does not count.
    """
    for place in (folder / ".git", folder):
        if not place.is_symlink() and os.path.lexists(place / "HEAD") and (place / "objects").is_dir():
            return place if (place / "refs").is_dir() else None
    return None


def stored_bytes(folder: Path) -> int:
    """Bytes of a repository's packs and loose objects: about what reading it costs."""
    place = git_directory(folder)
    found = os.walk(place / "objects") if place else []
    return sum((Path(where) / name).lstat().st_size for where, _, names in found for name in names)


def commit(folder: Path, revision: str) -> str:
    """The hash of the commit that a revision (a branch, a tag, a hash, HEAD~2) of a repository means.

    Raises ValueError where it means none.
    """
    return str(_commit(_open(folder), revision).id)


def entries(folder: Path, revision: str) -> Iterator[Entry]:
    """The files of a revision in order of their paths. Submodules have the gate `submodule` and are not entered.

    Raises ValueError where the repository or the revision cannot be read.
    """
    repository = _open(folder)
    found = _commit(repository, revision)
    backends = list(repository.odb.backends)
    for count, (name, mode, identity) in enumerate(_files(repository, found.tree_id)):
        if count == MOST_ENTRIES:
            raise Refused(f"a tree of more than {MOST_ENTRIES} files")
        yield _entry(repository, backends, name, mode, identity, str(found.id))


def _entry(repository: Any, backends: list[Any], name: str, mode: int, identity: Any, revision: str) -> Entry:
    def read(size: int) -> bytes:
        try:
            data: bytes = repository.odb.read(identity)[1]
        except Exception as error:  # libgit2's errors have many types
            raise OSError(f"object {identity} is damaged: {error}") from error
        return data[:size]

    if mode == _SUBMODULE:
        return Entry(name, 0, read, gate="submodule", revision=revision)
    size = _size(backends, identity)
    fields = {"refused": unsafe(name)}
    if size is None:
        size, fields = 0, {"refused": "object is missing or damaged", "detail": str(identity)}
    elif mode == _LINK:
        fields = {"refused": "unreadable entry"}
        with suppress(OSError):
            fields = link(name, read(size).decode("utf-8", "replace")) if size <= MOST_LINK else fields
    return Entry(name, size, read, revision=revision, **fields)


def _files(repository: Any, root: Any) -> Iterator[tuple[str, int, Any]]:
    """(path, mode, object id) of each file below a tree; Git keeps trees in the order of their files' paths."""
    stack = [("", iter([("", _TREE, root)]))]
    while stack:
        folder, items = stack[-1]
        item = next(items, None)
        if item is None:
            stack.pop()
            continue
        name, mode, identity = item
        if mode != _TREE:
            yield folder + name, mode, identity
            continue
        try:
            tree = [
                (child.raw_name.decode("utf-8", "surrogateescape"), int(child.filemode), child.id)
                for child in repository[identity]
            ]
        except Exception as error:
            raise ValueError(f"tree {identity} of {folder + name!r} is missing or damaged: {error}") from error
        stack.append((f"{folder}{name}/" if name else "", iter(tree)))


def _size(backends: list[Any], identity: Any) -> int | None:
    for backend in backends:
        try:
            return int(backend.read_header(identity)[1])
        except Exception:  # not in this one; libgit2's errors have many types
            continue
    return None


def _open(folder: Path) -> Any:
    place = git_directory(folder)
    if place is None:
        raise ValueError("no Git repository")
    git = _pygit2()
    flags = git.enums.RepositoryOpenFlag
    try:
        return git.Repository(str(place), flags.BARE | flags.NO_SEARCH)
    except Exception as error:
        raise ValueError(f"no Git repository that can be opened: {type(error).__name__}") from error


def _commit(repository: Any, revision: str) -> Any:
    git = _pygit2()
    try:
        return repository.revparse_single(revision).peel(git.Commit)
    except Exception as error:  # KeyError, ValueError, GitError and more, by what is wrong
        raise ValueError(f"revision {revision!r} is no commit of the repository") from error


@cache
def _pygit2() -> Any:
    try:
        import pygit2
    except ImportError as error:
        raise ConfigError(
            "Git repositories are read with pygit2, which is not installed: pip install pygit2"
        ) from error
    # Whose files they are does not matter, since nothing of the repository's config is acted on.
    pygit2.option(pygit2.enums.Option.SET_OWNER_VALIDATION, False)
    return pygit2
