"""Corpus: the kept documents with their edits applied, as corpus/split=SPLIT/source=SOURCE/*.parquet.

Verdicts and edits are looked up by the file of documents/ that a document lies in, so that no text is shuffled: both
are small and sorted by that file's name, and a task reads only the row groups that it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from filters.edits import Edit, apply
from pipelines import datasets
from pipelines.dedup import cutting
from pipelines.dedup.options import Repeats
from pipelines.sink import Transform
from pipelines.texts import RowGroup, each

VERSION = 4

Rehydrate = Literal["none", "fineweb2"]
# From how many documents on that one stands for, how often it is repeated. FineWeb-2: 1, 2 and 3 of as many, 3 of 4, 5
# of 5 to 99, 8 of 100 to 999, and 1 of 1,000 or more, which is boilerplate (Penedo et al. 2025, its README).
COPIES: dict[Rehydrate, list[tuple[int, int]]] = {
    "none": [(1, 1)],
    "fineweb2": [(1, 1), (2, 2), (3, 3), (5, 5), (100, 8), (1_000, 1)],
}


def documents(spark: SparkSession, files: list[str]) -> DataFrame:
    """The documents that no gate stopped, and the file of each."""
    schema = "doc_id string, source string, uri string, text string, meta map<string, string>"
    frame = spark.read.schema(schema).parquet(*files).where(F.col("text").isNotNull())
    return frame.select("*", F.col("_metadata.file_name").alias("part"))


def copies(stands_for: pa.Array, rehydrate: Rehydrate) -> pa.Array:
    """int64[n]: how often to repeat documents that stand for so many (themselves included), by the option's table."""
    least, times = zip(*COPIES[rehydrate])
    return pa.array(np.array(times)[np.searchsorted(least, stands_for.to_numpy(), "right") - 1])


def writer(
    tasks: list[list[RowGroup]],
    output: str,
    cuts: str | None = None,
    repeats: dict[str, Any] | None = None,
    rehydrate: Rehydrate = "none",
) -> Transform:
    """The transform of the sink: the documents of a task to the kept ones, by split and source.

    `cuts`: a dataset of repeats to cut, as `cutting.spans` returns, under the settings `repeats`.
    """
    root, settings = Path(output), Repeats(**(repeats or {}))

    @lru_cache(maxsize=4)  # batches come file by file
    def kept_of(part: str) -> pa.Table:
        chosen = (pc.field("part") == part) & pc.field("kept")
        return datasets.scan(root, "verdicts", ["doc_id", "split", "cluster", "stands_for"], chosen)

    @lru_cache(maxsize=4)
    def edits_of(part: str) -> dict[str, list[Edit]]:
        return spans_of(root / "edits", part)

    @lru_cache(maxsize=4)
    def cuts_of(part: str) -> dict[str, list[Edit]]:
        return spans_of(Path(cuts), part) if cuts else {}

    def edited(doc_id: str, text: str, edits: list[Edit], repeated: list[Edit]) -> str:
        # Of two that begin at one place the longer first: a placeholder within a line that goes, goes with it.
        return apply(text, sorted([*edits, *cutting.edits(text, repeated, settings)], key=lambda e: (e.start, -e.end)))

    def write(batch: pa.RecordBatch) -> Iterator[dict[str, pa.RecordBatch]]:
        written: dict[str, list[pa.RecordBatch]] = {}
        for part in pc.unique(batch["part"]).to_pylist():
            kept, edits, repeated = kept_of(part), edits_of(part), cuts_of(part)
            position = pc.index_in(batch["doc_id"], value_set=kept["doc_id"].combine_chunks())
            here = pc.and_(pc.is_valid(position), pc.equal(batch["part"], part))
            rows, verdicts = batch.filter(here), kept.take(position.filter(here))
            texts = [
                edited(doc_id, text.as_py(), edits.get(doc_id, []), repeated.get(doc_id, []))
                if doc_id in edits or doc_id in repeated
                else text
                for doc_id, text in zip(rows["doc_id"].to_pylist(), rows["text"])
            ]
            cluster, stands_for = _flat(verdicts["cluster"]), _flat(verdicts["stands_for"])
            columns = [rows["doc_id"], rows["uri"], pa.array(texts, pa.string()), rows["meta"], cluster, stands_for]
            table = pa.RecordBatch.from_arrays([*columns, copies(stands_for, rehydrate)], schema=datasets.CORPUS)
            place = pc.binary_join_element_wise("split=", _flat(verdicts["split"]), "/source=", rows["source"], "")
            for name in pc.unique(place).to_pylist():
                written.setdefault(f"corpus/{name}", []).append(table.filter(pc.equal(place, name)))
        yield {name: pa.concat_batches(batches) for name, batches in written.items()}

    return each(tasks, ["doc_id", "source", "uri", "text", "meta"], write)


def spans_of(dataset: Path, part: str) -> dict[str, list[Edit]]:
    """The spans of a dataset, of edits or of repeats, that are of texts in one file, by doc_id, rising."""
    rows = datasets.scan(dataset.parent, dataset.name, filters=pc.field("part") == part)
    found: dict[str, list[Edit]] = {}
    for row in rows.sort_by([("doc_id", "ascending"), ("start", "ascending")]).to_pylist():
        found.setdefault(row["doc_id"], []).append(
            Edit(row["start"], row["end"], row["reason"], row.get("replacement", ""))
        )
    return found


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def read(spark: SparkSession, output: Path, files: list[str]) -> DataFrame:
    """Files of the corpus, with the columns `split` and `source` that their folders name."""
    schema = (
        "doc_id string, uri string, text string, meta map<string, string>, cluster string, "
        "stands_for long, copies long, split string, source string"
    )
    return spark.read.schema(schema).option("basePath", str(output / "corpus")).parquet(*files)
