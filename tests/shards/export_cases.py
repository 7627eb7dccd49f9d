"""A set whose documents lie in several files, and the layouts of other trainers, read as their own readers do."""

import hashlib
import json
import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from shard_cases import make_header, make_table, make_tokens

from shards import read
from shards.manifest import FileEntry, write_manifest
from shards.write import write_shard

LENGTHS = {"train": [5, 40, 2, 200, 16, 33, 0, 700, 3, 90, 15, 17], "validation": [9, 60]}


def make_spread_set(
    directory: Path, vocabulary: int = 1000, files: int = 3, documents: dict[str, list[int]] = LENGTHS
) -> read.ShardSet:
    """Splits and an empty one; the rows of each are dealt out to `files` files, and with them its `documents`."""
    directory.mkdir(parents=True)
    entries = []
    for number, (split, lengths) in enumerate(documents.items()):
        header = make_header(split=split, vocabulary_size=vocabulary)
        path = directory / "all.arrow"
        tokens = make_tokens(lengths, number, vocabulary)
        write_shard(path, make_table(tokens, [f"{split} {i}" for i in range(len(lengths))]), header, seed=number)
        table = pa.ipc.open_file(path.read_bytes()).read_all()
        path.unlink()
        for part in range(files):
            rows = table.to_pylist()[part::files]
            entries.append(write_rows(directory / f"{split}-{part:05}.arrow", rows, table.schema, split))
    write_manifest(directory, header.shared(), entries, splits=(*documents, "test"))
    return read.open(directory)


def write_rows(path: Path, rows: list[dict], schema: pa.Schema, split: str) -> FileEntry:
    """A shard of these rows, in three record batches where there are as many, and its entry in the manifest."""
    table = pa.Table.from_pylist(rows, schema=schema)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table, max_chunksize=max(1, -(-len(rows) // 3)))
    pieces = [piece for row in rows for piece in row["pieces"]]
    tokens = sum(piece["length"] for piece in pieces)
    data = path.read_bytes()
    return FileEntry(
        name=path.name,
        split=split,
        bucket="web",
        rows=len(rows),
        tokens=tokens,
        padding=16 * len(rows) - tokens,
        documents=len({piece["document"] for piece in pieces}),
        bytes=len(data),
        digest=hashlib.sha256(data).hexdigest(),
    )


def expected_rows(split: read.Split, keep_padding: bool) -> list[list[int]]:
    """The rows of a split, read one by one; where padding goes, what the pieces cover."""
    if keep_padding:
        return [split.row(i).tolist() for i in range(len(split))]
    rows = []
    for i in range(len(split)):
        line = split.row(i).tolist()
        rows.append([t for p in split.pieces(i) for t in line[p["start"] : p["start"] + p["length"]]])
    return [row for row in rows if row]


def expected_documents(split: read.Split) -> list[list[int]]:
    """The documents of a split in the order of their first pieces, put together piece by piece."""
    found: dict[bytes, dict[int, list[int]]] = {}
    heads = []
    for i in range(len(split)):
        for piece in split.pieces(i):
            name, start = piece["document"].tobytes(), int(piece["start"])
            found.setdefault(name, {})[int(piece["offset"])] = split.row(i).tolist()[start : start + piece["length"]]
            heads += [name] * int(piece["offset"] == 0)
    return [[token for offset in sorted(found[name]) for token in found[name][offset]] for name in heads]


def read_llmc(path: Path) -> np.ndarray:
    """A data file of llm.c, with the checks of llmc/dataloader.h and of train_llama3.py."""
    data = path.read_bytes()
    header = np.frombuffer(data, "<i4", 256)
    dtype = {(20240520, 1): "<u2", (20240801, 7): "<u4"}[int(header[0]), int(header[1])]
    tokens = np.frombuffer(data, dtype, offset=1024)
    assert len(tokens) == header[2]
    assert not header[3:].any()
    return tokens


def read_megatron(prefix: Path) -> list[np.ndarray]:
    """The sequences of an indexed dataset, by the layout that megatron/core/datasets/indexed_dataset.py documents."""
    index, tokens = prefix.with_suffix(".idx").read_bytes(), prefix.with_suffix(".bin").read_bytes()
    magic, version, code, sequences, borders = struct.unpack_from("<9sQBQQ", index)
    assert (magic, version) == (b"MMIDIDX\0\0", 1)
    dtype = np.dtype({4: "<i4", 8: "<u2"}[code])
    lengths = np.frombuffer(index, "<i4", sequences, 34)
    pointers = np.frombuffer(index, "<i8", sequences, 34 + 4 * sequences)
    documents = np.frombuffer(index, "<i8", borders, 34 + 12 * sequences)
    assert len(index) == 34 + 12 * sequences + 8 * borders
    assert documents.tolist() == list(range(sequences + 1))
    assert lengths.sum() * dtype.itemsize == len(tokens)
    return [np.frombuffer(tokens, dtype, length, pointer) for length, pointer in zip(lengths, pointers)]


def read_mds(folder: Path) -> list[np.ndarray]:
    """The samples of an MDS directory, by the layout of streaming/base/format/mds (reader.py, encodings.py)."""
    index = json.loads((folder / "index.json").read_text())
    assert index["version"] == 2
    samples = []
    for shard in index["shards"]:
        assert (shard["version"], shard["format"], shard["column_names"]) == (2, "mds", ["tokens"])
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"]
        count = int.from_bytes(data[:4], "little")
        offsets = np.frombuffer(data, "<u4", count + 1, 4)
        assert (count, int(offsets[-1])) == (shard["samples"], len(data))
        config = json.loads(data[8 + 4 * count : offsets[0]])
        assert config == {key: value for key, value in shard.items() if key not in ("raw_data", "zip_data", "samples")}
        name, dtype, *width = shard["column_encodings"][0].split(":")
        assert name == "ndarray"
        for begin, end in pairwise(offsets):
            samples.append(_read_sample(data[begin:end], shard["column_sizes"][0], dtype, *map(int, width)))
    return samples


def _read_sample(data: bytes, size: int | None, dtype: str, width: int | None = None) -> np.ndarray:
    if size is not None:
        values = np.frombuffer(data, dtype)
        assert (len(data), len(values)) == (size, width)
        return values
    assert int.from_bytes(data[:4], "little") == len(data) - 4
    axes, log2 = divmod(data[4], 4)
    assert axes == 1
    values = np.frombuffer(data[5 + (1 << log2) :], dtype)
    assert len(values) == int.from_bytes(data[5 : 5 + (1 << log2)], "little")
    return values


def read_huggingface(folder: Path) -> pa.ChunkedArray:
    """The column input_ids of a split that `save_to_disk` wrote: state.json names the Arrow streams."""
    state = json.loads((folder / "state.json").read_text())
    tables = []
    for file in state["_data_files"]:
        with pa.memory_map(str(folder / file["filename"])) as source:
            tables.append(pa.ipc.open_stream(source).read_all())
    return pa.concat_tables(tables)["input_ids"]
