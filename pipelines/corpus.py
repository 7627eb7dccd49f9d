"""Corpus: the kept documents with their edits applied, as corpus/split=SPLIT/source=SOURCE/*.parquet.

Verdicts and edits are looked up by the file of documents/ that a document lies in, so that no text is shuffled: both
are small and sorted by that file's name, and a task reads only the row groups that it needs.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from filters.borders import Border
from filters.edits import Edit, apply
from pipelines import datasets
from pipelines.dedup import repeats
from pipelines.sink import Transform

VERSION = 1


def documents(spark: SparkSession, files: list[str]) -> DataFrame:
    """The documents that no gate stopped, and the file of each."""
    schema = "doc_id string, source string, uri string, text string, meta map<string, string>"
    frame = spark.read.schema(schema).parquet(*files).where(F.col("text").isNotNull())
    return frame.select("*", F.col("_metadata.file_name").alias("part"))


def writer(output: str, cuts: str | None = None, border: Border | None = None) -> Transform:
    """The transform of the sink: a batch of documents to the kept ones, by split and source.

    `cuts`: a dataset of repeats to cut, as `repeats.cuts` returns; `border`: how passages among them are cut.
    """
    root = Path(output)

    @lru_cache(maxsize=4)  # batches come file by file
    def kept_of(part: str) -> pa.Table:
        chosen = (pc.field("part") == part) & pc.field("kept")
        return datasets.scan(root, "verdicts", ["doc_id", "split", "cluster"], chosen)

    @lru_cache(maxsize=4)
    def edits_of(part: str) -> dict[str, list[Edit]]:
        return spans_of(root / "edits", part)

    @lru_cache(maxsize=4)
    def cuts_of(part: str) -> dict[str, list[Edit]]:
        return spans_of(Path(cuts), part) if cuts else {}

    def edited(doc_id: str, text: str, edits: list[Edit], repeated: list[Edit]) -> str:
        return apply(text, sorted([*edits, *repeats.edits(text, repeated, border or "word")], key=lambda e: e.start))

    def write(batch: pa.RecordBatch) -> dict[str, pa.RecordBatch]:
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
            table = pa.RecordBatch.from_arrays(
                [rows["doc_id"], rows["uri"], pa.array(texts, pa.string()), rows["meta"], _flat(verdicts["cluster"])],
                schema=datasets.CORPUS,
            )
            place = pc.binary_join_element_wise("split=", _flat(verdicts["split"]), "/source=", rows["source"], "")
            for name in pc.unique(place).to_pylist():
                written.setdefault(f"corpus/{name}", []).append(table.filter(pc.equal(place, name)))
        return {name: pa.concat_batches(batches) for name, batches in written.items()}

    return write


def spans_of(dataset: Path, part: str) -> dict[str, list[Edit]]:
    """The spans (doc_id, start, end, reason) of a dataset that are of texts in one file, by doc_id, rising."""
    rows = datasets.scan(dataset.parent, dataset.name, ["doc_id", "start", "end", "reason"], pc.field("part") == part)
    found: dict[str, list[Edit]] = {}
    for row in rows.sort_by([("doc_id", "ascending"), ("start", "ascending")]).to_pylist():
        found.setdefault(row["doc_id"], []).append(Edit(row["start"], row["end"], row["reason"]))
    return found


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def read(spark: SparkSession, output: Path, files: list[str]) -> DataFrame:
    """Files of the corpus, with the columns `split` and `source` that their folders name."""
    schema = (
        "doc_id string, uri string, text string, meta map<string, string>, cluster string, split string, source string"
    )
    return spark.read.schema(schema).option("basePath", str(output / "corpus")).parquet(*files)
