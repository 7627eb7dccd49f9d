"""The funnel: for every source, documents in = kept + dropped with reasons + errors; and the check that it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines import datasets
from pipelines.errors import GristmillError

# Why a document was dropped: the first of these that holds.
REASONS = ("gate", "removed", "language", "rules", "duplicate", "split_leak")

Funnel = dict[str, dict[str, int]]


def documents_in(output: Path, written: dict[str, int]) -> dict[str, int]:
    """Records that could be documents, by source: the documents that ingest wrote and the records it failed to read."""
    errors = errors_by_source(output)
    return {source: written.get(source, 0) + errors[source] for source in sorted({*written, *errors})}


def errors_by_source(output: Path) -> Counter[str]:
    """How many records could not be read, by source."""
    counts: Counter[str] = Counter()
    for batch in _batches(output, "errors", ["source", "level"]):
        counts.update(batch.filter(pc.equal(batch["level"], "record"))["source"].to_pylist())
    return counts


def texts_in(output: Path) -> Counter[str]:
    """How many documents have a text, by source; from Parquet's statistics, since ingest wrote them in full."""
    counts: Counter[str] = Counter()
    for file in datasets.files(output, "documents"):
        metadata = pq.ParquetFile(file).metadata
        names = metadata.schema.names
        source, text = names.index("source"), names.index("text")
        for i in range(metadata.num_row_groups):
            group = metadata.row_group(i)
            # A file holds one source.
            counts[group.column(source).statistics.max] += group.num_rows - group.column(text).statistics.null_count
    return counts


def funnel(output: Path, sources: list[str]) -> Funnel:
    """By source: documents_in, kept, dropped, errors, and dropped by reason (`dropped_gate`, `dropped_rules`, ...)."""
    empty = {"documents_in": 0, "kept": 0, "dropped": 0, "errors": 0, **{f"dropped_{name}": 0 for name in REASONS}}
    table = {source: dict(empty) for source in sources}
    for source, count in errors_by_source(output).items():
        table[source]["errors"] = count
    for batch in _batches(output, "verdicts", ["source", "kept", "failed_rules", "duplicate_of"]):
        counts = Counter(zip(batch["source"].to_pylist(), reasons(batch).tolist()))
        for (source, reason), count in counts.items():
            table[source]["kept" if reason == "kept" else f"dropped_{reason}"] += count
    for row in table.values():
        row["dropped"] = sum(row[f"dropped_{reason}"] for reason in REASONS)
        row["documents_in"] = row["kept"] + row["dropped"] + row["errors"]
    return table


def check(table: Funnel, documents_in: dict[str, int]) -> None:
    """Raise GristmillError where a source's sum is not what ingest counted."""
    for source, row in table.items():
        expected = documents_in.get(source, 0)
        if row["documents_in"] != expected:
            raise GristmillError(
                f"{source}: {expected:,} documents came in, but {row['kept']:,} kept + {row['dropped']:,} dropped + "
                f"{row['errors']:,} errors are {row['documents_in']:,}"
            )


def reasons(batch: pa.RecordBatch) -> NDArray[np.str_]:
    """For each of n rows of verdicts (columns kept, failed_rules, duplicate_of): `kept`, or why it was dropped, of
    REASONS: str[n].

    Raises GristmillError for a document that was dropped without a reason.
    """
    rules, row = pc.list_flatten(batch["failed_rules"]), pc.list_parent_indices(batch["failed_rules"]).to_numpy()
    failed = np.bincount(row, minlength=len(batch))

    def any_is(hit: pa.Array) -> NDArray[np.bool_]:
        found = np.zeros(len(batch), bool)
        found[row[hit.to_numpy(zero_copy_only=False)]] = True
        return found

    holds = {
        "kept": batch["kept"].to_numpy(zero_copy_only=False),
        "gate": any_is(pc.starts_with(rules, "gate.")),
        "removed": any_is(pc.equal(rules, "removed")),
        "language": any_is(pc.is_in(rules, pa.array(["language.code", "language.score"]))),
        "split_leak": any_is(pc.equal(rules, "split_leak")) & (failed == 1),
        "rules": failed > 0,
        "duplicate": pc.is_valid(batch["duplicate_of"]).to_numpy(zero_copy_only=False),
    }
    found = np.select(list(holds.values()), list(holds), default="")
    if (found == "").any():
        raise GristmillError("a document was dropped without a reason")
    return found


def _batches(output: Path, dataset: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    for file in datasets.files(output, dataset):
        yield from pq.ParquetFile(file).iter_batches(batch_size=65_536, columns=columns)
