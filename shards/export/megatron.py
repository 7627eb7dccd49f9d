"""Megatron-LM's indexed dataset: SPLIT.bin holds the tokens, SPLIT.idx says where each sequence lies.

The index, little-endian (megatron/core/datasets/indexed_dataset.py, version 1):

    9 bytes "MMIDIDX" and two zeros; uint64 version; uint8 code of the dtype (4 int32, 8 uint16);
    uint64 sequences; uint64 document borders
    int32 [sequences] lengths in tokens; int64 [sequences] byte offsets in the .bin; int64 [borders] the sequences at
    which documents begin, and the end

Every sequence is a document of its own here.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import numpy as np

from shards.export.batches import Batch, little_endian
from shards.format import SetHeader

HEADER: Final = struct.Struct("<9sQBQQ")
MAGIC: Final = b"MMIDIDX\0\0"
VERSION: Final = 1
UINT16_VOCABULARY: Final = 65500  # below it Megatron takes uint16, from it on int32 (DType.optimal_dtype)
CODES: Final = {np.dtype(np.int32): 4, np.dtype(np.uint16): 8}
BLOCK: Final = 1 << 20  # entries of the index at a time


def write(
    directory: Path, split: str, batches: Iterator[Batch], header: SetHeader, width: int | None = None
) -> list[Path]:
    """Write `directory`/SPLIT.bin and SPLIT.idx.

    The lengths go into the index as the tokens come; the offsets, which follow them there, are summed up from them.
    Raises ValueError for a vocabulary or a sequence that int32 does not hold.
    """
    dtype = _dtype(header)
    paths = [directory / f"{split}.bin", directory / f"{split}.idx"]
    count = 0
    with paths[0].open("wb") as tokens, paths[1].open("w+b") as index:
        index.write(bytes(HEADER.size))
        for batch in batches:
            if batch.lengths.max() > np.iinfo(np.int32).max:
                raise ValueError("megatron: a sequence of more than 2^31 - 1 tokens")
            tokens.write(little_endian(batch.tokens, dtype))
            index.write(little_endian(batch.lengths, np.int32))
            count += len(batch.lengths)
        _append_offsets(index, count, dtype.itemsize)
        for begin in range(0, count + 1, BLOCK):
            index.write(little_endian(np.arange(begin, min(begin + BLOCK, count + 1)), np.int64))
        index.seek(0)
        index.write(HEADER.pack(MAGIC, VERSION, CODES[dtype], count, count + 1))
    return paths


def notes(header: SetHeader) -> list[str]:
    """What a reader of the files must know."""
    return [
        f"{_dtype(header)} tokens; give --train-data-path and --valid-data-path the path of a split without its suffix",
        "bos and eos are in the sequences already, where the header says so: nothing is to be appended",
    ]


def _dtype(header: SetHeader) -> np.dtype[np.int32 | np.uint16]:
    if header.vocabulary_size > 1 << 31:
        raise ValueError(f"megatron: int32 does not hold the ids of a vocabulary of {header.vocabulary_size}")
    return np.dtype(np.uint16) if header.vocabulary_size < UINT16_VOCABULARY else np.dtype(np.int32)


def _append_offsets(index: IO[bytes], count: int, item_bytes: int) -> None:
    """Append the byte offset of each of `count` sequences to the index, whose lengths are written already."""
    offset = 0
    for begin in range(0, count, BLOCK):
        index.seek(HEADER.size + 4 * begin)
        lengths = np.frombuffer(index.read(4 * min(BLOCK, count - begin)), "<i4").astype(np.int64)
        ends = offset + np.cumsum(lengths) * item_bytes
        index.seek(0, 2)
        index.write(little_endian(ends - lengths * item_bytes, np.int64))
        offset = int(ends[-1])
