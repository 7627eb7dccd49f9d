"""How well five small runs forecast the final loss of one with ten times the compute of the largest of them.

Real texts, novels and the main texts of web pages below $GRISTMILL_DATA, are tokenized and packed here, without Spark:
two buckets, a twentieth of the documents held out. `gristmill pretrain ladder` forecasts a run on them, of 20 tokens a
parameter, which is then trained. `error` is how much the forecast is above the loss that came out, as a part of it,
`errors` the same along the curve; `stated_error` the standard deviation that the forecast was given with, `naive` the
error of the guess that the run ends as the largest rung does. `compute_ratio` is 6 N D of the run over that of the
largest rung, `rungs_share` all rungs' over the run's. What is trained stays in `--work`: the same command goes on
there. The last line has the form of those in tests/pretrain/ladder_recorded.jsonl, any of which `--again NAME` trains
again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import packed
import torch
from planted import CACHE

from pretrain.config import ModelConfig, PretrainConfig
from pretrain.inputs import open_inputs
from pretrain.ladder import Ladder, climb, measured
from pretrain.ladder_forecast import Curve
from pretrain.ladder_rungs import PARTS
from pretrain.shape import count_parameters
from pretrain.train import run
from shards.manifest import MANIFEST

# Tokens; characters of a novel that are one document.
SHARDS = {"vocabulary": 1024, "context": 128, "piece": 20_000}
BATCH = 4096  # tokens
RATIO = 20  # tokens of the run for each of its parameters: about the best use of compute (Hoffmann et al. 2022)
RECORDED = Path(__file__).parents[1] / "tests" / "pretrain" / "ladder_recorded.jsonl"


def settings(layers: int, hidden: int, seed: int) -> PretrainConfig:
    """The run that is forecast."""
    heads = 2  # as many as the narrowest rung can have
    model = ModelConfig(layers=layers, hidden=hidden, heads=heads, kv_heads=heads, intermediate=round(hidden * 8 / 3))
    each = RATIO * count_parameters(model, SHARDS["vocabulary"]).all // BATCH // PARTS
    return PretrainConfig.model_validate(
        {
            "name": f"layers-{layers}-hidden-{hidden}-seed-{seed}",
            "model": model.model_dump(),
            "batch_tokens": BATCH,
            "micro_batch": BATCH // SHARDS["context"],
            "steps": each * PARTS,
            "optimizer": {"lr": 4e-3},
            "schedule": {"kind": "cosine", "warmup": each * PARTS // 20, "final": 0.1},
            "evaluation": {"every": each, "rows": 256},
            "checkpoint": {"every": max(50, each), "keep": 1},
            "sample": {"prompts": []},
            "seed": seed,
        }
    )


def compared(config: PretrainConfig, work: Path) -> dict[str, Any]:
    """Forecast, then what came out."""
    shards, tokenizer = work / "shards", work / "tokenizer"
    began = time.perf_counter()
    found = climb(config, Ladder(), shards, tokenizer, work, lambda line: print(line, file=sys.stderr, flush=True))
    climbed = time.perf_counter() - began
    run(config, shards, tokenizer, work)
    losses = np.array(measured(work / "runs" / config.name))
    curve, rungs = Curve.model_validate(found["curve"]), found["rungs"]
    compute, inputs = [rung["compute"] for rung in rungs], open_inputs(shards, tokenizer)
    errors = np.array(curve.losses) / losses - 1
    return {
        "error": errors[-1],
        "stated_error": found["error"],
        "naive": rungs[0]["losses"][-1] / losses[-1] - 1,
        "errors": errors.round(4).tolist(),
        "tolerances": np.round(curve.tolerances, 4).tolist(),
        "compute_ratio": found["compute"] / compute[0],
        "rungs_share": sum(compute) / found["compute"],
        "epochs": found["tokens"] / (len(inputs.train) * inputs.header.context_length),
        "bytes_per_token": found["bytes_per_token"],
        "law": found["law"],
        "leave_one_out": found["leave_one_out"],
        "run": {key: found[key] for key in ("parameters", "tokens", "compute")} | {"losses": losses.tolist()},
        "rungs": rungs,
        "ladder_seconds": round(climbed, 1),
        "run_seconds": round(time.perf_counter() - began - climbed, 1),
    }


def main() -> None:
    recorded = {line["name"]: line for line in map(json.loads, RECORDED.read_text("utf-8").splitlines())}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=5, help="of the run")
    parser.add_argument("--hidden", type=int, default=72, help="width of the run, a multiple of 8")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--again", choices=recorded, help="a recorded run, with the shards and config that it had")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--work", type=Path, default=CACHE / "ladder", help="directory for shards and runs")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    config, sizes = settings(given.layers, given.hidden, given.seed), SHARDS
    if given.again:
        found = recorded[given.again]
        config, sizes = PretrainConfig.model_validate(found["config"]), found["shards"]
    work = given.work / "-".join(f"{name}-{size}" for name, size in sizes.items())
    if not (work / "shards" / MANIFEST).exists():
        groups = packed.tokenized(packed.texts(sizes["piece"]), work / "tokenizer", sizes["vocabulary"])
        tables = {group: packed.numbered(lists) for group, lists in groups.items()}
        packed.write(work / "shards", tables, work / "tokenizer", sizes["context"])
    told = {"name": config.name, "threads": given.threads, "shards": sizes, "config": config.model_dump(mode="json")}
    print(json.dumps({**told, **compared(config, work)}))


if __name__ == "__main__":
    main()
