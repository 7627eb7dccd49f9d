"""Batches against earlier runs' indexes keep what one run over everything keeps; hubs, rules and scopes included."""

import json
import random
from pathlib import Path

import pyarrow.compute as pc
import pytest
import yaml

from jobs.whole import run_stages
from pipelines import datasets
from pipelines.errors import ConfigError

pytestmark = pytest.mark.spark

WORDS = [f"word{i}" for i in range(2_000)]
BATCHES = ("first", "second", "third")


def texts(seed=0):
    """(batch, text): families of ever less similar versions, and near-copies of three templates."""
    generator = random.Random(seed)
    found = []
    for _ in range(40):
        words = generator.choices(WORDS, k=generator.randint(30, 120))
        for _ in range(generator.randint(1, 5)):
            found.append(" ".join(words))
            words = [generator.choice(WORDS) if generator.random() < 0.02 else word for word in words]
    templates = [generator.choices(WORDS, k=80) for _ in range(3)]
    for i in range(90):
        words = list(templates[i % 3])
        words[generator.randrange(len(words))] = f"unique{i}"
        found.append(" ".join(words[: generator.choice([78, 79, 80])]))
    found += ["too short", "too short", "...", ""]
    generator.shuffle(found)
    return [(generator.choice(BATCHES), text) for text in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batches")
    for batch in BATCHES:
        (folder / batch).mkdir()
    for batch, text in texts():
        with (folder / batch / "texts.jsonl").open("a") as file:
            file.write(json.dumps({"text": text}) + "\n")
    # Some leaders of hubs are dropped, and what followed them is freed.
    (folder / "rules.yaml").write_text("long: quality.words = 80\n")
    return folder


def run(folder: Path, name: str, batches, **dedup):
    """The rows of verdicts/ by doc_id."""
    config = {
        "name": name,
        "output": str(folder / "runs" / name),
        "sources": [
            {"name": batch, "format": "jsonl", "paths": [str(folder / batch / "*.jsonl")], "root": str(folder / batch)}
            for batch in batches
        ],
        "annotate": {"families": ["quality"]},
        "dedup": {"bucket": 8, **dedup},
        "rules": {"sets": {"text": [str(folder / "rules.yaml")]}},
        "split": {"validation": 0, "test": 0},
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    run_stages(folder / f"{name}.yaml", None, until="judge")
    rows = datasets.scan(folder / "runs" / name, "verdicts").to_pylist()
    return {row["doc_id"]: row for row in rows}


@pytest.fixture(scope="module")
def whole(spark, folder):
    return run(folder, "whole", BATCHES)


@pytest.fixture(scope="module")
def parts(spark, folder):
    """The verdicts of each batch in turn, given the runs before it."""
    found = []
    for i, batch in enumerate(BATCHES):
        indexes = {earlier: str(folder / "runs" / earlier) for earlier in BATCHES[:i]}
        found.append(run(folder, batch, [batch], indexes=indexes))
    return found


def test_batches_keep_what_one_run_keeps(whole, parts):
    together = {doc_id: row for part in parts for doc_id, row in part.items()}
    assert len(together) == sum(map(len, parts)) == len(whole)
    assert {doc_id for doc_id, row in together.items() if row["kept"]} == {
        doc_id for doc_id, row in whole.items() if row["kept"]
    }
    assert {doc_id: row["stays"] for doc_id, row in together.items()} == {
        doc_id: row["stays"] for doc_id, row in whole.items()
    }


def test_what_an_index_holds_is_named(whole, parts):
    for i, part in enumerate(parts):
        held = {row["duplicate_in"] for row in part.values()}
        assert held == {None, *BATCHES[:i]}
        for row in part.values():
            if row["duplicate_of"] is None:
                assert row["duplicate_in"] is None
                continue
            home = parts[i] if row["duplicate_in"] is None else parts[BATCHES.index(row["duplicate_in"])]
            assert home[row["duplicate_of"]]["stays"]
            assert row["similarity"] >= 0.8


def test_hubs_were_met_and_rules_freed_what_followed_their_leaders(folder, whole):
    facts = json.loads((folder / "runs" / "whole" / "stages.json").read_text())["stages"]["match"]["facts"]
    assert facts["hubs"] > 0
    assert facts["left_over"] == 0
    followers = datasets.scan(folder / "runs" / "whole", "hubs").filter(pc.invert(pc.field("settled")))
    assert any(whole[doc_id]["stays"] for doc_id in followers["doc_id"].to_pylist())
    settled = datasets.scan(folder / "runs" / "whole", "hubs").filter(pc.field("settled"))
    assert any(whole[doc_id]["failed_rules"] for doc_id in settled["doc_id"].to_pylist())


def test_the_bucket_s_size_makes_no_difference_to_what_is_kept(spark, folder, whole):
    wide = run(folder, "wide", BATCHES, bucket=1_000)
    assert {d: row["stays"] for d, row in wide.items()} == {d: row["stays"] for d, row in whole.items()}


def test_the_same_document_again_is_a_duplicate_of_itself(spark, folder, parts):
    again = run(folder, "again", ["first"], indexes={"first": str(folder / "runs" / "first")})
    for doc_id, row in again.items():
        assert row["stays"] is False
        if not row["failed_rules"]:
            assert row["duplicate_in"] == "first"
            assert parts[0][doc_id]["stays"] is (row["duplicate_of"] == doc_id)


def test_tasks_and_one_process_agree(spark, folder, parts):
    indexes = {name: str(folder / "runs" / name) for name in BATCHES[:2]}
    limits = {"in_memory_documents": 0, "in_memory_pairs": 0}
    assert run(folder, "tasks", ["third"], indexes=indexes, **limits) == parts[2]


def test_scopes_are_not_compared_with_each_other(spark, folder, whole):
    scoped = run(folder, "scoped", BATCHES, scope="source")
    source = {doc_id: row["source"] for doc_id, row in whole.items()}
    assert all(source[row["duplicate_of"]] == row["source"] for row in scoped.values() if row["duplicate_of"])
    alone = [run(folder, f"alone-{batch}", [batch]) for batch in BATCHES]
    expected = {doc_id: row["stays"] for part in alone for doc_id, row in part.items()}
    assert {doc_id: row["stays"] for doc_id, row in scoped.items()} == expected
    assert sum(expected.values()) > sum(row["stays"] for row in whole.values())


def test_an_index_that_cannot_be_used_is_refused_by_name(spark, folder, parts):
    with pytest.raises(ConfigError, match=r"dedup.indexes.gone: .*/gone is no run"):
        run(folder, "refused", ["first"], indexes={"gone": str(folder / "gone")})
    with pytest.raises(ConfigError, match=r"dedup.indexes.first: .* has other sketches"):
        run(folder, "refused", ["second"], indexes={"first": str(folder / "runs" / "first")}, ngram=4)
    with pytest.raises(ConfigError, match="greedy"):
        run(folder, "refused", ["second"], indexes={"first": str(folder / "runs" / "first")}, choice="transitive")
