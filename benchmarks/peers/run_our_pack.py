"""Our own path from corpus to verified shards: `python run_our_pack.py CONFIG OUTPUT`.

What jobs/pack.py does, with a clock: stages that are finished are passed over, `corpus/` is encoded into `tokens/`,
that is packed into `shards/`, Spark is stopped, and the shards are verified. The last line is a JSON object: for each
part of the way its seconds, and the processor seconds of this process and all below it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

from peers.process import cpu_seconds

from jobs.config import load
from pipelines import shard_stages, stages
from pipelines.ledger import Ledger
from pipelines.run import Run, execute
from shards.verify import verify


class Clock:
    """Lines as a run says them, each with the time and the processor time at which it came."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, float, float]] = []

    def __call__(self, line: str) -> None:
        self.lines.append((line, time.perf_counter(), cpu_seconds(os.getpid())))
        print(line, flush=True)

    def part(self, start: str, end: str) -> dict[str, float]:
        """Between the last lines that hold `start` and `end`."""
        first, last = (next(line for line in reversed(self.lines) if what in line[0]) for what in (start, end))
        return {"seconds": round(last[1] - first[1], 2), "cpu_seconds": round(last[2] - first[2], 2)}


def main(config_path: Path, output: Path) -> None:
    clock = Clock()
    clock("run: begins")
    config = load(config_path)
    with Ledger(output) as ledger:
        run = Run(config, ledger, None, clock)
        try:
            run.spark  # noqa: B018 (starts it)
            clock("spark: there")
            execute(run, {**stages.STEPS, **shard_stages.STEPS}, "pack")
            clock("pack: ended")
        finally:
            run.stop_spark()
    started = time.perf_counter(), time.process_time()  # Spark's processes have gone, and their times with them
    problems = verify(output / "shards")
    took = time.perf_counter() - started[0], time.process_time() - started[1]
    if problems:
        sys.exit(f"the shards are not whole: {problems[0]}")
    facts: dict[str, Any] = ledger.stages["pack"]["facts"]
    told = {
        "tokens": facts["tokens"],
        "shards": facts["files"],
        "engines": facts.get("engines"),
        "start": clock.part("run: begins", "spark: there"),
        "encode": clock.part("pack: at work", "documents encoded"),
        "pack": clock.part("documents encoded", "pack: ended"),
        "verify": {"seconds": round(took[0], 2), "cpu_seconds": round(took[1], 2)},
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
