"""What a run of the product says, and checks of it that need no second opinion."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from dedup_case import Doc
from dedup_reference import Compared, Similar, Verdict

from filters import minhash
from pipelines import datasets


def found_verdicts(output: Path) -> dict[str, Verdict]:
    """The verdicts of a run."""
    return {
        row["doc_id"]: Verdict(
            failed=tuple(row["failed_rules"]),
            duplicate_of=row["duplicate_of"],
            similarity=row["similarity"],
            cluster=row["cluster"],
            stands_for=row["stands_for"],
            kept=row["kept"],
        )
        for row in datasets.scan(output, "verdicts").to_pylist()
    }


def check_in_hubs(
    found: dict[str, Verdict], expected: dict[str, Verdict], rank: Callable[[str], Any], compared: Compared
) -> int:
    """Check verdicts of a greedy run that has hubs, where not all that meet are compared. How many differ in that.

    Who stays is the same everywhere. A document whose cluster comes near a hub may be called a duplicate of another one
    that stays before it and is similar to it, and its cluster may be a part of the whole one. Raises AssertionError.
    """
    near_hubs = {expected[doc_id].cluster for doc_id in compared.in_hubs}
    different = 0
    for doc_id, verdict in found.items():
        right = expected[doc_id]
        if verdict == right:
            continue
        assert right.cluster in near_hubs, (verdict, right)
        assert (verdict.failed, verdict.kept) == (right.failed, right.kept), (verdict, right)
        assert (verdict.duplicate_of is None) == (right.duplicate_of is None), (verdict, right)
        different += 1
        assert expected[verdict.cluster].cluster == right.cluster, (verdict, right)
        if verdict.duplicate_of is not None:
            assert found[verdict.duplicate_of].cluster == verdict.cluster
            assert expected[verdict.duplicate_of].duplicate_of is None
            assert rank(verdict.duplicate_of) < rank(doc_id)
            assert verdict.similarity == compared.similar[doc_id][verdict.duplicate_of]
    return different


def found_pairs(output: Path) -> Similar:
    """The pairs of a run, by document: those of a content's first document are those of its copies."""
    copies: dict[str, list[str]] = defaultdict(list)
    near = []
    for row in datasets.scan(output, "pairs").to_pylist():
        if row["kind"] == "exact":
            copies[row["a"]].append(row["b"])
        else:
            near.append((row["a"], row["b"], row["similarity"]))
    similar: Similar = defaultdict(dict)
    for a, b, similarity in near + [(a, a, 1.0) for a in copies]:
        for one in (a, *copies[a]):
            for other in (b, *copies[b]):
                if one != other:
                    similar[one][other] = similar[other][one] = similarity
    return similar


def by_doc_id(docs: Iterable[Doc], output: Path) -> dict[str, Doc]:
    """The documents by the ids that a run gave them."""
    rows = datasets.scan(output, "documents", ["doc_id", "meta"]).to_pylist()
    ids = {dict(row["meta"])["key"]: row["doc_id"] for row in rows}
    return {ids[doc.key]: doc for doc in docs}


def check_removed(output: Path) -> dict[str, int]:
    """Check all that a run with a verified, greedy choice removed, and count it.

    Every document has one verdict. Each that is a duplicate names one that stays, here or in the earlier run of that
    name, of the same content or of sketch similarity at the threshold or above. No two that stay are a pair. A kept
    document stands for itself and for its duplicates, no other for any. Raises AssertionError for what is not so.
    """
    settings = json.loads((output / "config.json").read_text())["dedup"]
    runs = {None: Sketches(output), **{name: Sketches(Path(path)) for name, path in settings["indexes"].items()}}
    columns = ["doc_id", "duplicate_of", "duplicate_in", "similarity", "stands_for", "kept", "stays"]
    rows = datasets.scan(output, "verdicts", columns).to_pylist()
    ids = [row["doc_id"] for row in rows]
    assert sorted(ids) == sorted(datasets.scan(output, "documents", ["doc_id"])["doc_id"].to_pylist())
    counts = Counter(row["duplicate_of"] for row in rows if row["duplicate_in"] is None)
    removed: Counter[str] = Counter()
    for row in rows:
        assert row["stands_for"] == (1 + counts[row["doc_id"]] if row["kept"] else 0), row
        if row["duplicate_of"] is None:
            continue
        assert not row["stays"], row
        assert not row["kept"], row
        here, there = (runs[None], row["doc_id"]), (runs[row["duplicate_in"]], row["duplicate_of"])
        assert row["duplicate_of"] in there[0].staying, row
        same = content(here) == content(there)
        similarity = 1.0 if same else sketch_similarity(here, there)
        assert similarity >= settings["threshold"], row
        assert row["similarity"] == similarity, row
        removed["exact" if same else "near"] += 1
    check_pairs(output, runs[None].staying)
    return {"documents": len(rows), "removed_exact": removed["exact"], "removed_near": removed["near"]}


def check_pairs(output: Path, staying: set[str]) -> None:
    """Check that no two documents stay that were found to be the same or similar; those of earlier runs do."""
    pairs = datasets.scan(output, "pairs", ["a", "b", "kind", "index"]).to_pylist()
    first = {row["b"]: row["a"] for row in pairs if row["kind"] == "exact" and row["index"] is None}
    stays = Counter(first.get(doc_id, doc_id) for doc_id in staying)
    assert max(stays.values(), default=0) <= 1
    for row in pairs:
        if row["index"] is not None:
            assert not stays[row["b"]], row
        elif row["kind"] == "near":
            assert not (stays[row["a"]] and stays[row["b"]]), row


class Sketches:
    """The content hashes and sketches of a run, by doc_id, and which documents stay."""

    def __init__(self, output: Path) -> None:
        table = datasets.scan(output, "sketches", ["doc_id", "content_hash", "sketch"])
        self.rows = {doc_id: row for row, doc_id in enumerate(table["doc_id"].to_pylist())}
        self.contents = table["content_hash"].combine_chunks()
        self.sketches = table["sketch"].cast(pa.large_binary()).combine_chunks()
        verdicts = datasets.scan(output, "verdicts", ["doc_id", "stays"])
        self.staying = set(verdicts["doc_id"].filter(verdicts["stays"]).to_pylist())


Place = tuple[Sketches, str]


def content(place: Place) -> bytes:
    run, doc_id = place
    return run.contents[run.rows[doc_id]].as_py()


def sketch_similarity(one: Place, other: Place) -> float:
    """|A and B| / |A or B| of two sketches, of the K smallest of A or B alone where one was cut (Broder 1997)."""
    a, b = (np.frombuffer(run.sketches[run.rows[doc_id]].as_py(), "<u4") for run, doc_id in (one, other))
    either = np.union1d(a, b)
    if max(len(a), len(b)) == minhash.SKETCH_SIZE:
        either = either[: minhash.SKETCH_SIZE]
    return float(np.isin(either, np.intersect1d(a, b)).mean())
