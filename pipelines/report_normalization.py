"""How many characters each step of Unicode normalization changed, from what ingest noted in `meta`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import datasets
from pipelines.lookup import batches

PREFIX = "normalized."
ENTRIES = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))


def normalization_facts(output: Path) -> dict[str, dict[str, dict[str, int]]]:
    """By source and step: `documents` that it changed, and `characters` of them."""
    documents: Counter[tuple[str, str]] = Counter()
    characters: Counter[tuple[str, str]] = Counter()
    for batch in batches(datasets.files(output, "documents"), ["source", "meta"]):
        entries = batch["meta"].cast(ENTRIES)
        flat = pc.list_flatten(entries)
        steps = pc.struct_field(flat, "key")
        ours = pc.starts_with(steps, PREFIX)
        sources = batch["source"].take(pc.list_parent_indices(entries).filter(ours)).to_pylist()
        counts = pc.struct_field(flat, "value").filter(ours).to_pylist()
        for source, step, count in zip(sources, steps.filter(ours).to_pylist(), counts):
            documents[source, step.removeprefix(PREFIX)] += 1
            characters[source, step.removeprefix(PREFIX)] += int(count)
    found: dict[str, dict[str, dict[str, int]]] = {}
    for source, step in sorted(documents):
        counted = {"documents": documents[source, step], "characters": characters[source, step]}
        found.setdefault(source, {})[step] = counted
    return found
