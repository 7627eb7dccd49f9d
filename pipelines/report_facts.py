"""The facts of a report: what was counted of verdicts, one pass over the signals that are counted, and examples.

Texts are read only of examples, and cut.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines import datasets, languages
from pipelines.lookup import (
    DUPLICATE,
    REMOVED,
    AppliedRule,
    Examples,
    Finished,
    Row,
    applied_values,
    batches,
    documents_of,
    excerpt,
    shown,
    signals_of,
)
from pipelines.report_verdicts import EXAMPLES, Verdicts

EXCERPT = 300  # characters
TOP_LANGUAGES = 20
# First word count of each length bin: 0, then 1, 2 and 5 times each power of ten.
WORD_BINS = np.array([0, *(first * 10**power for power in range(8) for first in (1, 2, 5))], np.int64)


@dataclass
class RuleFacts:
    """What one rule did. `asked`: documents with text of its sources; None where that is not known.

    `alone` counts the documents that would have been kept without the rule: it is the only one that failed, and no
    similar document is kept, nor (of a held-out document) one of its cluster in train. None for gates: what they stop
    was not measured; and for what was removed. `overlap`: by other rule, on how many documents both fired, the most
    first.
    """

    name: str
    predicate: str | None
    fired: int
    alone: int | None
    asked: int | None
    overlap: dict[str, int] = field(default_factory=dict)
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


def rule_facts(finished: Finished, verdicts: Verdicts, not_alone: Counter[str]) -> list[RuleFacts]:
    """All rules of the run and all names in verdicts, duplicates included; those that fired most come first.

    `not_alone`: by rule, documents of `verdicts.single` that something else would drop, were it not for the rule.
    """
    applied = {rule.name: rule for rule in finished.rules()}
    facts = []
    for name in sorted({*applied, *verdicts.fired}, key=lambda name: (-verdicts.fired[name], name)):
        rule = applied.get(name)
        asked = sum(verdicts.with_text[source] for source in rule.sources) if rule else None
        alone: int | None = verdicts.single[name] - not_alone[name]
        if name.startswith("gate.") or name in (DUPLICATE, REMOVED):
            alone = None
        elif name == "split_leak":
            alone = verdicts.fired[name]
        overrides = [_override(o) for o in rule.overrides] if rule else []
        predicate = languages.shown(rule.predicate) if rule else None
        overlap = overlap_of(name, verdicts.together)
        facts.append(RuleFacts(name, predicate, verdicts.fired[name], alone, asked, overlap, overrides))
    _add_examples(finished, verdicts.examples, applied, facts)
    return facts


def overlap_of(name: str, together: Counter[tuple[str, str]]) -> dict[str, int]:
    """By other rule, on how many documents it fired as well, the most first."""
    others = {b if a == name else a: count for (a, b), count in together.items() if name in (a, b)}
    return dict(sorted(others.items(), key=lambda item: (-item[1], item[0])))


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
            rule.examples.append({**shown(document), "values": values})


def language_facts(output: Path, verdicts: Verdicts) -> dict[str, dict[str, int]]:
    """By language, the most frequent first: how many documents were kept and dropped, of those with a text."""
    counts: Counter[tuple[str, bool]] = Counter()
    for table in verdicts.tables():
        for batch in batches(datasets.files(output, "signals/language"), ["doc_id", "code"]):
            at, known = table.find(batch["doc_id"])
            codes = batch["code"].filter(pa.array(known)).to_pylist()
            counts.update(zip(codes, table.kept[at[known]].tolist()))
    totals: Counter[str] = Counter()
    for (code, _), count in counts.items():
        totals[code] += count
    ranked = sorted(totals, key=lambda code: (-totals[code], code or ""))
    return {code: {"kept": counts[code, True], "dropped": counts[code, False]} for code in ranked}


def length_facts(output: Path, verdicts: Verdicts) -> dict[str, Row]:
    """By source: characters of all documents and of those kept (`characters_in`, `characters_kept`), and documents by
    words: `words_kept` and `words_dropped`, int64[len(WORD_BINS)]. As measured: after line edits.
    """
    words = np.zeros((len(verdicts.sources), 2, len(WORD_BINS)), np.int64)
    characters = np.zeros((len(verdicts.sources), 2), np.int64)
    for table in verdicts.tables():
        for batch in batches(datasets.files(output, "signals/quality"), ["doc_id", "words", "characters"]):
            at, known = table.find(batch["doc_id"])
            source, kept = table.sources[at[known]], table.kept[at[known]].astype(np.int64)
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
        for i, name in enumerate(verdicts.sources)
    }


def error_facts(output: Path) -> list[Row]:
    """By source, level and reason, the most frequent first: count, and three examples of path and detail."""
    counts: Counter[tuple[str, str, str]] = Counter()
    chosen: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for batch in batches(datasets.files(output, "errors"), ["source", "level", "reason", "path", "detail"]):
        for row in batch.to_pylist():
            key = (row["source"], row["level"], row["reason"])
            counts[key] += 1
            example = (excerpt(row["path"], 200), excerpt(row["detail"] or "", EXCERPT))
            chosen[key] = sorted([*chosen.get(key, []), example])[:EXAMPLES]
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
        row = {"read": read.get(source, 0), "dropped_removed": 0, **counts}
        if lengths:
            known = lengths.get(source, {})
            row |= {name: known.get(name, 0) for name in ("characters_in", "characters_kept")}
        if tokens is not None:
            row["tokens"] = sum(tokens.get(source, {}).values())
        table[source] = row
    return table


def totals(table: dict[str, Row]) -> Row:
    """The sums over all sources of the funnel's columns."""
    names = list(next(iter(table.values()), {}))
    return {name: sum(row.get(name, 0) for row in table.values()) for name in names}
