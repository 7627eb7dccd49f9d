"""The facts of a report: one pass over verdicts/, one over the signals that are counted, and look-ups of examples.

Held in memory at once: 35 bytes a document, the pairs, and what is counted. Texts are read only of examples, and cut.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines import datasets
from pipelines.explain import (
    DUPLICATE,
    AppliedRule,
    Examples,
    Finished,
    Row,
    applied_values,
    batches,
    documents_of,
    excerpt,
    rows_where,
    signals_of,
)
from pipelines.funnel import _reasons as reasons_of

EXAMPLES = 3
EXCERPT = 300  # characters
TOP_CLUSTERS = 5
TOP_LANGUAGES = 20
# First word count of each length bin: 0, then 1, 2 and 5 times each power of ten.
WORD_BINS = np.array([0, *(first * 10**power for power in range(8) for first in (1, 2, 5))], np.int64)


@dataclass
class RuleFacts:
    """What one rule did. `asked`: documents with text of its sources; None where that is not known.

    `alone` counts the documents that would have been kept without the rule: it is the only one that failed, and no
    similar document is kept, nor (of a held-out document) one of its cluster in train. None for gates: what they stop
    was not measured.
    """

    name: str
    predicate: str | None
    fired: int
    alone: int | None
    asked: int | None
    overrides: list[str] = field(default_factory=list)
    examples: list[Row] = field(default_factory=list)

    @property
    def note(self) -> str | None:
        """What is odd about the rule, if anything."""
        if self.asked == 0:
            return "asked of no document"
        if self.fired == 0:
            return "fired on nothing"
        if self.asked and self.fired > self.asked / 2:
            return f"fired on {self.fired / self.asked:.0%} of what it was asked about"
        return None


class Pairs:
    """Which documents are similar: exact copies as classes, near pairs between classes (as in `dedup.choice`)."""

    def __init__(self, files: list[str]) -> None:
        self.copy_of: dict[str, str] = {}
        self.near: dict[str, list[str]] = {}
        self.documents: set[str] = set()
        for batch in batches(files, ["a", "b", "kind"]):
            for a, b, kind in zip(*(batch[name].to_pylist() for name in ("a", "b", "kind"))):
                self.documents |= {a, b}
                if kind == "exact":
                    self.copy_of[b] = a
                else:
                    self.near.setdefault(a, []).append(b)
                    self.near.setdefault(b, []).append(a)

    def class_of(self, doc_id: str) -> str:
        """The document that stands for all that have the same content."""
        return self.copy_of.get(doc_id, doc_id)

    def classes_like(self, doc_id: str) -> list[str]:
        """The class of a document, and the classes that are similar to it."""
        own = self.class_of(doc_id)
        return [own, *self.near.get(own, [])]


class Verdicts:
    """What one pass over verdicts/ counts; `ids` (sorted), `sources` and `kept` remember each document."""

    def __init__(self, output: Path) -> None:
        self.pairs = Pairs(datasets.files(output, "pairs"))
        self.fired: Counter[str] = Counter()
        self.alone: Counter[str] = Counter()
        self.with_text: Counter[str] = Counter()  # by source
        self.clusters: Counter[str] = Counter()
        self.examples = Examples(EXAMPLES)
        self.names: list[str] = []  # of sources
        self._kept_classes: set[str] = set()
        self._trained: set[str] = set()  # clusters with a kept document in train
        self._perhaps_alone: list[tuple[str, str, str, str]] = []
        ids, sources, kept = [], [], []
        columns = ["doc_id", "source", "failed_rules", "duplicate_of", "cluster", "kept", "split", "part"]
        for batch in batches(datasets.files(output, "verdicts"), columns):
            ids.append(_keys(batch["doc_id"]))
            sources.append(np.array([self._source(name) for name in batch["source"].to_pylist()], np.int16))
            kept.append(np.array(batch["kept"].to_pylist(), bool))
            for row, reason in zip(batch.to_pylist(), reasons_of(batch)):
                self._count(row, reason)
        self._settle()
        every = np.concatenate(ids) if ids else np.empty(0, "S32")
        order = np.argsort(every, kind="stable")
        self.ids = every[order]
        self.sources: NDArray[np.int16] = np.concatenate(sources)[order] if ids else np.empty(0, np.int16)
        self.kept: NDArray[np.bool_] = np.concatenate(kept)[order] if ids else np.empty(0, bool)

    def _source(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def _count(self, row: Row, reason: str) -> None:
        doc_id, part, failed = row["doc_id"], row["part"], row["failed_rules"]
        names = failed if row["duplicate_of"] is None else [*failed, DUPLICATE]
        self.fired.update(names)
        for name in names:
            self.examples.add(name, doc_id, part)
        self.with_text[row["source"]] += reason != "gate"
        paired = doc_id in self.pairs.documents
        if paired:
            self.clusters[row["cluster"]] += 1
        if paired and row["kept"]:
            self._kept_classes.add(self.pairs.class_of(doc_id))
            if row["split"] == "train":
                self._trained.add(row["cluster"])
        if len(names) == 1 and reason in ("rules", "language"):
            if paired:
                self._perhaps_alone.append((names[0], doc_id, row["split"], row["cluster"]))
            else:
                self.alone[names[0]] += 1

    def _settle(self) -> None:
        """Count what fired alone among documents that have pairs: known only when all verdicts were seen."""
        for name, doc_id, split, cluster in self._perhaps_alone:
            leaks = split != "train" and cluster in self._trained
            if not leaks and self._kept_classes.isdisjoint(self.pairs.classes_like(doc_id)):
                self.alone[name] += 1
        self.alone["split_leak"] = self.fired["split_leak"]

    def find(self, doc_ids: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """For n ids the positions in `ids`, and which of them have a verdict: int64[n], bool[n]."""
        keys = _keys(doc_ids)
        if not len(self.ids):
            return np.zeros(len(keys), np.int64), np.zeros(len(keys), bool)
        at = np.minimum(np.searchsorted(self.ids, keys), len(self.ids) - 1)
        return at, self.ids[at] == keys


def _keys(doc_ids: pa.Array) -> NDArray[np.bytes_]:
    return np.array(doc_ids.to_pylist(), "S32")


def rule_facts(finished: Finished, verdicts: Verdicts) -> list[RuleFacts]:
    """All rules of the run and all names in verdicts, duplicates included; those that fired most come first."""
    applied = {rule.name: rule for rule in finished.rules()}
    facts = []
    for name in sorted({*applied, *verdicts.fired}, key=lambda name: (-verdicts.fired[name], name)):
        rule = applied.get(name)
        asked = sum(verdicts.with_text[source] for source in rule.sources) if rule else None
        unknown = name.startswith("gate.") or name == DUPLICATE
        alone = None if unknown else verdicts.alone[name]
        overrides = [_override(o) for o in rule.overrides] if rule else []
        predicate = rule.predicate if rule else None
        facts.append(RuleFacts(name, predicate, verdicts.fired[name], alone, asked, overrides))
    _add_examples(finished, verdicts.examples, applied, facts)
    return facts


def _override(override: Row) -> str:
    where = [*override.get("sources", []), *override.get("languages", [])]
    return f"{', '.join(where) or 'everywhere'}: {override['predicate'] or 'switched off'}"


def _add_examples(
    finished: Finished, examples: Examples, applied: dict[str, AppliedRule], facts: list[RuleFacts]
) -> None:
    parts = examples.parts()
    documents = documents_of(finished.output, parts, EXCERPT)
    signals = signals_of(finished.output, parts)
    for rule in facts:
        for doc_id in examples.of(rule.name):
            document = documents[doc_id]
            known = rule.name in applied
            values = applied_values(applied[rule.name], document, signals[doc_id]) if known else {}
            rule.examples.append({**_shown(document), "values": values})


def _shown(document: Row) -> Row:
    title = document["meta"].get("title", "")
    head = {"doc_id": document["doc_id"], "source": document["source"], "text": document["text"]}
    return {**head, "title": excerpt(title, 120), "uri": excerpt(document["uri"], 200)}


def duplicate_facts(finished: Finished, verdicts: Verdicts) -> Row:
    """Pairs, documents dropped, clusters by size (a bin holds sizes up to twice its first), the largest clusters."""
    sizes = Counter(2 ** ((size - 1).bit_length() - 1) + 1 for size in verdicts.clusters.values() if size > 1)
    ranked = sorted(verdicts.clusters.items(), key=lambda item: (-item[1], item[0]))[:TOP_CLUSTERS]
    chosen, verdict_files = Examples(EXAMPLES), datasets.files(finished.output, "verdicts")
    kept: Counter[str] = Counter()
    columns = ["doc_id", "cluster", "kept", "part"]
    for row in rows_where(verdict_files, "cluster", [name for name, _ in ranked], columns):
        chosen.add(row["cluster"], row["doc_id"], row["part"], rank=not row["kept"])
        kept[row["cluster"]] += row["kept"]
    documents = documents_of(finished.output, chosen.parts(), EXCERPT)
    return {
        "exact_pairs": finished.facts.get("match", {}).get("exact", 0),
        "near_pairs": finished.facts.get("match", {}).get("near", 0),
        "dropped": verdicts.fired[DUPLICATE],
        "clusters": len(verdicts.clusters),
        "cluster_sizes": {str(first): sizes[first] for first in sorted(sizes)},
        "largest": [
            {
                "cluster": name,
                "size": size,
                "kept": kept[name],
                "documents": [_shown(documents[doc_id]) for doc_id in chosen.of(name)],
            }
            for name, size in ranked
        ],
    }


def language_facts(output: Path, verdicts: Verdicts) -> dict[str, dict[str, int]]:
    """By language, the most frequent first: how many documents were kept and dropped, of those with a text."""
    counts: dict[str, dict[str, int]] = {}
    for batch in batches(datasets.files(output, "signals/language"), ["doc_id", "code"]):
        at, known = verdicts.find(batch["doc_id"])
        kept = verdicts.kept[at[known]]
        for (code, stays), count in Counter(
            zip(np.array(batch["code"].to_pylist(), object)[known].tolist(), kept.tolist())
        ).items():
            counts.setdefault(code, {"kept": 0, "dropped": 0})["kept" if stays else "dropped"] += count
    return dict(sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0])))


def length_facts(output: Path, verdicts: Verdicts) -> dict[str, Row]:
    """By source: characters of all documents and of those kept (`characters_in`, `characters_kept`), and documents by
    words: `words_kept` and `words_dropped`, int64[len(WORD_BINS)]. As measured: after line edits.
    """
    bins = len(WORD_BINS)
    words = np.zeros((len(verdicts.names), 2, bins), np.int64)
    characters = np.zeros((len(verdicts.names), 2), np.int64)
    for batch in batches(datasets.files(output, "signals/quality"), ["doc_id", "words", "characters"]):
        at, known = verdicts.find(batch["doc_id"])
        at = at[known]
        source, kept = verdicts.sources[at], verdicts.kept[at].astype(np.int64)
        bin_of = np.searchsorted(WORD_BINS, batch["words"].to_numpy()[known], side="right") - 1
        np.add.at(words, (source, kept, bin_of), 1)
        np.add.at(characters, (source, kept), batch["characters"].to_numpy()[known])
    return {
        name: {
            "characters_in": int(characters[i].sum()),
            "characters_kept": int(characters[i, 1]),
            "words_kept": words[i, 1].tolist(),
            "words_dropped": words[i, 0].tolist(),
        }
        for name, i in sorted((name, i) for i, name in enumerate(verdicts.names))
    }


def error_facts(output: Path) -> list[Row]:
    """By source, level and reason, the most frequent first: count, and three examples of path and detail."""
    counts: Counter[tuple[str, str, str]] = Counter()
    chosen: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for batch in batches(datasets.files(output, "errors"), ["source", "level", "reason", "path", "detail"]):
        for row in batch.to_pylist():
            key = (row["source"], row["level"], row["reason"])
            counts[key] += 1
            shown = (excerpt(row["path"], 200), excerpt(row["detail"] or "", EXCERPT))
            chosen[key] = sorted([*chosen.get(key, []), shown])[:EXAMPLES]
    return [
        {
            **dict(zip(("source", "level", "reason"), key)),
            "count": count,
            "examples": [{"path": path, "detail": detail} for path, detail in chosen[key]],
        }
        for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def funnel_facts(finished: Finished, lengths: dict[str, Any]) -> dict[str, Row]:
    """The funnel by source, with `read` (what ingest counted), characters and tokens where they are known."""
    read = finished.facts.get("ingest", {}).get("documents_in", {})
    tokens = finished.facts.get("pack", {}).get("sources")
    table = {}
    for source, counts in sorted(finished.facts["judge"]["funnel"].items()):
        row = {"read": read.get(source, 0), **counts}
        if lengths:
            known = lengths.get(source, {})
            row |= {name: known.get(name, 0) for name in ("characters_in", "characters_kept")}
        if tokens is not None:
            row["tokens"] = sum(tokens.get(source, {}).values())
        table[source] = row
    return table
