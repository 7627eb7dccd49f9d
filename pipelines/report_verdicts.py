"""What a report counts of verdicts, in one pass. Held in memory at once: 35 bytes a document, the pairs, the counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines import datasets
from pipelines.funnel import reasons
from pipelines.lookup import DUPLICATE, Examples, Row, batches

EXAMPLES = 3  # of each rule


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
            for row, reason in zip(batch.to_pylist(), reasons(batch)):
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
