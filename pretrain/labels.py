"""Validation scores by a label of the documents: their language, their source, or any table of one's own.

Labels are found by document id in Parquet files: `language` in DIR/signals/language, `source` in the names of the
folders of DIR/corpus, else in a file or folder with the columns `doc_id` and `label`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from pretrain.evaluate import Float64, Int64, Nats, measured, rates
from shards.read import Split

NONE: Final = "(none)"  # the label of documents that have none


def score_by_label(
    nats: Nats, split: Split, rows: Int64, token_bytes: Int64, micro_batch: int, labels: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Of each label, sorted by name, what `evaluate.score` says of all: `loss`, `bits_per_byte`, `targets`, `bytes`.

    `labels`: by document id, hex. A target counts for the document that it is a token of.
    """
    sums: dict[str, Float64] = {}
    for places, parts in measured(nats, split, rows, token_bytes, micro_batch):
        for row, of_targets in zip(places.tolist(), parts):  # [L, 4]
            for piece in split.pieces(row):
                label = labels.get(piece["document"].tobytes().hex(), NONE)
                # token i of the row is the target of its input i - 1
                first = max(0, int(piece["start"]) - 1)
                own = of_targets[first : max(0, int(piece["start"]) + int(piece["length"]) - 1)]
                sums[label] = sums.get(label, np.zeros(4)) + own.sum(axis=0)
    return {label: rates(sums[label]) for label in sorted(sums)}


def documents_in(split: Split, rows: Int64) -> set[str]:
    """Ids, hex, of the documents that have a token in `rows` of a split."""
    return {document.tobytes().hex() for row in rows.tolist() for document in split.pieces(row)["document"]}


def read_labels(directory: Path, by: str, documents: Collection[str]) -> dict[str, str]:
    """Labels of `documents` as far as there are any, by id, for `by` of a run's output directory.

    Raises FileNotFoundError where the files are not there, ValueError where they are no such table, have none of the
    documents, or different labels of one.
    """
    places = {"language": (directory / "signals" / "language", "code"), "source": (directory / "corpus", "source")}
    path, column = places.get(by, (Path(by), "label"))
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise FileNotFoundError(f"--by {by}: there are no Parquet files in {path}")
    partitioning = ds.partitioning(pa.schema([("split", pa.string()), ("source", pa.string())]), flavor="hive")
    try:
        table = ds.dataset(files, partitioning=partitioning if by == "source" else None, partition_base_dir=str(path))
        found = table.to_table(["doc_id", column], filter=ds.field("doc_id").isin(sorted(documents)))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"--by {by}: {path} is no table of doc_id and {column}: {error}") from None
    found, labels = found.drop_null(), dict[str, str]()
    for document, label in zip(found["doc_id"].to_pylist(), map(str, found[column].to_pylist())):
        if labels.setdefault(document, label) != label:
            raise ValueError(f"--by {by}: {path} labels {document} as {labels[document]} and as {label}")
    if documents and not labels:
        raise ValueError(f"--by {by}: {path} has a label for none of the held-out documents")
    return labels
