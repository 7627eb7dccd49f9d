"""Rule sets read by Python instead of Spark, for the tests of what they drop."""

import re
from pathlib import Path
from typing import Any

import yaml

import filters.rules
from filters.batch import TextBatch
from filters.family import Family


def rules(name: str) -> dict[str, str]:
    path = Path(filters.rules.__file__).with_name(f"{name}.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def measure(batch: TextBatch, families: list[Family]) -> list[dict[str, Any]]:
    """All signals of each text by their full names."""
    rows: list[dict[str, Any]] = [{} for _ in range(len(batch))]
    for family in families:
        for row, values in zip(rows, family(batch).to_pylist()):
            row |= {f"{family.name}.{name}": value for name, value in values.items()}
    return rows


def fired(name: str, signals: dict[str, Any]) -> set[str]:
    """The rules of a set that drop a text."""
    found = set()
    for rule, predicate in rules(name).items():
        python = re.sub(r"\b[a-z]+\d?\.[a-z]\w+", lambda match: repr(signals[match[0]]), predicate)
        if eval(re.sub(r"(?<![<>!])=", "==", python).replace(" AND ", " and ").replace("\n", " ")):
            found.add(rule)
    return found
