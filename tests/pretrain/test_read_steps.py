"""What `gristmill shards step` says of a run is what its loader read; changes to the past are refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pretrain_corpus import CONTEXT
from typer.testing import CliRunner

import shards.read
from jobs import whole
from pipelines.errors import ConfigError
from pretrain.config import PretrainConfig
from pretrain.data import Loader
from pretrain.origin import MismatchError
from pretrain.train import run
from shards.step_cli import app

MIXED = {
    "batch_tokens": 3 * CONTEXT,
    "batch_changes": [{"step": 4, "tokens": 5 * CONTEXT}, {"step": 9, "tokens": 8 * CONTEXT}],
    "data": {
        "weights": {"mill": 0.7, "river": 0.3},
        "caps": {"river": 4},
        "changes": [{"step": 6, "weights": {"mill": 0.2, "river": 0.8}}],
    },
}


class Killed(Exception):
    """Stands for the end of the process."""


def changed(config: PretrainConfig, **changes: object) -> PretrainConfig:
    return PretrainConfig.model_validate({**config.model_dump(), **MIXED, **changes})


@pytest.fixture
def output(corpus, tmp_path):
    for name in ("shards", "tokenizer"):
        (tmp_path / name).symlink_to(corpus / name)
    return tmp_path


@pytest.fixture
def read(monkeypatch):
    """The rows that loaders read, by position."""
    rows: dict[int, list[int]] = {}
    original = Loader.rows

    def spy(self, position, count):
        found = original(self, position, count)
        rows[position] = found.tolist()
        return found

    monkeypatch.setattr(Loader, "rows", spy)
    return rows


def train(config, output, until=None):
    def on_event(event):
        if until and event["kind"] == "train" and event["step"] == until:
            raise Killed

    return run(config, output / "shards", output / "tokenizer", output, on_event)


def step(*arguments: object):
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    return json.loads(result.stdout) if result.exit_code == 0 else result


def test_steps_are_those_that_the_loader_read_through_changes_and_a_restart(output, config, read):
    mixed = changed(config)
    with pytest.raises(Killed):
        train(mixed, output, until=7)
    later = [*MIXED["data"]["changes"], {"step": 11, "weights": {"mill": 1}}]
    train(changed(config, data={**MIXED["data"], "changes": later}), output)
    sizes = [3] * 3 + [5] * 5 + [8] * 4
    split = shards.read.open(output / "shards").split("train")
    by_document: dict[str, list[tuple[int, int]]] = {}
    for number, size in enumerate(sizes, 1):
        facts = step(output, "--run", "tiny", "--step", number)
        assert (facts["position"], facts["count"]) == (sum(sizes[: number - 1]), size)
        assert [row["row"] for row in facts["rows"]] == read[facts["position"]]
        for row in facts["rows"]:
            file, nth = split.locate(row["row"])
            assert (row["file"], row["row_in_file"], row["bucket"]) == (file.entry.name, nth, file.entry.bucket)
            assert [p["document"] for p in row["pieces"]] == [p["document"].tobytes().hex() for p in file.pieces(nth)]
            for piece in row["pieces"]:
                by_document.setdefault(piece["document"], []).append((number, row["position"]))
        if number >= 11:
            assert {row["bucket"] for row in facts["rows"]} == {"mill"}
    for document, reads in list(by_document.items())[:20]:
        found = step(output, "--doc", document)
        assert [(one["step"], one["position"]) for one in found["read"]] == sorted(set(reads))
        assert found["steps"] == 12
    never = step(output, "--doc", "0" * 32)
    assert never["read"] == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"data": {**MIXED["data"], "weights": {"mill": 0.6, "river": 0.4}}}, "data.weights.mill is 0.7, not 0.6"),
        ({"data": {**MIXED["data"], "caps": {"river": 5}}}, "data.caps.river is 4.0, not 5.0"),
        ({"data": {**MIXED["data"], "changes": []}}, r"data.changes.step 6.weights.mill is 0.2, not None"),
        (
            {
                "data": {
                    **MIXED["data"],
                    "changes": [{"step": 8, "weights": {"mill": 1}}, *MIXED["data"]["changes"]][::-1],
                }
            },
            r"data.changes.step 8.weights.mill is None, not 1.0",
        ),
        ({"batch_changes": [{"step": 5, "tokens": 5 * CONTEXT}]}, r"batch_changes.step 4.tokens is 120, not None"),
    ],
)
def test_changes_to_the_past_are_refused_by_name(output, config, change, named):
    with pytest.raises(Killed):
        train(changed(config), output, until=9)
    with pytest.raises(MismatchError, match=named):
        train(changed(config, **change), output)


def test_what_does_not_fit_the_shards_is_refused_before_the_first_step(output, config, read):
    with pytest.raises(ValueError, match="no bucket is named 'rivr'; did you mean 'river'"):
        train(changed(config, data={"weights": {"rivr": 1}}), output)
    with pytest.raises(ValueError, match="caps: the run reads 66 rows in 12 steps"):
        train(changed(config, data={"weights": {"river": 1}, "caps": {"river": 0.5}}), output)
    assert not read


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"data": {"caps": {"web": 2}}}, "caps: need weights to begin with"),
        ({"data": {"changes": [{"step": 2, "weights": {"web": 1}}]}}, "changes: need weights to begin with"),
        ({"data": {"weights": {"web": 0}}}, "weights: at least one must be above 0"),
        ({"data": {"weights": {"web": -1}}}, "greater than or equal to 0"),
        (
            {"data": {"weights": {"web": 1}, "changes": [{"step": 1, "weights": {"web": 1}}]}},
            "greater than or equal to 2",
        ),
        (
            {"data": {"weights": {"web": 1}, "changes": [{"step": s, "weights": {"web": 1}} for s in (9, 5)]}},
            r"data\.changes: steps must rise, not 9, 5",
        ),
        (
            {"batch_changes": [{"step": 3, "tokens": 5}, {"step": 3, "tokens": 6}]},
            "batch_changes: steps must rise, not 3, 3",
        ),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_by_key(section, message):
    with pytest.raises(ValueError, match=message):
        PretrainConfig.model_validate(section)


def test_the_length_of_a_run_counts_its_batch_sizes():
    config = PretrainConfig(tokens=100 * 16, batch_tokens=4 * 16, batch_changes=({"step": 6, "tokens": 10 * 16},))
    assert config.total_steps(10**6, 16) == 5 + 8  # 20 rows, then 80
    assert config.reading(16).at(13) == (90, 10)
    assert config.model_copy(update={"tokens": None, "epochs": 0.5}).total_steps(41, 16) == 6  # 21 rows


def test_an_unknown_bucket_exits_with_2(output, config):
    with pytest.raises(
        ConfigError, match="pretrain: weights: no bucket is named 'rivr'; did you mean 'river'"
    ) as error:
        whole.train(changed(config, data={"weights": {"rivr": 1}}), output)
    assert error.value.status == 2


def test_a_run_without_checkpoints_tells_by_its_summary(output, config, read):
    train(changed(config), output)
    shutil.rmtree(output / "runs" / "tiny" / "checkpoints")
    for directory in (output, output / "shards"):
        assert [row["row"] for row in step(directory, "--step", 2)["rows"]] == read[3]


def test_uris_are_shown_where_the_corpus_is_beside(output, config):
    facts = step(output, "--seed", 1, "--batch-rows", 2, "--step", 1)
    documents = {piece["document"] for row in facts["rows"] for piece in row["pieces"]}
    assert {piece["uri"] for row in facts["rows"] for piece in row["pieces"]} == {None}
    folder = output / "corpus" / "split=train" / "source=mill"
    folder.mkdir(parents=True)
    known = sorted(documents)[0]
    pq.write_table(
        pa.table({"doc_id": [known, "f" * 32], "uri": ["https://a.example/\x1b[1m", "no"]}), folder / "a.parquet"
    )
    facts = step(output, "--seed", 1, "--batch-rows", 2, "--step", 1)
    assert {p["uri"] for row in facts["rows"] for p in row["pieces"] if p["document"] == known} == {
        "https://a.example/\x1b[1m"
    }
    text = CliRunner().invoke(app, [str(output), "--seed", "1", "--batch-rows", "2", "--step", "1"]).stdout
    assert r"https://a.example/\x1b[1m" in text
    assert "\x1b" not in text
    assert text.startswith("step 1: 2 rows from position 0\n")


def test_without_a_run_seed_rows_and_weights_are_given(output):
    facts = step(output, "--seed", 5, "--batch-rows", 4, "--weight", "mill=3", "--weight", "river=1", "--step", 3)
    assert facts["run"] is None
    assert [row["bucket"] for row in facts["rows"]].count("river") == 1
    document = facts["rows"][0]["pieces"][0]["document"]
    found = step(output, "--seed", 5, "--batch-rows", 4, "--doc", document)
    rows = len(shards.read.open(output / "shards").split("train"))
    assert found["steps"] == -(-rows // 4)
    assert len(found["read"]) >= 1
    text = CliRunner().invoke(app, [str(output), "--seed", "5", "--batch-rows", "4", "--doc", document]).stdout
    assert f"{document}: read {len(found['read'])} times in steps 1 to {found['steps']}" in text


def test_wrong_arguments_exit_with_2(output, config):
    (output / "runs" / "empty").mkdir(parents=True)
    for arguments, message in (
        (["--step", "1", "--doc", "0" * 32], "either --step or --doc"),
        ([], "either --step or --doc"),
        (["--doc", "xyz"], "'xyz' is no doc_id"),
        (["--step", "1"], "no checkpoint and no summary yet"),
        (["--step", "1", "--run", "nowhere"], "no run nowhere"),
        (["--step", "1", "--seed", "1"], "both --seed and --batch-rows"),
        (["--step", "1", "--run", "empty", "--seed", "1"], "--seed: the run empty has its own"),
        (["--step", "1", "--seed", "1", "--batch-rows", "1", "--weight", "mill"], "'mill' is not BUCKET=NUMBER"),
        (["--step", "1", "--seed", "1", "--batch-rows", "1", "--weight", "mil=1"], "did you mean 'mill'"),
        (["--step", "1", "--seed", "1", "--batch-rows", "1", "--cap", "mill=1"], "caps: need weights"),
    ):
        result = CliRunner().invoke(app, [str(output), *arguments])
        assert result.exit_code == 2, arguments
        assert message in result.output


def test_a_run_of_other_shards_is_refused(output, config):
    train(changed(config), output)
    (file,) = (output / "runs" / "tiny" / "checkpoints").glob("step-*12/state.json")
    state = json.loads(file.read_text())
    state["origin"]["order_digest"] = "0" * 64
    file.write_text(json.dumps(state))
    result = CliRunner().invoke(app, [str(output), "--step", "1"])
    assert (result.exit_code, "that run read other shards" in result.output) == (2, True)


def test_step_needs_no_torch(output):
    code = (
        "import sys; from shards.step_cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    arguments = [str(output), "--seed", "1", "--batch-rows", "2", "--step", "1"]
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=root, check=True, capture_output=True)


def test_the_rows_of_a_mixed_run_are_within_one_of_the_weights(output, config, read):
    train(changed(config, data={"weights": {"mill": 0.7, "river": 0.3}}), output)
    split = shards.read.open(output / "shards").split("train")
    rows = [row for position in sorted(read) for row in read[position]]
    rivers = np.cumsum([split.locate(row)[0].entry.bucket == "river" for row in rows])
    assert (np.abs(rivers - 0.3 * np.arange(1, len(rows) + 1)) < 1).all()
