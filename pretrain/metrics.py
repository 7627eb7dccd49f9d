"""The run's diary: one JSON object a line, which reads as one uninterrupted run however often the run was.

By option the same figures go to TensorBoard.
"""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import torch

from pretrain.tensorboard import Board
from shards.atomic import replacing

Record = dict[str, Any]


def read_metrics(path: Path) -> list[Record]:
    """All lines of a metrics file up to the first that is none, [] where there is no file: a crash may cut off the end
    of the file, or fill it with zeros.
    """
    if not path.exists():
        return []
    records: list[Record] = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not isinstance(record, dict):
            break
        records.append(record)
    return records


class Metrics:
    """An append-only file of records that have `kind` ("train", "evaluation", "rollback") and `step`."""

    def __init__(self, path: Path, step: int, leads: bool = True, tensorboard: bool = False):
        """Open `path` for a run that goes on from its checkpoint at `step`; only the process that leads writes.

        What is about to happen again is dropped: updates after that step, and all else from it on (an evaluation and a
        rollback follow the checkpoint of their step). `tensorboard`: write event files too, see `pretrain.tensorboard`.
        """
        kept = [r for r in read_metrics(path) if r["step"] < step or (r["step"] == step and r["kind"] == "train")]
        if leads:
            with replacing(path) as temporary:
                temporary.write_text("".join(_line(record) for record in kept), "utf-8")
        self._leads = leads
        self._file = (path if leads else Path(os.devnull)).open("a", encoding="utf-8")
        self._board = Board(path.with_name("tensorboard"), step, kept) if leads and tensorboard else None

    def write(self, record: Record) -> None:
        """Append one record; it outlives the process at once, and the machine after `sync`."""
        self._file.write(_line(record))
        self._file.flush()
        if self._board is not None:
            self._board.write(record)

    def sync(self) -> None:
        """Bring all records to the disk: called before a checkpoint that presumes them."""
        if self._leads:
            os.fsync(self._file.fileno())
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def calm_and_spikes(path: Path, step: int) -> tuple[list[tuple[float, float]], list[Record]]:
    """Of the updates up to `step`, in order: loss and gradient norm of those that were no spikes; records of spikes."""
    updates = [r for r in read_metrics(path) if r["kind"] == "train" and r["step"] <= step]
    return [(r["loss"], r["grad_norm"]) for r in updates if "spike" not in r], [r for r in updates if "spike" in r]


def memory_mb(device: torch.device) -> float:
    """Peak memory so far in 10^6 bytes: of the tensors on a GPU, of the whole process on a CPU."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)  # Linux counts kibibytes


def _line(record: Record) -> str:
    return json.dumps(record, allow_nan=False) + "\n"
