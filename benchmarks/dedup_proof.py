"""Deduplication held to brute force at the size asked for, and recall of planted pairs to its curve.

`--documents` documents with something of everything (tests/pipelines/dedup_case.py): hubs, chains, copies in several
sources and scripts, texts without a shingle, and a rule that drops a third of them. They are judged for each keep
order, for rules or duplicates first, for the greedy choice and for one of each cluster, and held to plain Python over
all pairs that share a band (tests/pipelines/dedup_reference.py). Where all buckets are compared all with all, every
verdict is the same: who stays, duplicate_of, similarity, cluster, stands_for. With hubs the same documents stay;
`hub_verdicts_different` counts those that name another staying document, or a part of their cluster.

Then `--pairs` pairs of documents at each known similarity: how many become candidates, and how many are verified.
Whatever differs is shown, and makes the script fail. There is no peer here, so no `ratio`. The last line is a JSON
object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

from scipy.stats import binom

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "pipelines"))

from dedup_case import SOURCES, documents, planted_pair, write_config, write_documents  # noqa: E402
from dedup_checks import by_doc_id, check_in_hubs, check_removed, found_verdicts  # noqa: E402
from dedup_reference import Verdict, compare, verdicts  # noqa: E402

from jobs.whole import judge_again, run_stages  # noqa: E402
from pipelines.config import Spark  # noqa: E402
from pipelines.datasets import scan  # noqa: E402
from pipelines.ledger import read_stages  # noqa: E402
from pipelines.session import start, stop  # noqa: E402

BUCKET = 64
LEVELS = range(10, 20)  # twentieths
FALSE_ALARM = 1e-6
KEEP_ORDERS: dict[str, tuple[list[str], Any]] = {
    "source": (["source_priority"], lambda doc: SOURCES.index(doc.source)),
    "length": (["quality.words DESC"], lambda doc: -len(doc.words)),
    "date": (["meta['date']", "source_priority"], lambda doc: (doc.date, SOURCES.index(doc.source))),
    "doc_id": ([], lambda doc: 0),
}


def against_brute_force(folder: Path, count: int) -> dict[str, Any]:
    """Runs whose buckets are all compared, and runs with hubs."""
    docs = documents(count)
    write_documents(docs, folder / "input")
    run_stages(config(folder, bucket=count), str(folder / "output"), until="judge")
    known = by_doc_id(docs, folder / "output")
    started = time.perf_counter()
    compared = compare({doc_id: doc for doc_id, doc in known.items() if doc.text.strip()}, bucket=BUCKET)
    seconds = time.perf_counter() - started
    facts: dict[str, Any] = {
        "documents": count,
        "documents_in_hubs": len(compared.in_hubs),
        "similar_pairs": sum(map(len, compared.similar.values())) // 2,
        "variants": 0,
        "verdicts_different": 0,
        "hub_verdicts_different": 0,
    }
    for name, (_, key) in KEEP_ORDERS.items():
        for order, choice in product(("rules_first", "duplicates_first"), ("greedy", "transitive")):
            judge_again(folder / "output", config(folder, bucket=count, keep_order=name, order=order, choice=choice))
            expected = verdicts(known, compared.similar, key, choice == "transitive", order == "duplicates_first")
            different = differences(found_verdicts(folder / "output"), expected)
            facts["variants"] += 1
            facts["verdicts_different"] += different
            print(f"   {name:8} {order:17} {choice:10} {different:6,} of {count:,} verdicts differ", flush=True)
    run_stages(config(folder, bucket=BUCKET), str(folder / "output"), until="judge")
    for name, (_, key) in KEEP_ORDERS.items():
        for order in ("rules_first", "duplicates_first"):
            judge_again(folder / "output", config(folder, bucket=BUCKET, keep_order=name, order=order))
            expected = verdicts(known, compared.similar, key, duplicates_first=order == "duplicates_first")
            rank = {doc_id: (key(doc), doc_id) for doc_id, doc in known.items()}
            different = check_in_hubs(found_verdicts(folder / "output"), expected, rank.__getitem__, compared)
            check_removed(folder / "output")
            facts["hub_verdicts_different"] += different
            print(f"   {name:8} {order:17} with hubs: the same stay, {different:,} verdicts differ", flush=True)
    hubs = read_stages(folder / "output")["match"]["facts"]["hubs"]
    return {**facts, "hubs": hubs, "brute_force_seconds": round(seconds, 1)}


def config(folder: Path, keep_order: str = "source", order: str = "rules_first", **dedup: Any) -> Path:
    dedup["keep_order"] = KEEP_ORDERS[keep_order][0]
    families = {"families": ["quality"]}
    return write_config(folder / "c.yaml", folder / "input", dedup=dedup, annotate=families, rules={"order": order})


def differences(found: dict[str, Verdict], expected: dict[str, Verdict]) -> int:
    """How many verdicts differ; the first are shown."""
    different = [doc_id for doc_id in expected.keys() | found.keys() if found.get(doc_id) != expected.get(doc_id)]
    for doc_id in different[:3]:
        print(f"   {found.get(doc_id)}\n   expected {expected.get(doc_id)}")
    return len(different)


def recall(folder: Path, count: int) -> dict[str, Any]:
    """Planted pairs that become candidates, and that are verified, by similarity."""
    docs = [doc for level in LEVELS for number in range(count) for doc in planted_pair(level, number)]
    write_documents(random.Random(1).sample(docs, len(docs)), folder / "input")
    found = {}
    for verify in ("none", "sketch"):
        page = write_config(folder / "c.yaml", folder / "input", SOURCES[:1], dedup={"verify": verify})
        run_stages(page, str(folder / "output"), until="judge")
        rows = scan(folder / "output", "documents", ["doc_id", "meta"]).to_pylist()
        names = {row["doc_id"]: dict(row["meta"])["key"].rsplit("-", 1)[0] for row in rows}
        pairs = scan(folder / "output", "pairs", ["a", "b"]).to_pylist()
        found[verify] = {names[row["a"]] for row in pairs if names[row["a"]] == names[row["b"]]}
    off = 0
    shares: dict[str, list[float]] = {"none": [], "sketch": []}
    print("   similarity  of the curve  candidates  verified")
    for level in LEVELS:
        probability = 1 - (1 - (level / 20) ** 6) ** 21
        counts = {name: sum(pair.startswith(f"{level}-") for pair in pairs) for name, pairs in found.items()}
        tail = FALSE_ALARM / len(LEVELS) / 2
        off += not binom.ppf(tail, count, probability) <= counts["none"] <= binom.isf(tail, count, probability)
        for name in shares:
            shares[name].append(counts[name] / count)
        print(f"   {level / 20:10} {probability:13.4f} {shares['none'][-1]:11.4f} {shares['sketch'][-1]:9.4f}")
    removed = check_removed(folder / "output")
    assert removed["removed_near"] == len(found["sketch"])
    return {
        "pairs_by_similarity": count,
        "levels_off_the_curve": off,
        "candidates_at_0.75": shares["none"][LEVELS.index(15)],
        "verified_at_0.8": shares["sketch"][LEVELS.index(16)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=2_000, help="at each similarity")
    arguments = parser.parse_args()
    spark = start(Spark(master="local[*]"))  # one session for all runs
    with tempfile.TemporaryDirectory() as work:
        for name in ("forced", "recall"):
            (Path(work) / name).mkdir()
        facts = against_brute_force(Path(work) / "forced", arguments.documents)
        facts |= recall(Path(work) / "recall", arguments.pairs)
    stop(spark)
    print(json.dumps({**facts, "cores": os.cpu_count()}))
    good = facts["candidates_at_0.75"] >= 0.97 and facts["verified_at_0.8"] >= 0.99
    sys.exit(0 if good and not facts["verdicts_different"] and not facts["levels_off_the_curve"] else 1)


if __name__ == "__main__":
    main()
