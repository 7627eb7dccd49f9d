"""The page of a report: its drawings and its HTML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines import charts, report_duplicates, report_facts
from pipelines.funnel import REASONS
from pipelines.lookup import Row, excerpt
from pipelines.report_verdicts import EXAMPLES

CURVE_POINTS = 400
MOST_ITEMS = 50  # benchmark items
SAMPLE = 1_000  # characters
REASON_LABELS = {
    "gate": "gates",
    "removed": "removed",
    "language": "language",
    "rules": "rules",
    "duplicate": "duplicates",
    "split_leak": "split leak",
}


def render(facts: Row) -> str:
    """The page. All text in it is escaped; it refers to nothing outside itself."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=_count, short=_short, value=_value, dense=_dense, shown=_shown)
    page = environment.get_template("report.html.j2")
    return page.render(**_drawn(facts), reasons=REASON_LABELS, top_languages=report_facts.TOP_LANGUAGES)


def _drawn(facts: Row) -> Row:
    """The facts, with what the page draws of them."""
    page: Row = {
        "funnel": None,
        "rules": [],
        "languages": {},
        "pack": None,
        "contamination": None,
        "errors": [],
        "normalization": {},
        "documents_in": None,
        **facts,
    }
    drawings: Row = {}
    page["charts"] = drawings
    page.setdefault("tokenizer", None)
    page.setdefault("pretrain", None)
    if facts.get("funnel"):
        page["totals"] = report_facts.totals(facts["funnel"])
        drawings["funnel"] = {name: _funnel_bar(row) for name, row in facts["funnel"].items()}
        most = max([rule.fired for rule in facts["rules"]], default=0)
        drawings["rules"] = {rule.name: _rule_bar(rule, most) for rule in facts["rules"]}
        drawings["clusters"] = report_duplicates.cluster_chart(facts["duplicates"]["cluster_sizes"])
        drawings["bands"] = report_duplicates.band_chart(facts["matching"])
        page["sources_of_duplicates"] = report_duplicates.source_table(facts["duplicates"]["by_source"])
        drawings["lengths"] = {name: _length_chart(row) for name, row in facts["lengths"].items()}
        languages = facts.get("languages", {})
        most = max([sum(row.values()) for row in languages.values()], default=0)
        drawings["languages"] = {code: _kept_bar(row, most) for code, row in languages.items()}
    if facts.get("contamination"):
        page["contamination"] = contamination_section(facts["contamination"])
    if facts.get("pretrain"):
        drawings.update(_training_charts(facts["pretrain"]))
    return page


def contamination_section(facts: Row) -> Row:
    """What the page shows of the facts of benchmark items.

    `facts`: `counts`, items by outcome (found, not_found, too_short, ignored) for each benchmark file, and for all of
    them under ""; and `matched`, the items that were found, the first to show first: `item` (its name), `documents`
    (how many have it), `share` (the largest of its n-grams' in a document) and `examples` (doc_id, source, uri, kept or
    None, text that matched, share).
    """
    items = [
        {**item, "item": excerpt(item["item"], 200), "examples": [_matched(row) for row in item["examples"][:EXAMPLES]]}
        for item in facts["matched"][:MOST_ITEMS]
    ]
    files = {excerpt(name, 200): row for name, row in facts["counts"].items() if name}
    total = facts["counts"][""]
    return {"total": total, "files": files, "matched": items, "more": total["found"] - len(items)}


def _matched(row: Row) -> Row:
    status = {True: "kept", False: "dropped", None: ""}[row["kept"]]
    return {**row, "title": "", "uri": excerpt(row["uri"], 200), "text": excerpt(row["text"], SAMPLE), "status": status}


def _funnel_bar(row: Row) -> Markup:
    parts = [("kept", f"kept: {row['kept']:,}", row["kept"])]
    parts += [(r, f"{REASON_LABELS[r]}: {row[f'dropped_{r}']:,}", row[f"dropped_{r}"]) for r in REASONS]
    parts.append(("error", f"errors: {row['errors']:,}", row["errors"]))
    return charts.share_bar(parts, row["documents_in"])


def _rule_bar(rule: report_facts.RuleFacts, most: int) -> Markup:
    alone = rule.alone or 0
    with_others = rule.fired - alone
    parts = [("alone", f"alone: {alone:,}", alone), ("fired", f"with others: {with_others:,}", with_others)]
    return charts.share_bar(parts, most)


def _kept_bar(row: dict[str, int], most: int) -> Markup:
    parts = [(name, f"{name}: {row[name]:,}", row[name]) for name in ("kept", "dropped")]
    return charts.share_bar(parts, most)


def _length_chart(row: Row) -> Markup | None:
    """Columns from the first to the last bin that has a document."""
    both = [kept + dropped for kept, dropped in zip(row["words_kept"], row["words_dropped"])]
    used = [i for i, count in enumerate(both) if count]
    if not used:
        return None
    part = slice(used[0], used[-1] + 1)
    labels = [charts.number(first) for first in report_facts.WORD_BINS[part].tolist()]
    stacks = [("kept", "kept", row["words_kept"][part]), ("dropped", "dropped", row["words_dropped"][part])]
    return charts.histogram(labels, stacks, "words, from", every=-(-len(labels) // 9))


def _training_charts(facts: Row) -> Row:
    drawn: Row = {"loss": None, "bits_per_byte": None}
    if facts["loss"]:
        curve = charts.thinned(facts["loss"], CURVE_POINTS)
        drawn["loss"] = charts.line_chart([("line", curve)], "step", "training loss, nats per token")
    if facts["bits_per_byte"]:
        unigram = facts.get("unigram_bits_per_byte")
        levels = [] if unigram is None else [(f"unigram baseline {unigram:.3f}", unigram)]
        curve = charts.thinned(facts["bits_per_byte"], CURVE_POINTS)
        drawn["bits_per_byte"] = charts.line_chart([("line", curve)], "step", "validation bits per byte", levels)
    return drawn


def _count(value: Any) -> str:
    return "–" if value is None else f"{value:,}"


def _short(value: float) -> str:
    return charts.number(value, digits=3)


def _dense(text: str) -> str:
    """A text without its blank lines."""
    return re.sub(r"\n\s*\n", "\n", text)


def _shown(text: str) -> str:
    return excerpt(text, SAMPLE)


def _value(value: Any) -> str:
    """A signal's value or a rate, short."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
