"""Where the documents lie that are compared: in this run's output, and in those of earlier runs, its indexes.

Of an earlier run only the documents that stay there among their duplicates count: by the greedy choice nothing else
can make a document of this run a duplicate. A doc_id may occur in several runs, so a document is told by its node: 16
bytes, the doc_id itself in this run, and the MD5 of INDEX:DOC_ID in an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import Column
from pyspark.sql import functions as F

from pipelines import datasets
from pipelines.dedup.bands import binary, frozen
from pipelines.dedup.evidence import Lists
from pipelines.errors import ConfigError
from pipelines.ledger import read_stages

ROWS = 16_384  # of sketches/ that are read at a time


@dataclass(frozen=True)
class Place:
    """An output directory: this run's, whose `index` is None, or that of the earlier run of that name."""

    index: str | None
    output: Path

    def batches(self, columns: list[str]) -> Iterator[tuple[NDArray[np.uint8], pa.RecordBatch]]:
        """The nodes [rows, 16] and some columns of sketches/, file by file."""
        for file in datasets.files(self.output, "sketches"):
            with pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(ROWS, columns=["doc_id", *columns]):
                    yield nodes_of(batch["doc_id"], self.index), batch

    def documents(self) -> int:
        """How many rows sketches/ has."""
        return datasets.rows(self.output, "sketches")


def nodes_of(doc_ids: pa.Array, index: str | None) -> NDArray[np.uint8]:
    """The nodes of documents of one place: uint8[n, 16]."""
    if index is None:
        data = bytes.fromhex("".join(doc_ids.to_pylist()))
    else:
        data = b"".join(md5(f"{index}:{doc_id}".encode()).digest() for doc_id in doc_ids.to_pylist())
    return np.frombuffer(data, np.uint8).reshape(-1, 16)


def node(index: Column, doc_id: Column) -> Column:
    """The node of a document, as 32 hex digits."""
    return F.when(index.isNull(), doc_id).otherwise(F.md5(F.concat_ws(":", index, doc_id)))


def node_names(index: pa.ChunkedArray, doc_id: pa.ChunkedArray) -> pa.ChunkedArray:
    """The nodes of documents, as `node` has them, in this process."""
    names = doc_id
    for earlier in pc.unique(index.drop_null()).to_pylist():
        rows = pc.fill_null(pc.equal(index, earlier), False)
        ids = doc_id.filter(rows).combine_chunks()
        names = pc.replace_with_mask(names.combine_chunks(), rows.combine_chunks(), hexed(nodes_of(ids, earlier)))
        names = pa.chunked_array([names])
    return names


def of_indexes(indexes: dict[str, str]) -> list[Place]:
    """The earlier runs, in the config's order."""
    return [Place(name, Path(path).absolute()) for name, path in indexes.items()]


def check(indexes: dict[str, str], shingles: list[Any]) -> list[list[str]]:
    """What a run depends on of each index: its name, and the fingerprint of its verdicts.

    `shingles`: what the sketches of this run are made by; an index must have been made by the same. Raises ConfigError.
    """
    prints: list[list[str]] = []
    for place in of_indexes(indexes):
        stages = read_stages(place.output)
        where = f"dedup.indexes.{place.index}: {place.output}"
        for stage in ("annotate", "judge"):
            if not stages.get(stage, {}).get("finished"):
                raise ConfigError(f"{where} is no run whose stage `{stage}` is finished")
        made_by = stages["annotate"]["facts"].get("shingles")
        if made_by != shingles:
            raise ConfigError(
                f"{where} has other sketches: they were made by {made_by}, those of this run are made by {shingles}"
            )
        prints.append([place.index or "", stages["judge"]["fingerprint"]])
    return prints


def load(places: list[Place], wanted: NDArray[np.uint8], column: str, scratch: Path) -> Lists:
    """The lists in `column` (sketch or signature) of the nodes `wanted` [n, 16], all different, in their order.

    They are written to the file `scratch` and mapped from it, so that memory is the page cache's. A node that has none
    has an empty list.
    """
    value_set = binary(wanted)
    starts, ends = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.int64)
    size = 0
    with scratch.open("wb") as file:
        for place in places:
            for nodes, batch in place.batches([column]):
                at = pc.index_in(binary(nodes), value_set=value_set)
                taken = batch[column].filter(at.is_valid()).fill_null(b"")
                rows = at.drop_null().to_numpy()
                if not len(rows):
                    continue
                offsets = np.frombuffer(taken.buffers()[1], np.int32, len(taken) + 1, taken.offset * 4).astype(np.int64)
                borders = size + (offsets - offsets[0]) // 4
                starts[rows], ends[rows] = borders[:-1], borders[1:]
                if taken.buffers()[2] is not None:
                    file.write(memoryview(taken.buffers()[2])[offsets[0] : offsets[-1]])
                size = int(borders[-1])
    values = np.memmap(scratch, np.uint32, "r") if size else np.empty(0, np.uint32)
    return Lists(frozen(values), starts, ends)


def hexed(nodes: NDArray[np.uint8]) -> pa.Array:
    """Nodes [n, 16] as strings of 32 hex digits."""
    data = np.frombuffer(nodes.tobytes().hex().encode(), np.uint8).reshape(-1, 32)
    return binary(data).cast(pa.string())
