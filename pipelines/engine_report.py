"""What encoded a chunk's documents: the dataset `engines` of the sink, a row from each task, read and removed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tokenizer.engines import Compared

DATASET = "engines"
SCHEMA = pa.schema([("report", pa.string())])


def row(used: Compared) -> dict[str, pa.RecordBatch]:
    """What a task says at its end, for the sink."""
    facts = {name: getattr(used, name) for name in ("engine", "compared", "differed", "reasons")}
    return {DATASET: pa.RecordBatch.from_pydict({"report": [json.dumps(facts)]}, schema=SCHEMA)}


def take(staging: Path) -> dict[str, Any]:
    """Of all tasks below `staging`: how many ended with which engine, how many texts were compared and how many of them
    differed, and for what reasons engines were given up."""
    folder = staging / DATASET
    rows = pq.read_table(folder)["report"].to_pylist() if folder.is_dir() else []
    shutil.rmtree(folder, ignore_errors=True)
    return total({**task, "tasks": {task["engine"]: 1}} for task in map(json.loads, rows))


def total(reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The sum of several chunks' reports."""
    reports, tasks = list(reports), Counter[str]()
    for report in reports:
        tasks.update(report["tasks"])
    return {
        "tasks": dict(sorted(tasks.items())),
        "compared": sum(report["compared"] for report in reports),
        "differed": sum(report["differed"] for report in reports),
        "reasons": sorted({reason for report in reports for reason in report["reasons"]})[:10],
    }
