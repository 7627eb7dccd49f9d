"""What lies beside a local file and tells its licence: licence files up to the root, a Debian package's packaging."""

from __future__ import annotations

import os
import re
import stat
from functools import lru_cache
from pathlib import Path

from pipelines.ingest.code import containers
from pipelines.ingest.code.containers import DAMAGE
from pipelines.ingest.code.decoding import decode_code
from pipelines.ingest.code.licences import MOST_BYTES, Licences, is_evidence

_ORIGINAL = re.compile(r"(.+?)_([^_]+?)\.orig\.tar\.\w+")  # of a Debian source package


def licences_beside(path: Path, name: str) -> Licences:
    """What the folders from a file's own up to the source's root tell of licences; links are not followed."""
    folders = [str(folder) for folder in path.parents[: name.count("/") + 1]]
    root = Path(folders[-1])
    found: list[tuple[str, int, int]] = []
    for folder in folders:
        for place in (folder, f"{folder}/debian", f"{folder}/.reuse", f"{folder}/LICENSES"):
            found += _evidence_in(place)
    inner = name.partition("/")[0] + "/" if "/" in name else ""
    return _licences_of(str(root), inner, tuple(sorted(set(found))))


def _evidence_in(folder: str) -> tuple[tuple[str, int, int], ...]:
    try:
        return _evidence_since(folder, os.stat(folder).st_mtime_ns)  # noqa: PTH116
    except OSError:
        return ()


@lru_cache(maxsize=4096)
def _evidence_since(folder: str, _changed: int) -> tuple[tuple[str, int, int], ...]:
    """(path, size, time of modification) of the evidence in one folder, asked again when files come or go."""
    with os.scandir(folder) as entries:
        states = [(entry.path, entry.stat(follow_symlinks=False)) for entry in entries if is_evidence(entry.path)]
    return tuple(
        (path, state.st_size, state.st_mtime_ns)
        for path, state in states
        if stat.S_ISREG(state.st_mode) and state.st_size <= MOST_BYTES
    )


@lru_cache(maxsize=256)
def _licences_of(root: str, inner: str, evidence: tuple[tuple[str, int, int], ...]) -> Licences:
    """Evidence by paths as the documents have them: without the topmost folder, which is the repository."""
    texts = []
    for path, _, _ in evidence:
        decoded = decode_code(Path(path).read_bytes())
        if decoded:
            texts.append((Path(path).relative_to(root).as_posix().removeprefix(inner), decoded[0]))
    return Licences(texts)


def packaging_beside(path: Path) -> list[tuple[str, str]]:
    """debian/copyright of a Debian source package, for its upstream archive, where its packaging lies beside it.

    The archive's paths have one folder in front that the packaging's do not know; it is named after the package.
    """
    match = _ORIGINAL.fullmatch(path.name)
    beside = sorted(path.parent.glob(f"{match[1]}_{match[2]}-*.debian.tar.*")) if match else []
    if not beside:
        return []
    try:
        for entry in containers.entries(beside[-1], MOST_BYTES):
            if entry.name.removeprefix("./") == "debian/copyright" and not entry.refused and not entry.gate:
                decoded = decode_code(entry.read(MOST_BYTES))
                top = next((e.name.partition("/")[0] for e in containers.entries(path, MOST_BYTES)), "")
                return [(f"{top}/debian/copyright", decoded[0])] if decoded else []
    except DAMAGE:
        pass
    return []
