"""Verdicts on a handful of documents whose signals are written by hand."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from filters.language import Language
from filters.quality import Quality
from pipelines import datasets, judge
from pipelines.config import Config

pytestmark = pytest.mark.spark

A, B, C, D = (letter * 32 for letter in "abcd")


def config(**changes):
    sources = [
        {"name": "first", "format": "jsonl", "paths": ["x"], "kind": "web"},
        {"name": "second", "format": "jsonl", "paths": ["x"], "kind": "web"},
    ]
    families = {"families": ["language", "quality"]}
    sets = {"sets": {"web": [], "book": [], "code": [], "text": []}}
    return Config.model_validate({"name": "x", "sources": sources, "annotate": families, "rules": sets, **changes})


def write(folder, rows, pairs=()):
    """The datasets that `verdicts` reads. A row: doc_id, source, words, language, group, gate."""
    for name in ("documents", "signals/quality", "signals/language", "pairs", "hubs"):
        (folder / name).mkdir(parents=True)
    documents = [
        {
            "doc_id": doc_id,
            "source": source,
            "uri": f"uri-{doc_id[0]}",
            "text": None if gate else "text",
            "meta": [("group", group), *([("gate", gate)] if gate else [])],
        }
        for doc_id, source, _, _, group, gate in rows
    ]
    pq.write_table(pa.Table.from_pylist(documents, schema=datasets.DOCUMENTS), folder / "documents" / "p.parquet")
    for family, values in (("quality", lambda row: {"words": row[2]}), ("language", lambda row: {"code": row[3]})):
        schema = {"quality": Quality, "language": Language}[family].schema
        empty = {f.name: "" if pa.types.is_string(f.type) else [] if pa.types.is_map(f.type) else 0 for f in schema}
        signals = [{"doc_id": row[0], **empty, **values(row)} for row in rows if not row[5]]
        keyed = pa.schema([("doc_id", pa.string()), *schema])
        pq.write_table(pa.Table.from_pylist(signals, schema=keyed), folder / "signals" / family / "p.parquet")
    table = [dict(zip(datasets.PAIRS.names, pair)) for pair in pairs]
    pq.write_table(pa.Table.from_pylist(table, schema=datasets.PAIRS), folder / "pairs" / "p.parquet")
    pq.write_table(datasets.HUBS.empty_table(), folder / "hubs" / "p.parquet")


def verdicts(spark, folder, settings):
    frame = judge.verdicts(spark, folder, settings, judge.quantiles(spark, folder, settings), folder / "work")
    assert frame.columns == datasets.VERDICTS.names
    return {row["doc_id"]: row for row in frame.collect()}


def test_all_failed_rules_are_listed_and_a_gate_is_one(spark, tmp_path):
    rules = tmp_path / "mine.yaml"
    rules.write_text("few: quality.words < 10\nvery_few: quality.words < 5\nnone: quality.words < 0\n")
    write(
        tmp_path,
        [(A, "first", 3, "eng", "g", None), (B, "first", 7, "eng", "g", None), (C, "second", 0, "eng", "g", "x")],
    )
    found = verdicts(spark, tmp_path, config(rules={"sets": {"web": [str(rules)]}}))
    assert found[A]["failed_rules"] == ["mine.few", "mine.very_few"]
    assert found[B]["failed_rules"] == ["mine.few"]
    assert found[C]["failed_rules"] == ["gate.x"]


def test_overrides_apply_to_their_sources_and_languages_alone(spark, tmp_path):
    rules = tmp_path / "mine.yaml"
    rules.write_text("few: quality.words < 10\n")
    overrides = [
        {"rule": "mine.few", "predicate": None, "sources": ["second"]},
        {"rule": "mine.few", "predicate": "quality.words < 4", "languages": ["deu"]},
    ]
    rows = [(A, "first", 5, "eng", "g", None), (B, "second", 5, "eng", "g", None)]
    rows += [(C, "first", 5, "deu", "g", None), (D, "second", 3, "deu", "g", None)]
    write(tmp_path, rows)
    found = verdicts(spark, tmp_path, config(rules={"sets": {"web": [str(rules)]}, "overrides": overrides}))
    assert [found[d]["failed_rules"] for d in (A, B, C, D)] == [["mine.few"], [], [], ["mine.few"]]


def test_the_language_rule(spark, tmp_path):
    write(tmp_path, [(A, "first", 5, "eng", "g", None), (B, "first", 5, "fra", "g", None)])
    found = verdicts(spark, tmp_path, config(language={"keep": ["eng"]}))
    assert found[A]["kept"]
    assert found[B]["failed_rules"] == ["language.code"]


def test_quantiles_are_of_those_that_may_stay_and_of_each_group(spark, tmp_path):
    rules = tmp_path / "mine.yaml"
    rules.write_text("low: quality.words < quantile(quality.words, 0.5, source)\n")
    rows = [(f"{i:032x}", "first", i, "eng", "g", None) for i in range(10)]
    rows += [(f"{i:032x}", "second", i, "eng", "g", None) for i in range(100, 105)]
    rows += [(f"{i:032x}", "first", i, "fra", "g", None) for i in range(200, 220)]
    rows.append((D, "second", 0, "eng", "g", "x"))
    write(tmp_path, rows)
    found = verdicts(spark, tmp_path, config(rules={"sets": {"web": [str(rules)]}}, language={"keep": ["eng"]}))
    dropped = sorted(int(d, 16) for d, row in found.items() if "mine.low" in row["failed_rules"])
    assert dropped == [0, 1, 2, 3, 100, 101]  # medians 4 and 102; the French ones are no part of them, and pass


@pytest.mark.parametrize(
    ("keep_order", "staying"), [(["source_priority"], B), (["quality.words DESC"], C), (["quality.words"], A), ([], A)]
)
def test_the_keep_order_says_who_stays(spark, tmp_path, keep_order, staying):
    rows = [(A, "second", 5, "eng", "g", None), (B, "first", 6, "eng", "g", None), (C, "second", 9, "eng", "g", None)]
    write(tmp_path, rows, [(A, B, 1.0, "exact"), (A, C, 1.0, "exact")])
    found = verdicts(spark, tmp_path, config(dedup={"keep_order": keep_order}))
    assert {d for d in (A, B, C) if found[d]["kept"]} == {staying}
    assert {found[d]["duplicate_of"] for d in (A, B, C)} == {None, staying}
    assert {found[d]["cluster"] for d in (A, B, C)} == {A}


@pytest.mark.parametrize("limit", [0, 1_000])
def test_a_document_says_for_how_many_it_stands(spark, tmp_path, limit):
    rows = [(A, "first", 5, "eng", "g", None), (B, "first", 6, "eng", "g", None), (C, "second", 9, "eng", "g", None)]
    write(tmp_path, [*rows, (D, "first", 1, "eng", "g", None)], [(A, B, 1.0, "exact"), (A, C, 0.9, "near")])
    found = verdicts(spark, tmp_path, config(dedup={"in_memory_pairs": limit}))
    assert [found[d]["stands_for"] for d in (A, B, C, D)] == [3, 0, 0, 1]
    assert [found[d]["similarity"] for d in (A, B, C, D)] == [None, 1.0, 0.9, None]


def test_transitive_keeps_one_of_a_component(spark, tmp_path):
    rows = [(d, "first", 5, "eng", "g", None) for d in (A, B, C)]
    write(tmp_path, rows, [(A, B, 0.9, "near"), (B, C, 0.9, "near")])
    for choice, kept in (("greedy", {A, C}), ("transitive", {A})):
        found = verdicts(spark, tmp_path, config(dedup={"choice": choice}))
        assert {d for d in (A, B, C) if found[d]["kept"]} == kept


@pytest.mark.parametrize(("order", "kept"), [("rules_first", {B}), ("duplicates_first", set())])
def test_rules_or_duplicates_first(spark, tmp_path, order, kept):
    rules = tmp_path / "mine.yaml"
    rules.write_text("odd: uri = 'uri-a'\n")
    write(tmp_path, [(A, "first", 5, "eng", "g", None), (B, "second", 5, "eng", "g", None)], [(A, B, 0.9, "near")])
    found = verdicts(spark, tmp_path, config(rules={"sets": {"web": [str(rules)]}, "order": order}))
    assert {d for d in (A, B) if found[d]["kept"]} == kept


def test_a_held_out_document_whose_cluster_is_in_train_leaks(spark, tmp_path):
    settings = config(split={"validation": 0.5, "test": 0.0})
    groups = {}
    for i in range(100):
        split = judge.split_of(F.lit(f"group {i}"), 0.5, 0.0, settings.seed)
        groups.setdefault(spark.range(1).select(split).first()[0], f"group {i}")
        if len(groups) == 2:
            break
    # B is similar to A and to C; A and C are not similar to each other, so both would stay.
    rows = [(A, "first", 5, "eng", groups["train"], None), (B, "first", 5, "eng", groups["train"], None)]
    rows += [(C, "first", 5, "eng", groups["validation"], None), (D, "first", 5, "eng", groups["validation"], None)]
    write(tmp_path, rows, [(A, B, 0.8, "near"), (B, C, 0.8, "near")])
    found = verdicts(spark, tmp_path, settings)
    assert found[A]["kept"]
    assert found[B]["duplicate_of"] == A
    assert found[C]["failed_rules"] == ["split_leak"]
    assert not found[C]["kept"]
    assert found[D]["kept"]


def test_the_split_depends_on_group_and_seed_alone_and_has_the_shares(spark):
    frame = spark.range(20_000).select(F.concat(F.lit("group "), F.col("id")).alias("group"))
    splits = (
        frame.select(judge.split_of(F.col("group"), 0.1, 0.05, 1).alias("split")).groupBy("split").count().collect()
    )
    shares = {row["split"]: row["count"] / 20_000 for row in splits}
    assert shares["validation"] == pytest.approx(0.1, abs=0.01)
    assert shares["test"] == pytest.approx(0.05, abs=0.01)
    other_seed = frame.select(
        judge.split_of(F.col("group"), 0.1, 0.05, 2).alias("s"), judge.split_of(F.col("group"), 0.1, 0.05, 1).alias("t")
    )
    assert other_seed.where("s != t").count() > 1_000


def test_the_split_of_a_group_is_pinned(spark):
    # A corpus that grows keeps its split, also under a later version.
    groups = [f"group {i}" for i in (1, 2, 7, 11, 15)]
    frame = spark.createDataFrame([(group,) for group in groups], "group string")
    found = frame.select("group", judge.split_of(F.col("group"), 0.4, 0.4, 1).alias("split")).collect()
    assert [row["split"] for row in found] == ["test", "train", "train", "train", "validation"]
