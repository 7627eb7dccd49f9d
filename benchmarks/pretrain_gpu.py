"""What part of a GPU's peak our training reaches: 124M and 1B parameters on one H100, bfloat16, torch.compile.

`pretrain.train.run` trains on shards of random tokens in documents of a web page's lengths (log-normal, median 400
tokens), several to a row, one after another with each of the settings below. `mfu` is that of `pretrain.flops`: what
the model has to compute, over the device's dense bfloat16 peak; attention to other documents, to the future and to
padding is not counted. It and tokens a second are medians over the steps after the first `WARM_UP`, in which kernels
are compiled. A shape's figure is that of its best setting; wanted: 0.38 for 124M, 0.50 for 1B. Lines that miss it are
listed in `missed`, and the status is 1; without a CUDA device nothing is measured, and the status is 2. `--shape tiny`
runs anywhere: it tries the script, and has no MFU where the device's peak is unknown. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from pretrain.config import ModelConfig, PretrainConfig
from pretrain.failures import ResourceError
from pretrain.flops import peak_flops
from pretrain.shape import count_parameters
from pretrain.train import run
from shards.format import Header
from shards.manifest import write_manifest
from shards.write import write_shard
from tokenizer.train import save, train
from tokenizer.vocabulary import sha256, special_ids

WARM_UP = 4  # steps
MEDIAN, SPREAD = 400, 1.0  # of a document's tokens, and of their logarithm
SHARD = 4_000_000  # tokens
WANTED = {"124M": 0.38, "1B": 0.50}


@dataclass(frozen=True)
class Shape:
    """A model, and the rows that it reads."""

    model: ModelConfig
    vocabulary: int
    context: int
    batch_tokens: int


SHAPES = {
    "124M": Shape(
        ModelConfig(layers=12, hidden=768, heads=12, kv_heads=12, intermediate=2048), 50_304, 1024, 512 * 1024
    ),
    "1B": Shape(ModelConfig(layers=20, hidden=2048, heads=16, kv_heads=4, intermediate=5504), 50_304, 2048, 512 * 1024),
    "tiny": Shape(ModelConfig(layers=2, hidden=32, heads=2, kv_heads=1, intermediate=64), 1024, 64, 512),
}


@dataclass(frozen=True)
class Setting:
    """How a shape is trained."""

    shape: str
    micro_batch: int
    activation_checkpointing: bool = False


SETTINGS = (
    Setting("124M", 8),
    Setting("124M", 16),
    Setting("124M", 32),
    Setting("1B", 4),
    Setting("1B", 8),
    Setting("1B", 16, activation_checkpointing=True),
    Setting("tiny", 4),
    Setting("tiny", 8, activation_checkpointing=True),
)


def lengths() -> Iterator[int]:
    """Tokens of one document after another, the same in every run."""
    random = np.random.default_rng(1)
    while True:
        yield from np.exp(random.normal(np.log(MEDIAN), SPREAD, 1000)).astype(int) + 2


def write_shards(work: Path, shape: Shape, tokens: int) -> None:
    """`work`/tokenizer, which knows few of the ids, and `work`/shards of random ones, at least `tokens` in all."""
    save(train(["no text"], vocab_size=300), work / "tokenizer")
    ids = special_ids(work / "tokenizer")
    header = Header(
        tokenizer_sha256=sha256(work / "tokenizer"),
        vocabulary_size=shape.vocabulary,
        context_length=shape.context,
        special_ids=ids,
        bos="<|bos|>",
        eos="<|endoftext|>",
        padding="<|padding|>",
        adds_bos=True,
        adds_eos=True,
        packing="best_fit",
        config_hash="benchmark",
        split="train",
        bucket="random",
    )
    random, drawn = np.random.default_rng(0), lengths()
    (work / "shards").mkdir()
    entries, made, number = [], 0, 0
    while made < tokens:
        documents, filled = [], 0
        while filled < min(SHARD, tokens - made):
            document = random.integers(max(ids.values()) + 1, shape.vocabulary, next(drawn), np.uint16)
            document[0], document[-1] = ids["<|bos|>"], ids["<|endoftext|>"]
            documents.append(document)
            filled += len(document)
        keys = pa.array([i.to_bytes(16) for i in range(number, number + len(documents))], pa.binary(16))
        column = pa.ListArray.from_arrays(
            np.cumsum([0, *map(len, documents)]).astype(np.int32), np.concatenate(documents)
        )
        table = pa.table({"document": keys, "cluster": keys, "tokens": column})
        entries.append(write_shard(work / "shards" / f"train-{len(entries):05}.arrow", table, header, seed=1))
        made, number = made + filled, number + len(documents)
    write_manifest(work / "shards", header.shared(), entries)


def measure(setting: Setting, steps: int, work: Path) -> dict[str, Any]:
    """Train under one setting. A device whose memory is too small is told in `failed`."""
    shape, name = SHAPES[setting.shape], "-".join(map(str, asdict(setting).values()))
    config = PretrainConfig.model_validate(
        {
            "name": name,
            "model": shape.model,
            "batch_tokens": shape.batch_tokens,
            "micro_batch": setting.micro_batch,
            "steps": WARM_UP + steps,
            "optimizer": {"lr": 3e-4},
            "schedule": {"warmup": 1},
            "evaluation": {"every": WARM_UP + steps},
            "checkpoint": {"every": WARM_UP + steps, "keep": 1},
            "sample": {"prompts": []},
            "compile": torch.cuda.is_available(),
            "activation_checkpointing": setting.activation_checkpointing,
        }
    )
    updates: list[dict[str, Any]] = []
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    row = {**asdict(setting), "context": shape.context, "batch_tokens": shape.batch_tokens}
    row["parameters"] = count_parameters(shape.model, shape.vocabulary).all
    try:
        run(config, work / "shards", work / "tokenizer", work, lambda event: updates.append(event))
    except ResourceError as error:
        return {**row, "failed": str(error)}
    finally:
        shutil.rmtree(work / "runs", ignore_errors=True)
    measured = [event for event in updates if event["kind"] == "train"][WARM_UP:]
    shares = [event["mfu"] for event in measured if event["mfu"] is not None]
    speeds = [event["tokens_per_second"] for event in measured]
    return {
        **row,
        "mfu": round(statistics.median(shares), 4) if shares else None,
        "tokens_per_second": round(statistics.median(speeds)),
        "data_wait": round(
            sum(e["data_seconds"] for e in measured) / (shape.batch_tokens * sum(1 / s for s in speeds)), 5
        ),
        "memory_mb": measured[-1]["memory_mb"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["124M", "1B"])
    parser.add_argument("--steps", type=int, default=12, help=f"that are measured, after {WARM_UP}")
    given = parser.parse_args()
    if not torch.cuda.is_available() and set(given.shape) - {"tiny"}:
        why = "PyTorch finds no CUDA device"
        print(f"not run: {why}", file=sys.stderr)
        print(json.dumps({"run": False, "why": why, "wanted": WANTED}))
        return 2
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    page: dict[str, Any] = {
        "run": True,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "peak_flops": peak_flops(device),
        "torch": torch.__version__,
        "settings": [],
    }
    for name in given.shape:
        with tempfile.TemporaryDirectory() as folder:
            write_shards(Path(folder), SHAPES[name], SHAPES[name].batch_tokens * (WARM_UP + given.steps))
            for setting in SETTINGS:
                if setting.shape == name:
                    page["settings"].append(measure(setting, given.steps, Path(folder)))
                    print(page["settings"][-1], flush=True)
    best = {
        name: max((row.get("mfu") or 0.0 for row in page["settings"] if row["shape"] == name), default=0.0) or None
        for name in given.shape
    }
    page["mfu"] = best
    page["missed"] = [
        f"{n}: mfu {best[n]} < {WANTED[n]}" for n in given.shape if n in WANTED and (best[n] or 0) < WANTED[n]
    ]
    print(json.dumps(page))
    return 1 if page["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
