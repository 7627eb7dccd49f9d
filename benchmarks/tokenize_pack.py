"""From corpus to verified shards: ours, datatrove, Megatron-style preprocessing, and a bare encoding loop.

The texts are `pack_corpus.py`'s. `gristmill run --until tokenizer` makes a corpus and a tokenizer of them once (kept
below the cache, not timed), and everyone encodes that corpus with that tokenizer.json on the same cores:

- ours: what jobs/pack.py does, from the start of its interpreter to the end of `gristmill shards verify`: Spark starts,
  `corpus/` is encoded into `tokens/`, shuffled, packed, written, read back, and verified. `ours_parts` are the seconds
  and processor seconds of each part (but for the end of Spark). `ours_fast`: the same with the fast engine (fastokens).
- loop_threads, loop_processes: nothing but `encode_batch_fast`, in one process with its own threads and in a process
  per core; only the seconds inside of the call count (`command_seconds` are those of the whole command). The better on
  a part of the corpus is run on all of it: `loop`. Our workers have mimalloc, with which the library is faster than
  with the C library's malloc; `loop_mimalloc` is the loop in processes with it, on the part.
- megatron_style: a pool of processes writes .bin and .idx from JSONL. datatrove: DocumentTokenizer, then its merger.
  Both on a part of the corpus that has the same mix (`--peer-bytes`), since they are slow.

All must find the same number of tokens. `share_of_loop` is our speed over the loop's, `fast_over_loop` that of the fast
engine, `packing_share` the seconds from the last encoded document to the last shard over those from the first document
to the last encoded. `ratio` is our speed over datatrove's. Shards are then read: `open_seconds`, for `--shards` files
from opening to the first batch of 32 rows, in a fresh process, without its imports; `million_tokens_per_second`, of
rows drawn at random and of rows in the order of training, on one core. Caches of files are warm, kernels compiled. A
program that cannot be installed or run has no figures, and `failed` says why.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pack_corpus
import yaml
from peers import pack_contenders as contenders
from peers.pack_contenders import Outcome, Setting
from peers.pack_texts import Texts, write_texts
from peers.process import Failed, measured
from peers.read_shards import many
from planted import CACHE

from pipelines import allocator
from shards.manifest import read_manifest

HERE = Path(__file__).parent
KINDS = {"documentation": "text", "source": "code"}


def prepare(texts: dict[str, list[Path]], run: Path, setting: Setting) -> None:
    """Make an output directory `run`/output of the texts, up to its tokenizer, or bring it up to date."""
    run.mkdir(exist_ok=True)
    columns = {"columns": {"uri": "id", "meta": []}}
    sources = [
        {"name": name, "format": "parquet", "kind": KINDS[name], "paths": list(map(str, files)), "options": columns}
        for name, files in texts.items()
    ]
    page: dict[str, Any] = {
        "name": "tokenize-pack",
        "sources": sources,
        "annotate": {"families": []},
        "rules": {"sets": {"text": [], "code": []}},
        "split": {"validation": 0, "test": 0},
        "tokenizer": {"vocab_size": 32_768, "pattern": "cl100k"},
        "pack": {"context": 2048},
        "spark": {"master": f"local[{setting.cores}]"},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(page))
    program = Path(sys.executable).parent / "gristmill"
    subprocess.run([program, "warm-up"], check=True, stdout=subprocess.DEVNULL)
    command: list[str | Path] = [program, "run", run / "config.yaml", "--output", run / "output"]
    measured([*command, "--until", "tokenizer"], run / "log", setting.cores, limit=24 * 3600)


class Facts:
    """What is found out, one row for each contender, printed as it comes."""

    def __init__(self, cores: int) -> None:
        self.found: dict[str, Any] = {"cores": cores}
        self.tables: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, str] = {}

    def attempt(self, name: str, texts: Texts, run: Callable[..., Outcome], *arguments: Any) -> Outcome | None:
        """Run a contender over texts and note what it took; None, and why, where it fails."""
        load = round(os.getloadavg()[0], 2)
        try:
            outcome = run(texts, *arguments)
        except (Failed, OSError, ValueError, KeyError) as error:
            self.failed[name] = f"{type(error).__name__}: {error}"
            self.found[f"{name}_mb_per_second"] = None
            print(f"{name:15} {self.failed[name]}", flush=True)
            return None
        speed = texts.bytes / 1e6 / outcome.seconds
        took = outcome.measured
        self.found |= {f"{name}_seconds": outcome.seconds, f"{name}_mb_per_second": round(speed, 2)}
        row = {"megabytes": round(texts.bytes / 1e6, 1), "command_seconds": took.seconds}
        row |= {"cpu_seconds": took.cpu_seconds, "peak_mb": took.peak_mb}
        row |= {"tokens": outcome.tokens, "load_before": load, "versions": outcome.versions}
        for key, value in row.items():
            self.tables.setdefault(key, {})[name] = value
        if outcome.told:
            self.found[f"{name}_parts"] = outcome.told
        what = f"{outcome.seconds:8.1f} s {speed:8.2f} MB/s {took.cpu_seconds:8.1f} processor s {took.peak_mb:7.0f} MB"
        print(f"{name:15} {what}, {outcome.tokens:,} tokens", flush=True)
        return outcome

    def ratio(self, one: str, other: str) -> float | None:
        """The speed of one contender over another's."""
        speeds = [self.found.get(f"{name}_mb_per_second") for name in (one, other)]
        return round(speeds[0] / speeds[1], 3) if all(speeds) else None

    def page(self) -> dict[str, Any]:
        """All of it, and how the contenders compare."""
        tokens: dict[float, set[int]] = {}
        for name, megabytes in self.tables.get("megabytes", {}).items():
            tokens.setdefault(megabytes, set()).add(self.tables["tokens"][name])
        compared = {
            "ratio": self.ratio("ours", "datatrove"),
            "ratio_to_megatron_style": self.ratio("ours", "megatron_style"),
            "share_of_loop": self.ratio("ours", "loop"),
            "share_of_loop_mimalloc": self.ratio("ours", "loop_mimalloc"),
            "fast_over_loop": self.ratio("ours_fast", "loop"),
            "same_tokens": all(len(found) == 1 for found in tokens.values()),
        }
        for name in ("ours", "ours_fast"):
            if parts := self.found.get(f"{name}_parts"):
                share = parts["pack"]["seconds"] / parts["encode"]["seconds"]
                compared["packing_share" + name.removeprefix("ours")] = round(share, 3)
        return {**self.found, **compared, **self.tables, "failed": self.failed}


