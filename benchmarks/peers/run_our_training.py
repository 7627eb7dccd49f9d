"""Our training, or the bare loop: `python run_our_training.py (bare | ours | ours_whole) PLAN OUT THREADS`.

PLAN is the folder that `train_speed.py` makes. The last line is a JSON object: `stamps`, the seconds at which the first
step began and each ended; `waited`, seconds that each step waited for data. OUT/model.safetensors are the weights at
the end (not of the bare loop, which has learned nothing).
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from pretrain.checkpoint import latest, load
from pretrain.config import PretrainConfig
from pretrain.model import Decoder
from pretrain.optimizer import build_optimizers, set_learning_rate
from pretrain.train import run


def bare(config: PretrainConfig, plan: dict[str, Any]) -> dict[str, Any]:
    """Random tokens, drawn beforehand; updates, and no loss is looked at."""
    torch.manual_seed(0)
    rows = torch.randint(plan["vocabulary"], (plan["steps"], plan["batch"], plan["context"] + 1))
    model = Decoder(config.model, plan["vocabulary"], config.seed)
    if config.compile:
        model.compile()
    optimizers = build_optimizers(model, config.optimizer)
    stamps = [time.perf_counter()]
    for batch, rate in zip(rows, plan["rates"]):
        set_learning_rate(optimizers, rate / config.optimizer.lr)
        logits = model(batch[:, :-1])
        F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        stamps.append(time.perf_counter())
    return {"stamps": stamps}


def ours(config: PretrainConfig, plan: dict[str, Any], shards: Path, tokenizer: Path, out: Path) -> dict[str, Any]:
    """A whole run; its last step ends when its checkpoint has been taken."""
    stamps: list[float] = []
    waited: list[float] = []

    def on_event(event: dict[str, Any]) -> None:
        now = time.perf_counter()
        if event["kind"] in ("start", "train"):
            stamps.append(now)
        if event["kind"] == "train":
            waited.append(event["data_seconds"])
        if event["kind"] == "checkpoint":
            stamps[-1] = now

    run(config, shards, tokenizer, out, on_event)
    model = Decoder(config.model, plan["vocabulary"])
    newest = latest(out / "runs" / config.name / "checkpoints")
    assert newest is not None
    load(newest, model)
    save_file({name: weight.detach() for name, weight in model.named_parameters()}, out / "model.safetensors")
    return {"stamps": stamps, "waited": waited}


def main(who: str, folder: Path, out: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    plan = json.loads((folder / "plan.json").read_text())
    config = PretrainConfig.model_validate(plan["config"])
    if who == "bare":
        found = bare(config, plan)
    else:
        data = Path(plan["data"])
        found = ours(config, plan, data / ("shards" if who == "ours" else "whole"), data / "tokenizer", out)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
