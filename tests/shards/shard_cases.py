"""Small shard sets to test with."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from shards.format import Header
from shards.manifest import Manifest, read_manifest, write_manifest
from shards.write import write_shard

BOS, EOS, PADDING = 0, 1, 2
FIRST_TEXT_ID = 3


def make_header(**changes: object) -> Header:
    values = {
        "tokenizer_sha256": hashlib.sha256(b"tokenizer").hexdigest(),
        "vocabulary_size": 1000,
        "context_length": 15,
        "special_ids": {"<bos>": BOS, "<eos>": EOS, "<padding>": PADDING},
        "bos": "<bos>",
        "eos": "<eos>",
        "padding": "<padding>",
        "adds_bos": True,
        "adds_eos": True,
        "packing": "concatenate",
        "config_hash": "0123",
        "split": "train",
        "bucket": "web",
    }
    return Header(**{**values, **changes})


def make_id(name: object) -> bytes:
    return hashlib.md5(str(name).encode()).digest()


def make_tokens(lengths: Sequence[int], seed: int = 0, vocabulary: int = 1000) -> list[list[int]]:
    """Documents of these lengths, bos and eos included; below 2 there is no document, only its absence."""
    rng = np.random.default_rng(seed)
    bodies = (rng.integers(FIRST_TEXT_ID, vocabulary, max(0, n - 2)).tolist() for n in lengths)
    return [[BOS, *body, EOS] if n >= 2 else [] for n, body in zip(lengths, bodies)]


def make_table(
    tokens: list[list[int]], names: Sequence[object] | None = None, clusters: Sequence[object] = ()
) -> pa.Table:
    ids = [make_id(name) for name in (names if names is not None else range(len(tokens)))]
    groups = [make_id(name) for name in clusters] or ids
    return pa.table(
        {
            "document": pa.array(ids, pa.binary(16)),
            "cluster": pa.array(groups, pa.binary(16)),
            "tokens": pa.array(tokens, pa.list_(pa.uint32())),
        }
    )


LENGTHS = {
    "train-00000.arrow": [5, 40, 2, 0, 200, 16],
    "train-00001.arrow": [16, 16, 16],
    "validation-00000.arrow": [9, 60],
}


def make_set(directory: Path, **changes: object) -> Manifest:
    """Three small files in two splits, two buckets; train's first row count is not a multiple of anything."""
    directory.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, (name, lengths) in enumerate(LENGTHS.items()):
        header = make_header(split=name.split("-")[0], bucket="code" if "1" in name else "web", **changes)
        names = [f"{name} {i}" for i in range(len(lengths))]
        table = make_table(make_tokens(lengths, number), names)
        entries.append(write_shard(directory / name, table, header, seed=number))
    return write_manifest(directory, header.shared(), entries, splits=("train", "validation", "test"))


def reseal(directory: Path, name: str, change: Callable[[pa.Table], pa.Table], **counts: int) -> None:
    """Write a shard anew, changed, and a manifest that agrees: the work of a faulty writer, not of damage."""
    manifest = read_manifest(directory)
    path = directory / name
    table = change(pa.ipc.open_file(path.read_bytes()).read_all())
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    data = path.read_bytes()
    changed = {"digest": hashlib.sha256(data).hexdigest(), "bytes": len(data), **counts}
    entries = [entry.model_copy(update=changed) if entry.name == name else entry for entry in manifest.files]
    write_manifest(directory, manifest.header, entries, manifest.splits)
