"""The report of a run: one page that opens from disk without a network, and the same counts as funnel.json."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq

from pipelines import charts, datasets, report_duplicates, report_facts
from pipelines.dedup.contamination_report import contamination_facts
from pipelines.ledger import STAGES, read_stages, write_text
from pipelines.lookup import Finished, Row
from pipelines.report_clusters import Clusters
from pipelines.report_normalization import normalization_facts
from pipelines.report_page import render
from pipelines.report_verdicts import Verdicts


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
        facts["normalization"] = normalization_facts(output)
    if "match" in finished.facts and (found := contamination_facts(finished)):
        facts["contamination"] = found
    if "judge" in finished.facts:
        verdicts = Verdicts(output)
        measured = _has_signals(output, "quality", {"words", "characters"})
        facts["lengths"] = report_facts.length_facts(output, verdicts) if measured else {}
        facts["funnel"] = report_facts.funnel_facts(finished, facts["lengths"])
        clusters = Clusters(finished, verdicts)
        facts["rules"] = report_facts.rule_facts(finished, verdicts, clusters.not_alone)
        facts["duplicates"] = report_duplicates.duplicate_facts(finished, verdicts, clusters)
        facts["matching"] = report_duplicates.matching_facts(finished)
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


def as_funnel(facts: Row) -> Row:
    """The page's counts as JSON: the content of funnel.json. Without a finished judge only stages and errors."""
    page: Row = {"name": facts["name"], "finished": list(facts["finished"]), "unfinished": facts["unfinished"]}
    if "errors" in facts:
        page["documents_in"] = facts["documents_in"]
        page["errors"] = facts["errors"]
        page["normalization"] = facts["normalization"]
    if "funnel" in facts:
        page["sources"] = facts["funnel"]
        page["totals"] = report_facts.totals(facts["funnel"])
        page["rules"] = {
            rule.name: {**{k: v for k, v in asdict(rule).items() if k not in ("name", "examples")}, "note": rule.note}
            for rule in facts["rules"]
        }
        counted = {name: value for name, value in facts["duplicates"].items() if name != "largest"}
        largest = [{k: v for k, v in c.items() if k != "documents"} for c in facts["duplicates"]["largest"]]
        page["duplicates"] = {**counted, "largest": largest}
        page["matching"] = facts["matching"]
        page["languages"] = facts.get("languages", {})
        page["word_bins"] = report_facts.WORD_BINS.tolist()
        page["lengths"] = facts["lengths"]
    if facts.get("contamination"):
        page["contamination"] = facts["contamination"]
    if "pack" in facts:
        page["tokens"] = facts["pack"]["tokens"]
        page["splits"] = facts["shards"]["splits"]
        page["packing"] = facts["pack"].get("packing", {})
    return page
