"""Texts, read where they are worked on: a task is given row groups of files, and no text passes through the JVM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from pipelines import sink
from pipelines.heap import give_back_large_blocks

TASK_BYTES = 16_000_000  # of a task's row groups, uncompressed; a larger row group is a task of its own
BATCH_ROWS = 2_000
BATCH_BYTES = 16_000_000  # of text; a longer text is a batch of its own

RowGroup = tuple[str, int]  # a file and the number of one of its row groups


def write(
    spark: SparkSession,
    files: list[str],
    staging: Path,
    prefix: str,
    transform: str,
    arguments: dict[str, Any],
    task_bytes: int | None = None,
) -> dict[str, int]:
    """`sink.write` over the texts of files; the transform's argument `tasks` says whose are which: see `tasks`."""
    shared = tasks(files, task_bytes)
    numbers = spark.range(0, len(shared), 1, max(1, len(shared)))
    return sink.write(numbers, staging, prefix, transform, {"tasks": shared, **arguments})


def tasks(files: list[str], task_bytes: int | None = None) -> list[list[RowGroup]]:
    """Neighbouring row groups, in lists of about `task_bytes`, by default TASK_BYTES; the longest list first.

    Depends on the files alone, not on the machine. The shortest come last, so that cores are done at about one time.
    """
    task_bytes = TASK_BYTES if task_bytes is None else task_bytes
    found: list[list[RowGroup]] = []
    sizes: list[int] = []
    for file in files:
        metadata = pq.read_metadata(file)
        for group in range(metadata.num_row_groups):
            more = metadata.row_group(group).total_byte_size
            if not sizes or sizes[-1] + more > task_bytes:
                found.append([])
                sizes.append(0)
            found[-1].append((file, group))
            sizes[-1] += more
    return [found[place] for place in sorted(range(len(found)), key=lambda place: -sizes[place])]


def each(shared: list[list[RowGroup]], columns: list[str], function: sink.Transform) -> sink.Transform:
    """The transform of the sink that gives `function` the texts of the tasks whose numbers a batch holds."""
    give_back_large_blocks()

    def transform(batch: pa.RecordBatch) -> Iterator[dict[str, pa.RecordBatch]]:
        for number in batch["id"].to_pylist():
            for file, group in shared[number]:
                for documents in batches(file, group, columns):
                    yield from function(documents)
                    del documents  # it holds its whole row group: the next one is read without it

    return transform


def batches(file: str, group: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The documents of a row group that have a text: `columns`, and as `part` the file's name."""
    with pq.ParquetFile(file) as opened:
        rows = opened.read_row_group(group, columns=columns)
    if rows["text"].null_count:
        rows = rows.filter(pc.is_valid(rows["text"]))
    rows = rows.combine_chunks()
    rows = rows.append_column("part", pa.array([Path(file).name] * len(rows), pa.string()))
    ends = np.cumsum(pc.binary_length(rows["text"]).to_numpy())
    start = 0
    while start < len(rows):
        before = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, before + BATCH_BYTES, "right"))
        stop = min(max(stop, start + 1), start + BATCH_ROWS)
        yield from rows.slice(start, stop - start).to_batches()
        start = stop
