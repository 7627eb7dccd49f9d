"""The validation losses that a run is expected to have on its way, and whether it is where they say.

A forecast is a JSON file, DIR/ladder/NAME/forecast.json: what `pretrain.ladder.climb` returns, with the `origin` of the
run that it is of. A run with another origin (shards, tokenizer, model, length, any setting that changes its numbers) is
not compared with it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from pydantic import Field, model_validator

from pretrain.config import Frozen
from pretrain.origin import MismatchError, Origin
from shards.atomic import replacing

FILE: Final = "forecast.json"


class Curve(Frozen):
    """Expected validation losses, nats per token, after steps of one run; JSON-ready.

    `tolerances`: by which part of it a loss may be above each. Raises ValueError for steps that do not rise, losses and
    tolerances that are not positive, or not as many of each.
    """

    steps: tuple[int, ...] = Field(min_length=1)
    losses: tuple[float, ...]
    tolerances: tuple[float, ...]

    @model_validator(mode="after")
    def _is_a_curve(self) -> Self:
        rises = list(self.steps) == sorted(set(self.steps)) and self.steps[0] >= 1
        if not rises or not len(self.steps) == len(self.losses) == len(self.tolerances):
            raise ValueError("a forecast has a loss and a tolerance for each of its steps, and these rise from 1 on")
        if not all(number > 0 for number in (*self.losses, *self.tolerances)):
            raise ValueError("the losses and tolerances of a forecast must be positive")
        return self

    def at(self, step: int) -> tuple[float, float] | None:
        """Loss and tolerance after `step` steps, linear in log step between those known; None outside them."""
        if not self.steps[0] <= step <= self.steps[-1]:
            return None
        logs = np.log(self.steps)
        loss = np.exp(np.interp(np.log(step), logs, np.log(self.losses)))
        return float(loss), float(np.interp(np.log(step), logs, self.tolerances))


def forecast_path(output_dir: Path, name: str) -> Path:
    """Where the forecast of the run NAME is: not in the run's directory, which a new run of that name empties."""
    return output_dir / "ladder" / name / FILE


def write_forecast(path: Path, found: dict[str, Any]) -> None:
    """Replace the file; `found` has a `curve` and the `origin` of its run."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", "utf-8")


def read_forecast(path: Path, origin: Origin) -> Curve | None:
    """The curve in the file `path` if it is of a run of `origin`; None where it is of another, or there is no file.

    Raises ValueError for a file of anything else.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_bytes())
        of, curve = Origin.model_validate(found["origin"]), Curve.model_validate(found["curve"])
    except (ValueError, TypeError, KeyError):
        raise ValueError(
            f"{path}: this is no forecast as this version writes them: move {path.parent} away, and run `gristmill "
            "pretrain ladder` again for another one"
        ) from None
    try:
        of.refuse(origin, str(path))  # a removal from the shards is no other origin
    except MismatchError:
        return None
    return curve


def off_forecast(curve: Curve, step: int, loss: float | None) -> float | None:
    """By which part of the forecast a validation loss after `step` steps is above it, where that is beyond tolerance.

    None where the loss is as expected or lower, and for steps before and after the curve. A loss that is not a number,
    or None as `pretrain.evaluate` has it, is infinitely far off.
    """
    found = curve.at(step)
    if found is None:
        return None
    expected, tolerance = found
    above = loss / expected - 1 if loss is not None and math.isfinite(loss) else math.inf
    return above if above > tolerance else None
