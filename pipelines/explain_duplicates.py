"""Explain, of duplicates: the document that stays, how similar, by which pairs; the cluster; who stands for whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import datasets
from pipelines.explain_path import path
from pipelines.lookup import (
    Examples,
    Finished,
    Row,
    batches_where,
    document_facts,
    documents_of,
    excerpt,
    rows_where,
)

SHOWN = 10  # documents of a cluster, of those that one stands for, of those similar to it, of a path
EXCERPT = 300  # characters


def add_duplicates(finished: Finished, found: dict[str, Row], verdicts: dict[str, Row]) -> None:
    """Add to each document what is known of it as a duplicate, by its row of verdicts/.

    duplicate_of  the document that stays: doc_id, source, uri, text (an excerpt); `index`, the earlier run that holds
                  it, or None; `missing`, why nothing is known of it, or None; kind: `exact` (the same content), `near`
                  (found similar), `linked` (only a chain of pairs leads to it), None (not known: it is missing);
                  similarity; path: the links that lead to it, each with doc_id, similarity and kind; where there is
                  none, `no_path` says why
    stands_for    of a document that stays: `count` of those dropped as its duplicates, and `documents`, the first of
                  them by similarity
    cluster       its name, size, documents kept, documents by source, and the first of them, those kept before others
    pairs         `count` of the rows of pairs/ with the document, and `documents`, the first of them by similarity

    Documents that are named, but for a path longer than `SHOWN`, have source, uri and status (kept or dropped), or the
    `index` that they are of.
    """
    _add_clusters(finished, found, verdicts)
    _add_pairs(finished, found)
    by_index: dict[str | None, list[str]] = {}
    for doc_id, row in verdicts.items():
        if row["duplicate_of"] is not None:
            by_index.setdefault(row["duplicate_in"], []).append(doc_id)
    for index, doc_ids in by_index.items():
        _add_originals(finished, found, {doc_id: verdicts[doc_id] for doc_id in doc_ids}, index)
    _add_heads(finished, found)


def _add_originals(finished: Finished, found: dict[str, Row], verdicts: dict[str, Row], index: str | None) -> None:
    originals = {row["duplicate_of"] for row in verdicts.values()}
    if index is None:
        there, missing = finished.output, None
        files = datasets.files(there, "verdicts")
        parts = {row["doc_id"]: row["part"] for row in rows_where(files, "doc_id", originals, ["doc_id", "part"])}
        documents = documents_of(there, parts, EXCERPT)
    else:
        there, documents, missing = _held(finished, index, originals)
    contents = _contents(finished.output, verdicts), _contents(there, documents)
    for doc_id, row in verdicts.items():
        original, similarity = row["duplicate_of"], row["similarity"]
        known = documents.get(original, {})
        facts: Row = {name: known.get(name) for name in ("source", "uri", "text")}
        facts |= {"doc_id": original, "index": index, "similarity": similarity}
        facts["missing"] = None if known else missing or "it is not in documents/"
        hashes = contents[0].get(doc_id), contents[1].get(original)
        if None not in hashes and hashes[0] == hashes[1]:
            facts["kind"] = "exact"
        elif similarity is None:
            facts["kind"] = "linked"
        else:
            facts["kind"] = "near" if similarity < 1 or None not in hashes else None
        facts["path"], facts["no_path"] = [_link(original, similarity, facts["kind"])], None
        if facts["kind"] == "linked":
            facts["path"], facts["no_path"] = path(finished.output, row["cluster"], doc_id, original)
        found[doc_id]["duplicate_of"] = facts


def _link(doc_id: str, similarity: float | None, kind: str | None) -> Row:
    return {"doc_id": doc_id, "similarity": similarity, "kind": kind}


def _held(finished: Finished, index: str, doc_ids: set[str]) -> tuple[Path, dict[str, Row], str | None]:
    """The output directory of an earlier run, those of the documents that it holds, and why others are missing."""
    path = ((finished.config.get("dedup") or {}).get("indexes") or {}).get(index)
    if path is None:
        return finished.output / "nowhere", {}, f"config.json names no index {index}"
    there = Path(path)
    files = datasets.files(there, "documents")
    if not files:
        return there, {}, f"the output directory of that run, {path}, is gone"
    try:
        rows = rows_where(files, "doc_id", doc_ids)
        return there, {row["doc_id"]: document_facts(row, EXCERPT) for row in rows}, f"{path} no longer holds it"
    except (OSError, pa.ArrowException) as error:
        return there, {}, f"{path} cannot be read ({excerpt(str(error), 200)})"


def _contents(output: Path, doc_ids: Iterable[str]) -> dict[str, bytes]:
    rows = rows_where(datasets.files(output, "sketches"), "doc_id", doc_ids, ["doc_id", "content_hash"])
    return {row["doc_id"]: row["content_hash"] for row in rows}


def _add_clusters(finished: Finished, found: dict[str, Row], verdicts: dict[str, Row]) -> None:
    """One pass over the clusters' rows, which may be many, a batch at a time."""
    members, sizes, kept = Examples(SHOWN), Counter[str](), Counter[str]()
    sources: dict[str, Counter[str]] = {row["cluster"]: Counter() for row in verdicts.values()}
    for doc_id, row in verdicts.items():
        if row["stays"]:
            found[doc_id]["stands_for"] = {"count": 0, "documents": []}
    columns = ["doc_id", "source", "duplicate_of", "duplicate_in", "similarity", "cluster", "kept", "part"]
    for batch in batches_where(datasets.files(finished.output, "verdicts"), "cluster", sources, columns):
        for cluster in pc.unique(batch["cluster"]).to_pylist():
            rows = batch.filter(pc.equal(batch["cluster"], cluster))
            members.add(cluster, rows, pc.invert(rows["kept"]).to_numpy(zero_copy_only=False))
            sizes[cluster] += len(rows)
            kept[cluster] += rows["kept"].true_count
            sources[cluster].update(rows["source"].to_pylist())
        here = batch.filter(pc.is_null(batch["duplicate_in"]))
        _add_first(found, "stands_for", here["duplicate_of"], here.select(["doc_id", "similarity"]))
    for doc_id, row in verdicts.items():
        name = row["cluster"]
        found[doc_id]["cluster"] = {
            "cluster": name,
            "size": sizes[name],
            "kept": kept[name],
            "sources": dict(sorted(sources[name].items())),
            "documents": [{"doc_id": member} for member in members.of(name)],
        }


