"""What ends a run that is well: memory or a disk that is full, said in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOMEM
from pathlib import Path
from typing import Final

import torch

from pretrain import checkpoint
from pretrain.checkpoint import CheckpointError
from pretrain.update import DivergedError

# How allocators complain that have no exception of their own: torch's on the CPU, CUDA's driver, cuBLAS.
COMPLAINTS: Final = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
REMEDY: Final = (
    "lower micro_batch (the batch is then accumulated in smaller parts) or set activation_checkpointing: true"
)


class ResourceError(RuntimeError):
    """Memory or disk did not suffice."""


@contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Around a run in `directory`: raise ResourceError for memory or files that give out; that and DivergedError say
    which checkpoint there is to go on from.
    """
    try:
        yield
    except DivergedError as error:
        raise DivergedError(f"{error}; {_left(directory)}") from error
    except OSError as error:
        if error.errno == ENOMEM:
            raise ResourceError(_memory(error, directory)) from error
        where = error.filename or directory
        raise ResourceError(f"{where}: {error.strerror or error}; {_left(directory)}") from error
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        raise ResourceError(_memory(error, directory)) from error


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        not isinstance(error, CheckpointError) and any(complaint in str(error) for complaint in COMPLAINTS)
    )


def _memory(error: BaseException, directory: Path) -> str:
    lines = str(error).splitlines()
    said = f" ({lines[0].rstrip('. ')})" if lines else ""
    return f"out of memory{said}: {REMEDY}; {_left(directory)}"


def _left(directory: Path) -> str:
    try:
        newest = checkpoint.latest(directory / "checkpoints")
    except (CheckpointError, OSError) as error:
        return f"and no checkpoint can be read: {error}"
    if newest is None:
        return "there is no checkpoint yet"
    return f"the checkpoint of step {int(newest.name.removeprefix('step-'))} is intact"
