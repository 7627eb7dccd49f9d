"""Documents that are not to come back: what was removed from a run's directory, and what its config names besides.

A run honours the tombstones in its own `removed/` and those that `removals:` names: output directories, `removed/`
folders or files of them, and text files of ids, one a line. What they name fails the rule `removed`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipelines.errors import ConfigError, GristmillError
from pipelines.lookup import Row
from shards.format import ShardError
from shards.tombstones import DOCUMENT, FOLDER, Tombstone, ids_digest, read_file, read_folder


def read(output: Path) -> list[Tombstone]:
    """The removals of an output directory, in order. Raises GristmillError where one of them is damaged."""
    try:
        return read_folder(output)
    except ShardError as error:
        raise GristmillError(f"{output}: {error}") from error


def removed(output: Path, named: Iterable[str]) -> list[str]:
    """The ids of all documents that a run into `output` leaves out, sorted. `named`: the config's `removals`."""
    ids = {document for tombstone in read(output) for document in tombstone.documents}
    return sorted(ids.union(*(_named(path) for path in named)))


def fingerprint(named: Iterable[str]) -> str:
    """Digest of the documents that the config's `removals` name, whatever the files are called. Raises ConfigError."""
    return ids_digest(sorted(set[str]().union(*(_named(path) for path in named))))


def facts_of(output: Path, named: Iterable[str], doc_id: str) -> Row | None:
    """Why a document was removed: removal (its number, None where the config names the document), date, reason, by."""
    for tombstone in read(output):
        if doc_id in tombstone.documents:
            return {"removal": tombstone.number, "date": tombstone.date, "reason": tombstone.reason, "by": None}
    for path in named:
        if doc_id in _named(path):
            return {"removal": None, "date": None, "reason": None, "by": path}
    return None


def read_ids(path: Path, key: str) -> list[str]:
    """The ids in a text file, one a line; empty lines and those that begin with # are skipped. Raises ConfigError."""
    found = []
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key}: cannot read {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        line = line.strip().lower()
        if line and not line.startswith("#"):
            if not DOCUMENT.fullmatch(line):
                raise ConfigError(f"{key}: {path}, line {number}: {line[:80]!r} is no doc_id of 32 hex digits")
            found.append(line)
    return found


def _named(name: str) -> set[str]:
    """The ids that one of the config's `removals` names."""
    path = Path(name).expanduser()
    folder = path.parent if path.name == FOLDER else path
    try:
        if path.is_dir():
            tombstones = read_folder(folder)
            if not tombstones:
                raise ConfigError(f"removals: nothing was removed from {folder}: it has no {FOLDER}/0001.json")
        elif path.suffix == ".json":
            tombstones = [read_file(path)]
        else:
            return set(read_ids(path, "removals"))
    except ShardError as error:
        raise ConfigError(f"removals: {folder}: {error}") from error
    return {document for tombstone in tombstones for document in tombstone.documents}
