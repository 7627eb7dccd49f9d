"""The promises, on whole runs: same in, same out; nothing disappears; a run can be killed at any moment."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_run import make_input, write_config

from jobs.whole import judge_again, run_stages
from pipelines.datasets import scan
from pipelines.digest import digest
from pipelines.errors import ConfigError, GristmillError
from pipelines.ledger import read_stages

pytestmark = pytest.mark.spark

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "gristmill"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    make_input(folder / "input")
    write_config(folder / "config.yaml", folder / "input")
    return folder


@pytest.fixture(scope="module")
def finished(spark, place):
    """The output of an undisturbed run as far as shards."""
    run_stages(place / "config.yaml", str(place / "output"), until="pack")
    return place / "output"


@pytest.fixture(scope="module")
def digests(finished):
    return digest(finished)


def start(*arguments):
    return subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_documents_in_are_kept_dropped_or_errors_for_every_source(finished):
    facts = read_stages(finished)["judge"]["facts"]["funnel"]
    for source, row in facts.items():
        documents = scan(finished, "documents", ["source"])["source"].to_pylist().count(source)
        errors = scan(finished, "errors", ["source", "level"]).to_pylist()
        records = sum(1 for e in errors if e["source"] == source and e["level"] == "record")
        assert row["documents_in"] == documents + records == row["kept"] + row["dropped"] + row["errors"]
    assert facts["web"]["dropped_gate"] >= 6
    assert facts["web"]["dropped_duplicate"] >= 3
    assert facts["web"]["dropped_rules"] >= 3
    assert facts["code"]["kept"] == 8 - facts["code"]["dropped_duplicate"]


def test_a_truncated_archive_gives_its_records_and_says_what_was_lost(finished):
    documents = scan(finished, "documents", ["uri", "source"]).to_pylist()
    assert sum(1 for d in documents if d["source"] == "web") > 3 * 25
    assert any(e["path"] == "truncated.warc.gz" for e in scan(finished, "errors").to_pylist())


def test_every_verdict_has_its_reason(finished):
    for row in scan(finished, "verdicts").to_pylist():
        assert row["kept"] == (not row["failed_rules"] and row["duplicate_of"] is None)
        assert row["failed_rules"] == sorted(row["failed_rules"])


def test_what_a_duplicate_is_a_duplicate_of_stays(finished):
    verdicts = {row["doc_id"]: row for row in scan(finished, "verdicts").to_pylist()}
    dropped = [row for row in verdicts.values() if row["duplicate_of"]]
    assert dropped
    for row in dropped:
        original = verdicts[row["duplicate_of"]]
        assert original["duplicate_of"] is None
        assert original["cluster"] == row["cluster"]
        assert row["similarity"] >= 0.8


def test_the_corpus_says_for_how_many_a_document_stands(finished):
    verdicts = {row["doc_id"]: row for row in scan(finished, "verdicts").to_pylist()}
    stands_for = {doc_id: row["stands_for"] for doc_id, row in verdicts.items() if row["kept"]}
    rows = scan(finished, "corpus", ["doc_id", "stands_for", "copies"]).to_pylist()
    assert {row["doc_id"]: row["stands_for"] for row in rows} == stands_for
    assert {row["copies"] for row in rows} == {1}
    assert max(stands_for.values()) > 1
    removed = Counter(row["duplicate_of"] for row in verdicts.values() if row["duplicate_of"])
    assert all(count == 1 + removed[doc_id] for doc_id, count in stands_for.items())


def test_no_group_is_in_two_splits_and_no_cluster_either(finished):
    verdicts = {row["doc_id"]: row for row in scan(finished, "verdicts").to_pylist() if row["kept"]}
    groups, clusters = {}, {}
    for row in scan(finished, "documents", ["doc_id", "meta"]).to_pylist():
        if row["doc_id"] in verdicts:
            verdict = verdicts[row["doc_id"]]
            groups.setdefault(dict(row["meta"])["group"], set()).add(verdict["split"])
            clusters.setdefault(verdict["cluster"], set()).add(verdict["split"])
    assert {frozenset(splits) for splits in groups.values()} <= {
        frozenset([s]) for s in ("train", "validation", "test")
    }
    assert all(len(splits) == 1 for splits in clusters.values())
    assert len({verdict["split"] for verdict in verdicts.values()}) == 3


def test_the_shards_hold_the_corpus_and_special_tokens_stand_at_borders_only(finished):
    from shards.read import open as open_shards
    from shards.verify import verify
    from tokenizer.encode import load

    assert verify(finished / "shards") == []
    encoder = load(finished / "tokenizer")
    shards, texts = open_shards(finished / "shards"), {}
    for split in ("train", "validation", "test"):
        rows = shards.split(split)
        for i in range(len(rows)):
            for piece in rows.pieces(i):
                tokens = rows.row(i)[piece["start"] : piece["start"] + piece["length"]]
                texts.setdefault(bytes(piece["document"]).hex(), []).append((int(piece["offset"]), tokens.tolist()))
    corpus = {row["doc_id"]: row["text"] for row in scan(finished, "corpus", ["doc_id", "text"]).to_pylist()}
    assert set(texts) == set(corpus)
    special = set(encoder.special_ids.values())
    spelled = 0
    for doc_id, pieces in texts.items():
        begin, *tokens, end = [token for _, piece in sorted(pieces) for token in piece]
        assert {begin, end} < special
        assert not special & set(tokens)
        assert encoder.decode(tokens) == corpus[doc_id]
        spelled += "<|endoftext|>" in corpus[doc_id]
    assert spelled


def test_a_second_run_rebuilds_nothing(finished, place, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*.parquet")}
    run_stages(place / "config.yaml", str(finished), until="pack")
    assert "at work" not in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*.parquet")} == before


def test_another_place_another_parallelism_the_same_digests(finished, digests, tmp_path):
    make_input(tmp_path / "elsewhere" / "deep")
    conf = {"spark.sql.shuffle.partitions": "11", "spark.sql.files.maxPartitionBytes": "20000"}
    settings = {"master": "local[1]", "memory": "1g", "conf": conf}
    config = write_config(tmp_path / "config.yaml", tmp_path / "elsewhere" / "deep", spark=settings, chunk_bytes=9_000)
    process = start("run", config, "--output", tmp_path / "output", "--until", "pack")
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert errors.count("annotate: chunk") > 2  # small chunks: each was committed on its own
    assert digest(tmp_path / "output") == digests


def test_killed_in_every_stage_and_started_again_the_same_digests(digests, place, tmp_path):
    config = write_config(tmp_path / "config.yaml", place / "input", chunk_bytes=9_000)
    output = tmp_path / "output"
    generator = random.Random(5)
    for stage, (least, most) in {
        "ingest": (6, 9),
        "annotate": (0, 0.8),
        "match": (0, 0.1),
        "judge": (0, 1),
        "pack": (0, 2),
    }.items():
        before = tmp_path / "before"
        delay = generator.uniform(least, most)
        for _ in range(5):
            if output.exists():
                shutil.copytree(output, before)
            kill_in(stage, delay, "run", config, "--output", output, "--until", "pack")
            if not read_stages(output).get(stage, {}).get("finished"):
                break
            # It was over too soon to be killed: it is tried again from where it began, with less delay.
            delay /= 2
            shutil.rmtree(output)
            if before.exists():
                shutil.move(before, output)
        else:
            pytest.fail(f"{stage} was over before it could be killed")
        shutil.rmtree(before, ignore_errors=True)
    process = start("run", config, "--output", output, "--until", "pack")
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert digest(output) == digests


def kill_in(stage: str, delay: float, *command: object) -> None:
    """Start a command, and kill it and its children `delay` seconds after it began a stage."""
    process = start(*command)
    seen = ""
    for line in process.stderr:
        seen += line
        if line.startswith(f"{stage}: at work"):
            break
    else:
        pytest.fail(f"{stage} was never at work: {seen}")
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_spark_submit_keeps_the_same_documents(finished, place, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYSPARK")}
    environment["PATH"] = f"{PROGRAM.parent}:{environment['PATH']}"  # what activating the environment does
    submit = [PROGRAM.parent / "spark-submit", "--master", "local[2]", ROOT / "jobs" / "clean.py"]
    submit += ["--config", place / "config.yaml", "--output", tmp_path]
    done = subprocess.run(submit, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = {row["doc_id"] for row in scan(finished, "verdicts").to_pylist() if row["kept"]}
    assert {row["doc_id"] for row in scan(tmp_path, "verdicts").to_pylist() if row["kept"]} == kept
    assert set(scan(tmp_path, "corpus", ["doc_id"])["doc_id"].to_pylist()) == kept


def test_two_sources_over_the_same_files_are_two_sources(spark, place, tmp_path):
    source = {"format": "text", "kind": "book", "paths": [f"{place}/input/books/*.txt"]}
    config = write_config(
        tmp_path / "config.yaml", place / "input", sources=[{"name": "one", **source}, {"name": "two", **source}]
    )
    run_stages(config, str(tmp_path / "output"), until="judge")
    facts = read_stages(tmp_path / "output")["judge"]["facts"]["funnel"]
    assert facts["one"]["documents_in"] == facts["two"]["documents_in"] == 7
    assert facts["two"]["dropped_duplicate"] == 6


def test_an_empty_file_of_a_table_leaves_a_row(spark, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "full.jsonl").write_text('{"text": "something"}\n')
    source = {"name": "table", "format": "jsonl", "paths": [f"{tmp_path}/*.jsonl"]}
    config = write_config(tmp_path / "config.yaml", tmp_path, sources=[source])
    run_stages(config, str(tmp_path / "output"), until="ingest")
    (error,) = scan(tmp_path / "output", "errors").to_pylist()
    assert (error["level"], error["path"], error["reason"]) == ("file", "empty.jsonl", "no records")


def test_judging_again_reads_no_text_and_frees_duplicates(spark, finished, place, tmp_path):
    output = tmp_path / "output"
    shutil.copytree(finished, output)
    shutil.rmtree(output / "corpus")
    loose = {"rules": {"sets": {"web": [], "book": [], "code": [], "text": []}}}
    judge_again(output, write_config(tmp_path / "loose.yaml", place / "input", **loose))
    verdicts = scan(output, "verdicts").to_pylist()
    assert not any(
        rule for row in verdicts for rule in row["failed_rules"] if not rule.startswith(("gate.", "split_leak"))
    )
    other_gate = write_config(tmp_path / "gate.yaml", place / "input", language={"keep": ["deu"]})
    with pytest.raises(ConfigError, match="`match`"):
        judge_again(output, other_gate)
    other_edits = write_config(tmp_path / "edits.yaml", place / "input", annotate={"edits": {"web": ["policy"]}})
    with pytest.raises(ConfigError, match="`annotate`"):
        judge_again(output, other_edits)


def test_a_document_that_a_rule_drops_frees_its_duplicate(spark, finished, place, tmp_path):
    verdicts = scan(finished, "verdicts").to_pylist()
    copies = next(row for row in verdicts if row["duplicate_of"] and row["source"] == "web")
    first = copies["duplicate_of"]
    uri = next(r["uri"] for r in scan(finished, "documents", ["doc_id", "uri"]).to_pylist() if r["doc_id"] == first)
    rules = tmp_path / "mine.yaml"
    rules.write_text(f"that_one: uri = '{uri}'\n")
    sets = {"web": ["gopher_quality", "gopher_repetition", str(rules)], "book": ["book"], "code": ["code"], "text": []}
    output = tmp_path / "output"
    shutil.copytree(finished, output)
    judge_again(output, write_config(tmp_path / "config.yaml", place / "input", rules={"sets": sets}))
    after = {row["doc_id"]: row for row in scan(output, "verdicts").to_pylist()}
    assert after[first]["failed_rules"] == ["mine.that_one"]
    cluster = [row for row in after.values() if row["cluster"] == after[first]["cluster"]]
    assert sum(row["kept"] for row in cluster) == 1


def test_a_wrong_sum_fails_the_job(spark, finished, place, tmp_path):
    output = tmp_path / "output"
    shutil.copytree(finished, output)
    page = json.loads((output / "stages.json").read_text())
    page["stages"]["ingest"]["facts"]["documents_in"]["web"] += 1
    page["stages"]["judge"]["finished"] = False
    (output / "stages.json").write_text(json.dumps(page))
    with pytest.raises(GristmillError, match=r"web: .* documents came in"):
        run_stages(place / "config.yaml", str(output), until="judge")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "{config}", "--until", "grind", "--output", "{out}"], "grind"),
        (["run", "{folder}/none.yaml", "--output", "{out}"], "none.yaml"),
        (["run", "{config}"], "--output"),
        (["run", "{config}", "--output", "{out}/a[b]"], "'['"),
        (["run", "{config}", "--output", "{config}"], "cannot write"),
        (["explain", "{folder}", "--doc", "0" * 32], "stages.json"),
    ],
)
def test_wrong_arguments_exit_with_two_before_spark_starts(place, tmp_path, arguments, expected):
    filled = [a.format(config=place / "config.yaml", folder=place, out=tmp_path) for a in arguments]
    process = start(*filled)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert expected in errors
    assert "Traceback" not in errors
    assert "starting Spark" not in errors


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ("quality.words <", "mine.odd"),
        ("quality.words + 1", "not true or false"),
        ("nofunction(quality.words)", "mine.odd"),
    ],
)
def test_a_predicate_that_is_no_sql_is_refused_before_a_text_is_read(spark, place, tmp_path, predicate, expected):
    rules = tmp_path / "mine.yaml"
    rules.write_text(f"odd: {predicate}\n")
    sets = {"web": [str(rules)], "book": [], "code": [], "text": []}
    config = write_config(tmp_path / "config.yaml", place / "input", rules={"sets": sets})
    with pytest.raises(ConfigError, match=expected):
        run_stages(config, str(tmp_path / "output"), until="ingest")
    assert not (tmp_path / "output" / "documents").exists()


def test_every_dataset_can_be_opened_also_the_empty_ones(finished):
    for name in ("documents", "errors", "edits", "sketches", "pairs", "repeats", "verdicts", "corpus"):
        assert pq.read_table(finished / name, partitioning=None).num_columns > 3
