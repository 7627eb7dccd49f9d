"""Hugging Face datasets: what `save_to_disk` writes and `datasets.load_from_disk` maps into memory as it is.

Arrow streams beside dataset_info.json and state.json, rather than Parquet for `load_dataset`: Parquet is first turned
into Arrow files of the same size in a cache, these are read where they lie. One column, `input_ids`, in the shards'
dtype: a list, of fixed size where all sequences have one length.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import xxhash
from pyarrow import ipc

from shards.export.batches import Batch, groups, little_endian
from shards.format import SetHeader

COLUMN: Final = "input_ids"
FILE_TOKENS: Final = 1 << 28  # 512 MB of uint16, near the size at which save_to_disk cuts


def write(directory: Path, split: str, batches: Iterator[Batch], header: SetHeader, width: int | None) -> list[Path]:
    """Write `directory`/SPLIT, and dataset_dict.json with all splits written so far.

    `width`: the length of every sequence, None where it varies.
    """
    folder = directory / split
    folder.mkdir()
    item = pa.from_numpy_dtype(header.dtype)
    schema = pa.schema([(COLUMN, pa.list_(item) if width is None else pa.list_(item, width))])
    content = xxhash.xxh3_64(f"{schema} {split}".encode())
    paths: list[Path] = []
    for group in groups(batches, FILE_TOKENS):
        path = folder / f"data-{len(paths):05}.arrow"
        with pa.OSFile(str(path), "wb") as sink, ipc.new_stream(sink, schema) as writer:
            for batch in group:
                content.update(little_endian(batch.lengths, np.int64))
                content.update(little_endian(batch.tokens, header.dtype))
                writer.write_batch(pa.record_batch([_column(batch, schema)], schema=schema))
        paths.append(path)
    value = {"dtype": str(header.dtype), "_type": "Value"}
    features = {COLUMN: {"feature": value, "length": -1 if width is None else width, "_type": "Sequence"}}
    state: dict[str, Any] = {
        "_data_files": [{"filename": path.name} for path in paths],
        "_fingerprint": content.hexdigest(),
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    paths.append(_write_json(folder / "dataset_info.json", {"features": features}))
    paths.append(_write_json(folder / "state.json", state))
    splits = sorted(path.parent.name for path in directory.glob("*/state.json"))
    _write_json(directory / "dataset_dict.json", {"splits": splits})
    return paths


def notes(header: SetHeader) -> list[str]:
    """What a reader of the files must know."""
    return [f"read with datasets.load_from_disk(DIR): {COLUMN!r} is a list of {header.dtype}"]


def _column(batch: Batch, schema: pa.Schema) -> pa.Array:
    tokens = pa.array(batch.tokens)
    kind = schema.field(COLUMN).type
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(tokens, type=kind)
    offsets = np.append(0, np.cumsum(batch.lengths)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), tokens, type=kind)


def _write_json(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return path
