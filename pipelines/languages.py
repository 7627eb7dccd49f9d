"""Numbers that differ from language to language, and whether the language model that runs fits what a config says.

A table is a CSV file beside a rule set, under its name: a row per language, named in the column `label` as a language
model names it (`deu_Latn`), and columns of numbers. In the set's predicates `{column}` stands for the number of the
document's language, `{column <= 0.4}` for the same but at most 0.4 (`>=`: at least). It is null where the table lacks
the language, so that the rule does not fire.

A column `language_score` holds least scores for the language rule (`language.min_scores_from`); scores of one model say
nothing of another's, so the column `model` says whose they are, and a model that lacks a label of the table is not it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from filters.language_codes import UNDETERMINED, tag
from filters.language_codes import nearest as nearest_code
from pipelines.config import Config, Language
from pipelines.errors import ConfigError
from pipelines.source_config import nearest

RULES = Path(__file__).parent.parent / "filters" / "rules"
SCORE = "language_score"

_PLACE = re.compile(r"\{\s*(\w+)\s*(?:(<=|>=)\s*(\d+(?:\.\d+)?)\s*)?\}")
_NUMBERS = re.compile(r"try_element_at\(map\(([^()]*)\), language\.(?:tag|code)\)")

Table = dict[str, dict[str, str]]  # by label, by column


@lru_cache(maxsize=16)
def read(path: Path) -> Table:
    """The rows of a table. Raises ConfigError where it is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read the table {path}: {error}") from error
    if not rows or "label" not in rows[0]:
        raise ConfigError(f"the table {path} has no column `label` or no row")
    return {row["label"]: row for row in rows}


def filled(predicate: str, table: Path) -> str:
    """The predicate with the numbers of its language in the place of `{column}`. Raises ConfigError."""

    def numbers(match: re.Match[str]) -> str:
        column, bound, limit = match.groups()
        clamp = {None: lambda x: x, "<=": lambda x: min(x, float(limit)), ">=": lambda x: max(x, float(limit))}[bound]
        return of_language({name: clamp(x) for name, x in _column(table, column).items()}, "tag")

    return _PLACE.sub(numbers, predicate)


def of_language(numbers: dict[str, float], key: str) -> str:
    """SQL for the number of the document's language: `key` is the signal, `tag` or `code`, by which they are named."""
    entries = ", ".join(f"'{name}', {number!r}D" for name, number in sorted(numbers.items()))
    return f"try_element_at(map({entries}), language.{key})"


def shown(predicate: str, signals: dict[str, Any] | None = None) -> str:
    """A predicate to be read: its numbers are those of the language with these signals, or `(by language)`."""

    def number(match: re.Match[str]) -> str:
        if signals is None:
            return "(by language)"
        key = match[0].rpartition(".")[2].rstrip(")")
        found = re.search(rf"'{re.escape(str(signals.get(key)))}', ([^,]+)D", match[1])
        return found[1] if found else "null"

    return _NUMBERS.sub(number, predicate)


def least_score(language: Language) -> str:
    """SQL for the least score of the document's language."""
    numbers = [of_language(language.min_scores, "code")] if language.min_scores else []
    if language.min_scores_from:
        numbers.append(of_language(_column(_table(language.min_scores_from), SCORE), "tag"))
    return f"coalesce({', '.join([*numbers, f'{language.min_score!r}D'])})" if numbers else repr(language.min_score)


def _table(name: str) -> Path:
    """The table of least scores of a name in filters/rules, or of a path. Raises ConfigError."""
    path = Path(name) if name.endswith(".csv") else RULES / f"{name}.csv"
    if not path.is_file():
        shipped = [p.stem for p in RULES.glob("*.csv")]
        raise ConfigError(f"language.min_scores_from: no table {name!r}; {nearest(name, shipped)}")
    return path


def check(config: Config, family: Any) -> None:
    """Raise ConfigError where a config names languages that its language model does not know, or scores of another one.

    `family`: the built family `language`; one of a user's own that does not say which `codes` it knows is not asked.
    """
    known = getattr(family, "codes", None)
    if known is None:
        return
    named: list[tuple[str, Iterable[str]]] = [
        ("language.keep", config.language.keep),
        ("language.min_scores", config.language.min_scores),
        ("tokenizer.weights.languages", set(config.tokenizer.weights.languages) - {UNDETERMINED}),
        *((f"rules.overrides.{i}.languages", o.languages) for i, o in enumerate(config.rules.overrides)),
    ]
    for key, codes in named:
        for code in codes:
            if code not in known:
                hint = f"did you mean {nearest_code(code, known)!r}?"
                raise ConfigError(f"{key}: the language model knows no {code!r}; {hint}")
    if config.language.min_scores_from:
        _check_model(config.language.min_scores_from, family.labels)


def _check_model(name: str, labels: frozenset[str]) -> None:
    """Raise ConfigError where the table's scores were made for a model of other labels."""
    rows = read(_table(name))
    lacking = sorted(set(rows) - labels)
    if lacking:
        model = rows[lacking[0]].get("model") or "another model"
        raise ConfigError(
            f"language.min_scores_from: the scores of {name} were made for {model}; the model that runs is another, "
            f"it has no label {lacking[0]!r}. Name that model's file in annotate.options.language.model, or leave "
            "min_scores_from out"
        )


def _column(table: Path, column: str) -> dict[str, float]:
    """The numbers of a column by tag. Raises ConfigError where it is not there or holds something else."""
    found = {}
    for label, row in read(table).items():
        try:
            found[tag(label, "")] = float(row[column])
        except (KeyError, TypeError, ValueError):
            raise ConfigError(f"the table {table} has no number in column {column!r} for {label!r}") from None
    return found
