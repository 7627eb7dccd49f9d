"""Our filters in one process: `python -m peers.run_our_filters rules|signals|annotate|once DOCUMENTS MODELS`.

DOCUMENTS is Parquet as ingest writes it; MODELS is a folder of models for the families that the package ships none for.
Nothing is written; kernels are compiled before the clock starts.

rules:    FineWeb's line edits, then all signals of Gopher, C4 and FineWeb, then all rules of their four sets, on
          texts in memory.
signals:  the signals alone, on whole texts in memory.
annotate: the annotate pass with every family but Detoxify's, all line edits of FineWeb and RefinedWeb, all masks,
          hashes, signatures and sketches, from Parquet on.
once:     the same, one pass instead of five.

The last line is a JSON object: documents, bytes of text, processor seconds (of all threads) and wall clock, each the
median of five rounds.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from peers import rulesets

from filters.batch import TextBatch
from filters.pii import KINDS
from pipelines import annotate, texts
from pipelines.config import Config

ROUNDS = 5
WARM = 20  # documents


def config(documents: Path, models: Path) -> Config:
    """A config with everything on."""
    options = {
        "learned": {"model": str(models / "learned.ftz")},
        "importance": {"weights": str(models / "weights.parquet")},
        "unigram": {"frequencies": str(models / "frequencies.parquet")},
    }
    source = {"name": "pages", "format": "parquet", "kind": "web", "paths": [str(documents)]}
    edits = [*rulesets.REFINEDWEB, *rulesets.FINEWEB]
    families = [name for name in annotate.FAMILIES if name != "detoxify"]
    measured = {
        "families": families,
        "options": options,
        "edits": {"web": edits},
        "masks": {"web": list(KINDS)},
    }
    return Config.model_validate({"name": "filters", "sources": [source], "annotate": measured})


def annotated(documents: Path, models: Path) -> Callable[[], None]:
    """The annotate pass."""
    tasks = texts.tasks([str(documents)])
    transform = annotate.annotator(tasks, **annotate.arguments(config(documents, models)))
    numbers = pa.record_batch({"id": list(range(len(tasks)))})

    def run() -> None:
        for written in transform(numbers):
            assert written["sketches"].num_rows

    return run


def batches(documents: Path) -> list[pa.RecordBatch]:
    return [rows for task in texts.tasks([str(documents)]) for at in task for rows in texts.batches(*at, ["text"])]


def ruled(documents: Path) -> Callable[[], None]:
    """Line edits, signals, rules. The language is no part of what is compared: all are taken for English."""
    sets = rulesets.RuleSets(*rulesets.FINEWEB_RULES)
    held = batches(documents)
    english = [[{"code": "eng", "score": 1.0}] * len(rows) for rows in held]

    def run() -> None:
        for rows, languages in zip(held, english):
            view = rulesets.edited(TextBatch(rows["text"]), rulesets.FINEWEB)
            for signals in rulesets.signals(view, languages):
                sets.fired(signals)

    return run


def measured(documents: Path) -> Callable[[], None]:
    """Signals."""
    families = [family() for family in rulesets.FAMILIES]
    held = batches(documents)

    def run() -> None:
        for rows in held:
            batch = TextBatch(rows["text"])
            for family in families:
                family(batch)

    return run


def main(kind: str, documents: Path, models: Path) -> None:
    whole = partial(annotated, models=models)
    kinds: dict[str, Callable[[Path], Callable[[], None]]]
    kinds = {"rules": ruled, "signals": measured, "annotate": whole, "once": whole}
    make = kinds[kind]
    few = documents.with_suffix(".few")
    pq.write_table(pq.ParquetFile(documents).read_row_group(0).slice(0, WARM), few)
    make(few)()
    run = make(documents)
    cpu, wall = [], []
    for _ in range(1 if kind == "once" else ROUNDS):
        started, clock = time.process_time(), time.perf_counter()
        run()
        cpu.append(time.process_time() - started)
        wall.append(time.perf_counter() - clock)
    rows = size = 0
    with pq.ParquetFile(documents) as opened:  # group by group: iter_batches reads ahead through all of the file
        for group in range(opened.num_row_groups):
            table = opened.read_row_group(group, columns=["text"])
            rows += len(table)
            size += pc.sum(pc.binary_length(table["text"])).as_py()
    told = {"documents": rows, "bytes": size, "seconds": statistics.median(cpu), "clock": statistics.median(wall)}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
