"""Repeated spikes take a run back, and on without the rows that were read; what is said of it afterwards is true."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from bad_rows import spoiled
from typer.testing import CliRunner

from pretrain import checkpoint
from pretrain.config import PretrainConfig
from pretrain.data import Loader
from pretrain.metrics import read_metrics
from pretrain.model import Decoder
from pretrain.train import run
from pretrain.update import DivergedError
from shards.step_cli import app

TIMES = {"tokens_per_second", "data_seconds", "memory_mb"}


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def unstable(config) -> PretrainConfig:
    changes = {
        "steps": 40,
        "checkpoint": {"every": 4, "keep": 1},
        "evaluation": {"every": 12, "rows": 4},
        "optimizer": {"lr": 2e-3},
        "spikes": {"window": 12, "threshold": 7.0, "rollback_after": 2},
    }
    return PretrainConfig.model_validate({**config.model_dump(), **changes})


@pytest.fixture
def bad(monkeypatch):
    """Steps 26 and 27 are spoiled."""
    monkeypatch.setattr(Loader, "batch", spoiled)


@pytest.fixture
def output(corpus, tmp_path) -> Path:
    for name in ("shards", "tokenizer"):
        (tmp_path / name).symlink_to(corpus / name)
    return tmp_path


def train(config: PretrainConfig, output: Path, on_event=None) -> dict:
    return run(config, output / "shards", output / "tokenizer", output, on_event)


def records(output: Path) -> list[dict]:
    found = read_metrics(output / "runs" / "tiny" / "metrics.jsonl")
    plain = [{key: value for key, value in record.items() if key not in TIMES} for record in found]
    for record in plain:
        for spike in record.get("spikes", ()):
            for key in TIMES:
                spike.pop(key)
    return plain


def weights(output: Path) -> dict[str, torch.Tensor]:
    newest = checkpoint.latest(output / "runs" / "tiny" / "checkpoints")
    model = Decoder(checkpoint.read_state(newest).config.model, 320)
    checkpoint.load(newest, model)
    return model.state_dict()


def step(output: Path, *arguments: object) -> dict:
    result = CliRunner().invoke(app, [str(output), *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_back_and_on_without_the_rows(output, unstable, bad, monkeypatch):
    read: dict[int, list[int]] = {}  # by position: what the loader read
    rows = Loader.rows

    def noted(self, position, count):
        read[position] = rows(self, position, count).tolist()
        return rows(self, position, count)

    monkeypatch.setattr(Loader, "rows", noted)
    summary = train(unstable, output)
    found = records(output)
    (rollback,) = [record for record in found if record["kind"] == "rollback"]
    back, after = rollback["step"], rollback["after"]
    spikes = [record["step"] for record in rollback["spikes"]]
    assert spikes[-1] == after
    assert len(spikes) == 2
    assert spikes == [26, 27]
    assert back == (spikes[0] - 1) // 4 * 4
    assert rollback["rows"] == 4 * (after - back)
    updates = [record for record in found if record["kind"] == "train"]
    assert [record["step"] for record in updates] == list(range(1, 41))
    assert not any("spike" in record for record in updates if record["step"] > back)
    assert [record["tokens"] for record in updates] == [96 * number for number in range(1, 41)]
    assert (summary["rollbacks"], summary["tokens"]) == (1, 40 * 96)
    assert summary["jumps"] == [[back + 1, rollback["rows"]]]
    # the step lookup says what was read, before and after, by the checkpoint and by the summary
    for source in ("checkpoint", "summary"):
        for number in (1, back, back + 1, 40):
            facts = step(output, "--step", number)
            assert facts["position"] == 4 * (number - 1) + (rollback["rows"] if number > back else 0)
            assert [row["row"] for row in facts["rows"]] == read[facts["position"]]
        if source == "checkpoint":
            shutil.rmtree(output / "runs" / "tiny" / "checkpoints")
    named = rollback["spikes"][0]["documents"]
    assert len(named) == len(set(named))
    position = 4 * (spikes[0] - 1)
    facts = step(output, "--seed", unstable.seed, "--batch-rows", 4, "--step", spikes[0])
    assert facts["position"] == position
    documents = dict.fromkeys(piece["document"] for row in facts["rows"] for piece in row["pieces"])
    assert named == list(documents)[:8]


def test_documents_of_passed_rows_are_not_said_to_be_read(output, unstable, bad):
    train(unstable, output)
    (rollback,) = [record for record in records(output) if record["kind"] == "rollback"]
    document = rollback["spikes"][0]["documents"][0]
    positions = [one["position"] for one in step(output, "--doc", document)["read"]]
    begin = 4 * rollback["step"]
    assert not set(positions) & set(range(begin, begin + rollback["rows"]))


@pytest.mark.parametrize(("kind", "at"), [("train", 27), ("rollback", None), ("train", 30), ("checkpoint", 32)])
def test_resumed_equals_uninterrupted(output, corpus, unstable, bad, tmp_path_factory, kind, at):
    whole = tmp_path_factory.mktemp("whole")
    run(unstable, corpus / "shards", corpus / "tokenizer", whole)

    def kill(event):
        if event["kind"] == kind and at in (None, event["step"]):
            raise Killed

    with pytest.raises(Killed):
        train(unstable, output, kill)
    train(unstable, output)
    assert records(output) == records(whole)
    theirs = weights(whole)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in weights(output).items())


def test_the_state_is_that_of_the_checkpoint(output, unstable, corpus, bad, monkeypatch, tmp_path_factory):
    """Rows passed over apart, going back and on is the run as it would have been without bad rows."""
    train(unstable, output)
    (rollback,) = [record for record in records(output) if record["kind"] == "rollback"]
    back = rollback["step"]
    before = [r for r in records(output) if r["kind"] == "train" and r["step"] > back]
    copy = tmp_path_factory.mktemp("copy")

    def stop(event):
        if event["kind"] == "checkpoint" and event["step"] == back:
            raise Killed

    with pytest.raises(Killed):
        run(unstable, corpus / "shards", corpus / "tokenizer", copy, stop)
    monkeypatch.setattr(
        PretrainConfig,
        "reading",
        lambda self, context, jumps=(), plain=PretrainConfig.reading: plain(
            self, context, [(back + 1, rollback["rows"])]
        ),
    )
    run(unstable, corpus / "shards", corpus / "tokenizer", copy)
    assert [r for r in records(copy) if r["kind"] == "train" and r["step"] > back] == before


def test_at_most_so_many_rollbacks(output, unstable, monkeypatch):
    monkeypatch.setattr("pretrain.spikes._score", lambda value, window: 9.0)
    limited = unstable.model_copy(update={"spikes": unstable.spikes.model_copy(update={"rollbacks": 2})})
    with pytest.raises(DivergedError, match=r"2 spikes in the last 12 steps after 2 rollbacks.*step 12 is intact"):
        train(limited, output)
    assert checkpoint.read_state(checkpoint.latest(output / "runs" / "tiny" / "checkpoints")).step == 12


def test_without_a_checkpoint_from_before_a_run_goes_on(output, unstable, bad):
    rare = unstable.model_copy(update={"checkpoint": unstable.checkpoint.model_copy(update={"every": 40})})
    assert train(rare, output)["rollbacks"] == 0
    assert sum("spike" in record for record in records(output)) >= 2


def test_the_checkpoint_from_before_a_spike_is_kept(output, unstable, bad):
    """Two spikes must come for a rollback: the checkpoint from before the first outlives keep: 1 until then."""
    often = unstable.model_copy(update={"checkpoint": unstable.checkpoint.model_copy(update={"every": 1})})
    train(often, output)
    (rollback,) = [record for record in records(output) if record["kind"] == "rollback"]
    assert rollback["step"] == rollback["spikes"][0]["step"] - 1
    names = [path.name for path in (output / "runs" / "tiny" / "checkpoints").glob("step-*")]
    assert names == ["step-00000040"]


def test_no_rows_to_go_on_with(output, unstable, monkeypatch):
    monkeypatch.setattr("pretrain.spikes._score", lambda value, window: 9.0)
    entries = json.loads((output / "shards" / "manifest.json").read_text())["files"]
    (rows,) = [entry["rows"] for entry in entries if (entry["split"], entry["bucket"]) == ("train", "mill")]
    data = {"weights": {"mill": 1}, "caps": {"mill": round(161 / rows, 6)}}  # 160 are read without a jump
    capped = PretrainConfig.model_validate({**unstable.model_dump(), "data": data})
    with pytest.raises(DivergedError, match=r"2 spikes in .*, and no rows to go on with: caps: .*raise a cap"):
        train(capped, output)