def run_best_loop(texts: Texts, part: Texts, run: Path, setting: Setting, facts: Facts) -> Outcome:
    """The better of the two loops, found out on the part, on all texts. Raises Failed where neither runs."""
    if mimalloc := allocator.library():
        facts.attempt("loop_mimalloc", part, contenders.run_loop, run, setting, "processes", {"LD_PRELOAD": mimalloc})
    tried = {
        how: facts.attempt(f"loop_{how}", part, contenders.run_loop, run, setting, how)
        for how in ("threads", "processes")
    }
    ran = {how: outcome for how, outcome in tried.items() if outcome}
    if not ran:
        raise Failed("neither of its two forms ran")
    return contenders.run_loop(texts, run, setting, min(ran, key=lambda how: ran[how].seconds))


def read_speed(packed: Path, number: int, setting: Setting) -> dict[str, Any]:
    """What `peers/read_shards.py` measures: on `number` tiny shards, and on those that were packed."""
    script = HERE / "peers" / "read_shards.py"
    tiny = setting.work / "many"
    many(tiny, read_manifest(packed).header, number)
    facts: dict[str, Any] = {"opened_shards": number}
    for _ in range(2):  # the first time compiles
        facts |= _told([sys.executable, script, "open", tiny], ("open_seconds", "open_cpu_seconds"))
    shutil.rmtree(tiny)
    speeds = _told([sys.executable, script, "rows", packed, "5"], ("random", "in_order"))
    return {**facts, "million_tokens_per_second": speeds}


def _told(command: list[str | Path], names: tuple[str, ...]) -> dict[str, Any]:
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return dict(zip(names, json.loads(lines[-1]).values()))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=1_000_000_000, help="of text, before deduplication")
    parser.add_argument("--peer-bytes", type=int, default=250_000_000, help="of text, that slow peers are given")
    parser.add_argument("--cores", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--shards", type=int, default=10_000, help="how many tiny shards are opened")
    parser.add_argument("--limit", type=float, default=1_800, help="seconds after which a contender is given up")
    parser.add_argument("--cache", type=Path, default=CACHE, help="directory of texts and of peers' environments")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    cache = given.cache.resolve()
    setting = Setting(cache, cache / "work-tokenize-pack", given.cores, given.limit)
    shutil.rmtree(setting.work, ignore_errors=True)
    setting.work.mkdir(parents=True)
    source, told = pack_corpus.choose(pack_corpus.fetch(cache, given.cores), given.bytes)
    print(f"texts: {json.dumps(told)}", flush=True)
    run = cache / f"pack-run-{given.bytes}"
    prepare(source, run, setting)
    texts, part = write_texts(run / "output", setting.work, given.peer_bytes)
    print(f"corpus: {texts.documents:,} documents, {texts.bytes / 1e6:,.1f} MB", flush=True)
    facts = Facts(given.cores)
    facts.found |= {"texts": told, "documents": texts.documents, "corpus_mb": round(texts.bytes / 1e6, 1)}
    facts.attempt("loop", texts, run_best_loop, part, run, setting, facts)
    ours = facts.attempt("ours", texts, contenders.run_ours, run, setting)
    if ours:
        facts.found |= read_speed(setting.work / "reference" / "shards", given.shards, setting)
    facts.attempt("ours_fast", texts, contenders.run_ours_fast, run, setting)
    facts.attempt("megatron_style", part, contenders.run_megatron_style, run, setting)
    facts.attempt("datatrove", part, contenders.run_datatrove, run, setting)
    print(json.dumps(facts.page()))


if __name__ == "__main__":
    main()
