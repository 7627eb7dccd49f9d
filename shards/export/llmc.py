"""llm.c's layout: 256 int32 of header (magic, version, number of tokens, zeros), then the tokens; little-endian.

Two variants, as its dev/data/data_common.py writes them: magic 20240520, version 1, uint16 (GPT-2), which the C and
CUDA programs read (llmc/dataloader.h), and magic 20240801, version 7, uint32 (Llama 3), which train_llama3.py reads.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from shards.export.batches import Batch, groups, little_endian
from shards.format import SetHeader

NAMES: Final = {"validation": "val"}
HEADER_INTS: Final = 256
GPT2: Final = (20240520, 1)
LLAMA3: Final = (20240801, 7)
FILE_TOKENS: Final = 100_000_000  # in a file, as in its own data sets; the header counts to 2^31 - 1


def write(
    directory: Path, split: str, batches: Iterator[Batch], header: SetHeader, width: int | None = None
) -> list[Path]:
    """Write `directory`/SPLIT_000000.bin and so on (val_ for validation), a sequence never in two of them."""
    paths: list[Path] = []
    for group in groups(batches, FILE_TOKENS):
        path = directory / f"{NAMES.get(split, split)}_{len(paths):06}.bin"
        count = 0
        with path.open("xb") as file:
            file.write(bytes(4 * HEADER_INTS))
            for batch in group:
                file.write(little_endian(batch.tokens, header.dtype))
                count += len(batch.tokens)
            ints = np.zeros(HEADER_INTS, np.int32)
            ints[:3] = (*_variant(header), count)
            file.seek(0)
            file.write(little_endian(ints, np.int32))
        paths.append(path)
    return paths


def notes(header: SetHeader) -> list[str]:
    """What a reader of the files must know."""
    magic, version = _variant(header)
    found = [
        f"magic {magic}, version {version}, {header.dtype}",
        "llm.c refuses a file with fewer tokens than one batch of all processes and one more",
    ]
    if header.dtype != np.uint16:
        found.append("the C and CUDA programs read uint16 only; train_llama3.py reads these files")
    return found


def _variant(header: SetHeader) -> tuple[int, int]:
    return GPT2 if header.dtype == np.uint16 else LLAMA3
