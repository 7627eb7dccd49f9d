"""Writing several datasets in one pass over a DataFrame: Arrow batches in, files out, one commit.

`write(frame, staging, prefix, "module:function", arguments)` sends the frame's rows, in Arrow batches, through
`function(**arguments)`, built once per task: it takes a batch and yields `{dataset: record batch}`. The task writes
each dataset to a file of its own below `staging`, whose layout the ledger then moves into the output directory.
Only the names of the files come back to the driver, and only those of tasks that Spark took for done are kept. So text
crosses from the JVM to Python once, whatever number of datasets is made of it, and never back.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc
from pyspark import TaskContext
from pyspark.sql import DataFrame

from pipelines import datasets

Transform = Callable[[pa.RecordBatch], Iterator[dict[str, pa.RecordBatch]]]
ROW_GROUP_BYTES = 16_000_000  # a task holds one, and a core waits for another's last one at the end

FILE_SCHEMA = "dataset string, partition int, name string, rows long"
FILE = pa.schema([("dataset", pa.string()), ("partition", pa.int32()), ("name", pa.string()), ("rows", pa.int64())])


def write(frame: DataFrame, staging: Path, prefix: str, transform: str, arguments: dict[str, Any]) -> dict[str, int]:
    """Run the frame through the transform and write what it yields below `staging`.

    Files are named DATASET/PREFIX-PARTITION and what `datasets.suffix` says. Returns the rows written, by dataset.
    """
    writer = _writer(str(staging.absolute()), transform, json.dumps(arguments))
    rows: dict[str, int] = {}
    for file in frame.mapInArrow(writer, FILE_SCHEMA).collect():
        path = staging / file["name"]
        path.replace(path.with_name(f"{prefix}-{file['partition']:05d}{path.suffix}"))
        rows[file["dataset"]] = rows.get(file["dataset"], 0) + file["rows"]
    for path in staging.rglob("*-attempt-*"):  # of failed or speculative attempts
        path.unlink()
    return rows


def resolve(path: str) -> Any:
    """The object at `module:name`."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _writer(
    staging: str, transform: str, arguments: str
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: writes what the transform yields, and says so in rows of FILE."""

    def emit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        task = TaskContext.get()
        assert task is not None
        function: Transform = resolve(transform)(**json.loads(arguments))
        # The attempt is part of the name: a retried or speculative task never writes to another one's file.
        part = f"{task.partitionId():05d}-attempt-{task.taskAttemptId()}"
        writers: dict[str, _ParquetFile | _ArrowFile] = {}
        for batch in batches:
            for made in function(batch):
                for dataset, rows in made.items():
                    if dataset not in writers:
                        kind = _ArrowFile if dataset in datasets.MAPPED else _ParquetFile
                        writers[dataset] = kind(
                            Path(staging) / f"{dataset}/{part}{datasets.suffix(dataset)}", rows.schema
                        )
                    writers[dataset].append(rows)
        names = sorted(writers)
        paths = [f"{name}/{part}{datasets.suffix(name)}" for name in names]
        columns = [names, [task.partitionId()] * len(names), paths]
        written = [writers[name].close() for name in names]
        yield pa.record_batch([pa.array(c, f.type) for c, f in zip([*columns, written], FILE)], schema=FILE)

    return emit


class _ParquetFile:
    """A Parquet file whose row groups are bounded in bytes, so that readers' memory is too."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.rows = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self.writer = pq.ParquetWriter(path, schema, compression="zstd")
        self.pending: list[pa.RecordBatch] = []
        self.pending_bytes = 0

    def append(self, rows: pa.RecordBatch) -> None:
        if rows.num_rows == 0:
            return
        self.pending.append(rows)
        self.pending_bytes += rows.nbytes
        self.rows += rows.num_rows
        if self.pending_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> int:
        self._flush()
        self.writer.close()
        return self.rows

    def _flush(self) -> None:
        if self.pending:
            table = pa.Table.from_batches(self.pending)
            self.writer.write_table(table, row_group_size=max(1, table.num_rows))
        self.pending, self.pending_bytes = [], 0


class _ArrowFile:
    """A file of Arrow's, whose batches are those that are appended: readers map it, and take slices of them."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.rows = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = pa.OSFile(str(path), "wb")
        self.writer = ipc.new_file(self.file, schema)

    def append(self, rows: pa.RecordBatch) -> None:
        if rows.num_rows:
            self.writer.write_batch(rows)
            self.rows += rows.num_rows

    def close(self) -> int:
        self.writer.close()
        self.file.close()
        return self.rows
