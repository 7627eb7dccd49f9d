"""The run's diary: one JSON object a line, which reads as one uninterrupted run however often the run was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from shards.atomic import replacing

Record = dict[str, Any]


def read_metrics(path: Path) -> list[Record]:
    """All complete lines of a metrics file, [] where there is none; a line cut off by a crash is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


class Metrics:
    """An append-only file of records that have `kind` ("train" or "evaluation") and `step`."""

    def __init__(self, path: Path, step: int):
        """Open `path` for a run that goes on from its checkpoint at `step`.

        What is about to happen again is dropped: updates after that step, and evaluations from it on (an evaluation
        follows the checkpoint of its step).
        """
        kept = [r for r in read_metrics(path) if r["step"] < step or (r["step"] == step and r["kind"] == "train")]
        with replacing(path) as temporary:
            temporary.write_text("".join(_line(record) for record in kept), "utf-8")
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: Record) -> None:
        """Append one record; it outlives the process at once, and the machine after `sync`."""
        self._file.write(_line(record))
        self._file.flush()

    def sync(self) -> None:
        """Bring all records to the disk: called before a checkpoint that presumes them."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _line(record: Record) -> str:
    return json.dumps(record, allow_nan=False) + "\n"
