"""The reference of signals, in Markdown: what each family's schema says of its fields."""

from __future__ import annotations

from inspect import getdoc
from typing import Any

from pipelines.annotate import FAMILIES
from pipelines.sink import resolve


def reference() -> str:
    """A section for each family, a row for each signal: its type and its definition."""
    lines = ["# The signals", "", "Printed by `gristmill config signals`. A rule names a signal FAMILY.SIGNAL.", ""]
    for path in FAMILIES.values():
        lines += _section(resolve(path))
    return "\n".join(lines)


def _section(family: Any) -> list[str]:
    about = " ".join((getdoc(family) or "").split("\n\n")[0].split())
    rows = [
        f"| `{family.name}.{field.name}` | {field.type} | {_cell((field.metadata or {}).get(b'doc', b'').decode())} |"
        for field in family.schema
    ]
    return [f"## {family.name}", "", about, "", "| signal | type | definition |", "|---|---|---|", *rows, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
