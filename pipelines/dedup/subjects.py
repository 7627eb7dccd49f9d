"""The documents whose insides are compared, a batch at a time, each with its cluster.

Who takes part is a dataset (part, doc_id, cluster), sorted by `part`, the file of documents/ that holds the text: it is
looked up file by file, so that no text is shuffled. Documents of one cluster (copies of each other) count once;
otherwise the one that stays of two duplicates would lose everything that they have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from filters.batch import TextBatch
from filters.fingerprints import Grams
from pipelines.dedup.bands import binary, fixed
from pipelines.dedup.groups import ROWS

Members = Callable[[str], tuple[pa.Array, NDArray[np.uint8]]]


class Subjects(NamedTuple):
    """n documents."""

    texts: TextBatch
    ids: NDArray[np.uint8]  # [n, 16]
    clusters: NDArray[np.uint8]  # [n, 16]
    files: NDArray[np.int64]  # [n] hash of the name of the document's file
    scopes: NDArray[np.int64]  # [n] hash of the document's group
    sources: pa.Array  # [n]

    def rows(
        self,
        kind: int,
        keys: NDArray[Any],
        document: NDArray[np.int64],
        at: NDArray[Any],
        spans: tuple[NDArray[np.int64], NDArray[np.int64]],
    ) -> pa.RecordBatch:
        """Rows as in ROWS; `document`: which of the n a row is of."""
        columns = [
            pa.array(np.full(len(keys), kind, np.int8)),
            pa.array(keys.view(np.int64)),
            binary(self.clusters[document]),
            binary(self.ids[document]),
            pa.array(self.files[document]),
            pa.array(at.astype(np.int32)),
            *(pa.array(border) for border in spans),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=ROWS)

    def bytes_of(self, found: Grams, n: int) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Which document each n-gram is of, and the bytes of its text from the first word to the last."""
        words = self.texts.words
        document = np.repeat(np.arange(len(self.ids)), np.diff(found.offsets))
        first = words.offsets[document] + found.at
        last = first + n - 1
        base = self.texts.offsets[document]
        return document, (words.starts[first] - base, words.starts[last] + words.lengths[last] - base)


def frame(documents: DataFrame) -> DataFrame:
    """(id, source, part, file, scope, text) of the rows (doc_id, source, text, meta, part)."""
    group = F.coalesce(F.element_at("meta", "group"), F.col("doc_id"))
    return documents.select(
        F.unhex("doc_id").alias("id"),
        "source",
        "part",
        F.xxhash64("part").alias("file"),
        F.xxhash64(group).alias("scope"),
        "text",
    )


def take(batch: pa.RecordBatch, members: Members) -> Subjects | None:
    """The documents of a batch of `frame` that are members; None where there is none."""
    taken, clusters = [], []
    for part in pc.unique(batch["part"]).to_pylist():
        rows = batch.filter(pc.equal(batch["part"], part))
        ids, cluster = members(part)
        position = pc.index_in(rows["id"], value_set=ids)
        known = pc.is_valid(position)
        taken.append(rows.filter(known))
        clusters.append(cluster[position.filter(known).to_numpy()])
    if not sum(rows.num_rows for rows in taken):
        return None
    rows = taken[0] if len(taken) == 1 else pa.concat_batches(taken)
    return Subjects(
        TextBatch(rows["text"]),
        fixed(rows["id"], np.uint8, 16),
        np.concatenate(clusters),
        rows["file"].to_numpy(),
        rows["scope"].to_numpy(),
        rows["source"],
    )


def members_of(members: str) -> Members:
    """Ids and clusters, by file, of the dataset `members`.

    To be made anew in each task: Python workers outlive a task, and the files of a path may change.
    """

    @lru_cache(maxsize=4)  # batches come file by file
    def look_up(part: str) -> tuple[pa.Array, NDArray[np.uint8]]:
        here = pc.field("part") == part
        table = pq.read_table(members, columns=["doc_id", "cluster"], filters=here, partitioning=None)
        ids, clusters = (_unhex(table[name]) for name in table.column_names)
        return binary(ids), clusters

    return look_up


def _unhex(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(column.to_pylist())), np.uint8).reshape(-1, 16)
