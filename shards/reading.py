"""What decides which rows a training step reads: seed, rows of every step, weights, caps.

Steps count from 1; `position` is the number of rows that all steps before have read. All of it is a function of the
run's config and of the shards, so that any step can be looked up without running anything.
"""

from collections.abc import Mapping
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
    all rows; `caps`: epochs of a bucket at most. Each list begins at step 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int
    batches: tuple[tuple[Step, Annotated[int, Field(ge=1)]], ...]
    weights: tuple[tuple[Step, dict[str, Weight]], ...] = ()
    caps: dict[str, Weight] = {}

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name, changes in (("batches", self.batches), ("weights", self.weights)):
            steps = [step for step, _ in changes]
            if steps != sorted(set(steps)) or (steps or [1])[0] != 1 or (name == "batches" and not steps):
                raise ValueError(f"{name}: must begin at step 1 and change at later steps, in order; not at {steps}")
        if self.caps and not self.weights:
            raise ValueError("caps: need weights")
        return self

    def at(self, step: int) -> tuple[int, int]:
        """Position and number of the rows that a step reads. Raises ValueError for a step below 1."""
        if step < 1:
            raise ValueError(f"there is no step {step}: steps count from 1")
        position = 0
        for (first, rows), (end, _) in zip(self.batches, [*self.batches[1:], (step + 1, 0)]):
            if step < end:
                return position + (step - first) * rows, rows
            position += (end - first) * rows
        raise AssertionError("unreachable: the last batch size has no end")

    def step_of(self, positions: npt.ArrayLike) -> Int64:
        """The step that reads each of `positions`, int64 [n]."""
        begins = np.array([self.at(step)[0] for step, _ in self.batches])
        stage = np.searchsorted(begins, np.asarray(positions, np.int64), "right") - 1
        first, rows = np.array(self.batches).T
        return first[stage] + (positions - begins[stage]) // rows[stage]

    def steps(self, rows: int) -> int:
        """The steps that it takes to read at least `rows` rows; at least one."""
        return int(self.step_of([max(1, rows) - 1])[0])

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
            last = int(self.step_of([max(0, order.rows - 1)])[0])
            raise ValueError(
                f"caps: the run reads {rows:,} rows in {steps:,} steps, the caps allow {order.rows:,}, which is "
                f"step {last:,}: raise a cap, give weight to another bucket, or train for fewer steps"
            )


def reading_of(config: Mapping[str, Any], context: int) -> Reading:
    """How a run with this `pretrain` section, JSON of it, reads shards of a context of so many tokens.

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
    )
