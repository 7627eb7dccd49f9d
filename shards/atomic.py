"""Files that are seen whole or not at all, one by one or several together."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

REPLACING: Final = ".replacing"  # a folder of files that are on their way to their places
GONE: Final = ".gone"  # in it: which files go without another in their place


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to; renamed to `path` at the end, removed after an exception.

    The name is unique, so that two attempts at one file (speculative execution) do not write into each other.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class Together:
    """New contents for files of a directory, in a folder laid out like it, and names of files that go."""

    def __init__(self, directory: Path, folder: Path) -> None:
        self.directory = directory
        self.folder = folder
        self.gone: list[Path] = []

    def path(self, target: Path) -> Path:
        """Where to write the new content of a file of the directory."""
        path = self.folder / target.relative_to(self.directory)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def remove(self, target: Path) -> None:
        """Let a file of the directory go with the rest."""
        self.gone.append(target.relative_to(self.directory))


@contextmanager
def replacing_together(directory: Path) -> Iterator[Together]:
    """Replace and remove several files of `directory`: after a kill at any moment it is all of them or none.

    They are written to a hidden folder, one rename of which decides: before it nothing has changed, after it
    `finish_replacing` moves what is not yet moved. One process at a time; the caller sees to that.
    """
    finish_replacing(directory)
    folder = directory / f"{REPLACING}.tmp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        together = Together(directory, folder)
        yield together
        (folder / GONE).write_text("".join(f"{path.as_posix()}\n" for path in together.gone), "utf-8")
        for path in _files(folder):
            sync(path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    folder.rename(directory / REPLACING)
    finish_replacing(directory)


def finish_replacing(directory: Path) -> bool:
    """Finish a replacement that was decided; whether there was one. Also where an earlier call was killed."""
    folder = directory / REPLACING
    if not folder.is_dir():
        return False
    gone = folder / GONE
    for name in gone.read_text("utf-8").splitlines() if gone.exists() else ():
        (directory / name).unlink(missing_ok=True)
    for path in _files(folder):
        if path != gone:
            target = directory / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    shutil.rmtree(folder)
    return True


def is_being_replaced(directory: Path) -> bool:
    """Whether files of `directory` are being replaced together, or were until a kill: some are old, some new."""
    return (directory / REPLACING).is_dir()


def sync(path: Path) -> None:
    """Wait until a file has reached the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
