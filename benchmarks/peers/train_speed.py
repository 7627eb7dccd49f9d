"""What `benchmarks/pretrain.py` measures: its programs, what they are given, and how their figures are put together."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import packed
import torch
from peers.environment import environment, versions
from peers.process import Failed, measured
from planted import CACHE
from safetensors.torch import load_file, save_file

from pretrain.config import PretrainConfig
from pretrain.data import Batch, spread_rows
from pretrain.evaluate import Float64, model_nats, score
from pretrain.export import model_config
from pretrain.inputs import Inputs, open_inputs
from pretrain.model import Decoder, parameter_count
from pretrain.optimizer import learning_rate_factor
from shards.manifest import MANIFEST

HERE = Path(__file__).parent
VOCABULARY, CONTEXT, BATCH = 4096, 512, 2  # rows of a batch
MODEL = {"layers": 7, "hidden": 320, "heads": 5, "kv_heads": 5, "intermediate": 832}  # 9.8M with that vocabulary
TINY = {"layers": 1, "hidden": 32, "heads": 2, "kv_heads": 2, "intermediate": 64}
WARM_UP = 0.2  # of the steps, which are not measured
NOISE = 0.02  # nats a token: so far apart are two programs after 400 steps that differ in rounding alone
OURS = ("bare", "ours", "ours_whole")
PEERS = {"litgpt": "run_litgpt.py", "trainer": "run_trainer.py"}  # in environments of these names
PACKAGES = {"litgpt": ["litgpt", "torch"], "trainer": ["transformers", "accelerate", "torch"]}


@dataclass(frozen=True)
class Setting:
    """What all programs are given, and on how many cores they run."""

    cache: Path
    data: Path  # tokenizer/, shards/, whole/
    work: Path
    config: PretrainConfig
    threads: int
    wait: str  # OMP_WAIT_POLICY
    limit: float  # seconds

    @property
    def plan(self) -> Path:
        return self.work / "plan"


def settings(steps: int, rate: float, tiny: bool, compiled: bool) -> PretrainConfig:
    return PretrainConfig.model_validate(
        {
            "name": "speed",
            "model": TINY if tiny else MODEL,
            "batch_tokens": BATCH * CONTEXT,
            "micro_batch": BATCH,
            "steps": steps,
            "optimizer": {"lr": rate},
            "schedule": {"kind": "cosine", "warmup": max(1, steps // 6), "final": 0.1},
            "evaluation": {"every": steps, "rows": 1},
            "checkpoint": {"every": steps, "keep": 1},
            "sample": {"prompts": []},
            "device": "cpu",
            "compile": compiled,
        }
    )


def write_plan(setting: Setting) -> Inputs:
    """plan.json, rows.npy (uint16 [steps * batch, L + 1], as we read them), initial/ (a Llama of transformers)."""
    config, inputs = setting.config, open_inputs(setting.data / "shards", setting.data / "tokenizer")
    header, steps = inputs.header, inputs.steps(config)
    (setting.plan / "initial").mkdir(parents=True)
    order = config.reading(header.context_length).order(inputs.train)
    np.save(setting.plan / "rows.npy", inputs.train.rows(order.at(np.arange(steps * BATCH))[1]))
    model = Decoder(config.model, header.vocabulary_size, config.seed)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    save_file(weights, setting.plan / "initial" / "model.safetensors", metadata={"format": "pt"})
    page = model_config(config.model, header, "float32")
    (setting.plan / "initial" / "config.json").write_text(json.dumps(page))
    rates = [config.optimizer.lr * learning_rate_factor(step, steps, config.schedule) for step in range(steps)]
    plan = {
        "config": config.model_dump(mode="json"),
        "data": str(setting.data),
        "vocabulary": header.vocabulary_size,
        "context": header.context_length,
        "batch": BATCH,
        "steps": steps,
        "rates": rates,
    }
    (setting.plan / "plan.json").write_text(json.dumps(plan))
    return inputs


def train(name: str, setting: Setting) -> dict[str, Any]:
    """Run a program once, and return what it says. Its weights stay in `work`/NAME. Raises Failed."""
    out = setting.work / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    ends: list[str | Path] = [setting.plan, out, str(setting.threads)]
    if name in PEERS:
        command = [environment(name, setting.cache), HERE / PEERS[name], *ends]
    else:
        command = [sys.executable, HERE / "run_our_training.py", name, *ends]
    env = {"OMP_NUM_THREADS": str(setting.threads), "OMP_WAIT_POLICY": setting.wait}
    if not setting.config.compile:
        env["TORCHDYNAMO_DISABLE"] = "1"  # litgpt has no option for it
    log = setting.work / f"{name}.log"
    took = measured(command, log, setting.threads, env, limit=setting.limit)
    found: dict[str, Any] = json.loads(log.read_text(errors="replace").splitlines()[-1])
    return {**found, "seconds": took.seconds, "cpu_seconds": took.cpu_seconds, "peak_mb": took.peak_mb}


def speed(stamps: list[float], tokens: int) -> float:
    """Tokens a second of steps of `tokens`, whose ends are `stamps` (the first is where they begin), after warm-up."""
    first = max(1, int(WARM_UP * (len(stamps) - 1)))
    return tokens * (len(stamps) - 1 - first) / (stamps[-1] - stamps[first])


def losses(weights: Path, inputs: Inputs, config: PretrainConfig, rows: int) -> dict[str, float]:
    """Nats a token on validation rows: where documents do not see each other, and where all of a row is seen."""
    model = Decoder(config.model, inputs.header.vocabulary_size)
    missing, unknown = model.load_state_dict(load_file(weights), strict=False)
    if unknown or missing not in ([], ["lm_head.weight"]):  # the output matrix is the embedding
        raise ValueError(f"{weights}: {missing} missing, {unknown} unknown")
    nats = model_nats(model, torch.device("cpu"))

    def by_row(batch: Batch) -> Float64:
        row = torch.zeros_like(batch.documents)
        places = torch.arange(row.shape[1]).expand_as(row)
        return nats(batch._replace(documents=row, positions=places))

    validation = inputs.validation
    assert validation is not None
    chosen = spread_rows(validation, rows)
    kinds: dict[str, Callable[[Batch], Float64]] = {"by_document": nats, "by_row": by_row}
    return {kind: score(each, validation, chosen, inputs.token_bytes, 8)["loss"] for kind, each in kinds.items()}


def measured_speeds(names: list[str], setting: Setting, rounds: int) -> dict[str, Any]:
    """All programs in turn, `rounds` times."""
    tokens = BATCH * write_plan(setting).header.context_length
    speeds: dict[str, list[float]] = {name: [] for name in names}
    facts: dict[str, Any] = {"data_wait": {}, "peak_mb": {}, "command_seconds": {}, "failed": {}}
    for _ in range(rounds):
        for name in names:
            load = os.getloadavg()[0]
            found = tried(name, setting, facts["failed"])
            if found is None:
                continue
            speeds[name].append(speed(found["stamps"], tokens))
            facts["peak_mb"][name], facts["command_seconds"][name] = found["peak_mb"], found["seconds"]
            if "waited" in found:
                waited = found["waited"][1:]
                facts["data_wait"].setdefault(name, []).append(sum(waited) / (found["stamps"][-1] - found["stamps"][1]))
            print(f"{name:12} {speeds[name][-1]:8.1f} tokens/s, load before {load:.2f}", flush=True)
    return {**compared(speeds), **facts}


def measured_losses(names: list[str], setting: Setting, rows: int, failed: dict[str, str]) -> dict[str, Any]:
    """What each program but the bare loop has learned at its end, by name. What fails is entered in `failed`."""
    inputs, found = write_plan(setting), {}
    for name in names:
        if name != "bare" and tried(name, setting, failed) is not None:
            found[name] = losses(setting.work / name / "model.safetensors", inputs, setting.config, rows)
            print(f"{name:12} {found[name]} at a learning rate of {setting.config.optimizer.lr:g}", flush=True)
    return found


def best(found: dict[float, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Of losses by learning rate, program and kind: of each program that had them all, the least."""
    names = [name for name in next(iter(found.values())) if all(name in one for one in found.values())]
    kinds = ("by_document", "by_row")
    return {name: {kind: min(one[name][kind] for one in found.values()) for kind in kinds} for name in names}


