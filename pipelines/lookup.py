"""Look-ups in the output of a run: what its finished stages say, its rules, and rows of its datasets by key.

No Spark: the datasets are read file by file, and of a file only the row groups that hold what is looked for.
"""

from __future__ import annotations

import json
import re
from binascii import unhexlify
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from pipelines import datasets
from pipelines.errors import GristmillError
from pipelines.ledger import STAGES, read_stages
from pipelines.quantiles import Quantiles, calls

DUPLICATE = "duplicate"  # named like a rule, though `duplicate_of` says it and `failed_rules` does not
REMOVED = "removed"  # the rule that documents fail which were taken out; in their `meta`, the removal's number
EXCERPT = 600  # characters
BATCH = 65_536  # rows

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
        return next(stage for stage, written in STAGES.items() if dataset in written) in self.facts


def batches(files: Iterable[str], columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of Parquet files, some columns of them."""
    for file in files:
        with pq.ParquetFile(file) as opened:
            yield from opened.iter_batches(batch_size=BATCH, columns=columns)


def batches_where(
    files: Iterable[str], column: str, wanted: Iterable[str], columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows whose `column` holds one of the wanted values; of a row group without any, only `column` is read."""
    values = pa.array(sorted(set(wanted)), pa.string())
    for file in files if len(values) else []:
        with pq.ParquetFile(file) as opened:
            for group in range(opened.num_row_groups):
                hit = pc.is_in(opened.read_row_group(group, columns=[column])[column], values)
                if pc.any(hit).as_py():
                    yield from opened.read_row_group(group, columns=columns).filter(hit).to_batches(BATCH)


def rows_where(
    files: Iterable[str], column: str, wanted: Iterable[str], columns: list[str] | None = None
) -> Iterator[Row]:
    """The rows of `batches_where`, one by one."""
    for batch in batches_where(files, column, wanted, columns):
        yield from batch.to_pylist()


def keys(doc_ids: pa.Array) -> NDArray[np.bytes_]:
    """Ids of 32 hex digits, none null, as 16 bytes each, which sort alike: S16[n]."""
    # NumPy ignores zeros at the end when it compares; of values that are all 16 bytes long, nothing is lost by it.
    ends = np.frombuffer(doc_ids.buffers()[1], np.int32, len(doc_ids) + 1, doc_ids.offset * 4)
    data = memoryview(doc_ids.buffers()[2] or b"")[ends[0] : ends[-1]]
    return np.frombuffer(unhexlify(data), "S16", len(doc_ids))


def unkeyed(key: bytes) -> str:
    """The id of one of `keys`."""
    return key.ljust(16, b"\0").hex()  # NumPy drops the zeros at its end


def find(sorted_keys: NDArray[np.bytes_], wanted: NDArray[np.bytes_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of n wanted keys the positions among the sorted ones, and which are there: int64[n], bool[n]."""
    if not len(sorted_keys):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    order = np.argsort(wanted)  # neighbours are looked up one after the other: a third of the time for millions of keys
    at = np.empty(len(wanted), np.int64)
    at[order] = np.minimum(np.searchsorted(sorted_keys, wanted[order]), len(sorted_keys) - 1)
    return at, sorted_keys[at] == wanted


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


def quantiles_read(predicate: str | None, found: Quantiles, source: str, signals: dict[str, Row]) -> Row:
    """The quantiles that a predicate compares a document with, by call; None for a group without any."""
    read = {}
    for call in calls(predicate or ""):
        values = {"source": source, **values_read(" ".join(call.groups), signals)}
        read[call.key] = found.get(call.key, {}).get(call.group_of(values[name] for name in call.groups))
    return read


class Examples:
    """For each name (a rule, say) the `count` documents that come first by a hash of name and doc_id."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._chosen: dict[str, list[tuple[int, int, str, str]]] = {}

    def add(self, name: str, rows: pa.RecordBatch, ranks: NDArray[np.integer] | None = None) -> None:
        """Offer documents, rows with doc_id and part (a file of documents/); a lower rank comes before the hash."""
        hashes = _mixed(keys(rows["doc_id"]).view("<u8")[::2] ^ np.uint64(xxhash.xxh3_64_intdigest(name.encode())))
        ranks = np.zeros(len(rows), np.int64) if ranks is None else ranks
        first = np.lexsort((hashes, ranks))[: self.count]
        ids, parts = (rows[column].take(pa.array(first)).to_pylist() for column in ("doc_id", "part"))
        offered = zip(ranks[first].tolist(), hashes[first].tolist(), ids, parts)
        self._chosen[name] = sorted([*self._chosen.get(name, []), *offered])[: self.count]

    def of(self, name: str) -> list[str]:
        """The chosen doc_ids of a name, in order."""
        return [doc_id for _, _, doc_id, _ in self._chosen.get(name, [])]

    def parts(self) -> dict[str, str]:
        """All chosen doc_ids, with the files that hold them."""
        return {doc_id: part for chosen in self._chosen.values() for _, _, doc_id, part in chosen}


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


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


def shown(document: Row) -> Row:
    """What a page shows of one of `documents_of`."""
    title = document["meta"].get("title", "")
    text = "[removed]" if document["text"] is None and REMOVED in document["meta"] else document["text"]
    head = {"doc_id": document["doc_id"], "source": document["source"], "text": text}
    return {**head, "title": excerpt(title, 120), "uri": excerpt(document["uri"], 200)}
