"""Explain: all that a run knows of one document, and documents that a rule dropped, to look at. Without Spark."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from filters.normalize import normalize_code as well_formed
from pipelines import datasets, languages, tombstones
from pipelines.errors import ConfigError, GristmillError
from pipelines.explain_duplicates import add_duplicates
from pipelines.explain_lines import CHANGED, CUT, FOUND, marked_lines
from pipelines.funnel import reasons
from pipelines.lookup import (
    DUPLICATE,
    EXCERPT,
    REMOVED,
    AppliedRule,
    Examples,
    Finished,
    Row,
    applied_values,
    batches,
    document_facts,
    documents_of,
    excerpt,
    quantiles_read,
    rows_where,
    signals_of,
    values_read,
)
from pipelines.source_config import nearest

EDITS_SHOWN = 100


def explain(output: Path, doc: str | None, uri: str | None) -> list[Row]:
    """What is known of the document of an id, or of all documents of a URI, sorted by doc_id.

    Of each: doc_id, source, uri, status (kept, dropped, unreadable, or not judged), reason (see `funnel.REASONS`),
    meta, text (an excerpt), characters, bytes; then what the finished stages say: signals by family, rules (all that
    were asked, with predicate, values and whether they failed), failed_rules, split, duplicate_of, stands_for, cluster
    and pairs (see `explain_duplicates`), edits, lines (see `explain_lines`), removed (see `tombstones.facts_of`). An
    unreadable one has errors. A URI also finds what could not be read in the file of that path.

    Raises ConfigError unless exactly one of `doc` (32 hex digits) and `uri` is given, GristmillError where nothing
    matches.
    """
    if (doc is None) == (uri is None):
        raise ConfigError("give one of --doc and --uri")
    if doc is not None and not re.fullmatch(r"[0-9a-f]{32}", doc := doc.strip().lower()):
        raise ConfigError(f"--doc: a doc_id has 32 hex digits, {excerpt(doc, 80)!r} does not")
    finished = Finished.read(output)
    column, value = ("doc_id", doc) if doc is not None else ("uri", well_formed(uri or ""))
    documents = list(rows_where(datasets.files(output, "documents"), column, [value]))
    found = {row["doc_id"]: document_facts(row, EXCERPT) for row in documents}
    unreadable = _unreadable(output, "doc_id" if doc is not None else "path", value)
    if not found and not unreadable:
        raise GristmillError(f"{output}: no document has the {column} {excerpt(value, 300)!r}")
    _add_verdicts(finished, found)
    _add_signals(finished, found)
    _add_edits(finished, found)
    _add_lines(finished, found, {row["doc_id"]: row["text"] for row in documents})
    return [found[key] for key in sorted(found)] + unreadable


def _unreadable(output: Path, column: str, value: str) -> list[Row]:
    errors: dict[str, Row] = {}
    for row in rows_where(datasets.files(output, "errors"), column, [value]):
        head = {"doc_id": row["doc_id"], "source": row["source"], "uri": row["path"], "status": "unreadable"}
        facts = errors.setdefault(row["doc_id"], {**head, "reason": "error", "errors": []})
        facts["errors"].append({name: row[name] for name in ("level", "path", "reason", "detail")})
    return [errors[key] for key in sorted(errors)]


def _add_verdicts(finished: Finished, found: dict[str, Row]) -> None:
    """Add what judge and match said; a document without a verdict is `not judged`."""
    files = datasets.files(finished.output, "verdicts") if finished.has("verdicts") else []
    verdicts = {row["doc_id"]: row for row in rows_where(files, "doc_id", found)}
    for doc_id, facts in found.items():
        row = verdicts.get(doc_id)
        if row is None:
            facts["status"] = "not judged"
            continue
        (reason,) = reasons(pa.RecordBatch.from_pylist([row], schema=datasets.VERDICTS)).tolist()
        facts |= {
            "status": "kept" if row["kept"] else "dropped",
            "reason": None if row["kept"] else reason,
            "failed_rules": row["failed_rules"],
            "split": row["split"],
        }
        if REMOVED in row["failed_rules"]:
            facts["removed"] = tombstones.facts_of(finished.output, finished.config.get("removals", []), doc_id)
    add_duplicates(finished, found, verdicts)


def _add_signals(finished: Finished, found: dict[str, Row]) -> None:
    """Add the signals, and each rule that was asked of the document beside the values that it read."""
    measured = signals_of(finished.output, found) if finished.has("signals") else {}
    for doc_id, signals in measured.items():
        facts = found[doc_id]
        if not signals:
            continue
        facts["signals"] = signals
        language = signals.get("language", {}).get("code")
        failed = facts.get("failed_rules", [])
        quantiles = finished.facts.get("judge", {}).get("quantiles", {})
        facts["rules"] = [
            {
                "name": rule.name,
                "failed": rule.name in failed,
                "predicate": (predicate := rule.predicate_for(facts["source"], language))
                and languages.shown(predicate, signals.get("language", {})),
                "values": values_read(predicate, signals)
                | quantiles_read(predicate, quantiles, facts["source"], signals),
            }
            for rule in finished.rules()
            if facts["source"] in rule.sources
        ]


def _add_edits(finished: Finished, found: dict[str, Row]) -> None:
    files = datasets.files(finished.output, "edits") if finished.has("edits") else []
    names = ["start", "end", "kind", "reason"]
    for row in rows_where(files, "doc_id", found, ["doc_id", *names]):
        edits = found[row["doc_id"]].setdefault("edits", [])
        if len(edits) < EDITS_SHOWN:
            edits.append({name: row[name] for name in names})


def _add_lines(finished: Finished, found: dict[str, Row], texts: dict[str, str | None]) -> None:
    """Add the text's lines, those marked that edits or repeats are about."""
    spans: dict[str, list[Row]] = {doc_id: [] for doc_id in found}
    for doc_id, facts in found.items():
        for edit in facts.get("edits", []):
            mark = CHANGED if edit["kind"] == "mask" else CUT
            spans[doc_id].append({**edit, "mark": mark})
    files = datasets.files(finished.output, "repeats") if finished.has("repeats") else []
    for row in rows_where(files, "doc_id", found):
        about = row["elsewhere"] if row["kind"] == "contamination" else f"{row['count']:,} documents"
        spans[row["doc_id"]].append({**row, "mark": FOUND, "reason": f"{row['kind']}: {about}"})
    for doc_id, text in texts.items():
        if text is not None:
            found[doc_id]["lines"] = marked_lines(text, spans[doc_id], EXCERPT)


