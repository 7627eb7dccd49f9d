"""MosaicML's MDS: a directory a split, in it index.json and shards of about 64 MB; one column, `tokens`.

A shard, little-endian (streaming/base/format/mds/writer.py): uint32 number n of samples; uint32 [n + 1] where each
sample begins in the file, and the end; its part of the index as JSON; the samples. A column of the encoding
ndarray:DTYPE:WIDTH is bare values; ndarray:DTYPE, for sequences of any length, is preceded in each sample by its size
in bytes as uint32, one byte (number of axes << 2 | log2 of the bytes of a length) and the length (encodings.py).
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from shards.export.batches import Batch, groups, little_endian
from shards.format import SetHeader
from shards.read import Tokens

INDEX: Final = "index.json"
COLUMN: Final = "tokens"
SHARD_BYTES: Final = 1 << 26  # of tokens, the size that its own writer cuts at


def write(directory: Path, split: str, batches: Iterator[Batch], header: SetHeader, width: int | None) -> list[Path]:
    """Write `directory`/SPLIT/index.json and its shards. `width`: the length of every sequence, None where it varies.

    Memory: one shard. Raises ValueError for a shard of 4 GiB or more, which the format does not hold.
    """
    folder = directory / split
    folder.mkdir()
    config = _config(header, width)
    shards: list[dict[str, Any]] = []
    for group in groups(batches, SHARD_BYTES // header.dtype.itemsize):
        samples = [_sample(tokens, header, width) for batch in group for tokens in batch.sequences()]
        path = folder / f"shard.{len(shards):05}.mds"
        size = _write_shard(path, samples, json.dumps(config, sort_keys=True).encode())
        raw = {"basename": path.name, "bytes": size, "hashes": {}}
        shards.append({**config, "samples": len(samples), "raw_data": raw, "zip_data": None})
    index = folder / INDEX
    index.write_text(json.dumps({"version": 2, "shards": shards}, sort_keys=True), "utf-8")
    return [*(folder / shard["raw_data"]["basename"] for shard in shards), index]


def notes(header: SetHeader) -> list[str]:
    """What a reader of the files must know."""
    return [f"read with streaming.StreamingDataset(local=DIR, split=SPLIT): a sample's {COLUMN!r} is {header.dtype}"]


def _config(header: SetHeader, width: int | None) -> dict[str, Any]:
    """What a shard says of itself; `size_limit` matters to writers only."""
    return {
        "version": 2,
        "format": "mds",
        "compression": None,
        "hashes": [],
        "size_limit": None,
        "column_names": [COLUMN],
        "column_encodings": [f"ndarray:{header.dtype}" + ("" if width is None else f":{width}")],
        "column_sizes": [None if width is None else width * header.dtype.itemsize],
    }


def _sample(tokens: Tokens, header: SetHeader, width: int | None) -> bytes:
    values = bytes(little_endian(tokens, header.dtype))
    if width is not None:
        return values
    log2 = 0 if len(tokens) < 1 << 8 else 1 if len(tokens) < 1 << 16 else 2
    shape = bytes([1 << 2 | log2]) + len(tokens).to_bytes(1 << log2, "little")
    return struct.pack("<I", len(shape) + len(values)) + shape + values


def _write_shard(path: Path, samples: list[bytes], config: bytes) -> int:
    """Write one shard; its size in bytes."""
    ends = np.cumsum([0, *map(len, samples)], dtype=np.int64) + 4 * (len(samples) + 2) + len(config)
    if ends[-1] >= 1 << 32:
        raise ValueError(f"mds: {path.name} would take {ends[-1]} bytes, the format holds 2^32 - 1")
    with path.open("wb") as file:
        file.write(struct.pack("<I", len(samples)))
        file.write(little_endian(ends, np.uint32))
        file.write(config)
        file.writelines(samples)
    return int(ends[-1])
