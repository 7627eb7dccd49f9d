"""Rules as data: named Spark SQL predicates over signals, grouped in sets, chosen per kind of source.

A rule set is a YAML mapping `name: predicate`; true drops the document. A rule's full name is SET.RULE. A predicate may
use the configured signals (`quality.words`), `source`, `meta['key']`, quantiles of signals (`pipelines.quantiles`) and
numbers of the document's language (`pipelines.languages`). Names are checked before Spark starts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import pyarrow as pa
import yaml
from pyspark.sql import Column
from pyspark.sql import functions as F

from pipelines import languages
from pipelines.annotate import family_types
from pipelines.config import Config, Override
from pipelines.errors import ConfigError
from pipelines.quantiles import Quantiles, calls, filled
from pipelines.source_config import nearest

RULES = Path(__file__).parent.parent / "filters" / "rules"
DOCUMENT_COLUMNS = ("source", "uri", "meta")
KEYWORDS = {
    *("and", "or", "not", "is", "null", "in", "like", "rlike", "between", "true", "false"),
    *("case", "when", "then", "else", "end", "div", "cast", "as", "int", "double", "string"),
}
IDENTIFIER = re.compile(r"(?<![\w.'])([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(\s*\()?")


@dataclass(frozen=True)
class Rule:
    """A predicate, the sources that it is asked of, and the overrides of it, in the config's order."""

    name: str
    predicate: str
    sources: tuple[str, ...]
    overrides: tuple[Override, ...] = ()

    def predicates(self) -> list[str]:
        """The predicate and those of the overrides."""
        return [self.predicate, *(o.predicate for o in self.overrides if o.predicate is not None)]

    def fires(self, quantiles: Quantiles) -> Column:
        """Whether the rule drops the document. A predicate over a missing signal is not true."""
        predicate = F.expr(filled(self.predicate, quantiles))
        for override in self.overrides:
            where = reduce(
                Column.__and__,
                [F.col("source").isin(override.sources)] * bool(override.sources)
                + [F.col("language.code").isin(override.languages)] * bool(override.languages),
                F.lit(True),
            )
            changed = F.lit(False) if override.predicate is None else F.expr(filled(override.predicate, quantiles))
            predicate = F.when(where, changed).otherwise(predicate)
        return F.col("source").isin(list(self.sources)) & F.coalesce(predicate, F.lit(False))


def load_rules(config: Config) -> list[Rule]:
    """All rules of a config, sorted by name.

    Raises ConfigError for a rule set that is not there, for a predicate over an unknown signal, and for an override
    of an unknown rule.
    """
    sources_of: dict[str, list[str]] = {}
    for source in config.sources:
        for name in source.rules if source.rules is not None else config.rules.sets.get(source.resolved_kind, []):
            sources_of.setdefault(name, []).append(source.name)
    for names in config.rules.sets.values():
        for name in names:
            read_rule_set(name)  # a set that no source uses today is still checked
    predicates, owners = {}, {}
    for name, sources in sorted(sources_of.items()):
        for rule, predicate in read_rule_set(name).items():
            full = f"{Path(name).stem}.{rule}"
            predicates[full], owners[full] = predicate, tuple(sources)
    for i, override in enumerate(config.rules.overrides):
        if override.rule not in predicates:
            hint = nearest(override.rule, predicates)
            raise ConfigError(f"rules.overrides.{i}.rule: no rule is named {override.rule!r}; {hint}")
    schemas = {name: family.schema for name, family in family_types(config).items()}
    rules = []
    for name, predicate in sorted(predicates.items()):
        overrides = tuple(o for o in config.rules.overrides if o.rule == name)
        for where, text in [
            (name, predicate),
            *((f"override of {name}", o.predicate) for o in overrides if o.predicate),
        ]:
            check_names(where, text, schemas)
            calls(text)
        if any(override.languages for override in overrides) and "language" not in schemas:
            raise ConfigError(f"override of {name}: languages are given, but annotate.families lacks `language`")
        rules.append(Rule(name, predicate, owners[name], overrides))
    return rules


def read_rule_set(name: str) -> dict[str, str]:
    """The rules of one set: a name in filters/rules, or the path of a YAML file. Raises ConfigError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else RULES / f"{name}.yaml"
    if not path.is_file():
        shipped = [p.stem for p in RULES.glob("*.yaml")]
        raise ConfigError(f"rules.sets: no rule set {name!r}; {nearest(name, shipped)}")
    try:
        rules = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"rule set {path} is not valid YAML: {error}") from error
    if not isinstance(rules, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in rules.items()):
        raise ConfigError(f"rule set {path}: a rule set is a mapping `name: predicate`")
    table = path.with_suffix(".csv")
    return {rule: languages.filled(text, table) for rule, text in rules.items()} if table.is_file() else rules


def check_names(where: str, predicate: str, schemas: dict[str, pa.Schema], extra: tuple[str, ...] = ()) -> None:
    """Raise ConfigError where an expression uses a name that is neither a signal nor a column of the document."""
    signals = [f"{family}.{field}" for family, schema in schemas.items() for field in schema.names]
    without_literals = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "''", predicate)
    if without_literals.count("(") != without_literals.count(")"):
        raise ConfigError(f"{where}: unbalanced parentheses in {predicate!r}")
    for name, call in IDENTIFIER.findall(without_literals):
        if call or name.lower() in KEYWORDS or name in signals or name in (*DOCUMENT_COLUMNS, *extra):
            continue
        hint = nearest(name, [*signals, *DOCUMENT_COLUMNS, *extra])
        raise ConfigError(f"{where}: unknown signal {name!r} in {predicate!r}; {hint}")
