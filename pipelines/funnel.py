"""The funnel: for every source, documents in = kept + dropped with reasons + errors; and the check that it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import datasets
from pipelines.errors import GristmillError

# Why a document was dropped: the first of these that holds.
REASONS = ("gate", "language", "rules", "duplicate", "split_leak")

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


def funnel(output: Path, sources: list[str]) -> Funnel:
    """By source: documents_in, kept, dropped, errors, and dropped by reason (`dropped_gate`, `dropped_rules`, ...)."""
    empty = {"documents_in": 0, "kept": 0, "dropped": 0, "errors": 0, **{f"dropped_{name}": 0 for name in REASONS}}
    table = {source: dict(empty) for source in sources}
    for source, count in errors_by_source(output).items():
        table[source]["errors"] = count
    for batch in _batches(output, "verdicts", ["source", "kept", "failed_rules", "duplicate_of"]):
        for source, reason in zip(batch["source"].to_pylist(), reasons(batch)):
            row = table[source]
            if reason == "kept":
                row["kept"] += 1
            else:
                row["dropped"] += 1
                row[f"dropped_{reason}"] += 1
    for row in table.values():
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


def reasons(batch: pa.RecordBatch) -> list[str]:
    """For each row of verdicts (columns kept, failed_rules, duplicate_of): `kept`, or why it was dropped, of REASONS.

    Raises GristmillError for a document that was dropped without a reason.
    """
    found = []
    for kept, failed, original in zip(
        batch["kept"].to_pylist(), batch["failed_rules"].to_pylist(), batch["duplicate_of"].to_pylist()
    ):
        if kept:
            found.append("kept")
        elif any(rule.startswith("gate.") for rule in failed):
            found.append("gate")
        elif any(rule in ("language.code", "language.score") for rule in failed):
            found.append("language")
        elif failed == ["split_leak"]:
            found.append("split_leak")
        elif failed:
            found.append("rules")
        elif original is not None:
            found.append("duplicate")
        else:
            raise GristmillError("a document was dropped without a reason")
    return found


def _batches(output: Path, dataset: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    for file in datasets.files(output, dataset):
        yield from pq.ParquetFile(file).iter_batches(batch_size=65_536, columns=columns)
