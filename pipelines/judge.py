"""Judge: every rule on every document, who of two duplicates stays, and which split. It reads no text.

gates        what ingest stopped before extraction (`gate.REASON`)
language     the config's language rule (`language.code`, `language.score`)
rules        SET.RULE, all that fire
duplicates   the greedy choice in keep order, among documents that the above let through (`rules_first`) or among
             all that pass gates and language (`duplicates_first`)
split        by a hash of the document's group; a held-out document whose cluster has a kept document in train is
             dropped as `split_leak`
removed      what tombstones name, last of all: it still takes part in the choice, so that no duplicate of it comes back
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import BooleanType, DataType, StructField

from pipelines import contradictions, datasets, languages
from pipelines.annotate import family_types, signal_files
from pipelines.config import Config
from pipelines.dedup import contamination
from pipelines.dedup.choose import duplicates
from pipelines.dedup.compared import SCOPES
from pipelines.dedup.places import Place, of_indexes
from pipelines.errors import ConfigError
from pipelines.lookup import REMOVED
from pipelines.quantiles import Quantiles, calls, filled, measure
from pipelines.rules import Rule, check_names, load_rules
from pipelines.tombstones import fingerprint, removed

VERSION = 4


def facts(spark: SparkSession, output: Path, config: Config) -> DataFrame:
    """One row per document: doc_id, source, uri, meta, part, source_priority and one struct per signal family."""
    priority = F.create_map(*(F.lit(x) for i, s in enumerate(config.sources) for x in (s.name, i)))
    documents = (
        spark.read.schema("doc_id string, source string, uri string, meta map<string, string>")
        .parquet(*datasets.files(output, "documents"))
        .select("*", F.col("_metadata.file_name").alias("part"), priority[F.col("source")].alias("source_priority"))
    )
    for family in family_types(config):
        documents = documents.join(signals(spark, output, family), "doc_id", how="left")
    if config.repeats.contamination:
        repeats = spark.read.parquet(*datasets.files(output, "repeats"))
        documents = documents.join(contamination.signals(repeats), "doc_id", how="left")
    return documents


def signals(spark: SparkSession, output: Path, family: str) -> DataFrame:
    """(doc_id, FAMILY: struct of its signals)."""
    frame = spark.read.parquet(*signal_files(output, family))
    return frame.select("doc_id", F.struct(*[c for c in frame.columns if c != "doc_id"]).alias(family))


def language_rules(config: Config) -> list[Rule]:
    """The config's language rule, as rules; without any, no document is asked."""
    asked = tuple(s.name for s in config.sources if s.resolved_kind in config.language.kinds)
    rules = []
    if config.language.keep:
        codes = ", ".join(f"'{code}'" for code in config.language.keep)
        rules.append(Rule("language.code", f"language.code not in ({codes})", asked))
    if config.language.min_score or config.language.min_scores or config.language.min_scores_from:
        rules.append(Rule("language.score", f"language.score < {languages.least_score(config.language)}", asked))
    return rules


def contamination_rules(config: Config) -> list[Rule]:
    """The rule that drops documents that hold benchmark items, where the config asks for it."""
    settings = config.repeats.contamination
    if settings is None or settings.action != "drop":
        return []
    every = tuple(source.name for source in config.sources)
    return [Rule("contamination.share", f"contamination.share >= {settings.share}", every)]


def all_rules(config: Config) -> list[Rule]:
    """The language rule, the contamination rule and the rule sets."""
    return language_rules(config) + contamination_rules(config) + load_rules(config)


def quantiles(spark: SparkSession, output: Path, config: Config) -> Quantiles:
    """The quantiles that rules name, of the documents that gates and the language rule let through."""
    wanted = [call for rule in load_rules(config) for predicate in rule.predicates() for call in calls(predicate)]
    if not wanted:
        return {}
    documents = facts(spark, output, config)
    passing = F.element_at("meta", "gate").isNull() & (F.size(failed(language_rules(config), {})) == 0)
    return measure(documents.where(passing), wanted)


def failed(rules: list[Rule], quantiles: Quantiles) -> Column:
    """The names of the rules that fire, as an array."""
    if not rules:
        return F.array().cast("array<string>")
    return F.filter(
        F.array(*[F.when(rule.fires(quantiles), F.lit(rule.name)) for rule in rules]), lambda name: name.isNotNull()
    )


def passing(spark: SparkSession, output: Path, config: Config) -> DataFrame:
    """(doc_id) of the documents that have text and pass the language rule: those that are compared with each other."""
    documents = spark.read.schema("doc_id string, source string").parquet(*datasets.files(output, "documents"))
    asked = documents.join(signals(spark, output, "language"), "doc_id", how="inner")
    return asked.where(F.size(failed(language_rules(config), {})) == 0).select("doc_id")


