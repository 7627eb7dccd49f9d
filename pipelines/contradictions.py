"""Rules that contradict each other, or themselves: thresholds between which nothing is left.

Read are comparisons of a signal with a number, such as `quality.words < 50`, alone or joined by AND. All else is left
to the report, which points out rules that fired on nothing or on nearly everything.
"""

from __future__ import annotations

import re
from collections import defaultdict

from pipelines.errors import ConfigError
from pipelines.rules import Rule

_COMPARISON = re.compile(r"\s*(\w+\.\w+)\s*(<=?|>=?)\s*(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*")
_AND = re.compile(r"\band\b", re.IGNORECASE)

Bound = tuple[float, str, str]  # the number, the rule that has it, its predicate


def check(rules: list[Rule]) -> None:
    """Raise ConfigError where one rule can drop nothing, or where two drop every document of a source between them."""
    below: dict[tuple[str, str], list[Bound]] = defaultdict(list)
    above: dict[tuple[str, str], list[Bound]] = defaultdict(list)
    for rule in rules:
        for name, predicate in (
            (rule.name, rule.predicate),
            *((f"override of {rule.name}", p) for p in rule.predicates()[1:]),
        ):
            _check_alone(name, predicate)
        predicate = _everywhere(rule)
        if single := _COMPARISON.fullmatch(predicate):
            side = below if single[2].startswith("<") else above
            for source in rule.sources:
                side[source, single[1]].append((float(single[3]), rule.name, predicate.strip()))
    for source, signal in sorted(below.keys() & above.keys()):
        high, low = max(below[source, signal]), min(above[source, signal])
        if low[0] < high[0]:
            raise ConfigError(
                f"rules {high[1]} ({high[2]}) and {low[1]} ({low[2]}) drop every document of source {source!r}: no "
                f"{signal} passes both"
            )


def _check_alone(name: str, predicate: str) -> None:
    """Raise ConfigError where comparisons that are joined by AND never hold together."""
    comparisons = [_COMPARISON.fullmatch(part) for part in _AND.split(predicate)]
    found = [match.groups() for match in comparisons if match]
    if len(found) < len(comparisons):
        return
    for signal, sign, number in found:
        for other, other_sign, other_number in found:
            empty = float(number) < float(other_number) or (
                float(number) == float(other_number) and not (sign == "<=" and other_sign == ">=")
            )
            if signal == other and sign.startswith("<") and other_sign.startswith(">") and empty:
                raise ConfigError(f"{name}: {predicate!r} is never true: no {signal} is both")


def _everywhere(rule: Rule) -> str:
    """The predicate that most documents are asked: the last override for all sources and languages, or the rule's."""
    predicate: str | None = rule.predicate
    for override in rule.overrides:
        if not override.sources and not override.languages:
            predicate = override.predicate
    return predicate or ""
