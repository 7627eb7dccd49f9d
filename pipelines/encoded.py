"""What was encoded, and by what: the dataset `encoded` of the sink, a row from each task, read and removed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tokenizer.engines import Compared

DATASET = "encoded"
SCHEMA = pa.schema([("report", pa.string())])


class Sums(NamedTuple):
    """Of the documents in `tokens/` that share split, source and bucket."""

    split: str
    source: str
    bucket: str
    documents: int
    tokens: int  # that are to be in the shards
    dropped: int
    places: int  # that they take in rows: tokens, or whole rows where documents do not share them
    fingerprint: int  # of the tokens that are to be in the shards, int64


def row(used: Compared, found: Iterable[Sums]) -> dict[str, pa.RecordBatch]:
    """What a task says at its end, for the sink."""
    facts = {name: getattr(used, name) for name in ("engine", "compared", "differed", "reasons")}
    return {DATASET: pa.RecordBatch.from_pydict({"report": [json.dumps({**facts, "sums": list(found)})]}, SCHEMA)}


def take(staging: Path) -> dict[str, Any]:
    """Of all tasks below `staging`: how many ended with which engine, how many texts were compared and how many of them
    differed, for what reasons engines were given up, and the sums of what they encoded."""
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
        "sums": add_up(Sums(*each) for report in reports for each in report["sums"]),
    }


def sums(tokens: pa.RecordBatch, places: npt.NDArray[np.int64]) -> list[Sums]:
    """Of a batch of `tokens/`, all of one split and source, and the places in rows that each document takes, [n]."""
    if not tokens.num_rows:
        return []
    buckets = tokens["bucket"].dictionary_encode()
    codes = buckets.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    count, kept, fingerprint = (tokens[name].to_numpy()[order] for name in ("count", "kept", "fingerprint"))
    added = [np.add.reduceat(of, starts) for of in (np.ones_like(kept), kept, count - kept, places[order])]
    added.append(np.bitwise_xor.reduceat(fingerprint, starts))
    split, source = tokens["split"][0].as_py(), tokens["source"][0].as_py()
    names = buckets.dictionary.take(buckets.indices.take(pa.array(order[starts]))).to_pylist()
    return [Sums(split, source, *found) for found in zip(names, *(of.tolist() for of in added))]


def add_up(parts: Iterable[Sums]) -> list[Sums]:
    """One for each source, split and bucket, in that order."""
    found: dict[tuple[str, str, str], Sums] = {}
    for part in parts:
        key = (part.source, part.split, part.bucket)
        before = found.get(key)
        if before is not None:
            numbers = (a + b for a, b in zip(before[3:-1], part[3:-1]))
            part = Sums._make((*part[:3], *numbers, before.fingerprint ^ part.fingerprint))
        found[key] = part
    return [found[key] for key in sorted(found)]