def _add_pairs(finished: Finished, found: dict[str, Row]) -> None:
    files = datasets.files(finished.output, "pairs") if finished.has("pairs") else []
    for here, there in (("a", "b"), ("b", "a")):
        for batch in batches_where(files, here, found):
            if here == "a":  # what an earlier run's document is similar to says nothing of one with the same id
                batch = batch.filter(pc.is_null(batch["index"]))
            others = batch.select([there, "similarity", "kind", "index"])
            others = others.rename_columns(["doc_id", "similarity", "kind", "index"])
            for doc_id in pc.unique(batch[here]).to_pylist():
                found[doc_id].setdefault("pairs", {"count": 0, "documents": []})
            _add_first(found, "pairs", batch[here], others)


def _add_first(found: dict[str, Row], entry: str, of: pa.Array, rows: pa.RecordBatch) -> None:
    """Count the rows that are `of` each document found, and keep the first, by similarity and doc_id, in an entry."""
    for doc_id, facts in found.items():
        if entry in facts:
            mine = rows.filter(pc.fill_null(pc.equal(of, doc_id), False))
            first = mine.sort_by([("similarity", "descending"), ("doc_id", "ascending")])[:SHOWN].to_pylist()
            every = [*facts[entry]["documents"], *first]
            every.sort(key=lambda row: (-(row["similarity"] or 0), row["doc_id"]))
            facts[entry] = {"count": facts[entry]["count"] + len(mine), "documents": every[:SHOWN]}


def _add_heads(finished: Finished, found: dict[str, Row]) -> None:
    """Add status, source and uri to the documents of this run that the facts name."""
    named: list[Row] = []
    for facts in found.values():
        for entry in ("stands_for", "cluster", "pairs"):
            rows = facts.get(entry, {}).get("documents", [])
            named += [row for row in rows if row.get("index") is None]
        if facts.get("duplicate_of", {}).get("kind") == "linked":
            named += facts["duplicate_of"]["path"][:SHOWN]
    wanted = {row["doc_id"] for row in named}
    files = datasets.files(finished.output, "verdicts")
    verdicts = {row["doc_id"]: row for row in rows_where(files, "doc_id", wanted, ["doc_id", "source", "kept", "part"])}
    parts = {row["part"] for row in verdicts.values()}
    files = [file for file in datasets.files(finished.output, "documents") if Path(file).name in parts]
    uris = {row["doc_id"]: row["uri"] for row in rows_where(files, "doc_id", wanted, ["doc_id", "uri"])}
    for row in named:
        if verdict := verdicts.get(row["doc_id"]):
            row["status"] = "kept" if verdict["kept"] else "dropped"
            row |= {"source": verdict["source"], "uri": excerpt(uris[row["doc_id"]], 200)}
