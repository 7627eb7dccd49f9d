"""`gristmill quality`: from files, folders and runs to a model, weights and frequencies."""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from filters.batch import TextBatch
from filters.importance import Importance
from filters.learned import Learned
from filters.unigram import Unigram
from jobs.quality import app
from jobs.quality_texts import Side, matching, texts
from pipelines import datasets
from pipelines.errors import ConfigError, GristmillError

WORDS = {
    "good": ["river", "mill", "stone", "grain", "winter", "bread", "road", "market", "bridge", "garden", "school"],
    "bad": ["login", "cart", "share", "tweet", "menu", "subscribe", "cookies", "privacy", "contact", "archive", "tags"],
}


def prose(side: str, seed: int) -> str:
    generator = random.Random(f"{side}{seed}")
    return " ".join(generator.choice([*WORDS[side], "the", "of", "and"]) for _ in range(40)).capitalize() + "."


GOOD, BAD = ([prose(side, i) for i in range(160)] for side in WORDS)


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    """The good texts as JSON Lines, the bad ones as Parquet, plain text, and a folder of both with a hidden file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    good = folder / "good.jsonl.gz"
    good.write_bytes(gzip.compress("\n".join(json.dumps({"text": t, "body": "x"}) for t in GOOD).encode()))
    bad = folder / "bad.parquet"
    pq.write_table(pa.table({"text": [*BAD, None]}), bad)
    (folder / "_SUCCESS").write_text("hidden")
    (folder / ".crc").mkdir()
    (folder / ".crc" / "good.jsonl").write_text("hidden, and no JSON")
    plain = tmp_path / "plain.txt"
    plain.write_text("\n".join(GOOD))
    return {"good": good, "bad": bad, "plain": plain, "folder": folder, "out": tmp_path}


@pytest.fixture
def run_directory(tmp_path) -> Path:
    """An output directory of a finished run: good and bad texts, told apart by `quality.words`; the good ones kept."""
    run = tmp_path / "run"
    all_texts = [*GOOD, *BAD, None]
    ids = [f"{i:032x}" for i in range(len(all_texts))]
    rows = [
        {"doc_id": i, "source": "web", "uri": "", "text": t, "meta": {"gate": "no_text"} if t is None else {}}
        for i, t in zip(ids, all_texts)
    ]
    signals = [{"doc_id": i, "words": 600 if t in GOOD else 30} for i, t in zip(ids, all_texts) if t is not None]
    kept = [{"doc_id": i, "text": t} for i, t in zip(ids, GOOD)]
    for folder, table in (
        ("documents", pa.Table.from_pylist(rows, datasets.DOCUMENTS)),
        ("signals/quality", pa.Table.from_pylist(signals[::-1])),
        ("corpus/split=train/source=web", pa.Table.from_pylist(kept)),
    ):
        (run / folder).mkdir(parents=True)
        for part in range(3):
            pq.write_table(table.slice(part * 120, 120 if part < 2 else None), run / folder / f"part-{part}.parquet")
    stages = {name: {"finished": True, "facts": {}} for name in ("ingest", "annotate", "match", "judge", "corpus")}
    (run / "stages.json").write_text(json.dumps({"format": 1, "stages": stages}))
    return run


def invoke(*arguments: object) -> dict:
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_from_files_to_a_model_and_its_card(files):
    output = files["out"] / "model.bin"
    facts = invoke("train", "--good", files["good"], "--bad", files["bad"], "--output", output)
    assert facts["roc_auc"] > 0.99
    assert facts["good"]["texts"] == facts["bad"]["texts"] == 160
    card = Path(facts["card"]).read_text()
    assert str(files["good"]) in card
    assert facts["sha256"] in card
    scores = Learned(model=output, sha256=facts["sha256"])(TextBatch(pa.array([GOOD[0], BAD[0]])))["score"]
    assert scores[0].as_py() > 0.9 > 0.1 > scores[1].as_py()


def test_facts_for_people(files):
    arguments = ["train", "--good", files["good"], "--bad", files["bad"], "--bad", files["plain"]]
    arguments += ["--output", files["out"] / "m.bin"]
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert "roc auc" in result.stdout
    assert "dropped" in result.stdout


def test_weights_and_frequencies(files):
    weights, frequencies = files["out"] / "weights.arrow", files["out"] / "frequencies.arrow"
    made = invoke("weights", "--target", files["good"], "--raw", files["folder"], "--output", weights)
    assert made["raw"] == made["target"] * 2 > 20_000
    rows = Importance(weights=weights, sha256=made["sha256"])(TextBatch(pa.array([GOOD[0], BAD[0]])))
    assert rows["mean"][0].as_py() > 0 > rows["mean"][1].as_py()
    counted = invoke("frequencies", files["good"], files["bad"], "--words", 10, "--output", frequencies)
    assert (counted["words"], counted["tokens"]) == (10, 320 * 40)
    rows = Unigram(frequencies=frequencies, sha256=counted["sha256"])(TextBatch(pa.array(["the the", "zebra"])))
    assert rows["mean"][0].as_py() > rows["mean"][1].as_py()


def test_sides_are_read_from_files_folders_and_runs(files, run_directory):
    def of(*paths: Path, column: str = "text") -> list[str]:
        return list(texts([Side("good", list(paths), None, column)])[0])

    assert of(files["good"]) == GOOD
    assert of(files["bad"], files["good"]) == BAD + GOOD
    assert of(files["folder"]) == BAD + GOOD
    assert of(files["plain"]) == ["\n".join(GOOD)]
    assert of(files["good"], column="body") == ["x"] * 160
    assert of(run_directory, column="body") == GOOD
    assert of(run_directory / "corpus") == GOOD


@pytest.mark.spark
@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ("quality.words > 500", GOOD),
        ("quality.words < 500 AND source = 'web'", BAD),
        ("quality.words >= 0 and meta['gate'] is null", GOOD + BAD),
        ("quality.words > quantile(quality.words, 0.4, source)", GOOD),
        ("source = 'web'", [*GOOD, *BAD, None]),
    ],
)
def test_a_predicate_picks_documents(spark, run_directory, predicate, expected):
    numbers = sorted(int(doc_id, 16) for doc_id in matching(spark, run_directory, predicate))
    assert [[*GOOD, *BAD, None][i] for i in numbers] == expected


@pytest.mark.spark
@pytest.mark.parametrize("predicate", ["quality.words >", "quality.words + 1"])
def test_a_predicate_that_is_no_valid_sql_is_refused(spark, run_directory, predicate):
    with pytest.raises(ConfigError, match="no valid predicate"):
        matching(spark, run_directory, predicate)


@pytest.mark.spark
def test_a_model_of_a_runs_documents(run_directory, tmp_path):
    """In a process of its own, since the command stops the Spark session that it starts."""
    code = "import sys; from jobs.quality import app; app(sys.argv[1:])"
    arguments = ["train", "--good", run_directory, "--good-where", "quality.words > 500"]
    arguments += ["--bad", run_directory, "--bad-where", "quality.words < 500"]
    arguments += ["--output", tmp_path / "m.bin", "--master", "local[1]", "--json"]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["good"]["texts"] == facts["bad"]["texts"] == 160
    assert facts["roc_auc"] > 0.99
    assert "documents where `quality.words > 500`" in Path(facts["card"]).read_text()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"--good": "absent.jsonl"}, r"good: there is no absent\.jsonl"),
        ({"--good": "FEW"}, "good: 2 different texts are left of 2 .* 100 are needed"),
        ({"--output": "absent/m.bin"}, "--output: there is no folder absent"),
        ({"--good-where": "quality.words > 1"}, "good: .* is no run's output directory"),
        ({"--bad": "RUN", "--bad-where": "quality.wrds > 1"}, "bad: unknown signal 'quality.wrds'.*quality.words"),
        ({"--bad": "RUN", "--bad-where": "quality.words > quantile(quality.words)"}, "quantile"),
    ],
)
def test_wrong_arguments_are_errors_of_status_2(files, run_directory, changes, says):
    (files["out"] / "few.txt").write_text("one")
    few = files["out"] / "few.jsonl"
    few.write_text('{"text": "one"}\n{"text": "two"}\n')
    places = {"FEW": few, "RUN": run_directory}
    options = {"--good": files["good"], "--bad": files["bad"], "--output": files["out"] / "m.bin", **changes}
    arguments = [str(places.get(part, part)) for pair in options.items() for part in pair]
    with pytest.raises(ConfigError, match=says) as raised:
        CliRunner().invoke(app, ["train", *arguments], catch_exceptions=False)
    assert raised.value.status == 2
    assert not (files["out"] / "m.bin").exists()


def test_an_unfinished_run_and_a_damaged_file(files, run_directory):
    stages = json.loads((run_directory / "stages.json").read_text())
    stages["stages"]["corpus"]["finished"] = False
    (run_directory / "stages.json").write_text(json.dumps(stages))
    with pytest.raises(ConfigError, match="the stage `corpus` is not finished"):
        texts([Side("raw", [run_directory])])
    files["bad"].write_bytes(b"PAR1 not really")
    with pytest.raises(GristmillError, match=r"bad: .*cannot be read as Parquet") as raised:
        list(texts([Side("bad", [files["bad"]])])[0])
    assert raised.value.status == 1


def test_help_imports_nothing_heavy():
    heavy = ("numpy", "pyarrow", "pyspark", "fasttext", "numba")
    code = f"import sys, jobs.quality; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
