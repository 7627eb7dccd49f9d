"""Counting by one shuffle: in how many documents each key occurs, told to every row that has it.

Rows come sorted by key and document, so a group is counted while it streams by. What is held is one batch and the group
that is still open, which goes to disk beyond `OPEN_BYTES`: a line that a hundred million pages have costs no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from tempfile import SpooledTemporaryFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from filters.fingerprints import mix
from filters.segment import HASH_SEED
from pipelines.dedup.bands import Batches, fixed

OPEN_BYTES = 64_000_000

LINE, PARAGRAPH, FINGERPRINT, GRAM, PASSAGE = range(5)  # kinds of what is counted

KEY = ["kind", "key"]
ORDER = [*KEY, "cluster", "id", "at"]
ROW_SCHEMA = "kind byte, key long, cluster binary, id binary, file long, at int, start long, end long"
ROWS = pa.schema(
    [
        ("kind", pa.int8()),
        ("key", pa.int64()),
        ("cluster", pa.binary()),  # 16 bytes: documents of one cluster are copies of each other and count once
        ("id", pa.binary()),  # 16 bytes
        ("file", pa.int64()),  # hash of the name of the document's file
        ("at", pa.int32()),  # place in the document, in units of the kind
        ("start", pa.int64()),  # bytes of the text
        ("end", pa.int64()),
    ]
)
COUNTED_SCHEMA = "kind byte, key long, id binary, file long, at int, start long, end long, " + (
    "count long, elsewhere binary, owners long"
)
COUNTED = pa.schema(
    [
        *(field for field in ROWS if field.name != "cluster"),
        ("count", pa.int64()),  # clusters that have the key
        ("elsewhere", pa.binary()),  # the first document of another cluster; null where there is none
        ("owners", pa.int64()),  # hash of the set of documents that have the key
    ]
)


def counted(rows: DataFrame, least: dict[int, int]) -> DataFrame:
    """Of rows as in ROWS, those whose key occurs in `least[kind]` clusters or more, as in COUNTED, in no order."""
    grouped = rows.repartition(*KEY).sortWithinPartitions(*ORDER)
    return grouped.mapInArrow(stream(least), COUNTED_SCHEMA)


def stream(least: dict[int, int], open_bytes: int = OPEN_BYTES) -> Callable[[Batches], Batches]:
    """For mapInArrow over rows sorted by ORDER: what `counted` returns."""

    def emit(batches: Batches) -> Batches:
        group: _Open | None = None
        for batch in batches:
            if batch.num_rows == 0:
                continue
            starts = _starts(batch)
            if group is not None and group.key == _key(batch, 0):
                end = int(starts[1]) if len(starts) > 1 else batch.num_rows
                group.add(batch.slice(0, end))
                starts = starts[1:]
            if len(starts) == 0:
                continue
            if group is not None:
                yield from group.close(least)
            last = int(starts[-1])
            whole = batch.slice(int(starts[0]), last - int(starts[0]))
            if whole.num_rows:
                yield _count(whole, starts[:-1] - starts[0], least)
            group = _Open(_key(batch, last), open_bytes)
            group.add(batch.slice(last))
        if group is not None:
            yield from group.close(least)

    return emit


def _key(batch: pa.RecordBatch, row: int) -> tuple[int, int]:
    return batch["kind"][row].as_py(), batch["key"][row].as_py()


def _starts(batch: pa.RecordBatch) -> NDArray[np.int64]:
    kinds, keys = batch["kind"].to_numpy(), batch["key"].to_numpy()
    return np.flatnonzero(np.r_[True, (kinds[1:] != kinds[:-1]) | (keys[1:] != keys[:-1])])


def _changes(column: pa.Array) -> NDArray[np.bool_]:
    """Whether a row's 16 bytes are others than those of the row before; true for the first row."""
    values = fixed(column, np.uint64, 2)
    return np.r_[True, (values[1:] != values[:-1]).any(axis=1)]


