"""The facts about benchmark items for the report: which were found, where, and with what text; which were not, and why.

No Spark: one pass over benchmarks/ and repeats/, and a look-up of the documents that are shown.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.compute as pc

from pipelines import datasets
from pipelines.lookup import Finished, Row, batches, excerpt, rows_where

ITEMS = 1_000  # that are shown with their documents
DOCUMENTS = 5  # of each
EXCERPT = 300  # characters of matched text

_FILE = re.compile(r"(?s)(.*?):\d+:.*")  # of an item's name, FILE:LINE:FIELD

# What became of an item.
FOUND, NOT_FOUND, TOO_SHORT, IGNORED = OUTCOMES = ("found", "not_found", "too_short", "ignored")


@dataclass
class Matched:
    """An item that was found, and the documents that have most of it."""

    documents: int = 0
    share: float = 0.0
    best: dict[str, Row] = field(default_factory=dict)  # by doc_id: share, and the longest span of the item

    def add(self, row: Row, limit: int) -> None:
        """Take in a span, a row of repeats/; of all documents at most `2 * limit` are remembered."""
        self.documents, self.share = row["count"], max(self.share, row["share"])
        known = self.best.setdefault(row["doc_id"], row)
        if row["end"] - row["start"] > known["end"] - known["start"]:
            self.best[row["doc_id"]] = row
        if len(self.best) >= 2 * limit:
            self.best = {row["doc_id"]: row for row in self.first(limit)}

    def first(self, limit: int) -> list[Row]:
        """The documents with the largest share of the item, then by doc_id."""
        return heapq.nsmallest(limit, self.best.values(), key=lambda row: (-row["share"], row["doc_id"]))


def contamination_facts(
    finished: Finished, items: int = ITEMS, documents: int = DOCUMENTS, limit: int = EXCERPT
) -> Row:
    """What `match` found of the config's benchmarks, or {} where there were none or it is not finished.

    counts      {FILE: {outcome: items}}, and the same under "" for all files. Outcomes: `found`; `not_found`;
                `too_short`: fewer words than are looked for; `ignored`: all its n-grams are so common in the corpus
                that they are no evidence, so nothing is known of it
    names       {outcome: names of the items}, for each outcome but `found`
    matched     the `items` items of which documents have most, then those in most documents, then by name: {item,
                documents (how many), share (the largest), examples}; the `documents` examples are those with the
                largest share: {doc_id, source, uri, kept (None: not judged yet), share, text: the longest span, `limit`
                characters of it}

    Memory is bounded by the benchmarks: the names, and `2 * documents` spans of each item. repeats/ has all of them.
    """
    if "match" not in finished.facts:
        return {}
    output = finished.output
    matched = _matched(output, documents)
    counts: dict[str, Counter[str]] = {"": Counter()}
    names: dict[str, list[str]] = {outcome: [] for outcome in OUTCOMES[1:]}
    for batch in batches(datasets.files(output, "benchmarks"), datasets.BENCHMARKS.names):
        for row in batch.to_pylist():
            outcome = FOUND if row["item"] in matched else _not_found(row)
            counts[""][outcome] += 1
            counts.setdefault(_FILE.sub(r"\1", row["item"]), Counter())[outcome] += 1
            if outcome != FOUND:
                names[outcome].append(row["item"])
    if not counts[""]:
        return {}
    ranked = heapq.nsmallest(items, matched.items(), key=lambda entry: (-entry[1].share, -entry[1].documents, entry[0]))
    shown = {item: of_item.first(documents) for item, of_item in ranked}
    examples = _examples(finished, shown, limit)
    return {
        "counts": {file: {outcome: count[outcome] for outcome in OUTCOMES} for file, count in sorted(counts.items())},
        "names": names,
        "matched": [
            {"item": item, "documents": of_item.documents, "share": of_item.share, "examples": examples[item]}
            for item, of_item in ranked
        ],
    }


def _matched(output: Path, documents: int) -> dict[str, Matched]:
    matched: dict[str, Matched] = {}
    columns = ["doc_id", "start", "end", "kind", "count", "elsewhere", "share"]
    for batch in batches(datasets.files(output, "repeats"), columns):
        for row in batch.filter(pc.equal(batch["kind"], "contamination")).to_pylist():
            matched.setdefault(row["elsewhere"], Matched()).add(row, documents)
    return matched


def _not_found(row: Row) -> str:
    if row["grams"] == 0:
        return TOO_SHORT
    return IGNORED if row["common"] == row["grams"] else NOT_FOUND


def _examples(finished: Finished, shown: dict[str, list[Row]], limit: int) -> dict[str, list[Row]]:
    """By item, the rows that are shown with their document and text."""
    wanted: dict[str, list[tuple[str, int, Row]]] = {}
    for item, rows in shown.items():
        for place, row in enumerate(rows):
            wanted.setdefault(row["doc_id"], []).append((item, place, row))
    verdicts = datasets.files(finished.output, "verdicts") if finished.has("verdicts") else []
    kept = {row["doc_id"]: row["kept"] for row in rows_where(verdicts, "doc_id", wanted, ["doc_id", "kept"])}
    found: dict[str, list[Row]] = {item: [{} for _ in rows] for item, rows in shown.items()}
    columns = ["doc_id", "source", "uri", "text"]
    for document in rows_where(datasets.files(finished.output, "documents"), "doc_id", wanted, columns):
        text = (document["text"] or "").encode()
        for item, place, row in wanted[document["doc_id"]]:
            # As many bytes as hold one character more than is shown, so that the excerpt knows that it is one.
            span = text[row["start"] : min(row["end"], row["start"] + 4 * (limit + 1))].decode(errors="ignore")
            found[item][place] = {
                "doc_id": row["doc_id"],
                "source": document["source"],
                "uri": excerpt(document["uri"], 200),
                "kept": kept.get(row["doc_id"]),
                "share": row["share"],
                "text": "[removed]" if document["text"] is None else excerpt(span, limit),
            }
    return found
