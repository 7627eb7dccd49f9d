"""How well five small runs forecast the final loss of one with ten times the compute of the largest of them.

Real texts, novels and the main texts of web pages below $GRISTMILL_DATA, are tokenized and packed here, without Spark:
two buckets, a twentieth of the documents held out. `gristmill pretrain ladder` forecasts a run on them, which is then
trained. `error` is how much the forecast is above the loss that came out, as a part of it, `errors` the same along the
curve; `naive` is the error of the guess that the larger run ends as the largest rung does. `compute_ratio` is 6 N D of
the run over that of the largest rung, `rungs_share` all rungs' over the run's. `--size` multiplies parameters and
tokens of the run, so its square the seconds. What is trained stays in `--work`: the same command goes on there.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from planted import CACHE

from pretrain.config import PretrainConfig
from pretrain.inputs import open_inputs
from pretrain.ladder import Ladder, climb, measured
from pretrain.ladder_forecast import Curve
from pretrain.ladder_rungs import PARTS
from pretrain.train import run
from shards.format import Header
from shards.manifest import MANIFEST, write_manifest
from shards.write import write_shard
from tokenizer.encode import load
from tokenizer.train import save, train
from tokenizer.vocabulary import sha256, special_ids

DATA = Path(os.environ.get("GRISTMILL_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
VOCABULARY, CONTEXT, BATCH = 1024, 128, 2048  # tokens
WIDTH, LAYERS, TOKENS = 128, 4, 4_000_000  # of the run, at size 1
PIECE = 20_000  # characters of a novel that are one document
HELD_OUT = 20  # one document in so many


def texts() -> Iterator[tuple[str, str]]:
    """Bucket and text of every document, in an order that is always the same."""
    for path in sorted((DATA / "books").glob("eltec/*/*.txt.gz")):
        novel = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        yield from (("books", novel[begin : begin + PIECE]) for begin in range(0, len(novel), PIECE))
    with gzip.open(DATA / "web" / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from (("pages", text) for line in lines if (text := json.loads(line)["text"]))


def prepare(work: Path) -> None:
    """tokenizer/ and shards/ of the texts."""
    found = list(dict.fromkeys(texts()))
    if not (work / "tokenizer").exists():
        save(
            train((text for _, text in found[:: max(1, len(found) // 500)]), vocab_size=VOCABULARY), work / "tokenizer"
        )
    encoder, ids = load(work / "tokenizer"), special_ids(work / "tokenizer")
    groups: dict[tuple[str, str], list[tuple[bytes, list[int]]]] = {}
    for bucket, text in found:
        key = hashlib.md5(text.encode()).digest()
        split = "validation" if key[0] % HELD_OUT == 0 else "train"
        tokens = [ids["<|bos|>"], *encoder.encode(text).tolist(), ids["<|endoftext|>"]]
        groups.setdefault((split, bucket), []).append((key, tokens))
    (work / "shards").mkdir(parents=True, exist_ok=True)
    entries = []
    for (split, bucket), documents in sorted(groups.items()):
        keys = pa.array([key for key, _ in documents], pa.binary(16))
        lists = pa.array([tokens for _, tokens in documents], pa.list_(pa.uint16()))
        header = Header(
            tokenizer_sha256=sha256(work / "tokenizer"),
            vocabulary_size=encoder.vocabulary_size,
            context_length=CONTEXT,
            special_ids=ids,
            bos="<|bos|>",
            eos="<|endoftext|>",
            padding="<|padding|>",
            adds_bos=True,
            adds_eos=True,
            packing="concatenate",
            config_hash="benchmark",
            split=split,
            bucket=bucket,
        )
        table = pa.table({"document": keys, "cluster": keys, "tokens": lists})
        entries.append(write_shard(work / "shards" / f"{split}-{bucket}-00000.arrow", table, header, seed=1))
    write_manifest(work / "shards", header.shared(), entries)


def settings(size: float) -> PretrainConfig:
    """The run that is forecast."""
    tokens, hidden = round(TOKENS * size), 8 * round(WIDTH * size**0.5 / 8)
    each = max(1, tokens // BATCH // PARTS)
    return PretrainConfig.model_validate(
        {
            "name": f"whole-{size:g}",
            "model": {"layers": LAYERS, "hidden": hidden, "heads": 4, "kv_heads": 4, "intermediate": hidden * 8 // 3},
            "batch_tokens": BATCH,
            "micro_batch": BATCH // CONTEXT,
            "steps": each * PARTS,
            "optimizer": {"lr": 3e-3},
            "schedule": {"kind": "cosine", "warmup": each * PARTS // 20, "final": 0.1},
            "evaluation": {"every": each, "rows": 256},
            "checkpoint": {"every": max(50, each), "keep": 1},
            "sample": {"prompts": []},
        }
    )


def compared(config: PretrainConfig, work: Path) -> dict[str, Any]:
    """Forecast, then what came out."""
    shards, tokenizer = work / "shards", work / "tokenizer"
    began = time.perf_counter()
    output = work / config.name
    found = climb(config, Ladder(), shards, tokenizer, output, lambda line: print(line, file=sys.stderr, flush=True))
    climbed = time.perf_counter() - began
    parameters = run(config, shards, tokenizer, output)["parameters"]
    losses = np.array(measured(output / "runs" / config.name))
    curve, rungs = Curve.model_validate(found["curve"]), found["rungs"]
    compute = [rung["parameters"]["all"] * rung["tokens"] for rung in rungs]
    errors = np.array(curve.losses) / losses - 1
    return {
        "loss": losses[-1],
        "forecast": curve.losses[-1],
        "error": errors[-1],
        "errors": errors.round(4).tolist(),
        "naive": rungs[0]["losses"][-1] / losses[-1] - 1,
        "stated_error": found["error"],
        "tolerance": curve.tolerance,
        "parameters": parameters,
        "tokens": found["tokens"],
        "epochs": found["tokens"] / (len(open_inputs(shards, tokenizer).train) * CONTEXT),
        "compute_ratio": parameters * found["tokens"] / compute[0],
        "rungs_share": sum(compute) / (parameters * found["tokens"]),
        "law": found["law"],
        "leave_one_out": found["leave_one_out"],
        "rungs": [[rung["parameters"]["all"], rung["tokens"], rung["losses"][-1]] for rung in rungs],
        "ladder_seconds": round(climbed, 1),
        "run_seconds": round(time.perf_counter() - began - climbed, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=1.0, help="of the run: 0.9M parameters on 4M tokens at 1")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--work", type=Path, default=CACHE / "ladder", help="directory for shards and runs")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if not (given.work / "shards" / MANIFEST).exists():
        prepare(given.work)
    print(json.dumps({"size": given.size, "threads": given.threads, **compared(settings(given.size), given.work)}))


if __name__ == "__main__":
    main()