def tried(name: str, setting: Setting, failed: dict[str, str]) -> dict[str, Any] | None:
    """`train`, but None for a program that fails, or has failed before; why is entered in `failed`."""
    if name in failed:
        return None
    try:
        return train(name, setting)
    except (Failed, OSError, ValueError) as error:
        failed[name] = f"{type(error).__name__}: {error}"
        print(f"{name:12} {failed[name]}", flush=True)
        return None


def compared(speeds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, and ours over each of the others, round by round."""
    ratios = {
        name: [ours / other for ours, other in zip(speeds.get("ours", []), found)]
        for name, found in speeds.items()
        if name != "ours"
    }
    middle = {name: round(statistics.median(found), 3) if found else None for name, found in ratios.items()}
    return {
        "ratio": middle.get("litgpt"),
        "ratio_to_trainer": middle.get("trainer"),
        "share_of_bare": middle.get("bare"),
        "tokens_per_second": {n: round(statistics.median(found), 1) for n, found in speeds.items() if found},
        "ratios": {n: [round(min(found), 3), round(max(found), 3)] for n, found in ratios.items() if found},
        "rounds": {n: [round(one, 1) for one in found] for n, found in speeds.items()},
    }


def missed(page: dict[str, Any]) -> list[str]:
    """Which lines of what is wanted do not hold; a program that was not run misses none."""
    loss, wanted = page["loss"], []
    for key, least in (("share_of_bare", 0.9), ("ratio", 1.0), ("ratio_to_trainer", 1.0)):
        if page[key] is not None and page[key] < least:
            wanted.append(f"{key} {page[key]} < {least}")
    waits = page["data_wait"].get("ours", [])
    if waits and statistics.median(waits) >= 0.01:
        wanted.append(f"data_wait {statistics.median(waits):.4f} >= 0.01")
    for peer in PEERS:
        for one, kind in (("ours", "by_document"), ("ours_whole", "by_row")):
            if one in loss and peer in loss and loss[one][kind] > loss[peer][kind] + NOISE:
                wanted.append(f"loss {kind}: {one} {loss[one][kind]:.4f} > {peer} {loss[peer][kind]:.4f}")
    return wanted


def arguments(title: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=title, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help=f"of {BATCH} rows of {CONTEXT} tokens, in every round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loss-steps", type=int, default=400, help="after which the losses are compared")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 4e-3], help="learning rates to try for these")
    parser.add_argument("--rows", type=int, default=64, help="of validation")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--wait", choices=["active", "passive"], default="active", help="OMP_WAIT_POLICY of all")
    parser.add_argument("--compile", action="store_true", help="torch.compile for all, instead of for none")
    parser.add_argument("--without", nargs="*", default=[], choices=[*OURS, *PEERS], help="programs that are left out")
    parser.add_argument("--tiny", action="store_true", help="a model of no use, to try the script")
    parser.add_argument("--limit", type=float, default=900, help="seconds after which a program is given up")
    parser.add_argument("--cache", type=Path, default=CACHE, help="directory of shards and of peers' environments")
    return parser.parse_args()


def main(title: str) -> int:
    given = arguments(title)
    torch.set_num_threads(given.threads)
    cache = given.cache.resolve()
    work = cache / f"work-pretrain-{os.getpid()}"
    data = cache / "pretrain-data"
    if not (data / "whole" / MANIFEST).exists():
        packed.pack(packed.texts(), data, VOCABULARY, CONTEXT)
    names = [name for name in (*OURS, *PEERS) if name not in given.without]

    def setting(part: str, steps: int, rate: float) -> Setting:
        config = settings(steps, rate, given.tiny, given.compile)
        return Setting(cache, data, work / part, config, given.threads, given.wait, given.limit)

    speeds = setting("speed", given.steps, given.rates[0])
    model = Decoder(speeds.config.model, VOCABULARY)
    page = {"threads": given.threads, "wait": given.wait, "steps": given.steps, "compile": given.compile}
    page |= {"parameters": parameter_count(model), **measured_speeds(names, speeds, given.rounds)}
    found = {
        rate: measured_losses(names, setting(f"loss-{rate}", given.loss_steps, rate), given.rows, page["failed"])
        for rate in given.rates
    }
    page |= {"loss_tokens": given.loss_steps * BATCH * CONTEXT, "losses": found, "loss": best(found)}
    page["versions"] = {"ours": {"torch": version("torch")}}
    page["versions"] |= {
        name: versions(environment(name, cache), PACKAGES[name]) for name in PEERS if page["rounds"].get(name)
    }
    page["missed"] = missed(page)
    shutil.rmtree(work)
    print(json.dumps(page))
    return 1 if page["missed"] or page["failed"] else 0
