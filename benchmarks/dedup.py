"""Deduplication of the same texts on the same cores: ours, datatrove, text-dedup, datasketch.

The texts are `planted.py`'s: Parquet of (id, text). Each program runs in processes of its own, held to the same cores,
from those files to the documents that stay, and its seconds are the wall clock of its whole command, from the start of
its interpreter (and of Spark) to its end. Before that it has run once over 2,000 documents (ours after `gristmill
warm-up`, as an installation should be), so that kernels and bytecode are compiled, and the texts have been read, so
that they lie in the page cache.

- ours: `gristmill run --until corpus` without signals and rules: Parquet is read, documents are written (ingest),
  measured (annotate), compared (match), chosen (judge), and the texts that stay are written (corpus). Candidates are
  verified on all their shingles. `ours_deciding_seconds` is annotate + match + judge alone, from stages.json.
- datatrove: signature, buckets, cluster, filter, with its defaults; the texts that stay are written. One document of
  each connected component stays.
- text-dedup: `python -m text_dedup.minhash`, 128 permutations, threshold 0.8, candidates verified as in its README
  (unverified, 0.4.1 drops all members of a cluster); the texts that stay are written.
- datasketch: MinHash and MinHashLSH in one process on one core; the ids of those that stay are written.

`recall`: of pairs that are all of their family, by the level nearest to their similarity, the share of which one
document stays and one goes. Ours drops only what is verified to be 0.8 similar: below, it is low as it should be, and
at the level 0.8, which begins at 0.775, it is about the share of pairs at 0.8 or more, `similar`. `missed`: pairs of
0.8 or more of which both stay. `unfounded`: documents dropped though no document that stays is 0.8 similar.
`ratio` is datatrove's seconds over ours. A program that cannot be installed or run is named in `failed`, and why.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from peers import ours
from peers.agreement import THRESHOLD, agreement, mask
from peers.environment import environment, python312, versions
from peers.process import Failed, Measured, measured

from filters import minhash
from filters.batch import TextBatch

HERE = Path(__file__).parent
WARM_DOCUMENTS = 2_000


@dataclass(frozen=True)
class Setting:
    """Where and on how many cores contenders run."""

    cache: Path
    cores: int
    limit: float  # seconds


@dataclass(frozen=True)
class Outcome:
    """What a contender took, and the ids of the documents that stay: int64[...]."""

    measured: Measured
    kept: np.ndarray
    versions: dict[str, str]
    steps: dict[str, float] = field(default_factory=dict)  # seconds, where it tells


def run_ours(texts: Path, work: Path, setting: Setting) -> Outcome:
    found, stages = ours.run(texts, work, setting.cores, setting.limit)
    steps = {name: round(stage["seconds"], 2) for name, stage in stages.items()}
    return Outcome(found, ours.kept(work), {name: version(name) for name in ("gristmill", "pyspark", "numba")}, steps)


def run_datatrove(texts: Path, work: Path, setting: Setting) -> Outcome:
    python = environment("datatrove", setting.cache)
    command: list[str | Path] = [python, HERE / "peers" / "run_datatrove.py", texts, work, str(setting.cores)]
    found = measured(command, work / "log", setting.cores, limit=setting.limit)
    steps = json.loads((work / "log").read_text().splitlines()[-1])
    kept = [int(json.loads(line)["id"]) for path in (work / "kept").glob("*.jsonl") for line in path.open()]
    return Outcome(found, np.asarray(kept), versions(python, ["datatrove", "spacy", "numpy"]), steps)


def run_text_dedup(texts: Path, work: Path, setting: Setting) -> Outcome:
    python = environment("text-dedup", setting.cache, python312())
    (work / "config.toml").write_text(
        f"""
        [input]
        input_type = "local_files"
        file_type = "parquet"
        [input.read_arguments]
        path = "parquet"
        data_files = "{texts}/*.parquet"
        split = "train"
        [algorithm]
        algorithm_name = "minhash"
        text_column = "text"
        num_perm = 128
        threshold = {THRESHOLD}
        ngram_size = {planted.NGRAM}
        num_proc = {setting.cores}
        check_false_positive = true
        [output]
        output_dir = "kept"
        [debug]
        enable_profiling = false
        """
    )
    env = {"HF_HOME": str(work / "cache"), "HF_HUB_OFFLINE": "1", "POLARS_MAX_THREADS": str(setting.cores)}
    command: list[str | Path] = [python, "-m", "text_dedup.minhash"]
    found = measured(command, work / "log", setting.cores, env, work, setting.limit)
    ids = [pa.ipc.open_stream(path).read_all()["id"] for path in (work / "kept").glob("*.arrow")]
    kept = pa.chunked_array([chunk for column in ids for chunk in column.chunks]).to_numpy().astype(np.int64)
    return Outcome(found, kept, versions(python, ["text-dedup", "datasets", "polars"]))


def run_datasketch(texts: Path, work: Path, setting: Setting) -> Outcome:
    python = environment("datasketch", setting.cache)
    command: list[str | Path] = [python, HERE / "peers" / "run_datasketch.py", texts, work / "kept"]
    found = measured(command, work / "log", setting.cores, limit=setting.limit)
    return Outcome(found, np.loadtxt(work / "kept", np.int64, ndmin=1), versions(python, ["datasketch", "numpy"]))


def warm_up() -> None:
    """What `gristmill warm-up` prepares once for all runs."""
    subprocess.run([Path(sys.executable).with_name("gristmill"), "warm-up"], check=True)


CONTENDERS: dict[str, Callable[[Path, Path, Setting], Outcome]] = {
    "ours": run_ours,
    "datatrove": run_datatrove,
    "text_dedup": run_text_dedup,
    "datasketch": run_datasketch,
}


def compete(name: str, texts: Path, small: Path, work: Path, setting: Setting) -> Outcome:
    """Run a contender over few texts, then over all. Raises Failed."""
    for part in (small, texts):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for path in sorted(part.glob("*.parquet")):
            path.read_bytes()
        outcome = CONTENDERS[name](part, work, setting)
    return outcome


def judge(kept: np.ndarray, documents: int, pairs: pa.Table) -> dict[str, Any]:
    """How many documents stay, and how that agrees with the planted pairs."""
    stays = mask(kept, documents)
    a, b, jaccard, lone = (column.to_numpy() for column in pairs.columns)
    one, levels = stays[a] ^ stays[b], planted.level_of(jaccard)
    recall = {str(level): round(float(one[lone & (levels == level)].mean()), 4) for level in planted.LEVELS}
    return {"recall": recall, **agreement(stays, a, b, jaccard)}


def signatures_mb_per_second(texts: Path) -> float:
    """Words and signatures of the texts in memory, in this process on one core: the median of three passes."""
    batches = [
        batch["text"] for path in sorted(texts.glob("*.parquet")) for batch in pq.ParquetFile(path).iter_batches(2_000)
    ]
    megabytes = sum(pc.sum(pc.binary_length(batch)).as_py() for batch in batches) / 1e6
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    minhash.signatures(TextBatch(batches[0]))
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        for batch in batches:
            minhash.signatures(TextBatch(batch))
        seconds.append(time.perf_counter() - started)
    os.sched_setaffinity(0, allowed)
    return round(megabytes / statistics.median(seconds), 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--cores", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--limit", type=float, default=3_600, help="seconds after which a contender is given up")
    parser.add_argument(
        "--cache", type=Path, default=planted.CACHE, help="directory of texts and of the peers' virtual environments"
    )
    return parser.parse_args()


def main() -> None:
    given = arguments()
    cache = given.cache.resolve()
    folder, small = cache / f"planted-{given.documents}", cache / f"planted-{WARM_DOCUMENTS}"
    for place, documents in ((folder, given.documents), (small, WARM_DOCUMENTS)):
        planted.write(place, documents)
    pairs = pq.read_table(folder / "pairs.parquet")
    setting = Setting(cache, given.cores, given.limit)
    facts: dict[str, Any] = {"cores": given.cores, **planted.describe(folder)}
    tables: dict[str, dict[str, Any]] = {}
    failed = {}
    if "ours" in given.contenders:
        warm_up()
    for name in given.contenders:
        load = round(os.getloadavg()[0], 2)
        try:
            outcome = compete(name, folder / "texts", small / "texts", cache / f"work-{name}", setting)
        except Failed as error:
            failed[name] = str(error)
            print(f"{name:11} {error}", flush=True)
            continue
        took = outcome.measured
        facts[f"{name}_seconds"] = took.seconds
        row: dict[str, Any] = {"cpu_seconds": took.cpu_seconds, "peak_mb": took.peak_mb, "load_before": load}
        row |= judge(outcome.kept, given.documents, pairs) | {"versions": outcome.versions}
        row |= {"step_seconds": outcome.steps} if outcome.steps else {}
        for key, value in row.items():
            tables.setdefault(key, {})[name] = value
        print(f"{name:11} {took.seconds:8.1f} s {took.peak_mb:9.0f} MB, {row['kept']:,} stay", flush=True)
    facts["signatures_mb_per_second"] = signatures_mb_per_second(folder / "texts")
    if "ours_seconds" in facts:
        facts["ours_deciding_seconds"] = round(sum(tables["step_seconds"]["ours"][stage] for stage in ours.DECIDING), 2)
        if "datatrove_seconds" in facts:
            facts["ratio"] = round(facts["datatrove_seconds"] / facts["ours_seconds"], 2)
    print(json.dumps({**facts, **tables, "failed": failed}))


if __name__ == "__main__":
    main()
