"""What `traits.write` wrote, looked up in tasks: apart from it, since a worker need not import what evaluates them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def part_of(file: str | Path) -> str:
    """How traits name a file of corpus/: split=SPLIT/source=SOURCE/NAME."""
    return "/".join(Path(file).parts[-3:])


def lookup(folder: str) -> Callable[[str, pa.Array], pa.Table]:
    """For a task: a function from a file of corpus/ and doc_ids of documents in it to their traits, a row each.

    `folder` is what `traits.write` wrote. The function raises KeyError for a document that the file does not
    hold. Memory: the traits of two files.
    """

    @lru_cache(maxsize=2)  # texts are read file by file
    def of_part(part: str) -> pa.Table:
        return pq.read_table(folder, filters=pc.field("part") == part, partitioning=None).combine_chunks()

    def of(file: str, doc_ids: pa.Array) -> pa.Table:
        rows = of_part(part_of(file))
        position = pc.index_in(doc_ids, value_set=rows["doc_id"].combine_chunks())
        if position.null_count:
            missing = doc_ids.filter(pc.is_null(position))[0]
            raise KeyError(f"document {missing} is not in {part_of(file)}")
        return rows.drop_columns(["part", "doc_id"]).take(position)

    return of
