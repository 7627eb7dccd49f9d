"""Is a model better for what the cleaning keeps? A tiny model on the same pages three times, eight seeds each.

The pool is English pages: labelled pages of the web and a crawl of documentation (corpus_quality_pool.py). Trained on
are (a) all of their text, (b) what ours keeps by the shipped FineWeb recipe, (c) what datatrove 0.10.1's FineWeb recipe
keeps: the same model, tokenizer, number of tokens and learning rate, no row twice. A seed gives the three runs the same
initial weights and the same order of the documents that they share (corpus_quality_runs.py), so differences are taken
seed by seed. The learning rate is chosen once, on (a) with the seeds 0 and 1 (one that is good with one seed may be
unstable with the next): that with the lowest mean loss over the last tenth of the training, whose rows are new to the
model when it reads them.

Measured is what none of them saw (corpus_quality_sets.py): bits per byte of novels, code, a manual and main texts by
hand, and of the right answers of two tasks; the share of the cloze items in which the right answer is the likeliest of
four. Told first is the smallest difference that as many pairs find with a probability of 0.8 in a paired t-test at
0.05, from the standard deviation of the differences seen. Intervals are over seeds, not over texts, and not corrected
for their number.

A run is on one thread, `--cores` of them at a time. Corpora, texts and finished runs stay in `--cache`: an interrupted
benchmark goes on. The last line is a JSON object; below 0, a difference of bits per byte is in favour of the first.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import corpus_quality_pool as pool
import corpus_quality_sets as sets
import numpy as np
from corpus_quality_runs import MODEL, Corpus, Run, cached, encode, load, save
from corpus_quality_statistics import compare
from planted import CACHE

from tokenizer.encode import Encoder

RATES = (2e-3, 4e-3, 8e-3)
TRIED_SEEDS = (0, 1)
DIFFERENCES = (("ours", "all"), ("ours", "fineweb"), ("fineweb", "all"))

Results = dict[str, list[dict[str, Any]]]


def prepare(work: Path, cache: Path, cores: int) -> tuple[dict[str, Path], dict[str, Any]]:
    """The token file of each corpus, and what there is to tell of corpora and evaluation; what is there is kept."""
    texts = pool.make(work, cache, cores)
    evaluation = sets.make(work, cache, texts["all"])
    corpora = {name: tokenized(path, work) for name, path in texts.items()}
    told = pool.facts(texts)
    for name, path in corpora.items():
        told[name]["tokens"] = len(load(path).tokens)
    characters = {kind: sum(map(len, found)) for kind, found in evaluation["sets"].items()}
    items = {task: len(evaluation[task]) for task in ("cloze", "lines")}
    return corpora, {"corpora": told, "evaluation_characters": characters, "items": items}


def tokenized(texts: Path, work: Path) -> Path:
    path = texts.with_suffix(".npz")
    if not path.exists():
        encoder = Encoder(work / "tokenizer" / "tokenizer.json")
        found: Corpus = encode(encoder, *zip(*pool.read(texts)))
        save(path, found)
    return path


def runs(corpora: dict[str, Path], work: Path, seeds: int, tokens: int, cores: int) -> tuple[float, Results]:
    """The learning rate, and what is measured of the runs of each corpus, in the order of their seeds."""
    tokenizer, evaluation = work / "tokenizer" / "tokenizer.json", work / "evaluation.json"
    (work / "runs").mkdir(exist_ok=True)
    perform = partial(cached, folder=work / "runs")
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as processes:

        def told(asked: list[Run]) -> list[dict[str, Any]]:
            found = []
            for run, result in zip(asked, processes.map(perform, asked)):
                print(f"{run.corpus.stem:8} seed {run.seed} rate {run.rate:g} {result['seconds']:6.0f} s", flush=True)
                found.append(result)
            return found

        tried = told(
            [Run(corpora["all"], tokenizer, evaluation, seed, rate, tokens) for rate in RATES for seed in TRIED_SEEDS]
        )
        losses = np.reshape([result["last_losses"] for result in tried], (len(RATES), -1)).mean(axis=1)
        rate = RATES[int(losses.argmin())]
        asked = [
            Run(path, tokenizer, evaluation, seed, rate, tokens) for seed in range(seeds) for path in corpora.values()
        ]
        results = told(asked)
    return rate, {name: results[at :: len(corpora)] for at, name in enumerate(corpora)}


def differences(results: Results) -> dict[str, dict[str, Any]]:
    """Of each measure, `FIRST - SECOND` as corpus_quality_statistics says."""
    measures = {name: [result["measures"] for result in found] for name, found in results.items()}
    return {
        f"{first} - {second}": {
            measure: compare([row[measure] for row in measures[first]], [row[measure] for row in measures[second]])
            for measure in measures[first][0]
        }
        for first, second in DIFFERENCES
    }


def means(results: Results) -> dict[str, dict[str, float]]:
    return {
        name: {measure: float(np.mean([row["measures"][measure] for row in found])) for measure in found[0]["measures"]}
        for name, found in results.items()
    }


def show(averages: dict[str, dict[str, float]], found: dict[str, dict[str, Any]]) -> None:
    measures = list(averages["all"])
    print("\nsmallest difference found with a probability of 0.8")
    print(f"{'':24}" + "".join(f"{name:>28}" for name in found))
    for measure in measures:
        print(f"{measure:24}" + "".join(f"{rows[measure]['detectable']:28.4f}" for rows in found.values()))
    print(f"\nmeans\n{'':24}" + "".join(f"{name:>28}" for name in averages))
    for measure in measures:
        print(f"{measure:24}" + "".join(f"{row[measure]:28.4f}" for row in averages.values()))
    print(f"\ndifferences and 95% intervals\n{'':24}" + "".join(f"{name:>28}" for name in found))
    for measure in measures:
        cells = [(rows[measure]["mean"], *rows[measure]["interval"]) for rows in found.values()]
        print(f"{measure:24}" + "".join(f"{f'{mean:+.4f} [{low:+.4f}, {high:+.4f}]':>28}" for mean, low, high in cells))


def rounded(value: Any) -> Any:
    """Floats at five digits, in dictionaries and lists as well."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=1_000_000, help="of a run")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="runs at a time")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--prepare", action="store_true", help="make corpora and texts, and train nothing")
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error("--seeds: a difference needs two pairs or more")
    cache = given.cache.resolve()
    work = cache / "corpus-quality"
    corpora, facts = prepare(work, cache, given.cores)
    if given.prepare:
        print(json.dumps(facts))
        return
    least = min(facts["corpora"], key=lambda name: facts["corpora"][name]["tokens"])
    if (held := facts["corpora"][least]["tokens"]) < 1.01 * given.tokens:
        sys.exit(f"{least} has {held} tokens: --tokens must be lower, as no row is read twice")
    rate, results = runs(corpora, work, given.seeds, given.tokens, given.cores)
    found, averages = differences(results), means(results)
    show(averages, found)
    first = results["all"][0]
    told = {
        "detectable": {name: {key: row["detectable"] for key, row in rows.items()} for name, rows in found.items()},
        "means": averages,
        "differences": found,
        **facts,
        "learning_rate": rate,
        "seeds": given.seeds,
        "tokens": first["rows"] * 256,
        "parameters": first["parameters"],
        "model": MODEL.model_dump(),
        "run_seconds": float(np.mean([row["seconds"] for rows in results.values() for row in rows])),
        "cores": given.cores,
        "versions": {name: version(name) for name in ("gristmill", "torch", "numpy")} | {"datatrove": "0.10.1"},
    }
    print(json.dumps(rounded(told)))


if __name__ == "__main__":
    main()