def verdicts(spark: SparkSession, output: Path, config: Config, quantiles: Quantiles, folder: Path) -> DataFrame:
    """The verdicts on all documents, in the columns of `datasets.VERDICTS`.

    `folder` holds what a choice beyond the driver's memory writes down; it must last until the verdicts are written.
    """
    judged = judge_rules(facts(spark, output, config), config, quantiles).persist()
    keys = [(f"keep{i}", descends) for i, (_, descends) in enumerate(map(sort_key, config.dedup.keep_order))]
    order = [F.col(name).desc_nulls_last() if down else F.col(name).asc_nulls_last() for name, down in keys]
    documents = judged.select("doc_id", "takes_part", *[name for name, _ in keys])
    places = [Place(None, output), *of_indexes(config.dedup.indexes)]
    chosen, earlier = duplicates(documents, order, places, config.dedup, folder)
    return with_removed(with_splits(judged, chosen, earlier, config), removed(output, config.removals))


def with_splits(judged: DataFrame, chosen: DataFrame, earlier: DataFrame | None, config: Config) -> DataFrame:
    """The verdicts: what rules say, the choice among duplicates, and the split, where no cluster is on two sides.

    `earlier`: the documents of earlier runs in this run's clusters. These stay where they are, so a document of this
    run that would be on another side of its cluster is dropped, whichever side that is.
    """
    split = split_of(F.col("group"), config.split.validation, config.split.test, config.seed)
    candidates = judged.join(chosen, "doc_id", how="left").select(
        "doc_id",
        "source",
        "part",
        "duplicate_of",
        "similarity",
        "duplicate_in",
        "failed_rules",
        (F.col("takes_part") & F.col("duplicate_of").isNull()).alias("stays"),
        F.coalesce("cluster", "doc_id").alias("cluster"),
        F.col("cluster").isNotNull().alias("has_pairs"),
        F.coalesce("stands_for", F.lit(1)).alias("stands_for"),
        ((F.size("failed_rules") == 0) & F.col("duplicate_of").isNull()).alias("passes"),
        split.alias("split"),
    )
    in_train = F.col("split") == "train"
    staying = F.col("has_pairs") & F.col("passes")
    train = candidates.where(staying & in_train).select("cluster")
    sides = train.distinct().select("cluster", F.lit(True).alias("train"), F.lit(False).alias("held_out"))
    if earlier is not None:
        sides = sides.union(earlier.where("kept").select("cluster", in_train, ~in_train))
        sides = sides.groupBy("cluster").agg(F.bool_or("train").alias("train"), F.bool_or("held_out").alias("held_out"))
    other_side = F.when(in_train, F.col("held_out")).otherwise(F.col("train"))
    leaks = staying & F.coalesce(other_side, F.lit(False))
    return candidates.join(sides, "cluster", how="left").select(
        "doc_id",
        "source",
        F.when(leaks, F.array(F.lit("split_leak"))).otherwise(F.col("failed_rules")).alias("failed_rules"),
        "duplicate_of",
        "similarity",
        "duplicate_in",
        "stays",
        "cluster",
        F.when(F.col("passes") & ~leaks, F.col("stands_for")).otherwise(0).cast("long").alias("stands_for"),
        (F.col("passes") & ~leaks).alias("kept"),
        "split",
        "part",
    )


def with_removed(verdicts: DataFrame, documents: list[str]) -> DataFrame:
    """The verdicts, those on removed documents with the failed rule `removed`, which nothing else depends on."""
    if not documents:
        return verdicts
    listed = verdicts.sparkSession.createDataFrame(pa.table({"doc_id": documents, "is_out": [True] * len(documents)}))
    is_out = F.coalesce("is_out", F.lit(False))
    rules = F.array_sort(F.array_append("failed_rules", F.lit(REMOVED)))
    changed = {
        "failed_rules": F.when(is_out, rules).otherwise(F.col("failed_rules")),
        "stands_for": F.when(is_out, F.lit(0).cast("long")).otherwise(F.col("stands_for")),
        "kept": F.col("kept") & ~is_out,
    }
    judged = verdicts.join(listed, "doc_id", how="left")
    return judged.select(*[changed.get(name, F.col(name)).alias(name) for name in verdicts.columns])


