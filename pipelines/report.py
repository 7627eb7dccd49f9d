"""The report of a run: one page that opens from disk without a network, and the same counts as funnel.json."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines import charts, datasets, report_facts
from pipelines.dedup.curve import probability
from pipelines.funnel import REASONS
from pipelines.ledger import STAGES, read_stages, write_text
from pipelines.lookup import Finished, Row, excerpt
from pipelines.report_verdicts import Verdicts

CURVE_POINTS = 400
SAMPLE = 1_000  # characters
REASON_LABELS = {
    "gate": "gates",
    "language": "language",
    "rules": "rules",
    "duplicate": "duplicates",
    "split_leak": "split leak",
}


def write_report(output: Path, folder: Path | None = None) -> Path:
    """Write report.html and funnel.json into `folder`, by default output/report; returns the page's path.

    What is not finished is left out. Raises GristmillError where stages.json or config.json is damaged.
    """
    folder = output / "report" if folder is None else folder
    facts = gather(output)
    write_text(folder / "funnel.json", json.dumps(as_funnel(facts), indent=1, ensure_ascii=False) + "\n")
    write_text(folder / "report.html", render(facts))
    return folder / "report.html"


def gather(output: Path) -> Row:
    """All that the report shows: an entry for each section that has data."""
    finished = Finished.read(output)
    facts: Row = {"name": finished.config.get("name", output.absolute().name), **_stages(output, finished)}
    if "ingest" in finished.facts:
        facts["documents_in"] = sum(finished.facts["ingest"]["documents_in"].values())
        facts["errors"] = report_facts.error_facts(output)
    if "judge" in finished.facts:
        verdicts = Verdicts(output)
        measured = _has_signals(output, "quality", {"words", "characters"})
        facts["lengths"] = report_facts.length_facts(output, verdicts) if measured else {}
        facts["funnel"] = report_facts.funnel_facts(finished, facts["lengths"])
        facts["rules"] = report_facts.rule_facts(finished, verdicts)
        facts["duplicates"] = report_facts.duplicate_facts(finished, verdicts)
        facts["dedup"] = finished.config.get("dedup")
        if _has_signals(output, "language", {"code"}):
            facts["languages"] = report_facts.language_facts(output, verdicts)
    if "tokenizer" in finished.facts:
        facts["tokenizer"] = finished.facts["tokenizer"]
    if "pack" in finished.facts:
        facts["pack"] = finished.facts["pack"]
        facts["shards"] = json.loads((output / "shards" / "manifest.json").read_text(encoding="utf-8"))
    if "pretrain" in finished.facts:
        facts["pretrain"] = {**finished.facts["pretrain"], **_training(output, finished.facts["pretrain"]["name"])}
    return facts


def _stages(output: Path, finished: Finished) -> Row:
    """How long each finished stage took in seconds, and which are not finished: of those, which the config lacks."""
    entries = read_stages(output)
    names = [name for name in STAGES if name != "report"]
    skipped = ["pretrain"] if finished.config and not finished.config.get("pretrain") else []
    return {
        "finished": {name: entries[name].get("seconds") for name in names if name in finished.facts},
        "unfinished": [name for name in names if name not in finished.facts and name not in skipped],
    }


def _has_signals(output: Path, family: str, names: set[str]) -> bool:
    files = datasets.files(output, f"signals/{family}")
    return bool(files) and names <= set(pq.read_schema(files[0]).names)


def _training(output: Path, name: str) -> Row:
    """The training run's curves as (step, value), and its samples; a line cut off by a crash is left out."""
    folder = output / "runs" / name
    path = folder / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    records = [json.loads(line) for line in lines]
    samples = folder / "samples.json"

    def curve(kind: str, value: str) -> list[charts.Point]:
        return [(r["step"], r[value]) for r in records if r["kind"] == kind and r.get(value) is not None]

    return {
        "loss": curve("train", "loss"),
        "bits_per_byte": curve("evaluation", "bits_per_byte"),
        "samples": json.loads(samples.read_text(encoding="utf-8")) if samples.exists() else [],
    }


