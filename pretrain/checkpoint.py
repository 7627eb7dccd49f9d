"""Checkpoints that are whole or not there: temporary directory, fsync, rename, and the pointer `latest` last.

checkpoints/
  step-00000100/  tensors/ (weights and moments, torch.distributed.checkpoint)  state.json  digests.json
  latest          the name of the newest complete one
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, Final

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException  # no Exception
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from pretrain.config import PretrainConfig
from pretrain.origin import Origin
from pretrain.parallel import World
from shards.atomic import replacing

# A run in one process needs no process group: that is meant.
warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")

TENSORS: Final = "tensors"
STATE: Final = "state.json"
DIGESTS: Final = "digests.json"
LATEST: Final = "latest"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be trusted: a file is missing or is not what was written."""


class State(BaseModel):
    """Where a run stood when it was saved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int  # optimizer steps done
    position: int  # rows of the order that are behind: read, or passed over
    tokens: int  # positions the model has read: rows read times the context
    parameters: int
    config: PretrainConfig
    origin: Origin
    jumps: tuple[tuple[int, int], ...] = ()  # rows passed over from a step on, see `shards.reading`
    rollbacks: int = 0  # so far


class Checkpoints:
    """The checkpoints of a run that is under way: written by all processes, beside the training."""

    def __init__(self, directory: Path, world: World):
        self.directory = directory
        self.world = world
        # A group of its own: its messages must not get between those of the training, which go on meanwhile.
        self._group = dist.new_group(backend="gloo") if world.size > 1 else None
        self._upload: Future[None] | None = None
        self.newest: int | None = None  # step of the latest save, or of what the run went back to

    def save(
        self,
        state: State,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        spike: int | None = None,
    ) -> None:
        """Copy weights and moments, and write them to step-NNNNNNNN in the background.

        `latest` moves when all is written and checked; then all but the newest `config.checkpoint.keep` go, and the
        newest from before step `spike`, where that is given, to which the run may have to go back. A process
        killed at any moment leaves `latest` on a complete checkpoint. What went wrong with the checkpoint before is
        raised here: CheckpointError, `latest` still on the one before that.
        """
        self.finish()
        target = self.directory / f"step-{state.step:08d}"
        temporary = self.directory / f".{target.name}"
        if self.world.leads:
            self.directory.mkdir(parents=True, exist_ok=True)
            for leftover in self.directory.glob(".step-*"):
                shutil.rmtree(leftover)
            temporary.mkdir()
        self.world.barrier()
        written: Any = dcp.async_save(  # a future, as the stager is DCP's own
            _tensors(model, optimizers),
            storage_writer=dcp.FileSystemWriter(temporary / TENSORS, sync_files=True),
            process_group=self._group,
            no_dist=self.world.size == 1,
        )
        self._upload = _then(written, lambda: self._commit(state, temporary, target, spike))
        self.newest = state.step

    def finish(self) -> None:
        """Wait for what is being written. Raises CheckpointError where it could not be."""
        if self._upload is None:
            return
        upload, self._upload = self._upload, None
        try:
            upload.result()
        except (Exception, CheckpointException) as error:
            if self.world.leads:  # what there is of it would keep a full disk full
                for leftover in self.directory.glob(".step-*"):
                    shutil.rmtree(leftover, ignore_errors=True)
            left = self.before((self.newest or 0) + 1)
            state = "there is none yet" if left is None else f"the checkpoint of step {left} is intact"
            raise CheckpointError(
                f"{self.directory}: a checkpoint could not be written: {_reason(error)}; {state}"
            ) from error
        self.world.barrier()

    def check(self) -> None:
        """Raise CheckpointError where what is being written has failed already; does not wait."""
        if self._upload is not None and self._upload.done() and self._upload.exception() is not None:
            self.finish()

    def close(self) -> None:
        """Let what is being written come to its end, whatever that is: the run has failed or is over."""
        if self._upload is not None:
            wait([self._upload])

    def before(self, step: int) -> int | None:
        """The step of the newest complete checkpoint from before `step`, None where there is none."""
        steps = [int(path.name.removeprefix("step-")) for path in self.directory.glob("step-*")]
        return max((one for one in steps if one < step), default=None)

    def back_to(self, step: int) -> Path:
        """Make the checkpoint of `step` the newest: later ones go. Returns its path; every process must call it."""
        self.finish()
        target = self.directory / f"step-{step:08d}"
        if self.world.leads:
            self._point(target)
            for later in self.directory.glob("step-*"):
                if later.name > target.name:
                    shutil.rmtree(later)
        self.world.barrier()
        self.newest = step
        return target

    def _point(self, target: Path) -> None:
        with replacing(self.directory / LATEST) as pointer:
            pointer.write_text(target.name + "\n", "utf-8")
        _fsync(self.directory)

    def _commit(self, state: State, temporary: Path, target: Path, spike: int | None) -> None:
        """Every process's part is written when the leader's call returns, as it writes the list of all parts last."""
        if not self.world.leads:
            return
        (temporary / STATE).write_text(state.model_dump_json(indent=2) + "\n", "utf-8")
        files = sorted(path for path in temporary.rglob("*") if path.is_file())
        digests = {path.relative_to(temporary).as_posix(): _digest(path) for path in files}
        (temporary / DIGESTS).write_text(json.dumps(digests, indent=2) + "\n", "utf-8")
        for path in (temporary / STATE, temporary / DIGESTS, temporary / TENSORS, temporary):
            _fsync(path)
        if target.exists():  # complete, but the process ended before `latest` named it
            shutil.rmtree(target)
        temporary.rename(target)
        _fsync(self.directory)
        self._point(target)
        spared = None if spike is None else self.before(spike)
        for old in sorted(self.directory.glob("step-*"))[: -state.config.checkpoint.keep]:
            if old != target and old.name != f"step-{spared or 0:08d}":
                shutil.rmtree(old)


def _then(written: Future[Any], commit: Callable[[], None]) -> Future[None]:
    """A future that is done when `commit` is, which runs in the thread that has written."""
    done: Future[None] = Future()

    def follow(future: Future[Any]) -> None:
        try:
            future.result()
            commit()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    written.add_done_callback(follow)
    return done


def _reason(error: BaseException) -> str:
    """The first cause: DCP wraps what the processes raised."""
    failures = getattr(error, "failures", None)
    if failures:
        error = next(iter(failures.values()))[0]
    if "unexpected pos" in str(error):  # torch's writer of files, of one that ends before it should
        return "a file could not be written to its end: is the disk full?"
    return str(error) or type(error).__name__


def named(directory: Path) -> str | None:
    """The name that the pointer holds, None where it is missing or damaged."""
    pointer = directory / LATEST
    name = pointer.read_text("utf-8", "replace").strip() if pointer.exists() else ""
    return name if re.fullmatch(r"step-\d{8}", name) else None


def latest(directory: Path) -> Path | None:
    """The newest complete checkpoint, None before the first. Raises CheckpointError where the pointer leads nowhere."""
    name = named(directory)
    if name is None:
        return max((path.parent for path in directory.glob(f"step-*/{DIGESTS}")), default=None)
    if not (directory / name / DIGESTS).is_file():
        raise CheckpointError(f"{directory / LATEST} names {name}, which is not there")
    return directory / name


def verify(path: Path) -> None:
    """Compare every file of a checkpoint with its digest. Raises CheckpointError, naming what is missing or differs."""
    try:
        digests = json.loads((path / DIGESTS).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path / DIGESTS}: {error}") from None
    if not isinstance(digests, dict):
        raise CheckpointError(f"{path / DIGESTS}: holds no digests")
    for name in sorted({STATE, f"{TENSORS}/.metadata", *digests}):
        if not (path / name).is_file():
            raise CheckpointError(f"{path / name} is missing")
        if digests.get(name) != _digest(path / name):
            raise CheckpointError(f"{path / name} is not what was written: its SHA-256 differs")


def state_of(path: Path) -> State:
    """The state of a checkpoint that is known to be whole. Raises CheckpointError for one of another version."""
    try:
        return State.model_validate_json((path / STATE).read_bytes())
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise CheckpointError(
            f"{path / STATE} was written by another version of this program: {where}: {error.errors()[0]['msg']}"
        ) from None


def read_state(path: Path) -> State:
    """The state of a checkpoint, after `verify`. Raises CheckpointError."""
    verify(path)
    return state_of(path)


def load(path: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer] = ()) -> None:
    """Restore a model, and optimizers where given, from a checkpoint of any number of processes, in place.

    Every process must call it. Raises CheckpointError unless names and shapes are the same.
    """
    tensors = _tensors(model, optimizers)
    try:
        dcp.load(tensors, checkpoint_id=path / TENSORS, no_dist=not dist.is_initialized())
    except (Exception, CheckpointException) as error:
        raise CheckpointError(f"{path / TENSORS} does not fit the model: {_reason(error)}") from None
    set_model_state_dict(model, tensors["model"])
    if optimizers:
        set_optimizer_state_dict(model, list(optimizers), tensors["optimizers"])


def _tensors(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Any]:
    """Weights and moments by the names of the parameters, sharded as they are."""
    tensors: dict[str, Any] = {"model": get_model_state_dict(model)}
    if optimizers:
        tensors["optimizers"] = get_optimizer_state_dict(model, list(optimizers))
    return tensors


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
