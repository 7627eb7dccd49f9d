"""Digests of an output directory: two runs are the same where these are.

A dataset's digest is that of its rows in sorted order, whatever files they lie in: SHA-256 over the rows' hashes
(128-bit xxh3 of the row as canonical JSON), sorted. Shards and tokenizer are compared byte by byte: theirs is SHA-256
over names and contents. Runs and reports hold times, and have no digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import xxhash

from pipelines import datasets

# `part` says in which file a text lies, which is how the data are laid out and not what they say.
LAYOUT = {"part"}


def digest(output: Path) -> dict[str, str]:
    """The digest of every dataset that is there, by name, 32 hex digits each."""
    names = ["documents", "errors", "edits", "sketches", "pairs", "repeats", "benchmarks", "verdicts", "corpus"]
    names += [f"signals/{path.name}" for path in sorted((output / "signals").glob("*")) if path.is_dir()]
    found = {name: rows_digest(output, name) for name in sorted(names) if (output / name).is_dir()}
    for name in ("tokenizer", "shards"):
        if (output / name).is_dir():
            found[name] = bytes_digest(output / name)
    return found


def rows_digest(output: Path, dataset: str) -> str:
    """The digest of a Parquet dataset, in memory of 16 bytes a row."""
    files = datasets.files(output, dataset)
    hashes = sorted(xxhash.xxh3_128_digest(row) for file in files for row in _rows(output, dataset, file))
    return hashlib.sha256(b"".join(hashes)).hexdigest()[:32]


def _rows(output: Path, dataset: str, file: str) -> Iterator[bytes]:
    """Each row as canonical JSON, the folders' `key=value` included."""
    folders = Path(file).relative_to(output / dataset).parent.parts
    shared = dict(folder.split("=", 1) for folder in folders if "=" in folder)
    for batch in pq.ParquetFile(file).iter_batches(batch_size=1000):
        for row in batch.to_pylist(maps_as_pydicts="strict"):
            kept = {key: value for key, value in row.items() if key not in LAYOUT}
            yield json.dumps({**shared, **kept}, sort_keys=True, ensure_ascii=False, default=_plain).encode()


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"no canonical form for {type(value).__name__}")


def bytes_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's files."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:32]