def judge_rules(facts: DataFrame, config: Config, quantiles: Quantiles) -> DataFrame:
    """What rules say of each document, its group, and its place in the keep order (keep0, keep1, ...)."""
    gate = F.element_at("meta", "gate")
    no_gates = F.array().cast("array<string>")
    gates = F.when(gate.isNotNull(), F.array(F.concat(F.lit("gate."), gate))).otherwise(no_gates)
    eligible = gate.isNull() & (F.size(failed(language_rules(config), {})) == 0)
    rules = F.array_sort(F.concat(gates, failed(all_rules(config), quantiles)))
    takes_part = (F.size(rules) == 0) if config.rules.order == "rules_first" else eligible
    return facts.select(
        "doc_id",
        "source",
        "part",
        F.coalesce(F.element_at("meta", "group"), "doc_id").alias("group"),
        rules.alias("failed_rules"),
        takes_part.alias("takes_part"),
        *[F.expr(by).alias(f"keep{i}") for i, (by, _) in enumerate(map(sort_key, config.dedup.keep_order))],
    )


def sort_key(expression: str) -> tuple[str, bool]:
    """A keep-order expression without its ASC or DESC, and whether it descends."""
    body, _, direction = expression.strip().rpartition(" ")
    if direction.upper() in ("ASC", "DESC"):
        return body, direction.upper() == "DESC"
    return expression, False


def split_of(group: Column, validation: float, test: float, seed: int) -> Column:
    """The split of a group, by its hash alone: stable as a corpus grows.

    The hash is Spark's xxhash64 of seed and group, its upper 53 bits taken as a fraction of 1.
    """
    fraction = F.shiftrightunsigned(F.xxhash64(F.lit(seed), group), 11) / F.lit(float(2**53))
    return F.when(fraction < validation, "validation").when(fraction < validation + test, "test").otherwise("train")


def check(config: Config) -> None:
    """Check all names that rules and the keep order use, and the tombstones. Raises ConfigError; needs no Spark."""
    fingerprint(config.removals)
    contradictions.check(all_rules(config))
    schemas = {name: family.schema for name, family in family_types(config).items()}
    if language_rules(config) and "language" not in schemas:
        raise ConfigError("language: the rule needs the family `language` in annotate.families")
    for i, by in enumerate(config.dedup.keep_order):
        check_names(f"dedup.keep_order.{i}", sort_key(by)[0], schemas, extra=("source_priority",))
    check_names("pack.bucket", config.pack.bucket, schemas, extra=("stands_for", "copies"))
    if config.dedup.scope not in SCOPES:
        check_names("dedup.scope", config.dedup.scope, {})


def check_expressions(spark: SparkSession, config: Config) -> None:
    """Let Spark analyse every predicate and sort expression on no rows. Raises ConfigError for what is no valid SQL."""
    named = {
        **{rule.name: rule.predicate for rule in all_rules(config)},
        **{
            f"override of {rule.name}, {i}": override.predicate
            for rule in all_rules(config)
            for i, override in enumerate(rule.overrides)
            if override.predicate is not None
        },
    }
    values = {f"dedup.keep_order.{i}": sort_key(by)[0] for i, by in enumerate(config.dedup.keep_order)}
    values["dedup.scope"] = SCOPES.get(config.dedup.scope, config.dedup.scope) or "source"
    values["pack.bucket"] = config.pack.bucket
    named, values = ({where: filled(text, {}) for where, text in part.items()} for part in (named, values))
    nothing = _no_documents(spark, config)
    try:
        kinds = nothing.select(*map(F.expr, [*named.values(), *values.values()])).schema.fields
    except (AnalysisException, ParseException):
        kinds = [_kind(nothing, where, expression) for where, expression in {**named, **values}.items()]
    for (where, expression), field in zip(named.items(), kinds):
        if not isinstance(field.dataType, BooleanType):
            raise ConfigError(f"{where}: {expression!r} is {field.dataType.simpleString()}, not true or false")


def _no_documents(spark: SparkSession, config: Config) -> DataFrame:
    """No rows, of all columns that an expression in a config may use."""
    columns: dict[str, DataType | str] = {
        **dict.fromkeys(("doc_id", "source", "uri", "part"), "string"),
        **dict.fromkeys(("source_priority", "stands_for", "copies"), "int"),
        "meta": "map<string, string>",
        "contamination": contamination.SIGNALS_SCHEMA,
        **{name: from_arrow_schema(family.schema) for name, family in family_types(config).items()},
    }
    return spark.range(0).select(*[F.lit(None).cast(kind).alias(name) for name, kind in columns.items()])


def _kind(frame: DataFrame, where: str, expression: str) -> StructField:
    """The type of an expression. Raises ConfigError where it is no valid SQL."""
    try:
        return frame.select(F.expr(expression)).schema[0]
    except (AnalysisException, ParseException) as error:
        raise ConfigError(f"{where}: {expression!r} is no valid Spark SQL: {str(error).splitlines()[0]}") from error