def sample(output: Path, rule: str, count: int) -> list[Row]:
    """`count` documents that a rule dropped, the first by a hash: doc_id, source, uri, text (an excerpt), signals.

    `signals` holds the values that the rule's predicate reads; for `duplicate` the original and the similarity to it.
    `duplicate`, `split_leak` and gates (`gate.no_text`) are named like rules. Raises ConfigError for a rule that no
    verdict and no rule set of the run names, GristmillError where the run is not judged.
    """
    finished = Finished.read(output)
    if not finished.has("verdicts"):
        raise GristmillError(f"{output}: the stage `judge` is not finished")
    rules = {applied.name: applied for applied in finished.rules()}
    known = {*rules, DUPLICATE, REMOVED, "split_leak"}
    chosen = Examples(count)
    columns = ["doc_id", "failed_rules", "duplicate_of", "part"]
    for batch in batches(datasets.files(output, "verdicts"), columns):
        known.update(pc.unique(pc.list_flatten(batch["failed_rules"])).to_pylist())
        chosen.add(rule, batch.filter(_dropped_by(batch, rule)))
    if rule not in known:
        raise ConfigError(f"--rule: no rule is named {excerpt(rule, 80)!r}; {nearest(rule, known)}")
    documents = documents_of(output, chosen.parts(), EXCERPT)
    values = _values_of(finished, rules.get(rule), rule, documents)
    return [_sampled(documents[doc_id], values[doc_id]) for doc_id in chosen.of(rule)]


def _sampled(document: Row, values: Row) -> Row:
    shown = {"uri": excerpt(document["uri"], 2_000), "text": document["text"] or ""}  # a gated document has no text
    return {"doc_id": document["doc_id"], "source": document["source"], **shown, "signals": values}


def _dropped_by(batch: pa.RecordBatch, rule: str) -> pa.Array:
    if rule == DUPLICATE:
        return pc.is_valid(batch["duplicate_of"])
    rules = batch["failed_rules"]
    hits = pc.list_parent_indices(rules).filter(pc.equal(pc.list_flatten(rules), rule))
    return pc.is_in(pa.array(range(len(batch)), pa.int64()), hits.cast(pa.int64()))


def _values_of(finished: Finished, applied: AppliedRule | None, rule: str, documents: dict[str, Row]) -> dict[str, Row]:
    if rule == DUPLICATE:
        rows = rows_where(datasets.files(finished.output, "verdicts"), "doc_id", documents)
        return {row["doc_id"]: {name: row[name] for name in ("duplicate_of", "similarity")} for row in rows}
    if applied is None:
        return {doc_id: {} for doc_id in documents}
    signals = signals_of(finished.output, documents)
    return {doc_id: applied_values(applied, documents[doc_id], signals[doc_id]) for doc_id in documents}
