"""Quantiles in predicates: `quantile(SIGNAL, SHARE)`, or one for each group, `quantile(SIGNAL, SHARE, GROUP, ...)`.

`learned.score < quantile(learned.score, 0.9, language.code)` drops all but the best tenth of each language. The
quantile is taken over the documents that gates and the language rule let through and that have a value: the smallest
value of which at least a SHARE of them have it or a smaller one (SQL's percentile_disc; type 1 of Hyndman and Fan
1996). It is a value that occurs, exact, and depends on nothing but the documents. Groups are `source` and signals.

Before predicates are evaluated, the calls in them are replaced by the quantiles, which are few and stay in the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.errors import ConfigError

CALL = re.compile(r"\bquantile\s*\(([^()]*)\)", re.IGNORECASE)
NAME = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")
SEPARATOR = "\x1f"  # between the values of several groups

Quantiles = dict[str, dict[str, float]]  # by call and by group, as `key` and `Quantile.group_of` have them


@dataclass(frozen=True)
class Quantile:
    """A call in a predicate."""

    signal: str
    share: float
    groups: tuple[str, ...]

    @property
    def key(self) -> str:
        """The call in one spelling."""
        return f"quantile({', '.join([self.signal, f'{self.share:g}', *self.groups])})"

    @property
    def group(self) -> str:
        """A document's group, in SQL."""
        values = "".join(f", coalesce(cast({name} as string), '')" for name in self.groups)
        return f"concat_ws('\\u001f', ''{values})"

    def group_of(self, values: Iterable[Any]) -> str:
        """The group of a document whose `groups` have these values."""
        return SEPARATOR.join(["", *("" if value is None else str(value) for value in values)])


def calls(predicate: str) -> list[Quantile]:
    """The calls in a predicate. Raises ConfigError where one is not well formed."""
    if predicate.lower().count("quantile(") != len(CALL.findall(predicate)):
        raise ConfigError(f"{predicate!r}: a quantile is written quantile(SIGNAL, SHARE, GROUP, ...)")
    return [_parse(match[1], match[0]) for match in CALL.finditer(predicate)]


def _parse(arguments: str, call: str) -> Quantile:
    signal, *rest = (part.strip() for part in arguments.split(","))
    try:
        share, groups = float(rest[0]), tuple(rest[1:])
    except (IndexError, ValueError):
        raise ConfigError(f"{call}: the second argument is a share, such as 0.3") from None
    if not 0 < share < 1:
        raise ConfigError(f"{call}: the share must lie between 0 and 1")
    for name in (signal, *groups):
        if not NAME.fullmatch(name) and (name == signal or name != "source"):
            raise ConfigError(f"{call}: {name!r} is no signal, such as quality.words")
    return Quantile(signal, share, groups)


def filled(predicate: str, quantiles: Quantiles) -> str:
    """The predicate with numbers in the place of calls: of a group that is not known there is none, so null."""

    def number(match: re.Match[str]) -> str:
        call = _parse(match[1], match[0])
        entries = ", ".join(f"{_quoted(group)}, {value!r}D" for group, value in quantiles.get(call.key, {}).items())
        return f"try_element_at(map({entries}), {call.group})" if entries else "cast(null as double)"

    return CALL.sub(number, predicate)


def _quoted(text: str) -> str:
    return "'" + "".join(f"\\u{ord(c):04x}" if not c.isalnum() and ord(c) < 0x10000 else c for c in text) + "'"


def measure(documents: DataFrame, wanted: Iterable[Quantile]) -> Quantiles:
    """The quantiles of `documents`, which have the signals and `source`. One pass for each grouping."""
    found: Quantiles = {}
    for call in sorted(set(wanted), key=lambda call: call.key):
        value = f"cast({call.signal} as double)"
        rows = (
            documents.where(F.expr(f"{value} is not null"))
            .groupBy(F.expr(call.group).alias("group"))
            .agg(F.expr(f"percentile_disc({call.share!r}) within group (order by {value})").alias("value"))
            .orderBy("group")
            .collect()
        )
        found[call.key] = {row["group"]: row["value"] for row in rows}
    return found
