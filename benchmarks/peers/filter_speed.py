"""What benchmarks/filters.py measures, and how."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import planted
import pyarrow as pa
import pyarrow.parquet as pq
from peers import texts
from peers.environment import environment, versions
from peers.process import measured

from filters import importance, learned_training, unigram
from pipelines import annotate, datasets

HERE = Path(__file__).parents[1]
LARGE = 100_000_000  # bytes
WANTED = {"ratio": 40, "signals_mb_per_second": 15, "annotate_mb_per_second": 3}
GROWTH = 1.1  # of peak memory, that ten times as many documents may take
GROUP_BYTES = 16_000_000  # of a row group, as ingest writes them

Facts = dict[str, Any]


def documents(pages: list[texts.Text], first: int = 0) -> pa.Table:
    """Pages as rows of documents/."""
    columns = {
        "doc_id": [f"{first + at:032x}" for at in range(len(pages))],
        "source": ["pages"] * len(pages),
        "uri": [f"https://{page.name}" for page in pages],
        "text": [page.text for page in pages],
        "meta": [[] for _ in pages],
    }
    return pa.table(columns, schema=datasets.DOCUMENTS)


def write(path: Path, pages: list[texts.Text], times: int) -> None:
    """The pages, so many times over, in row groups as ingest writes them."""
    with pq.ParquetWriter(path, datasets.DOCUMENTS, compression="zstd") as writer:
        pending: list[texts.Text] = []
        size = row = 0
        for page in itertools.chain.from_iterable(itertools.repeat(pages, times)):
            pending.append(page)
            size += len(page.text.encode())
            if size >= GROUP_BYTES:
                writer.write_table(documents(pending, row), len(pending))
                row, size, pending = row + len(pending), 0, []
        if pending:
            writer.write_table(documents(pending, row), len(pending))


def large(pages: list[texts.Text]) -> texts.Text:
    """One document of LARGE bytes or little more."""
    parts, size = [], 0
    for page in itertools.cycle([*pages, *texts.novels()]):
        parts.append(page.text)
        size += len(page.text.encode()) + 1
        if size >= LARGE:
            return texts.Text("large", "\n".join(parts))
    raise AssertionError


def make_models(folder: Path) -> None:
    """Small models for the families that the package ships none for: gold pages against the labelled ones."""
    folder.mkdir(exist_ok=True)
    gold, labelled = [page.text for page in texts.gold()], [page.text for page in texts.labelled()]
    learned_training.train(gold, labelled, folder / "learned.ftz")
    importance.make(gold, labelled, folder / "weights.parquet")
    unigram.make(gold + labelled, folder / "frequencies.parquet")


def ours(kind: str, path: Path, work: Path, limit: float) -> Facts:
    """What peers/run_our_filters.py tells, and its peak memory."""
    command: list[str | Path] = [sys.executable, "-m", "peers.run_our_filters", kind, path, work / "models"]
    found = measured(command, work / "log", 1, cwd=HERE, limit=limit)
    told: Facts = json.loads((work / "log").read_text().splitlines()[-1]) | {"peak_mb": found.peak_mb}
    print(f"ours {kind} {told}", flush=True)
    return told


def datatrove(path: Path, work: Path, python: Path, limit: float) -> Facts:
    measured([python, HERE / "peers" / "run_datatrove_filters.py", "speed", path], work / "log", 1, limit=limit)
    told: Facts = json.loads((work / "log").read_text().splitlines()[-1])
    print(f"datatrove {told}", flush=True)
    return told


def speed(pages: list[texts.Text], work: Path, python: Path, limit: float) -> Facts:
    path = work / "pages.parquet"
    write(path, pages, 1)
    rules, its, signals, whole = (
        ours("rules", path, work, limit),
        datatrove(path, work, python, limit),
        ours("signals", path, work, limit),
        ours("annotate", path, work, limit),
    )
    rate = {
        "ours": rules["documents"] / rules["seconds"],
        "datatrove": its["documents"] / its["every_seconds"],
        "datatrove_chain": its["documents"] / its["chain_seconds"],
    }
    return {
        "documents": rules["documents"],
        "text_mb": round(rules["bytes"] / 1e6, 2),
        **{f"{name}_documents_per_second": round(value, 1) for name, value in rate.items()},
        "ratio": round(rate["ours"] / rate["datatrove"], 1),
        "ratio_chain": round(rate["ours"] / rate["datatrove_chain"], 1),
        "rules_mb_per_second": round(rules["bytes"] / rules["seconds"] / 1e6, 1),
        "signals_mb_per_second": round(signals["bytes"] / signals["seconds"] / 1e6, 1),
        "signals_clock_mb_per_second": round(signals["bytes"] / signals["clock"] / 1e6, 1),
        "annotate_mb_per_second": round(whole["bytes"] / whole["seconds"] / 1e6, 2),
        "annotate_clock_mb_per_second": round(whole["bytes"] / whole["clock"] / 1e6, 2),
    }


def memory(pages: list[texts.Text], times: int, work: Path, limit: float) -> Facts:
    peaks = []
    for factor in (1, 10):
        path = work / "many.parquet"
        write(path, pages, times * factor)
        peaks.append(ours("once", path, work, limit)["peak_mb"])
    path.unlink()
    few = len(pages) * times
    return {"memory_documents": [few, 10 * few], "memory_mb": peaks, "memory_growth": round(peaks[1] / peaks[0], 3)}


def one_large(pages: list[texts.Text], work: Path, limit: float) -> Facts:
    path = work / "large.parquet"
    pq.write_table(documents([large(pages)]), path)
    told = ours("once", path, work, limit)
    path.unlink()
    return {"large_mb": round(told["bytes"] / 1e6, 1), "large_seconds": round(told["clock"], 1),
            "large_peak_mb": told["peak_mb"]}  # fmt: skip


def main(title: str) -> int:
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--cache", type=Path, default=planted.CACHE, help="directory of the peers' environments")
    parser.add_argument("--times", type=int, default=4, help="N is the pages so many times over")
    parser.add_argument("--limit", type=float, default=7_200, help="seconds after which a program is given up")
    given = parser.parse_args()
    work = given.cache.resolve() / "work-filters"
    work.mkdir(parents=True, exist_ok=True)
    python = environment("datatrove-filters", given.cache.resolve())
    pages = [*texts.gold(), *texts.labelled()]
    make_models(work / "models")
    told = speed(pages, work, python, given.limit)
    told |= memory(pages, given.times, work, given.limit) | one_large(pages, work, given.limit)
    missed = [name for name, least in WANTED.items() if told[name] < least]
    missed += ["memory_growth"] if told["memory_growth"] > GROWTH else []
    told |= {
        "missed": missed,
        "families": [name for name in annotate.FAMILIES if name != "detoxify"],
        "cores": 1,
        "machine_cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("gristmill", "numba", "pyarrow")}
        | versions(python, ["datatrove", "spacy"]),
    }
    print(json.dumps(told))
    return 1 if missed else 0
