"""Where a run goes on: at its newest checkpoint that is whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pretrain.checkpoint import CheckpointError, State, named, state_of, verify
from pretrain.parallel import World


def newest_whole(
    directory: Path, world: World, on_event: Callable[[dict[str, Any]], None]
) -> tuple[Path, State] | None:
    """The checkpoint that `latest` names, or, where a file of it is damaged or missing, the newest before it that is
    whole: a run computes the same from any of its checkpoints. None where there is none yet.

    The process that leads decides for all, which must all call it; it tells of a damaged one: kind "damaged", `reason`.
    Raises CheckpointError where none is whole.
    """
    step = _decide(directory, on_event) if world.leads else 0
    step = int(world.most(step))
    if not step:
        return None
    path = directory / f"step-{step:08d}"
    return path, state_of(path)


def _decide(directory: Path, on_event: Callable[[dict[str, Any]], None]) -> int:
    """The step of the checkpoint to go on from, 0 for none."""
    there = sorted((path.name for path in directory.glob("step-*")), reverse=True)
    if (newest := named(directory)) is not None:  # what is later was gone back from, or not finished
        there = [newest, *(name for name in there if name < newest)]
    reasons: list[str] = []
    for name in there:
        try:
            verify(directory / name)
        except CheckpointError as error:
            reasons.append(str(error))
            on_event({"kind": "damaged", "reason": str(error)})
        else:
            return int(name.removeprefix("step-"))
    if reasons:
        raise CheckpointError(f"no checkpoint is whole: {'; '.join(reasons)}")
    return 0
