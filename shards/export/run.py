"""Exporting a shard set: all splits in one format, in a new directory that is seen whole or not at all.

`export.json` in it says what was exported from what: format, view, the shards' header and the digest of their
manifest, and the name, size and SHA-256 of every file.
"""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from shards.atomic import sync
from shards.export import huggingface, llmc, mds, megatron, nanogpt
from shards.export.batches import Batch, rows
from shards.export.documents import documents
from shards.format import SetHeader, ShardError
from shards.manifest import MANIFEST, file_digest
from shards.read import ShardSet

EXPORT: Final = "export.json"
VIEWS: Final = ("documents", "rows")

Writer = Callable[[Path, str, Iterator[Batch], SetHeader, int | None], list[Path]]


class Format(NamedTuple):
    """How a format is written, what its readers must know, and whether they can tell padding from text."""

    write: Writer
    notes: Callable[[SetHeader], list[str]]
    holds_padding: bool


FORMATS: Final = {
    "megatron": Format(megatron.write, megatron.notes, True),
    "llmc": Format(llmc.write, llmc.notes, False),
    "nanogpt": Format(nanogpt.write, nanogpt.notes, False),
    "mds": Format(mds.write, mds.notes, True),
    "huggingface": Format(huggingface.write, huggingface.notes, True),
}


def export(
    shards: ShardSet,
    output: Path,
    format_name: str,
    view: str = "documents",
    keep_padding: bool = False,
    splits: Sequence[str] = (),
) -> dict[str, Any]:
    """Write `splits` (by default all) of a shard set to the new directory `output`; what export.json then says.

    `view`: "documents", put back together, or "rows" as they are; `keep_padding` keeps the padding of rows, so that all
    have one width. Splits without tokens are listed, and have no files. Memory: see documents.py; of rows, a few
    megabytes (mds: one of its shards). Raises ValueError for arguments that do not go together, FileExistsError where
    `output` holds something, ShardError for damaged shards, or pieces that are not all of a split.
    """
    _check(shards, format_name, view, keep_padding, splits)
    header, manifest = shards.header, shards.manifest
    written: dict[str, Any] = {}
    with _new_directory(output) as directory:
        for name in dict.fromkeys(splits or manifest.splits):
            totals = manifest.splits[name]
            expected = totals.tokens + (totals.padding if keep_padding else 0)
            written[name] = dict(_NOTHING)
            if expected:
                written[name] = _write_split(shards, directory, name, format_name, view, keep_padding)
            if written[name]["tokens"] != expected:
                raise ShardError(
                    MANIFEST, f"split {name!r}: {written[name]['tokens']} tokens found where it says {expected}"
                )
        facts = {
            "format": format_name,
            "view": view,
            "padding": "kept" if keep_padding else "none",
            "source": {"manifest_digest": manifest.digest, "header": header.model_dump()},
            "splits": written,
            "notes": FORMATS[format_name].notes(header) + _border_notes(header),
        }
        (directory / EXPORT).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return facts


_NOTHING: Final[dict[str, Any]] = {"sequences": 0, "tokens": 0, "files": []}


def _write_split(
    shards: ShardSet, directory: Path, name: str, format_name: str, view: str, keep_padding: bool
) -> dict[str, Any]:
    """Write one split; how much of what is in which files."""
    split, header = shards.split(name), shards.header
    counts = {"sequences": 0, "tokens": 0}

    def counted() -> Iterator[Batch]:
        for batch in documents(split) if view == "documents" else rows(split, header, keep_padding):
            if len(batch.lengths):
                counts["sequences"] += len(batch.lengths)
                counts["tokens"] += len(batch.tokens)
                yield batch

    width = header.width if keep_padding else None
    paths = FORMATS[format_name].write(directory, name, counted(), header, width)
    return {**counts, "files": [_sealed(path, directory) for path in paths]}


def _sealed(path: Path, directory: Path) -> dict[str, Any]:
    """Name, size and digest of a file that has reached the disk."""
    sync(path)
    name = path.relative_to(directory).as_posix()
    return {"name": name, "bytes": path.stat().st_size, "sha256": file_digest(path)}


def _check(shards: ShardSet, format_name: str, view: str, keep_padding: bool, splits: Sequence[str]) -> None:
    if format_name not in FORMATS:
        raise ValueError(f"format: {format_name!r} is none of {', '.join(FORMATS)}")
    if view not in VIEWS:
        raise ValueError(f"view: {view!r} is none of {', '.join(VIEWS)}")
    for name in splits:
        if name not in shards.manifest.splits:
            raise ValueError(f"split: no split {name!r}; there are: {', '.join(shards.manifest.splits)}")
    for name in splits or shards.manifest.splits:
        if "/" in name or name in (".", ".."):
            raise ValueError(f"split: {name!r} cannot be the name of a file")
    if keep_padding and view != "rows":
        raise ValueError("keep_padding: documents have no padding; it goes with the view of rows")
    if keep_padding and not FORMATS[format_name].holds_padding:
        raise ValueError(f"keep_padding: readers of {format_name} cannot tell padding from text")


def _border_notes(header: SetHeader) -> list[str]:
    if header.adds_bos or header.adds_eos:
        return []
    return ["the shards were packed without bos and eos: no token marks where a document ends"]


@contextmanager
def _new_directory(path: Path) -> Iterator[Path]:
    """A hidden directory beside `path` to write into; renamed to `path` at the end, removed after an exception."""
    path = path.absolute()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(f"{path}: exists already, and is not an empty directory")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
