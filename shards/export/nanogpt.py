"""nanoGPT's layout: one file a split, bare tokens without a header, as its data/openwebtext/prepare.py writes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from shards.export.batches import Batch, little_endian
from shards.format import SetHeader

NAMES: Final = {"validation": "val"}  # its train.py opens train.bin and val.bin
VOCABULARY: Final = 50304  # that its train.py assumes where there is no meta.pkl


def write(
    directory: Path, split: str, batches: Iterator[Batch], header: SetHeader, width: int | None = None
) -> list[Path]:
    """Write `directory`/SPLIT.bin (val.bin for validation): little-endian uint16, or uint32 for a large vocabulary."""
    path = directory / f"{NAMES.get(split, split)}.bin"
    with path.open("xb") as file:
        for batch in batches:
            file.write(little_endian(batch.tokens, header.dtype))
    return [path]


def notes(header: SetHeader) -> list[str]:
    """What a reader of the files must know."""
    found = [f"read with numpy.memmap(path, dtype=numpy.{header.dtype}, mode='r')"]
    if header.dtype != np.uint16:
        found.append("train.py of nanoGPT reads uint16: change its dtype to uint32")
    if header.vocabulary_size > VOCABULARY:
        found.append(f"train.py of nanoGPT assumes {VOCABULARY} entries: set vocab_size={header.vocabulary_size}")
    return found
