"""`manifest.json`: which files make up a shard set, what is in each, and what they share. Written last.

File digests are SHA-256, not the faster xxh3: shards are handed on, `sha256sum` is on every machine, and at over 1 GB/s
it costs little beside tokenization. The manifest also carries a digest of its own content, so that a hand-made change
is refused before a row is read.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from shards.atomic import is_being_replaced, replacing
from shards.format import FORMAT_VERSION, Model, Name, SetHeader, Sha256, ShardError, first_error

MANIFEST: Final = "manifest.json"
SUFFIX: Final = ".arrow"

Count = Annotated[int, Field(ge=0)]


class FileEntry(Model):
    """One file of a shard set. `documents` counts those with at least one token; `digest` is SHA-256 of the file."""

    name: Name
    split: Name
    bucket: Name
    rows: Count
    tokens: Count
    padding: Count
    documents: Count
    bytes: Count
    digest: Sha256

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not name.endswith(SUFFIX) or name.startswith(".") or any(c in name for c in "/\\\0"):
            raise ValueError(f"{name!r} is not a plain file name that ends in {SUFFIX}")
        return name


class Totals(Model):
    """Sums over the files of one split."""

    files: Count
    rows: Count
    tokens: Count
    padding: Count
    documents: Count


class Removal(Model):
    """One time that documents were taken out of the set: their pieces became padding, and it got a new version.

    `documents` and `tokens` count what was in the set; `tombstones` is the digest of all ids that were removed then,
    see `shards.tombstones`.
    """

    version: Annotated[int, Field(ge=2)]
    documents: Count
    tokens: Count
    tombstones: Sha256


class Manifest(Model):
    """What a shard set consists of. Rows of a split are numbered through its files in the order listed here.

    `version` is 1, and one more with each of `removals`. `order_digest` covers names, splits, buckets and rows only, so
    that the order of reading survives whatever changes contents but not row numbers. `digest` covers everything else in
    the manifest.
    """

    format_version: int
    version: int = 1
    header: SetHeader
    files: tuple[FileEntry, ...] = Field(strict=False)  # JSON knows lists only
    splits: dict[str, Totals]
    removals: tuple[Removal, ...] = Field((), strict=False)
    order_digest: Sha256
    digest: Sha256

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [entry.name for entry in self.files]
        if names != sorted(set(names)):
            raise ValueError("files: names must be sorted and unique")
        for entry in self.files:
            if entry.rows * self.header.width != entry.tokens + entry.padding:
                raise ValueError(f"files: {entry.name}: rows x width is not tokens + padding")
        if self.splits != _totals(self.files, self.splits):
            raise ValueError("splits: not the sums of the files")
        if self.order_digest != _order_digest(self.files):
            raise ValueError("order_digest: not that of the files listed")
        versions = [removal.version for removal in self.removals]
        if versions != list(range(2, 2 + len(versions))):
            raise ValueError("removals: their versions must be 2, 3, ..., in order")
        if self.version != 1 + len(versions):
            raise ValueError(f"version: {self.version}, with {len(versions)} removals")
        return self


def write_manifest(
    directory: Path,
    header: SetHeader,
    entries: Iterable[FileEntry],
    splits: Iterable[str] = (),
    removals: Iterable[Removal] = (),
) -> Manifest:
    """Write `directory`/manifest.json for the files in `entries`, in any order; call it when they are all in place.

    `splits` names splits to be listed even where they have no file; `removals` are all of the set, in order. Raises
    ValueError for entries that contradict each other or the header.
    """
    files = tuple(sorted(entries, key=lambda entry: entry.name))
    removals = tuple(removals)
    content: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "version": 1 + len(removals),
        "removals": [removal.model_dump() for removal in removals],
        "header": header.model_dump(),
        "files": [entry.model_dump() for entry in files],
        "splits": {name: totals.model_dump() for name, totals in _totals(files, splits).items()},
        "order_digest": _order_digest(files),
    }
    manifest = Manifest.model_validate({**content, "digest": _content_digest(content)})
    with replacing(directory / MANIFEST) as path:
        path.write_text(json.dumps(manifest.model_dump(), indent=2, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    return manifest


def read_manifest(directory: Path) -> Manifest:
    """Read and check `directory`/manifest.json. Raises ShardError, which names the file and the key at fault.

    Refuses a set of which a removal was interrupted: its files are of two versions.
    """
    for place in (directory, directory.absolute().parent):
        if is_being_replaced(place):
            raise ShardError(MANIFEST, f"a removal was interrupted: `gristmill shards remove {place}` finishes it")
    try:
        content = json.loads((directory / MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        raise ShardError(MANIFEST, f"missing in {directory}: not a shard set, or one that was never finished") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ShardError(MANIFEST, f"not readable: {error}") from None
    if not isinstance(content, dict):
        raise ShardError(MANIFEST, "not a JSON object")
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise ShardError(MANIFEST, f"format_version: {version}; this reader knows {FORMAT_VERSION}")
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise ShardError(MANIFEST, first_error(error)) from None
    del content["digest"]
    if manifest.digest != _content_digest(content):
        raise ShardError(MANIFEST, "digest: does not match the content: changed by hand, or damaged")
    return manifest


def check_files(directory: Path, manifest: Manifest) -> list[ShardError]:
    """What is missing, extra or of another size in `directory`, by name; opens nothing.

    Only *.arrow files can be extra; hidden names are unfinished writes, which nobody reads.
    """
    with os.scandir(directory) as entries:  # asks the system once a file: there may be tens of thousands
        sizes = {
            entry.name: entry.stat().st_size
            for entry in entries
            if entry.name.endswith(SUFFIX) and not entry.name.startswith(".") and entry.is_file()
        }
    listed = {entry.name: entry for entry in manifest.files}
    errors = [ShardError(name, f"missing: {MANIFEST} lists it") for name in sorted(listed.keys() - sizes.keys())]
    errors += [ShardError(name, f"extra: {MANIFEST} does not list it") for name in sorted(sizes.keys() - listed.keys())]
    for name in sorted(listed.keys() & sizes.keys()):
        if fault := size_fault(listed[name], sizes[name]):
            errors.append(ShardError(name, fault))
    return errors


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_fault(entry: FileEntry, size: int) -> str | None:
    """What is wrong with a file of `size` bytes, None where that is its size."""
    if size == entry.bytes:
        return None
    return f"{'truncated' if size < entry.bytes else 'grown'}: {size} bytes, {MANIFEST} says {entry.bytes}"


def _totals(files: Iterable[FileEntry], splits: Iterable[str]) -> dict[str, Totals]:
    files = tuple(files)
    fields = ("rows", "tokens", "padding", "documents")
    sums = {name: dict.fromkeys(("files", *fields), 0) for name in sorted({*splits, *(f.split for f in files)})}
    for entry in files:
        split = sums[entry.split]
        split["files"] += 1
        for field in fields:
            split[field] += getattr(entry, field)
    return {name: Totals(**split) for name, split in sums.items()}


def _order_digest(files: Iterable[FileEntry]) -> str:
    return _content_digest([[entry.name, entry.split, entry.bucket, entry.rows] for entry in files])


def _content_digest(content: object) -> str:
    """SHA-256 of `content` as JSON with sorted keys and no white space, in UTF-8."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
