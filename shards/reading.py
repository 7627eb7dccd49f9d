"""What decides which rows a training step reads: seed, rows of every step, weights, caps.

Steps count from 1; `position` is the number of rows in the order before those of a step: all that earlier steps have
read, and what was passed over. All of it is a function of the run's config, its jumps and the shards, so that any step
can be looked up without running anything.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shards.mixing import MixedOrder
from shards.order import Int64, Order
from shards.read import Split

Step = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Reading(BaseModel):
    """How a run reads a split.

    `batches`: rows of a step, each from a step on; `weights`: of buckets, each from a step on, empty for the order of
    all rows; `caps`: epochs of a bucket at most. Both lists begin at step 1. `jumps`: from a step on, so many more rows
    are passed over; weights change at their steps all the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int
    batches: tuple[tuple[Step, Annotated[int, Field(ge=1)]], ...]
    weights: tuple[tuple[Step, dict[str, Weight]], ...] = ()
    caps: dict[str, Weight] = {}
    jumps: tuple[tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=1)]], ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name, changes in (("batches", self.batches), ("weights", self.weights)):
            steps = [step for step, _ in changes]
            if steps != sorted(set(steps)) or (steps or [1])[0] != 1 or (name == "batches" and not steps):
                raise ValueError(f"{name}: must begin at step 1 and change at later steps, in order; not at {steps}")
        if self.caps and not self.weights:
            raise ValueError("caps: need weights")
        if (steps := [step for step, _ in self.jumps]) != sorted(set(steps)):
            raise ValueError(f"jumps: steps must rise, not {steps}")
        return self

    def at(self, step: int) -> tuple[int, int]:
        """Position and number of the rows that a step reads. Raises ValueError for a step below 1."""
        if step < 1:
            raise ValueError(f"there is no step {step}: steps count from 1")
        stages = self._stages()
        first, position, rows = stages[bisect_right(stages, step, key=lambda stage: stage[0]) - 1]
        return position + (step - first) * rows, rows

    def rows(self, step: int) -> int:
        """Rows that steps 1 to `step` read, those passed over not among them; 0 before the first."""
        return sum(self.at(step)) - sum(rows for first, rows in self.jumps if first <= step) if step else 0

    def step_of(self, positions: npt.ArrayLike) -> Int64:
        """The step that reads each of `positions`, int64 [n]; 0 for one that is passed over."""
        first, begins, rows = np.array(self._stages(), np.int64).T
        at = np.asarray(positions, np.int64)
        stage = np.searchsorted(begins, at, "right") - 1
        steps = first[stage] + (at - begins[stage]) // rows[stage]
        return np.where(steps < np.append(first[1:], np.iinfo(np.int64).max)[stage], steps, 0)

    def steps(self, rows: int) -> int:
        """The steps that it takes to read at least `rows` rows; at least one."""
        return int(self.model_copy(update={"jumps": ()}).step_of([max(1, rows) - 1])[0])

    def after(self, step: int, jump: int) -> "Reading":
        """The reading that goes on after `step` with `jump` rows passed over; later jumps are forgotten."""
        return self.model_copy(update={"jumps": (*(one for one in self.jumps if one[0] <= step), (step + 1, jump))})

    def _stages(self) -> list[tuple[int, int, int]]:
        """First step, its position and the rows of a step, of every stretch in which steps follow on each other."""
        sizes, jumps = dict(self.batches), dict(self.jumps)
        first, position, rows, found = 1, 0, 0, []
        for step in sorted({*sizes, *jumps}):
            position += (step - first) * rows + jumps.get(step, 0)
            first, rows = step, sizes.get(step, rows)
            found.append((first, position, rows))
        return found

    def order(self, split: Split) -> Order | MixedOrder:
        """The order of a split's rows. Raises ValueError, naming the bucket, for weights or caps that do not fit it."""
        if not self.weights:
            return split.order(self.seed)
        stages = [(self.at(step)[0], weights) for step, weights in self.weights]
        return MixedOrder(split, self.seed, stages, self.caps)

    def check(self, split: Split, steps: int) -> None:
        """Raise ValueError where a run of `steps` steps wants more rows than the caps allow, or as `order` does."""
        order = self.order(split)
        rows = sum(self.at(steps))
        if isinstance(order, MixedOrder) and order.rows is not None and rows > order.rows:
            last = bisect_left(range(1, steps + 1), order.rows, key=lambda step: self.at(step)[0])
            raise ValueError(
                f"caps: the run reads {rows:,} rows in {steps:,} steps, the caps allow {order.rows:,}, which is "
                f"step {last:,}: raise a cap, give weight to another bucket, or train for fewer steps"
            )


def reading_of(config: Mapping[str, Any], context: int, jumps: Sequence[tuple[int, int]] = ()) -> Reading:
    """How a run with this `pretrain` section, JSON of it, reads shards of a context of so many tokens; `jumps`: what
    its rollbacks have added.

    The one place that knows what `seed`, `batch_tokens`, `batch_changes` and `data` mean for the rows of a step.
    """
    data = config.get("data") or {}
    batches = [(1, config["batch_tokens"]), *((c["step"], c["tokens"]) for c in config.get("batch_changes") or ())]
    weights = [(1, data["weights"])] if data.get("weights") else []
    return Reading(
        seed=config["seed"],
        batches=tuple((step, max(1, tokens // context)) for step, tokens in batches),
        weights=(*weights, *((change["step"], change["weights"]) for change in data.get("changes") or ())),
        caps=data.get("caps") or {},
        jumps=tuple((step, rows) for step, rows in jumps),
    )
