"""What loss to expect of a run, told by five small runs on the same shards.

The rungs (`pretrain.ladder_rungs`) are runs of the config at smaller sizes and lengths. Their validation losses, all at
the same parts of a run, give the constants of a scaling law (`pretrain.ladder_fit`), and that gives the loss of the
config's own run at those parts. Losses of other tokenizers or texts are on other scales, so no published constants can
say this. A rung that is finished is not trained again: an interrupted ladder goes on.

    DIR/ladder/
      runs/rung-N/       the rungs, runs like any other, the largest first
      ladder.json        what `climb` returns
    DIR/runs/NAME/
      forecast.json      the curve that the run is compared with: `pretrain.ladder_forecast`
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pretrain.config import Frozen, PretrainConfig
from pretrain.inputs import Inputs, open_inputs
from pretrain.ladder_fit import Law, fit_law, leave_one_out
from pretrain.ladder_forecast import FILE, Curve
from pretrain.ladder_rungs import PARTS, rungs
from pretrain.laws import effective_tokens
from pretrain.metrics import read_metrics
from pretrain.shape import count_parameters
from pretrain.train import run
from shards.atomic import replacing

Float = npt.NDArray[np.float64]
Tell = Callable[[str], None]
Counts = Literal["all", "non-embedding"]

FIRST: Final = 3  # part from which on losses are fitted: before it, all runs are in their warm-up or just out of it
LEAST_TOLERANCE: Final = 0.01  # of a loss: validation sets are small
DEVIATIONS: Final = 3.0  # of the residuals, that a run may be away from its forecast


class Ladder(Frozen):
    """What to climb: how many rungs, how large at most."""

    rungs: int = Field(default=5, ge=4, description="Runs to forecast from.")
    parameters: int = Field(default=1_000_000, ge=1, description="Of the largest rung at most, embeddings included.")


class Sizes(NamedTuple):
    """Of one run: parameters by either count, tokens that it reads, and their worth where they repeat."""

    parameters: dict[Counts, int]
    tokens: int
    effective: float


def climb(
    config: PretrainConfig, asked: Ladder, shards_dir: Path, tokenizer_dir: Path, output_dir: Path, tell: Tell
) -> dict[str, Any]:
    """Train the rungs below `output_dir`/ladder, and return and write the forecast of `config`'s run; JSON-ready.

    `loss`: forecast of the final validation loss, nats per token, with `error`, the most by which the law of the other
    rungs misses that of one, as a part: the forecast reaches further than any of these, and may miss by more; `curve`:
    see `Curve`; `law` with `counts`, how it counts parameters, which is what misses less; `leave_one_out`: of each rung
    under both counts; `parameters` and `tokens` of the run; `rungs`. Raises ValueError where there are no held-out
    rows, what `ladder_rungs.rungs` and what `run` raise.
    """
    inputs = open_inputs(shards_dir, tokenizer_dir)
    if inputs.validation is None:
        raise ValueError("there are no held-out rows to measure the rungs on; see split.validation")
    header, steps = inputs.header, inputs.steps(config)
    configs = rungs(config, header.vocabulary_size, header.context_length, steps, asked.rungs, asked.parameters)
    losses = []
    for rung in configs:
        run(rung, shards_dir, tokenizer_dir, output_dir / "ladder")
        losses.append(measured(output_dir / "ladder" / "runs" / rung.name))
        tell(f"{rung.name} of {asked.rungs}: {losses[-1][-1]:.4f} nats per token")
    sizes = [sizes_of(rung, inputs) for rung in configs]
    found = forecast(sizes, np.array(losses), sizes_of(config, inputs), steps)
    told = [
        {"name": rung.name, "lr": rung.optimizer.lr, **size._asdict(), "losses": list(curve)}
        for rung, size, curve in zip(configs, sizes, losses)
    ]
    found = {**found, "rungs": told}
    with replacing(output_dir / "ladder" / "ladder.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", "utf-8")
    Curve.model_validate(found["curve"]).write(output_dir / "runs" / config.name / FILE)
    return found


def measured(directory: Path) -> list[float]:
    """The validation losses of a rung from part `FIRST` of `PARTS` on, nats per token."""
    records = read_metrics(directory / "metrics.jsonl")
    found = {record["step"]: record["loss"] for record in records if record["kind"] == "evaluation"}
    return [found[step] for step in sorted(found)][FIRST - 1 :]


def sizes_of(config: PretrainConfig, inputs: Inputs) -> Sizes:
    """Parameters and tokens of a run on these shards; repeated tokens count as Muennighoff et al. 2023 value them."""
    context, count = inputs.header.context_length, count_parameters(config.model, inputs.header.vocabulary_size)
    tokens = sum(config.reading(context).at(inputs.steps(config))) * context
    return Sizes(
        {"all": count.all, "non-embedding": count.non_embedding},
        tokens,
        effective_tokens(tokens, len(inputs.train) * context),
    )


def forecast(sizes: list[Sizes], losses: Float, wanted: Sizes, steps: int) -> dict[str, Any]:
    """The part of `climb` that trains nothing. `losses` [n, k]: of the rungs, at the parts of `measured`."""
    tokens = np.array([size.effective for size in sizes])
    missed: dict[Counts, Float] = {}
    laws: dict[Counts, Law] = {}
    for counts in ("all", "non-embedding"):
        parameters = np.array([float(size.parameters[counts]) for size in sizes])
        laws[counts] = fit_law(parameters, tokens, losses)
        missed[counts] = leave_one_out(parameters, tokens, losses)
    counts = min(missed, key=lambda counts: float(np.mean(missed[counts] ** 2)))
    law, error = laws[counts], float(np.abs(missed[counts]).max())
    guess = np.array([law.losses(size.parameters[counts], size.effective) for size in sizes])
    residual = float(np.sqrt(np.mean(np.log(guess / losses) ** 2)))
    curve = Curve(
        steps=tuple(max(1, round(steps * part / PARTS)) for part in range(FIRST, PARTS + 1)),
        losses=tuple(law.losses(wanted.parameters[counts], wanted.effective).tolist()),
        tolerance=max(LEAST_TOLERANCE, DEVIATIONS * residual, error),
    )
    return {
        "loss": curve.losses[-1],
        "error": error,
        "residual": residual,
        "parameters": wanted.parameters,
        "tokens": wanted.tokens,
        "curve": curve.model_dump(mode="json"),
        "law": {**law.facts(), "counts": counts},
        "leave_one_out": {counts: values.tolist() for counts, values in missed.items()},
    }
