"""Look-ups in the output of a run: what its finished stages say, its rules, and rows of its datasets by key.

No Spark: the datasets are read file by file, and of a file only the row groups that hold what is looked for.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipelines import datasets
from pipelines.errors import GristmillError
from pipelines.ledger import read_stages

DUPLICATE = "duplicate"  # named like a rule, though `duplicate_of` says it and `failed_rules` does not
EXCERPT = 600  # characters

Row = dict[str, Any]

# What would garble a terminal or a page: control characters but line ends and tabs, bidi overrides, lone surrogates.
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_DOTTED = re.compile(r"(?<![\w.])[A-Za-z_]\w*\.[A-Za-z_]\w*")


def excerpt(text: str, limit: int = EXCERPT) -> str:
    """The first `limit` characters of a text, in a form that is safe to show."""
    shown = _UNSHOWN.sub("\ufffd", text[:limit].replace("\r\n", "\n"))
    return shown + "…" if len(text) > limit else shown


def signals_read(predicate: str) -> list[str]:
    """The names of the signals (FAMILY.SIGNAL) in a predicate, in the order of their first use."""
    return list(dict.fromkeys(_DOTTED.findall(_LITERAL.sub("''", predicate))))


@dataclass(frozen=True)
class AppliedRule:
    """A rule of the finished run: its predicate, the sources asked, and the config's overrides of it, in order."""

    name: str
    predicate: str
    sources: tuple[str, ...]
    overrides: tuple[Row, ...] = ()

    def predicate_for(self, source: str, language: str | None) -> str | None:
        """The predicate that a document is judged by, None where the rule is switched off: the last override wins."""
        found: str | None = self.predicate
        for override in self.overrides:
            sources, languages = override.get("sources"), override.get("languages")
            if (not sources or source in sources) and (not languages or language in languages):
                found = override["predicate"]
        return found


@dataclass(frozen=True)
class Finished:
    """What stages.json and config.json of an output directory say of its finished stages."""

    output: Path
    facts: dict[str, Row]  # of the finished stages, by name
    config: Row = field(default_factory=dict)  # {} where there is no config.json

    @classmethod
    def read(cls, output: Path) -> Finished:
        """Raises GristmillError where one of the two files is damaged."""
        facts = {name: entry.get("facts", {}) for name, entry in read_stages(output).items() if entry.get("finished")}
        path = output / "config.json"
        try:
            config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except ValueError as error:
            raise GristmillError(f"{path} is damaged ({error})") from error
        return cls(output, facts, config)

    def rules(self) -> list[AppliedRule]:
        """The rules that the verdicts were made by."""
        overrides = self.config.get("rules", {}).get("overrides", [])
        return [
            AppliedRule(name, predicate, tuple(sources), tuple(o for o in overrides if o["rule"] == name))
            for name, predicate, sources in self.facts.get("judge", {}).get("rules", [])
        ]

    def has(self, dataset: str) -> bool:
        """Whether the stage that writes a dataset is finished; what an unfinished one left is not looked at."""
        stage = {"verdicts": "judge", "pairs": "match", "signals": "annotate", "edits": "annotate"}[dataset]
        return stage in self.facts


def batches(files: Iterable[str], columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of Parquet files, some columns of them."""
    for file in files:
        with pq.ParquetFile(file) as opened:
            yield from opened.iter_batches(batch_size=65_536, columns=columns)


def rows_where(
    files: Iterable[str], column: str, wanted: Iterable[str], columns: list[str] | None = None
) -> Iterator[Row]:
    """The rows whose `column` holds one of the wanted values; other row groups are not read."""
    values = pa.array(sorted(set(wanted)), pa.string())
    for file in files if len(values) else []:
        with pq.ParquetFile(file) as opened:
            for group in range(opened.num_row_groups):
                hit = pc.is_in(opened.read_row_group(group, columns=[column])[column], values)
                if pc.any(hit).as_py():
                    yield from opened.read_row_group(group, columns=columns).filter(hit).to_pylist()


def signals_of(output: Path, doc_ids: Iterable[str]) -> dict[str, dict[str, Row]]:
    """All signals of some documents: doc_id -> family -> signal -> value."""
    found: dict[str, dict[str, Row]] = {doc_id: {} for doc_id in doc_ids}
    for folder in sorted(path for path in (output / "signals").glob("*") if path.is_dir()):
        for row in rows_where(datasets.files(output, f"signals/{folder.name}"), "doc_id", found):
            found[row.pop("doc_id")][folder.name] = row
    return found


def values_read(predicate: str | None, signals: dict[str, Row]) -> Row:
    """The values of the signals that a predicate reads; None for one that was not measured."""
    names = [name.split(".", 1) for name in signals_read(predicate or "")]
    return {f"{family}.{name}": signals.get(family, {}).get(name) for family, name in names}


def applied_values(rule: AppliedRule, document: Row, signals: dict[str, Row]) -> Row:
    """The values that a rule read of a document, under the override that applied to it."""
    return values_read(rule.predicate_for(document["source"], signals.get("language", {}).get("code")), signals)


class Examples:
    """For each name (a rule, say) the `count` documents that come first by a hash of name and doc_id."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._heaps: dict[str, list[tuple[int, int, str, str]]] = {}

    def add(self, name: str, doc_id: str, part: str, rank: int = 0) -> None:
        """Offer a document of the file `part` of documents/; a lower rank comes before the hash."""
        heap = self._heaps.setdefault(name, [])
        item = (-rank, -xxhash.xxh3_64_intdigest(f"{name}\0{doc_id}".encode()), doc_id, part)
        if len(heap) < self.count:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)

    def of(self, name: str) -> list[str]:
        """The chosen doc_ids of a name, in order."""
        return [doc_id for _, _, doc_id, _ in sorted(self._heaps.get(name, []), reverse=True)]

    def parts(self) -> dict[str, str]:
        """All chosen doc_ids, with the files that hold them."""
        return {doc_id: part for heap in self._heaps.values() for _, _, doc_id, part in heap}


def documents_of(output: Path, parts: dict[str, str], limit: int) -> dict[str, Row]:
    """By doc_id: source, uri, meta, and an excerpt of the text, of documents in the given files of documents/."""
    names = set(parts.values())
    files = [file for file in datasets.files(output, "documents") if Path(file).name in names]
    return {row["doc_id"]: document_facts(row, limit) for row in rows_where(files, "doc_id", parts)}


def document_facts(row: Row, limit: int) -> Row:
    """What is shown of a row of documents/: `text` is an excerpt; `characters` and `bytes` are of the whole text."""
    text = row["text"]
    size = {} if text is None else {"characters": len(text), "bytes": len(text.encode())}
    return {
        "doc_id": row["doc_id"],
        "source": row["source"],
        "uri": row["uri"],
        "meta": dict(row["meta"] or []),
        "text": None if text is None else excerpt(text, limit),
        **size,
    }
