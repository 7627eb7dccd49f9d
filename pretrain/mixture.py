"""Which mixture of the buckets to train on, found by small proxy models on the same shards.

Every proxy is a run of the config's model under weights of its own (`pretrain.mixture_design`); what it loses on each
bucket's held-out rows is fitted as a function of the weights (`pretrain.mixture_fit`), and the weights of the least
predicted loss are sought under repetition caps (`pretrain.mixture_optimum`). Nothing is tokenized or packed again.

Losses are bits per byte, so that buckets in dense scripts weigh no more than others. A proxy that is finished is not
trained again: an interrupted search goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pretrain.config import DataConfig, Frozen, PretrainConfig
from pretrain.inputs import Inputs, open_inputs
from pretrain.mixture_design import draw
from pretrain.mixture_fit import Fit, fit
from pretrain.mixture_optimum import leave_one_out, optimum
from pretrain.train import run

Float = npt.NDArray[np.float64]
Tell = Callable[[str], None]

DIGITS = 6  # of a weight in a config


class Search(Frozen):
    """What to search: how many proxies, for a run of which length, at most how many epochs of a bucket."""

    proxies: int = Field(default=32, ge=4, description="Models to train; three to eight for each bucket.")
    budget: int = Field(ge=1, description="Tokens of the run that the mixture is for.")
    epochs: float = Field(default=4.0, gt=0, description="A bucket may be repeated so often in that run.")
    targets: dict[str, float] = Field(default={}, description="Weights of the held-out buckets; empty: all alike.")
    seed: int = Field(default=1, ge=0, description="Of the mixtures and of the resampling.")


def search(
    config: PretrainConfig, asked: Search, shards_dir: Path, tokenizer_dir: Path, output_dir: Path, tell: Tell
) -> dict[str, Any]:
    """Train the proxies below `output_dir`/mixture and return what they say; JSON-ready.

    `weights` and `weights_error` per bucket, `natural`, predicted `loss`, `natural_loss` and `gain` with `gain_error`
    (bits per byte), `fits` per held-out bucket (form, out-of-fold error, leave-one-out rank correlation), `proxies`.
    Raises ValueError, naming it, for a bucket that is not there, for fewer than two buckets, for no held-out rows, and
    what `run` raises.
    """
    inputs = open_inputs(shards_dir, tokenizer_dir)
    names, natural, caps = buckets(inputs, asked)
    mixtures = np.round(draw(natural, asked.proxies, asked.seed, caps), DIGITS)
    proxies = []
    for number, shares in enumerate(mixtures):
        proxy = _proxy(config, number, dict(zip(names, shares.tolist())))
        summary = run(proxy, shards_dir, tokenizer_dir, output_dir / "mixture")
        found = {name: scores["bits_per_byte"] for name, scores in summary["validation"]["buckets"].items()}
        proxies.append({"weights": dict(zip(names, shares.tolist())), "losses": found})
        tell(f"proxy {number + 1} of {asked.proxies}: {summary['validation_bits_per_byte']:.4f} bits per byte")
    return {"buckets": names, **evaluate(names, natural, caps, proxies, asked), "proxies": proxies}


def buckets(inputs: Inputs, asked: Search) -> tuple[list[str], Float, Float]:
    """The buckets of the train split, their shares of its rows, and the greatest share that each may have."""
    rows: dict[str, int] = {}
    for file in inputs.train.files:
        rows[file.entry.bucket] = rows.get(file.entry.bucket, 0) + file.entry.rows
    names = sorted(name for name, count in rows.items() if count)
    if len(names) < 2:
        raise ValueError(f"there is nothing to mix: the train split has {len(names)} bucket; see pack.bucket")
    if inputs.validation is None:
        raise ValueError("there are no held-out rows to measure the proxies on; see split.validation")
    counts = np.array([rows[name] for name in names], np.float64)
    wanted = asked.budget / inputs.header.context_length
    return names, counts / counts.sum(), np.minimum(1.0, asked.epochs * counts / wanted)


def evaluate(
    names: list[str], natural: Float, caps: Float, proxies: list[dict[str, Any]], asked: Search
) -> dict[str, Any]:
    """Fit the proxies' losses and look for the optimum. See `search`."""
    mixtures = np.array([[proxy["weights"][name] for name in names] for proxy in proxies])
    held = sorted(name for name, loss in proxies[0]["losses"].items() if loss is not None)
    if unknown := sorted(set(asked.targets) - set(held)):
        raise ValueError(f"targets: no held-out bucket is named {unknown[0]!r}; there are: {', '.join(held)}")
    held = [name for name in held if asked.targets.get(name, 0 if asked.targets else 1) > 0]
    losses = np.array([[proxy["losses"][name] for name in held] for proxy in proxies])
    owns = [names.index(name) if name in names else None for name in held]
    fits = [fit(mixtures, losses[:, at], own) for at, own in enumerate(owns)]
    importance = np.array([asked.targets.get(name, 1.0) for name in held])
    best = optimum(fits, importance, mixtures, losses, owns, natural, caps, asked.seed)
    return {
        "weights": dict(zip(names, np.round(best.shares, DIGITS).tolist())),
        "weights_error": dict(zip(names, np.round(best.shares_error, 4).tolist())),
        "natural": dict(zip(names, np.round(natural, DIGITS).tolist())),
        "caps": dict(zip(names, np.round(caps, DIGITS).tolist())),
        "loss": best.loss,
        "natural_loss": best.natural_loss,
        "gain": best.gain,
        "gain_error": best.gain_error,
        "fits": {name: _facts(fits[at], mixtures, losses[:, at], owns[at]) for at, name in enumerate(held)},
    }


def _facts(one: Fit, mixtures: Float, losses: Float, own: int | None) -> dict[str, Any]:
    return {
        "form": one.form,
        "error": one.error,
        "spread": float(losses.std()),
        "leave_one_out_rank_correlation": leave_one_out(one, mixtures, losses, own),
    }


def _proxy(config: PretrainConfig, number: int, weights: dict[str, float]) -> PretrainConfig:
    """The config's run under other weights; it is measured at its end only, and writes no samples."""
    once = {"every": 10**9}
    changes = {
        "name": f"proxy-{number:03d}",
        "data": DataConfig(weights=weights).model_dump(),
        "evaluation": {**config.evaluation.model_dump(), **once},
        "checkpoint": {**config.checkpoint.model_dump(), **once, "keep": 1},
        "sample": {**config.sample.model_dump(), "prompts": ()},
    }
    return PretrainConfig.model_validate({**config.model_dump(), **changes})
