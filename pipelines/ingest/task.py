"""What a task of ingest does: it reads its files and writes what they hold, so that no text passes through the JVM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import datasets
from pipelines.ingest.files import Part
from pipelines.ingest.records import batches
from pipelines.ingest.source import reader_class, rows
from pipelines.sink import Transform


def documents_and_errors(format: str, source: dict[str, Any], parts: list[list[Part]]) -> Transform:
    """The transform of the sink: the numbers of lists in `parts` to the documents/ and errors/ of what they name."""
    reader = reader_class(format)

    def read(batch: pa.RecordBatch) -> Iterator[dict[str, pa.RecordBatch]]:
        for number in batch["id"].to_pylist():
            for found in batches(source["name"], rows(reader, source, parts[number])):
                yield _split(found)

    return read


def _split(batch: pa.RecordBatch) -> dict[str, pa.RecordBatch]:
    failed = pc.is_valid(batch["failure"])
    good, bad = batch.filter(pc.invert(failed)), batch.filter(failed)
    failure = [pc.struct_field(bad["failure"], name) for name in ("level", "path", "reason", "detail")]
    return {
        "documents": good.select(datasets.DOCUMENTS.names).cast(datasets.DOCUMENTS),
        "errors": pa.RecordBatch.from_arrays([bad["doc_id"], bad["source"], *failure], schema=datasets.ERRORS),
    }
