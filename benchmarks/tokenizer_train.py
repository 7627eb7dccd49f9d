"""Training a byte-level BPE on the same texts: ours, Hugging Face's trainer, rustbpe; seconds, memory, same merges.

The texts are the first of `pack_corpus.py`'s. Each trainer runs in a process of its own on the same cores, with the
same split pattern and size of vocabulary. `seconds` go from the first text to the last merge: texts are read from
Parquet as they are asked for, interpreter and imports are left out, and our kernels are compiled before (a first run on
one file). Our counting is that of one of Spark's tasks: on one core, whatever `--cores` says. `same_merges`: whether a
trainer's merges are ours, pair for pair and in order; `same_tokens`, how many of the learnt tokens before the first
that differs; rustbpe tells tokens and not pairs, and breaks ties in another way. `ratio` is Hugging Face's seconds over
ours. A trainer that cannot be installed or run has no figures, and `failed` says why.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pack_corpus
from peers.environment import environment, versions
from peers.process import Failed, measured
from planted import CACHE

from tokenizer.patterns import pattern_by_name

SCRIPT = Path(__file__).parent / "peers" / "run_tokenizer_train.py"
PEERS = {"huggingface": "tokenizers", "rustbpe": "rustbpe"}  # and the environment of each


def train(name: str, files: list[Path], given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """What a trainer took, and its versions; what it learnt is `work`/NAME.json. Raises Failed."""
    pattern = given.pattern if name == "ours" else pattern_by_name(given.pattern)
    python = Path(sys.executable) if name == "ours" else environment(PEERS[name], given.cache)
    log = work / f"{name}.log"
    command: list[str | Path] = [python, SCRIPT, name, str(given.vocabulary), pattern, work / f"{name}.json", *files]
    found = measured(command, log, given.cores, {"RAYON_NUM_THREADS": str(given.cores)}, limit=given.limit)
    told = json.loads(log.read_text().splitlines()[-1])
    release = {"gristmill": version("gristmill")} if name == "ours" else versions(python, [PEERS[name]])
    return {**told, "cpu_seconds": found.cpu_seconds, "peak_mb": found.peak_mb, "versions": release}


def compared(name: str, work: Path) -> dict[str, Any]:
    """How far what a peer learnt is what we learnt."""
    ours, theirs = (json.loads((work / f"{who}.json").read_text()) for who in ("ours", name))
    pairs = zip(ours["tokens"], theirs["tokens"])
    same = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(ours["tokens"]), len(theirs["tokens"])))
    merges = None if theirs["merges"] is None else ours["merges"] == theirs["merges"]
    return {"same_merges": merges, "same_tokens": same, "learnt": len(theirs["tokens"])}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=250_000_000, help="of text")
    parser.add_argument("--vocabulary", type=int, default=50_000, help="tokens, the 256 bytes among them")
    parser.add_argument("--pattern", default="cl100k", help="how texts are split, by name")
    parser.add_argument("--cores", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--limit", type=float, default=3_600, help="seconds after which a trainer is given up")
    parser.add_argument("--cache", type=Path, default=CACHE, help="directory of texts and of peers' environments")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    given.cache = given.cache.resolve()
    work = given.cache / "work-tokenizer-train"
    work.mkdir(parents=True, exist_ok=True)
    chosen, texts = pack_corpus.choose(pack_corpus.fetch(given.cache, given.cores), given.bytes)
    files = [file for paths in chosen.values() for file in paths]
    train("ours", files[:1], given, work)
    facts: dict[str, Any] = {"texts": texts, "vocabulary": given.vocabulary, "cores": given.cores}
    failed: dict[str, str] = {}
    for name in ("ours", *PEERS):
        load = round(os.getloadavg()[0], 2)
        try:
            row = train(name, files, given, work) | {"load_before": load}
            row |= compared(name, work)
        except (Failed, OSError, ValueError) as error:
            failed[name] = f"{type(error).__name__}: {error}"
            print(f"{name:12} {failed[name]}", flush=True)
            continue
        facts[name] = row
        print(f"{name:12} {row['seconds']:8.1f} s {row['cpu_seconds']:8.1f} processor s {row['peak_mb']:8.0f} MB")
    if "ours" in facts and "huggingface" in facts:
        facts["ratio"] = round(facts["huggingface"]["seconds"] / facts["ours"]["seconds"], 2)
    print(json.dumps({**facts, "failed": failed}))


if __name__ == "__main__":
    main()
