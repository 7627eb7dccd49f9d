"""The figures of a run's diary for TensorBoard, by option: `tensorboard --logdir DIR/runs`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

Record = dict[str, Any]

# Of each kind of record: where its figures stand, and which they are; both by the names that the field gives them.
SECTIONS: Final = {"train": "train", "evaluation": "validation"}
FIGURES: Final = {
    "train": ("loss", "lr", "grad_norm", "tokens_per_second", "mfu", "data_seconds", "memory_mb"),
    "evaluation": ("loss", "bits_per_byte"),
}


def required(config_asks: bool) -> None:
    """Raise ValueError where it is asked for and not installed."""
    if config_asks and find_spec("tensorboard") is None:
        raise ValueError(
            "tensorboard: true, but the package tensorboard is not installed: pip install 'gristmill[tensorboard]'"
        )


def scalars(record: Record) -> Iterator[tuple[str, float]]:
    """Tags and values of a record's figures that have one: train/loss, validation/loss, validation/loss/BUCKET."""
    section = SECTIONS.get(record["kind"])
    if section is None:
        return
    for name in FIGURES[record["kind"]]:
        parts = {"": record, **{f"/{bucket}": part for bucket, part in record.get("buckets", {}).items()}}
        for suffix, part in parts.items():
            if part[name] is not None:
                yield f"{section}/{name}{suffix}", float(part[name])


class Board:
    """Event files of a run, with its steps as the x axis. What is gone back on after a restart is purged from them."""

    def __init__(self, directory: Path, step: int, past: Iterable[Record]):
        """Go on with the run of `directory` from its checkpoint at `step`; `past`: what the diary keeps of it.

        Points from `step` on disappear, in all event files; those of `step` that the diary keeps are written again, and
        all of `past` where the run had no event files before.
        """
        from torch.utils.tensorboard import SummaryWriter

        goes_on = any(directory.glob("events.*"))
        self._writer = SummaryWriter(str(directory), purge_step=step if goes_on else None)
        for record in past:
            if not goes_on or record["step"] == step:
                self.write(record)

    def write(self, record: Record) -> None:
        """Add the figures of one record; a thread writes them."""
        for tag, value in scalars(record):
            self._writer.add_scalar(tag, value, record["step"])

    def flush(self) -> None:
        """Bring all figures to the files. Raises OSError where that fails, or failed before."""
        self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        self._writer.close()
