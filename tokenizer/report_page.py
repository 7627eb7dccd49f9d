"""The page of a tokenizer's report: one HTML file that refers to nothing outside itself; all text in it is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tokenizer.report_chart import log_chart, short

MOST_ROWS = 100
LONGEST_SHOWN = 60  # characters of a token
MOST_LINES = 6  # colours of the page


def page(content: dict[str, Any]) -> str:
    """The HTML of what `report.report` found."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=_count, ratio=_ratio, share=_share, short=short, visible=visible)
    tables = {name: _table(content, name) for name in ("groups", "languages", "scripts")}
    return environment.get_template("report_page.html.j2").render(
        **content, tables=tables, names=["this tokenizer", *content["compared"]], growth_chart=_growth_chart(content)
    )


def visible(text: str) -> str:
    """A token as a person can see it: what does not print (controls, marks of direction, joiners) as escapes."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:LONGEST_SHOWN])
    return shown + ("…" if len(text) > LONGEST_SHOWN else "")


def _table(content: dict[str, Any], dimension: str) -> dict[str, Any]:
    """The rows of one dimension, each with the bytes per token of all tokenizers; how many more there are."""
    rows = content[dimension]
    shown = {
        name: row | {"compared": [_same(other, dimension, name) for other in content["compared"].values()]}
        for name, row in list(rows.items())[:MOST_ROWS]
    }
    every = [ratio for row in shown.values() for ratio in (row["bytes_per_token"], *row["compared"])]
    return {"rows": shown, "more": len(rows) - len(shown), "most": max([x for x in every if x], default=1)}


def _same(other: dict[str, Any], dimension: str, name: str) -> float | None:
    return other[dimension][name]["bytes_per_token"]


def _growth_chart(content: dict[str, Any]) -> str | None:
    """Bytes per token by vocabulary size, a line a tokenizer whose merges tell it."""
    curves = [content["growth"], *(other["growth"] for other in content["compared"].values())]
    lines = [
        (visible(name), [(at["vocabulary_size"], at["bytes_per_token"]) for at in curve or [] if at["bytes_per_token"]])
        for name, curve in zip(["this tokenizer", *content["compared"]], curves)
    ]
    return log_chart(lines[:MOST_LINES], "entries of the vocabulary", "bytes per token") or None


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
