"""How fast shards are read, in one process on one core.

`python read_shards.py open FOLDER`: seconds from `shards.open` to the first batch of 32 rows in the order of training.
`python read_shards.py rows FOLDER SECONDS`: tokens a second of rows drawn at random, and of rows in that order, each in
batches of 32, for so many seconds of processor time. The last line is a JSON object. What lies in the page cache and
which kernels are compiled is the caller's to see to. `many` makes a folder of thousands of shards out of one.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[2]))

from shards import read
from shards.format import Header, SetHeader
from shards.manifest import write_manifest
from shards.write import write_shard

BATCH = 32  # rows
WARM_BATCHES = 200


def many(folder: Path, shared: SetHeader, number: int) -> None:
    """A set of `number` shards of one row each; all hold the same, which reading does not ask about."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ids = pa.array([bytes(16)], pa.binary(16))
    tokens = pa.array([[shared.bos_id] + [100] * (shared.width - 2) + [shared.eos_id]], pa.large_list(pa.uint32()))
    table = pa.table({"document": ids, "cluster": ids, "tokens": tokens})
    first = folder / "train-tiny-00000.arrow"
    entry = write_shard(first, table, Header(**shared.model_dump(), split="train", bucket="tiny"), seed=0)
    names = [f"train-tiny-{i:05}.arrow" for i in range(number)]
    for name in names[1:]:
        shutil.copyfile(first, folder / name)
    write_manifest(folder, shared, [entry.model_copy(update={"name": name}) for name in names])


def open_all(folder: Path) -> dict[str, float]:
    started, before = time.perf_counter(), time.process_time()
    train = read.open(folder).split("train")
    _, rows = train.order(seed=1).at(np.arange(BATCH))
    shape = train.rows(rows).shape
    seconds, cpu = time.perf_counter() - started, time.process_time() - before
    assert shape[0] == BATCH
    return {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3)}


def read_rows(folder: Path, seconds: float) -> dict[str, float]:
    """Millions of tokens a second."""
    train = read.open(folder).split("train")
    order, rng = train.order(seed=1), np.random.default_rng(1)
    position = 0

    def at_random() -> np.ndarray:
        return train.rows(rng.integers(0, len(train), BATCH))

    def in_order() -> np.ndarray:
        nonlocal position
        position += BATCH
        return train.rows(order.at(np.arange(position - BATCH, position))[1])

    ways: dict[str, Callable[[], np.ndarray]] = {"random": at_random, "in_order": in_order}
    return {name: _speed(way, seconds) for name, way in ways.items()}


def _speed(batch: Callable[[], np.ndarray], seconds: float) -> float:
    for _ in range(WARM_BATCHES):
        batch()
    tokens, started = 0, time.process_time()
    while (taken := time.process_time() - started) < seconds:
        for _ in range(20):
            tokens += batch().size
    return round(tokens / taken / 1e6, 1)


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    what, place = sys.argv[1], Path(sys.argv[2])
    print(json.dumps(open_all(place) if what == "open" else read_rows(place, float(sys.argv[3]))))