def _owners(batch: pa.RecordBatch, new: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """A hash of a row's document where it is new, else 0: their sum over a set of documents is the set's hash."""
    ids = fixed(batch["id"], np.uint64, 2)
    hashes: NDArray[np.uint64] = mix(mix(ids[:, 0] + HASH_SEED) + ids[:, 1])  # an id of zeros is not nothing
    return np.where(new, hashes, np.uint64(0))


def _count(batch: pa.RecordBatch, starts: NDArray[np.int64], least: dict[int, int]) -> pa.RecordBatch:
    """The rows of whole groups, which begin at `starts`, that have the count they need."""
    new, new_id = _changes(batch["cluster"]), _changes(batch["id"])
    new[starts] = new_id[starts] = True
    counts = np.add.reduceat(new.astype(np.int64), starts)
    owners = np.add.reduceat(_owners(batch, new_id), starts)
    sizes = np.diff(starts, append=batch.num_rows)
    group = np.repeat(np.arange(len(starts)), sizes)
    number = np.cumsum(new) - np.repeat(np.cumsum(counts) - counts, sizes)  # of the row's cluster, from 1
    second = np.flatnonzero(new & (number == 2))
    other = np.full(len(starts), -1)
    other[group[second]] = second
    elsewhere = np.where(number == 1, other[group], starts[group])
    needed = np.zeros(128, np.int64)
    needed[list(least)] = list(least.values())
    enough = counts >= needed[batch["kind"].to_numpy()[starts]]
    return _result(batch, counts[group], elsewhere, batch["id"], owners[group]).filter(pa.array(enough[group]))


def _result(
    batch: pa.RecordBatch,
    counts: NDArray[np.int64],
    elsewhere: NDArray[np.int64],
    ids: pa.Array,
    owners: NDArray[np.uint64],
) -> pa.RecordBatch:
    """The rows with what was counted; `elsewhere` are places in `ids`, -1 for none."""
    kept = [batch[name] for name in COUNTED.names[: -len(("count", "elsewhere", "owners"))]]
    others = ids.take(pa.array(elsewhere, mask=elsewhere < 0))
    told = [pa.array(counts), others, pa.array(owners.view(np.int64))]
    return pa.RecordBatch.from_arrays([*kept, *told], schema=COUNTED)


class _Open:
    """The rows of one key, of which more may come."""

    def __init__(self, key: tuple[int, int], open_bytes: int) -> None:
        self.key = key
        self.count = self.owners = 0
        self.heads: list[bytes] = []  # the first document of the first cluster and of the second
        self.id = self.cluster = self.first_cluster = b""
        self.file = SpooledTemporaryFile(max_size=open_bytes)  # noqa: SIM115, closed by `close`
        self.writer = pa.ipc.new_stream(pa.PythonFile(self.file, "w"), ROWS)

    def add(self, rows: pa.RecordBatch) -> None:
        new, new_id = _changes(rows["cluster"]), _changes(rows["id"])
        new[0] = self.cluster != rows["cluster"][0].as_py()
        new_id[0] = self.id != rows["id"][0].as_py()
        for row in np.flatnonzero(new)[: 2 - len(self.heads)].tolist():
            self.heads.append(rows["id"][row].as_py())
        if not self.cluster:
            self.first_cluster = rows["cluster"][0].as_py()
        self.count += int(new.sum())
        self.owners = (self.owners + int(_owners(rows, new_id).sum())) % 2**64
        self.id, self.cluster = (rows[name][rows.num_rows - 1].as_py() for name in ("id", "cluster"))
        self.writer.write_batch(rows.cast(ROWS))

    def close(self, least: dict[int, int]) -> Iterator[pa.RecordBatch]:
        """The rows, if they are enough."""
        self.writer.close()
        with self.file:
            if self.count < least[self.key[0]]:
                return
            self.file.seek(0)
            ids = pa.array([*self.heads, None][:2], pa.binary())
            for rows in pa.ipc.open_stream(pa.PythonFile(self.file, "r")):
                first = (fixed(rows["cluster"], np.uint8, 16) == np.frombuffer(self.first_cluster, np.uint8)).all(
                    axis=1
                )
                counts, owners = np.full(rows.num_rows, self.count), np.full(rows.num_rows, self.owners, np.uint64)
                yield _result(rows, counts, np.where(first, 1, 0), ids, owners)


def hexed(column: str) -> Column:
    """An identifier as 32 hex digits."""
    return F.lower(F.hex(column))
