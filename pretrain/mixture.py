"""Which mixture of the buckets to train on, found by small proxy models on the same shards.

Every proxy is a run of the config's model under weights of its own (`pretrain.mixture_design`); what it loses on each
bucket's held-out rows is fitted as a function of the weights (`pretrain.mixture_fit`), and the weights of the least
predicted loss are sought under repetition caps (`pretrain.mixture_optimum`). Nothing is tokenized or packed again.

Losses are bits per byte, so that buckets in dense scripts weigh no more than others. A proxy that is finished is not
trained again: an interrupted search goes on.

    DIR/mixture/
      runs/proxy-NNN/  the proxies, runs like any other; the first has the natural mixture
      mixture.json     what `search` returns
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pretrain.config import DataConfig, Frozen, PretrainConfig
from pretrain.data import spread_rows
from pretrain.inputs import Inputs, open_inputs
from pretrain.mixture_design import draw, under_caps
from pretrain.mixture_fit import Fit, fit
from pretrain.mixture_optimum import leave_one_out, optimum
from pretrain.origin import MismatchError
from pretrain.train import run
from pretrain.update import DivergedError
from shards.atomic import replacing

Float = npt.NDArray[np.float64]
Tell = Callable[[str], None]

DIGITS = 6  # of a weight in a config
NEVER = 10**9  # steps
LEAST = 4  # proxies that a fit needs


class Search(Frozen):
    """What to search: how many proxies, for a run of which length, at most how many epochs of a bucket."""

    proxies: int = Field(default=32, ge=LEAST, description="Models to train; three to eight for each bucket.")
    budget: int = Field(ge=1, description="Tokens of the run that the mixture is for.")
    epochs: float = Field(default=4.0, gt=0, description="A bucket may be repeated so often in that run.")
    targets: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default={}, description="Weights of the held-out buckets, one not named has none; empty: all alike."
    )
    seed: int = Field(default=1, ge=0, description="Of the mixtures and of the resampling.")


def search(
    config: PretrainConfig, asked: Search, shards_dir: Path, tokenizer_dir: Path, output_dir: Path, tell: Tell
) -> dict[str, Any]:
    """Train the proxies below `output_dir`/mixture, and return and write there what they say; JSON-ready.

    `weights`, `weights_error`, `natural` and `caps` per bucket, shares of the tokens; predicted `loss`, `natural_loss`
    and `gain` with `gain_error`, bits per byte, means over the held-out buckets; `fits` per held-out bucket: see
    `solve`; `proxies`: weights and losses of each, no losses (None) of one that diverged. Raises ValueError, naming it,
    for a target that is not there, fewer than two buckets, no held-out rows, caps that leave no mixture; DivergedError
    where fewer than four proxies did not diverge; and what else `run` raises.
    """
    inputs = open_inputs(shards_dir, tokenizer_dir)
    names, natural, caps = buckets(inputs, asked)
    held = held_out(inputs, config.evaluation.rows, asked)
    mixtures = np.round(draw(natural, asked.proxies, asked.seed, caps), DIGITS)
    proxies = []
    for number, shares in enumerate(mixtures):
        weights = dict(zip(names, shares.tolist()))
        try:
            summary = run(_proxy(config, number, weights), shards_dir, tokenizer_dir, output_dir / "mixture")
        except DivergedError as error:  # it would do so again: the others can still tell
            proxies.append({"weights": weights, "losses": None})
            tell(f"proxy {number + 1} of {asked.proxies} diverged and is left out: {error}")
            continue
        except MismatchError:
            raise MismatchError(f"{output_dir / 'mixture'} holds proxies of another search: move it away") from None
        scores = summary["validation"]["buckets"]
        losses = {name: scores[name]["bits_per_byte"] for name in held}
        if None in losses.values():
            nothing = next(name for name, loss in losses.items() if loss is None)
            raise ValueError(f"the held-out rows of {nothing} have no text to measure: raise evaluation.rows")
        proxies.append({"weights": weights, "losses": losses})
        tell(f"proxy {number + 1} of {asked.proxies}: {np.mean(list(losses.values())):.4f} bits per byte")
    measured = [proxy for proxy in proxies if proxy["losses"]]
    if len(measured) < LEAST:
        raise DivergedError(f"{len(measured)} of {asked.proxies} proxies did not diverge: lower optimizer.lr")
    found = {**solve(names, natural, caps, measured, asked), "proxies": proxies}
    with replacing(output_dir / "mixture" / "mixture.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", "utf-8")
    return found


def buckets(inputs: Inputs, asked: Search) -> tuple[list[str], Float, Float]:
    """The buckets of the train split, their shares of its rows, and the greatest share that each may have."""
    rows: dict[str, int] = {}
    for file in inputs.train.files:
        rows[file.entry.bucket] = rows.get(file.entry.bucket, 0) + file.entry.rows
    names = sorted(name for name, count in rows.items() if count)
    if len(names) < 2:
        raise ValueError(f"there is nothing to mix: the train split has {len(names)} bucket; see pack.bucket")
    counts = np.array([rows[name] for name in names], np.float64)
    wanted = asked.budget / inputs.header.context_length
    caps = np.minimum(1.0, asked.epochs * counts / wanted)
    if caps.sum() < 1:
        most = int(asked.epochs * counts.sum() * inputs.header.context_length)
        raise ValueError(f"budget: {asked.epochs:g} epochs of all buckets are {most:,} tokens, not {asked.budget:,}")
    return names, counts / counts.sum(), caps


def held_out(inputs: Inputs, rows: int, asked: Search) -> list[str]:
    """The buckets, of those that the runs are measured on with `rows` rows, which the search minds."""
    split = inputs.validation
    if split is None:
        raise ValueError("there are no held-out rows to measure the proxies on; see split.validation")
    there = sorted({split.locate(int(row))[0].entry.bucket for row in spread_rows(split, rows)})
    if unknown := sorted(set(asked.targets) - set(there)):
        raise ValueError(f"target: no held-out bucket is named {unknown[0]!r}; there are: {', '.join(there)}")
    held = [name for name in there if asked.targets.get(name, 0 if asked.targets else 1) > 0]
    if not held:
        raise ValueError("target: at least one weight must be above 0")
    return held


def solve(
    names: list[str], natural: Float, caps: Float, proxies: list[dict[str, Any]], asked: Search
) -> dict[str, Any]:
    """Fit the proxies' losses and look for the optimum: the part of `search` that trains nothing.

    `fits`: of each held-out bucket the form, its root mean squared error out of fold, the `spread` of the proxies'
    losses (standard deviation: a fit of no use is off by that much), the leave-one-out rank correlation (None where
    all are alike), and the loss predicted for the best and for the natural mixture.
    """
    held = list(proxies[0]["losses"])
    mixtures = np.array([[proxy["weights"][name] for name in names] for proxy in proxies])
    losses = np.array([[proxy["losses"][name] for name in held] for proxy in proxies])
    owns = [names.index(name) if name in names else None for name in held]
    fits = [fit(mixtures, losses[:, at], own) for at, own in enumerate(owns)]
    importance = np.array([asked.targets.get(name, 1.0) for name in held])
    best = optimum(fits, importance, mixtures, losses, owns, natural, caps, asked.seed)
    both = np.array([best.shares, under_caps(natural, caps)])
    return {
        "weights": dict(zip(names, np.round(best.shares, DIGITS).tolist())),
        "weights_error": dict(zip(names, np.round(best.shares_error, 4).tolist())),
        "natural": dict(zip(names, np.round(natural, DIGITS).tolist())),
        "caps": dict(zip(names, np.round(caps, DIGITS).tolist())),
        "loss": best.loss,
        "natural_loss": best.natural_loss,
        "gain": best.gain,
        "gain_error": best.gain_error,
        "fits": {name: _facts(fits[at], both, mixtures, losses[:, at], owns[at]) for at, name in enumerate(held)},
    }


def _facts(one: Fit, both: Float, mixtures: Float, losses: Float, own: int | None) -> dict[str, Any]:
    loss, natural_loss = one(both).tolist()
    correlation = leave_one_out(one, mixtures, losses, own)
    return {
        "form": one.form,
        "error": one.error,
        "spread": float(losses.std()),
        "leave_one_out_rank_correlation": None if math.isnan(correlation) else correlation,
        "loss": loss,
        "natural_loss": natural_loss,
    }


def _proxy(config: PretrainConfig, number: int, weights: dict[str, float]) -> PretrainConfig:
    """The config's run under other weights; it is measured at its end only, and writes no samples."""
    changes = {
        "name": f"proxy-{number:03d}",
        "data": DataConfig(weights=weights).model_dump(),
        "evaluation": {**config.evaluation.model_dump(), "every": NEVER},
        "checkpoint": {**config.checkpoint.model_dump(), "keep": 1},
        "sample": {**config.sample.model_dump(), "prompts": ()},
    }
    return PretrainConfig.model_validate({**config.model_dump(), **changes})
