"""Deduplication at size, ours alone: ten times the documents, a bucket of a million, a chain of a hundred thousand.

Each case is a `gristmill run --until corpus` on 2 cores over texts as Parquet, without signals and rules. Seconds are
those of the whole command, Spark's start included; `deciding` is annotate + match + judge alone. `peak_mb` is the
memory of the JVM and all Python processes together.

- `--growth N M`: planted near-duplicates (`planted.py`), N and then M documents; `growth_times` is how much longer the
  second takes, whole and deciding.
- `--hub N`: N near-identical documents from ten templates that meet in one bucket of one band: a long passage that all
  share, and ten ends. Two templates are 0.77 similar, two documents of one template 0.92. One of each should stay.
- `--chain N`: N windows of 100 words over running text, each 6 words further: similar to the next by 0.88, to the one
  after that by 0.78 or so. `missed` and `unfounded` should be 0.

Without options, all three at full size. There is no peer here, so no `ratio`. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pyarrow as pa
import pyarrow.parquet as pq
from peers import ours
from peers.agreement import agreement, mask

from filters import minhash
from filters.batch import TextBatch
from pipelines.config import Dedup

CORES = 2
LIMIT = 4 * 3_600.0  # seconds
TEMPLATES = 10
SHARED, OWN = 210, 30  # words of a template: those that all begin with, and its end
WINDOW, STEP = 100, 6  # words
_ONE_WORD = re.compile(r"[\W_]*[^\W_]+[\W_]*")


def measure(texts: Path, work: Path) -> dict[str, Any]:
    """Run over texts: seconds, those of the stages, memory, and what match says of itself."""
    took, stages = ours.run(texts, work, CORES, LIMIT)
    steps = {name: round(stage["seconds"], 1) for name, stage in stages.items()}
    found = {
        "seconds": took.seconds,
        "cpu_seconds": took.cpu_seconds,
        "deciding_seconds": round(sum(steps[name] for name in ours.DECIDING), 1),
        "step_seconds": steps,
        "peak_mb": took.peak_mb,
        "match": stages["match"].get("facts", {}),
    }
    print(f"{texts}: {took.seconds:.1f} s, {took.peak_mb:.0f} MB", flush=True)
    return found


def growth(cache: Path, sizes: list[int]) -> dict[str, Any]:
    runs = []
    for documents in sizes:
        folder, work = cache / f"planted-{documents}", cache / "work-growth"
        planted.write(folder, documents)
        found = measure(folder / "texts", work)
        a, b, jaccard, _ = (column.to_numpy() for column in pq.read_table(folder / "pairs.parquet").columns)
        runs.append({"documents": documents, **found, **agreement(mask(ours.kept(work), documents), a, b, jaccard)})
    times = {key: round(runs[1][key] / runs[0][key], 2) for key in ("seconds", "cpu_seconds", "deciding_seconds")}
    return {"growth": runs, "growth_times": times}


def hub(cache: Path, documents: int) -> dict[str, Any]:
    rng = random.Random(0)
    passages = planted.originals(0)
    templates = _templates(_words(passages))
    texts = []
    for number in range(documents):
        copy = templates[number % TEMPLATES].copy()
        planted.replace(copy, [int(rng.random() * len(copy))], passages, rng)
        texts.append("".join(copy))
    folder, work = cache / f"hub-{documents}", cache / "work-hub"
    planted.write_texts(folder, texts)
    found = measure(folder, work)
    kept = ours.kept(work)
    return {"hub": {"documents": documents, **found, "kept": len(kept), "templates": len(set(kept % TEMPLATES))}}


def _templates(words: Iterator[str]) -> list[planted.Tokens]:
    """Texts that are pairwise less similar than the threshold, of which all have one band in common."""
    dedup = Dedup()
    while len(shared := list(islice(words, SHARED))) == SHARED:
        templates = [[*shared, *islice(words, OWN)] for _ in range(TEMPLATES)]
        batch = TextBatch(pa.array(["".join(template) for template in templates]))
        bands = minhash.signatures(batch)[:, : dedup.bands * dedup.rows].reshape(TEMPLATES, dedup.bands, dedup.rows)
        if (bands == bands[0]).all(axis=(0, 2)).any():
            return templates
    raise ValueError("no passage of the texts makes templates that meet")


def _words(passages: list[planted.Tokens]) -> Iterator[str]:
    """Running text: each word and a space; what is no word, or more than one, is left out."""
    return (word.rstrip() + " " for word in chain.from_iterable(passages) if _ONE_WORD.fullmatch(word))


def chained(cache: Path, documents: int) -> dict[str, Any]:
    words = list(_words(planted.originals(0)))
    texts = ["".join(words[at * STEP : at * STEP + WINDOW]) for at in range(documents)]
    folder, work = cache / f"chain-{documents}", cache / "work-chain"
    planted.write_texts(folder, texts)
    found = measure(folder, work)
    numbers = np.arange(documents)
    compared = [(numbers[:-step], numbers[step:]) for step in range(1, WINDOW // STEP + 1)]  # those that overlap
    compared.append(ours.duplicates(work))  # and those that are dropped, for the text repeats itself here and there
    jaccard = [planted.similarities(texts, *pair) for pair in compared]
    a, b = np.hstack(compared)
    facts = agreement(mask(ours.kept(work), documents), a, b, np.hstack(jaccard))
    least = round(float(jaccard[0].min()), 3)
    return {"chain": {"documents": documents, **found, "least_jaccard_to_next": least, **facts}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--growth", type=int, nargs=2, metavar=("N", "M"))
    parser.add_argument("--hub", type=int, metavar="N")
    parser.add_argument("--chain", type=int, metavar="N")
    parser.add_argument("--cache", type=Path, default=planted.CACHE, help="directory of texts and of the runs' output")
    given = parser.parse_args()
    if not (given.growth or given.hub or given.chain):
        given.growth, given.hub, given.chain = [100_000, 1_000_000], 1_000_000, 100_000
    cache = given.cache.resolve()
    facts: dict[str, Any] = {"cores": CORES}
    for size, case in ((given.growth, growth), (given.hub, hub), (given.chain, chained)):
        if size:
            facts |= case(cache, size)
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
