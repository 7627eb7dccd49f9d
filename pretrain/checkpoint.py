"""Checkpoints that are whole or not there: temporary directory, fsync, rename, and the pointer `latest` last.

checkpoints/
  step-00000100/  model.safetensors  optimizer.pt (moments, random state)  state.json  digests.json
  latest          the name of the newest complete one
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from pretrain.config import PretrainConfig
from shards.atomic import replacing

WEIGHTS: Final = "model.safetensors"
OPTIMIZER: Final = "optimizer.pt"
STATE: Final = "state.json"
DIGESTS: Final = "digests.json"
LATEST: Final = "latest"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be trusted: a file is missing or is not what was written."""


class MismatchError(ValueError):
    """A run directory that belongs to other shards, another tokenizer, model or training config."""


class Origin(BaseModel):
    """What a run's numbers come from; a checkpoint continues only under an equal one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order_digest: str
    packing_config: str  # as the order digest covers row numbers, not contents
    tokenizer_sha256: str
    vocabulary: int
    context: int
    trajectory: dict[str, Any]

    def refuse(self, other: Origin, what: str) -> None:
        """Raise MismatchError, naming every differing key, unless `other` (of `what`) equals this one."""
        ours, theirs = _flat(self.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
        differing = [
            f"{key.removeprefix('trajectory.')} is {ours.get(key)}, not {theirs.get(key)}"
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key)
        ]
        if differing:
            raise MismatchError(f"{what} belongs to another run ({'; '.join(differing)}): choose another name")


class State(BaseModel):
    """Where a run stood when it was saved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int  # optimizer steps done
    position: int  # rows consumed since the start of training
    tokens: int  # positions the model has read: rows consumed times the context
    parameters: int
    config: PretrainConfig
    origin: Origin


def save(directory: Path, state: State, model: nn.Module, optimizer: torch.optim.Optimizer) -> Path:
    """Write `directory`/step-NNNNNNNN, point `latest` at it, delete all but the newest `config.checkpoint.keep`.

    A process killed at any moment leaves `latest` on a complete checkpoint, the old one or the new one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for leftover in directory.glob(".step-*"):
        shutil.rmtree(leftover)
    target = directory / f"step-{state.step:08d}"
    temporary = directory / f".{target.name}"
    temporary.mkdir()
    weights = {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}
    save_file(weights, temporary / WEIGHTS, metadata={"format": "pt"})  # transformers wants to know
    torch.save({"optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}, temporary / OPTIMIZER)
    (temporary / STATE).write_text(state.model_dump_json(indent=2) + "\n", "utf-8")
    digests = {name: _digest(temporary / name) for name in (WEIGHTS, OPTIMIZER, STATE)}
    (temporary / DIGESTS).write_text(json.dumps(digests, indent=2) + "\n", "utf-8")
    for path in (*temporary.iterdir(), temporary):
        _fsync(path)
    if target.exists():  # complete, but the process ended before `latest` named it
        shutil.rmtree(target)
    temporary.rename(target)
    _fsync(directory)
    with replacing(directory / LATEST) as pointer:
        pointer.write_text(target.name + "\n", "utf-8")
    _fsync(directory)
    for old in sorted(directory.glob("step-*"))[: -state.config.checkpoint.keep]:
        if old != target:
            shutil.rmtree(old)
    return target


def latest(directory: Path) -> Path | None:
    """The newest complete checkpoint, None before the first. Raises CheckpointError where the pointer leads nowhere."""
    pointer = directory / LATEST
    if not pointer.exists():
        return None
    path = directory / pointer.read_text("utf-8").strip()
    if not (path / DIGESTS).is_file():
        raise CheckpointError(f"{pointer} names {path.name}, which is not there")
    return path


def read_state(path: Path) -> State:
    """The state of a checkpoint, after every file in it has been compared with its digest.

    Raises CheckpointError, naming the file that is missing or differs.
    """
    try:
        digests = json.loads((path / DIGESTS).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path / DIGESTS}: {error}") from None
    for name in (WEIGHTS, OPTIMIZER, STATE):
        if not (path / name).is_file():
            raise CheckpointError(f"{path / name} is missing")
        if digests.get(name) != _digest(path / name):
            raise CheckpointError(f"{path / name} is not what was written: its SHA-256 differs")
    return State.model_validate_json((path / STATE).read_text("utf-8"))


@torch.no_grad()
def load_weights(path: Path, model: nn.Module) -> None:
    """Copy the checkpoint's weights into `model`. Raises CheckpointError unless names and shapes are the same."""
    try:
        saved = load_file(path / WEIGHTS)
    except SafetensorError as error:
        raise CheckpointError(f"{path / WEIGHTS}: {error}") from None
    own = dict(model.named_parameters())
    if {n: p.shape for n, p in own.items()} != {n: t.shape for n, t in saved.items()}:
        raise CheckpointError(f"{path / WEIGHTS} holds the weights of another model")
    for name, parameter in own.items():
        parameter.copy_(saved[name])


def load_optimizer(path: Path, optimizer: torch.optim.Optimizer) -> None:
    """Restore the optimizer's moments and PyTorch's random state."""
    saved = torch.load(path / OPTIMIZER, map_location="cpu", weights_only=True)
    optimizer.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["random"])


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for key, item in value.items() for k, v in _flat(item, f"{prefix}.{key}".lstrip(".")).items()}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
