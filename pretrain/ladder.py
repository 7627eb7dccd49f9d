"""What loss to expect of a run, told by five small runs on the same shards.

The rungs (`pretrain.ladder_rungs`) are the config's run at smaller scales. Their validation losses at a part of a run
give the constants of a scaling law (`pretrain.ladder_fit`), and that gives the loss of the config's own run there.
Losses of other tokenizers or texts are on other scales, so no published constants can say this. A rung that is finished
is not trained again: an interrupted ladder goes on.

    DIR/ladder/NAME/
      runs/rung-N/       the rungs, runs like any other, the largest first
      forecast.json      what `climb` returns: the run NAME is compared with it, see `pretrain.ladder_forecast`
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pretrain.config import Frozen, PretrainConfig
from pretrain.inputs import Inputs, open_inputs
from pretrain.ladder_fit import NOISE, fit_law, leave_one_out
from pretrain.ladder_forecast import Curve, forecast_path, write_forecast
from pretrain.ladder_rungs import PARTS, rungs
from pretrain.laws import FLOPS_PER_PARAMETER, effective_tokens
from pretrain.metrics import read_metrics
from pretrain.shape import count_parameters
from pretrain.train import run

Float = npt.NDArray[np.float64]
Tell = Callable[[str], None]

FIRST: Final = 3  # part from which on losses are forecast: before it, runs are in their warm-up or just out of it
LEAST_TOLERANCE: Final = 0.02  # of a loss
DEVIATIONS: Final = 3.0  # of the forecast's error, that a run may be above it
# So much more do losses differ from seed to seed at a run's begin than at its end, where the learning rate is low: six
# of 118,000 parameters had a standard deviation of 0.45% after 0.3 of their steps, of 0.2% after all.
UNDER_WAY: Final = 1.5


class Ladder(Frozen):
    """What to climb: how many rungs, how large at most."""

    rungs: int = Field(default=5, ge=4, description="Runs to forecast from.")
    parameters: int = Field(default=1_000_000, ge=1, description="Of the largest rung at most, embeddings included.")


class Size(NamedTuple):
    """Of one run: parameters, embeddings included; tokens that it reads; 6 N D, where repeated tokens count as less."""

    parameters: int
    tokens: int
    compute: float


def climb(
    config: PretrainConfig, asked: Ladder, shards_dir: Path, tokenizer_dir: Path, output_dir: Path, tell: Tell
) -> dict[str, Any]:
    """Train the rungs in `output_dir`/ladder/NAME, and return and write the forecast of `config`'s run; JSON-ready.

    `loss`: forecast of the final validation loss, nats per token, with `error`, its standard deviation as a part of it:
    what noise and the priors leave open, if the law holds; `curve`: see `Curve`; `law`: of the end of a run, fitted
    for tokens of `bytes_per_token`; `leave_one_out`: by how much the law of the others misses each rung; `parameters`,
    `tokens` and `compute` of the run, see `Size`; its `origin`; `rungs`. Raises ValueError where there are no held-out
    rows or no text in them, what `ladder_rungs.rungs` and what `run` raise.
    """
    inputs = open_inputs(shards_dir, tokenizer_dir)
    if inputs.validation is None:
        raise ValueError("there are no held-out rows to measure the rungs on; see split.validation")
    header, steps = inputs.header, inputs.steps(config)
    if steps < PARTS:
        raise ValueError(f"a run of {steps} steps is too short for a curve: {PARTS} at least")
    configs = rungs(config, header.vocabulary_size, header.context_length, steps, asked.rungs, asked.parameters)
    losses, bytes_per_token = [], 0.0
    path = forecast_path(output_dir, config.name)
    for rung in configs:
        validation = run(rung, shards_dir, tokenizer_dir, path.parent)["validation"]
        if not validation["bytes"]:
            raise ValueError("the held-out rows have no text to measure the rungs on; see evaluation.rows")
        bytes_per_token = validation["bytes"] / validation["targets"]  # of the same rows for all
        losses.append(measured(path.parent / "runs" / rung.name))
        tell(f"{rung.name} of {asked.rungs}: {losses[-1][-1]:.4f} nats per token")
    sizes = [size_of(rung, inputs) for rung in configs]
    found = forecast(sizes, np.array(losses), size_of(config, inputs), steps, bytes_per_token)
    told = [
        {"name": rung.name, "lr": rung.optimizer.lr, **size._asdict(), "losses": list(curve)}
        for rung, size, curve in zip(configs, sizes, losses)
    ]
    found = {**found, "rungs": told, "origin": inputs.origin(config).model_dump(mode="json")}
    write_forecast(path, found)
    return found


def measured(directory: Path) -> list[float]:
    """The validation losses of a rung from part `FIRST` of `PARTS` on, nats per token."""
    records = read_metrics(directory / "metrics.jsonl")
    found = {record["step"]: record["loss"] for record in records if record["kind"] == "evaluation"}
    return [found[step] for step in sorted(found)][FIRST - 1 :]


def size_of(config: PretrainConfig, inputs: Inputs) -> Size:
    """Of a run on these shards; repeated tokens count as Muennighoff et al. 2023 value them."""
    context = inputs.header.context_length
    parameters = count_parameters(config.model, inputs.header.vocabulary_size).all
    tokens = sum(config.reading(context).at(inputs.steps(config))) * context
    worth = effective_tokens(tokens, len(inputs.train) * context)
    return Size(parameters, tokens, FLOPS_PER_PARAMETER * parameters * worth)


def forecast(sizes: list[Size], losses: Float, wanted: Size, steps: int, bytes_per_token: float) -> dict[str, Any]:
    """The part of `climb` that trains nothing. `losses` [n, k]: of the rungs, at the parts of `measured`."""
    compute, parts = np.array([size.compute for size in sizes]), range(FIRST, PARTS + 1)
    laws = [
        fit_law(compute, found, bytes_per_token, NOISE * (1 + UNDER_WAY * (1 - part / PARTS)))
        for part, found in zip(parts, losses.T)
    ]
    errors = [law.error(wanted.compute) for law in laws]
    curve = Curve(
        steps=tuple(max(1, round(steps * part / PARTS)) for part in parts),
        losses=tuple(law.loss(wanted.compute) for law in laws),
        tolerances=tuple(max(LEAST_TOLERANCE, DEVIATIONS * error) for error in errors),
    )
    return {
        "loss": curve.losses[-1],
        "error": errors[-1],
        **wanted._asdict(),
        "curve": curve.model_dump(mode="json"),
        "law": laws[-1].facts(),
        "bytes_per_token": bytes_per_token,
        "leave_one_out": leave_one_out(compute, losses[:, -1], bytes_per_token).tolist(),
    }
