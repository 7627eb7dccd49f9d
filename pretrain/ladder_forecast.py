"""The validation losses that a run is expected to have on its way, and whether it is where they say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from pretrain.config import Frozen
from shards.atomic import replacing

FILE = "forecast.json"  # in the run's directory


class Curve(Frozen):
    """Expected validation losses, nats per token, after steps of one run; JSON-ready.

    `tolerance`: by which part of it a loss may differ. Raises ValueError for steps that do not rise, losses that are
    not positive, or not as many of both.
    """

    steps: tuple[int, ...] = Field(min_length=1)
    losses: tuple[float, ...]
    tolerance: float = Field(gt=0)

    @model_validator(mode="after")
    def _is_a_curve(self) -> Self:
        if len(self.steps) != len(self.losses) or list(self.steps) != sorted(set(self.steps)) or self.steps[0] < 1:
            raise ValueError("a forecast has a loss for each of its steps, and these rise from 1 on")
        if not all(loss > 0 and math.isfinite(loss) for loss in self.losses):
            raise ValueError("the losses of a forecast must be positive and finite")
        return self

    def at(self, step: int) -> float | None:
        """The loss expected after `step` steps, linear in log step between those known; None outside them."""
        if not self.steps[0] <= step <= self.steps[-1]:
            return None
        right = next(i for i, known in enumerate(self.steps) if known >= step)
        if self.steps[right] == step:
            return self.losses[right]
        before, after = self.steps[right - 1], self.steps[right]
        part = math.log(step / before) / math.log(after / before)
        return self.losses[right - 1] ** (1 - part) * self.losses[right] ** part

    def write(self, path: Path) -> None:
        """Replace the file `path`; its folder is made where it is not there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The curve in the file `path`, None where there is none. Raises ValueError for a file of anything else."""
        if not path.is_file():
            return None
        try:
            return cls.model_validate_json(path.read_text("utf-8"))
        except ValueError:
            raise ValueError(f"{path}: this is no forecast; `gristmill pretrain ladder` writes it again") from None


def off_forecast(curve: Curve, step: int, loss: float) -> float | None:
    """By which part of the forecast a validation loss after `step` steps is above it, where that is beyond tolerance.

    None where the loss is as expected or lower, and for steps before and after the curve. A loss that is not a number
    is infinitely far off.
    """
    expected = curve.at(step)
    if expected is None:
        return None
    above = loss / expected - 1 if math.isfinite(loss) else math.inf
    return above if above > curve.tolerance else None