def totals(table: dict[str, Row]) -> Row:
    """The sums over all sources of the funnel's columns."""
    names = list(next(iter(table.values()), {}))
    return {name: sum(row.get(name, 0) for row in table.values()) for name in names}


def as_funnel(facts: Row) -> Row:
    """The page's counts as JSON: the content of funnel.json. Without a finished judge only stages and errors."""
    page: Row = {"name": facts["name"], "finished": list(facts["finished"]), "unfinished": facts["unfinished"]}
    if "errors" in facts:
        page["documents_in"] = facts["documents_in"]
        page["errors"] = facts["errors"]
    if "funnel" in facts:
        page["sources"] = facts["funnel"]
        page["totals"] = totals(facts["funnel"])
        page["rules"] = {
            rule.name: {**{k: v for k, v in asdict(rule).items() if k not in ("name", "examples")}, "note": rule.note}
            for rule in facts["rules"]
        }
        counted = {name: value for name, value in facts["duplicates"].items() if name != "largest"}
        largest = [{k: v for k, v in c.items() if k != "documents"} for c in facts["duplicates"]["largest"]]
        page["duplicates"] = {**counted, "largest": largest}
        page["languages"] = facts.get("languages", {})
        page["word_bins"] = report_facts.WORD_BINS.tolist()
        page["lengths"] = facts["lengths"]
    if "pack" in facts:
        page["tokens"] = facts["pack"]["tokens"]
        page["splits"] = facts["shards"]["splits"]
    return page


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
        "errors": [],
        "documents_in": None,
        **facts,
    }
    drawings: Row = {}
    page["charts"] = drawings
    page.setdefault("tokenizer", None)
    page.setdefault("pretrain", None)
    if facts.get("funnel"):
        page["totals"] = totals(facts["funnel"])
        drawings["funnel"] = {name: _funnel_bar(row) for name, row in facts["funnel"].items()}
        most = max([rule.fired for rule in facts["rules"]], default=0)
        drawings["rules"] = {rule.name: _rule_bar(rule, most) for rule in facts["rules"]}
        drawings["clusters"] = _cluster_chart(facts["duplicates"]["cluster_sizes"])
        drawings["lsh"] = _lsh_chart(facts["dedup"]) if facts["dedup"] else None
        drawings["lengths"] = {name: _length_chart(row) for name, row in facts["lengths"].items()}
        languages = facts.get("languages", {})
        most = max([sum(row.values()) for row in languages.values()], default=0)
        drawings["languages"] = {code: _kept_bar(row, most) for code, row in languages.items()}
    if facts.get("pretrain"):
        drawings.update(_training_charts(facts["pretrain"]))
    return page


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


def _cluster_chart(sizes: dict[str, int]) -> Markup | None:
    """Bins by their first size: 2, 3 to 4, 5 to 8, ..."""
    firsts = [int(first) for first in sizes]
    if not firsts:
        return None
    bins = [2 ** (k) + 1 for k in range(max(firsts).bit_length())]
    bins = [first for first in bins if first <= max(firsts)]
    labels = ["2" if first == 2 else f"{first}-{2 * (first - 1)}" for first in bins]
    counts = [sizes.get(str(first), 0) for first in bins]
    return charts.histogram(labels, [("fired", "clusters", counts)], "documents in a cluster", every=-(-len(bins) // 6))


def _lsh_chart(dedup: Row) -> Markup:
    bands, rows, threshold = dedup["bands"], dedup["rows"], dedup["threshold"]
    curve = [(i / 100, probability(i / 100, bands, rows)) for i in range(101)]
    mark = f"threshold {threshold}: {probability(threshold, bands, rows):.2%}"
    title = "share of pairs that are compared"
    return charts.line_chart([("line", curve)], "similarity", title, (), [(mark, threshold)], (0, 1), (0, 1.02))


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
