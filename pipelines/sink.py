"""A Spark sink that writes several datasets in one pass: Arrow batches in, Parquet files out, one commit.

`write(frame, staging, "module:function", arguments)` sends the frame's rows, in Arrow batches, through
`function(**arguments)`, built once per task: it takes a batch and returns `{dataset: record batch}`. The task writes
each dataset to a Parquet file of its own below `staging`, whose layout the ledger then moves into the output
directory. Text crosses from the JVM to Python once, whatever number of datasets is made of it.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

Transform = Callable[[pa.RecordBatch], dict[str, pa.RecordBatch]]
ROW_GROUP_BYTES = 32_000_000


def write(frame: DataFrame, staging: Path, prefix: str, transform: str, arguments: dict[str, Any]) -> dict[str, int]:
    """Run the frame through the transform and write what it returns below `staging`.

    Files are named DATASET/PREFIX-PARTITION.parquet. Returns the number of rows written, by dataset.
    """
    frame.sparkSession.dataSource.register(Sink)
    writer = frame.write.format("gristmill_sink").mode("append")
    writer = writer.option("staging", str(staging.absolute())).option("transform", transform)
    writer.option("arguments", json.dumps(arguments)).save()
    commit = staging / ".commit.json"
    files = [_File(**entry) for entry in json.loads(commit.read_text())]
    commit.unlink()
    _keep_committed(staging, prefix, files)
    rows: dict[str, int] = {}
    for file in files:
        rows[file.dataset] = rows.get(file.dataset, 0) + file.rows
    return rows


def resolve(path: str) -> Any:
    """The object at `module:name`."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class _File:
    """A Parquet file that a task wrote: its name is relative to the staging directory."""

    dataset: str
    partition: int
    name: str
    rows: int


@dataclass
class _Written(WriterCommitMessage):
    files: list[_File]


class Sink(DataSource):
    """The Spark data source behind `write`."""

    @classmethod
    def name(cls) -> str:
        """The name under which Spark knows the sink."""
        return "gristmill_sink"

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceArrowWriter:  # type: ignore[override]
        """One writer for the job; its `write` runs in every task."""
        return _Writer(self.options["staging"], self.options["transform"], self.options["arguments"])


class _Writer(DataSourceArrowWriter):
    def __init__(self, staging: str, transform: str, arguments: str) -> None:
        self.staging, self.transform, self.arguments = staging, transform, arguments

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        task = TaskContext.get()
        assert task is not None
        transform: Transform = resolve(self.transform)(**json.loads(self.arguments))
        # The attempt is part of the name: a retried or speculative task never writes to another one's file.
        part = f"{task.partitionId():05d}-attempt-{task.taskAttemptId()}.parquet"
        writers: dict[str, _ParquetFile] = {}
        for batch in iterator:
            for dataset, rows in transform(batch).items():
                if dataset not in writers:
                    writers[dataset] = _ParquetFile(Path(self.staging) / dataset / part, rows.schema)
                writers[dataset].append(rows)
        return _Written(
            [
                _File(dataset, task.partitionId(), f"{dataset}/{part}", writer.close())
                for dataset, writer in sorted(writers.items())
            ]
        )

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        files = [vars(file) for message in messages if message is not None for file in message.files]  # type: ignore[attr-defined]
        (Path(self.staging) / ".commit.json").write_text(json.dumps(files))

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """Nothing to undo: what lies in the staging directory is removed with it."""


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


def _keep_committed(staging: Path, prefix: str, files: list[_File]) -> None:
    """Give committed files their names, and remove what failed or speculative attempts left."""
    for file in files:
        path = staging / file.name
        path.replace(path.with_name(f"{prefix}-{file.partition:05d}.parquet"))
    for path in staging.rglob("*-attempt-*.parquet"):
        path.unlink()
