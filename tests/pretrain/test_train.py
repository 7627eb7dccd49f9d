"""The whole loop: learning, stopping and going on, refusing what does not belong."""

import functools
import hashlib
import json
import math
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from pretrain_corpus import write_shards
from pydantic import ValidationError

from pretrain import checkpoint
from pretrain.checkpoint import CheckpointError
from pretrain.config import PretrainConfig
from pretrain.data import Batch
from pretrain.interruption import StoppedError
from pretrain.metrics import Metrics, read_metrics
from pretrain.model import Decoder, Layer
from pretrain.origin import MismatchError
from pretrain.sample import write_samples
from pretrain.train import run
from pretrain.update import DivergedError, summed_loss
from shards.read import open as shards_of
from shards.remove import remove
from shards.tombstones import Request

TIMES = {"tokens_per_second", "data_seconds", "memory_mb"}


class Killed(Exception):
    """Stands for the end of the process."""


def killing(kind: str, step: int):
    def on_event(event):
        if event["kind"] == kind and event["step"] == step:
            raise Killed

    return on_event


def start(config, corpus: Path, output: Path, on_event=None) -> dict:
    return run(config, corpus / "shards", corpus / "tokenizer", output, on_event)


def numbers(directory: Path) -> list[dict]:
    records = read_metrics(directory / "metrics.jsonl")
    return [{key: value for key, value in record.items() if key not in TIMES} for record in records]


def weights(directory: Path) -> dict[str, torch.Tensor]:
    newest = checkpoint.latest(directory / "checkpoints")
    model = Decoder(checkpoint.read_state(newest).config.model, 320)
    checkpoint.load(newest, model)
    return model.state_dict()


@pytest.fixture(scope="module")
def finished(corpus, config, tmp_path_factory):
    """An uninterrupted run: its directory, its summary, its events."""
    output = tmp_path_factory.mktemp("finished")
    events = []
    summary = start(config, corpus, output, events.append)
    return output / "runs" / "tiny", summary, events


def test_a_run_learns_and_says_so(finished):
    directory, summary, events = finished
    records = numbers(directory)
    train = [record for record in records if record["kind"] == "train"]
    evaluations = [record for record in records if record["kind"] == "evaluation"]
    assert [record["step"] for record in train] == list(range(1, 13))
    assert [record["tokens"] for record in train] == [96 * step for step in range(1, 13)]
    assert train[0]["loss"] == pytest.approx(math.log(320), abs=0.5)
    assert train[-1]["loss"] < 0.75 * train[0]["loss"]
    assert train[0]["lr"] == pytest.approx(0.5e-2)
    assert train[-1]["lr"] == pytest.approx(1e-3)
    assert [record["step"] for record in evaluations] == [3, 6, 9, 12]
    assert evaluations[-1]["bits_per_byte"] < evaluations[0]["bits_per_byte"]
    assert summary["validation_bits_per_byte"] == evaluations[-1]["bits_per_byte"]
    assert summary["train_loss"] == train[-1]["loss"]
    assert summary["tokens"] == 12 * 96
    assert 0 < summary["unigram_bits_per_byte"] < 8
    assert [event["kind"] for event in events[:2]] == ["start", "train"]
    assert events[-1] == {"kind": "end", **summary}
    assert json.loads((directory / "summary.json").read_text()) == summary
    assert [sample["prompt"] for sample in json.loads((directory / "samples.json").read_text())] == ["", "the miller"]


@pytest.mark.parametrize(
    ("kind", "step"),
    [("train", 2), ("train", 4), ("checkpoint", 4), ("train", 7), ("evaluation", 9), ("checkpoint", 12), ("end", None)],
)
def test_resumed_equals_uninterrupted_bit_for_bit(finished, corpus, config, tmp_path, kind, step):
    directory = tmp_path / "runs" / "tiny"
    on_event = killing(kind, step) if step else None
    if step:
        with pytest.raises(Killed):
            start(config, corpus, tmp_path, on_event)
        assert not (directory / "summary.json").exists()
    torch.manual_seed(99)
    summary = start(config, corpus, tmp_path)
    reference, expected, _ = finished
    assert numbers(directory) == numbers(reference)
    theirs = weights(reference)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in weights(directory).items())
    assert {k: v for k, v in summary.items() if k not in TIMES} == {k: v for k, v in expected.items() if k not in TIMES}
    assert (directory / "samples.json").read_bytes() == (reference / "samples.json").read_bytes()


def test_killed_again_and_again(finished, corpus, config, tmp_path):
    for step in (1, 5, 6, 8, 11):
        with pytest.raises(Killed):
            start(config, corpus, tmp_path, killing("train", step))
    start(config, corpus, tmp_path)
    assert numbers(tmp_path / "runs" / "tiny") == numbers(finished[0])


def test_a_finished_run_returns_its_summary_and_touches_nothing(finished, corpus, config, monkeypatch):
    directory, summary, _ = finished
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    monkeypatch.setattr("pretrain.train.Training.start", None)
    assert start(config, corpus, directory.parent.parent) == summary
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before


def test_a_finished_run_is_measured_again_when_only_measuring_changed(finished, corpus, config, tmp_path):
    shutil.copytree(finished[0], tmp_path / "runs" / "tiny")
    before = weights(finished[0])
    fewer = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"rows": 3})})
    summary = start(fewer, corpus, tmp_path)
    assert summary["validation"]["targets"] < finished[1]["validation"]["targets"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(tmp_path / "runs" / "tiny").items())
    steps = [r["step"] for r in numbers(tmp_path / "runs" / "tiny") if r["kind"] == "evaluation"]
    assert steps == [3, 6, 9, 12]


@pytest.mark.parametrize(
    ("section", "change", "named"),
    [
        ("optimizer", {"lr": 0.5}, "optimizer.lr is 0.01, not 0.5"),
        ("model", {"layers": 1}, "model.layers is 2, not 1"),
        (None, {"steps": 13}, "steps is 12, not 13"),
        (None, {"seed": 2}, "seed is 1, not 2"),
    ],
)
def test_another_config_is_refused_by_name(finished, corpus, config, section, change, named):
    other = config.model_dump()
    (other[section] if section else other).update(change)
    with pytest.raises(MismatchError, match=named):
        start(type(config).model_validate(other), corpus, finished[0].parent.parent)


def test_other_shards_are_refused_by_name(finished, corpus, config, tmp_path):
    shards = write_shards(tmp_path / "shards", corpus / "tokenizer", config_hash="other")
    with pytest.raises(MismatchError, match="packing_config is test, not other"):
        run(config, shards, corpus / "tokenizer", finished[0].parent.parent)


def test_other_contents_in_rows_of_the_same_numbers_are_refused(finished, corpus, config, tmp_path):
    """Not so what is left of the run's own shards when documents are removed: it goes on with them."""
    shards = tmp_path / "shards"
    shutil.copytree(corpus / "shards", shards)
    first = shards_of(shards).split("train").pieces(0)[0]["document"].tobytes().hex()
    remove(shards, Request((first,)))
    output = tmp_path / "output"
    with pytest.raises(Killed):
        start(config, corpus, output, killing("train", 6))
    run(config, shards, corpus / "tokenizer", output)
    with pytest.raises(MismatchError, match=r"shards_digest is .*; shards_version is 2, not 1"):
        start(config, corpus, output)
    assert run(config, shards, corpus / "tokenizer", finished[0].parent.parent) == finished[1]


def test_another_tokenizer_is_refused_by_name(corpus, config, tmp_path):
    shutil.copytree(corpus / "tokenizer", tmp_path / "tokenizer")
    file = tmp_path / "tokenizer" / "tokenizer.json"
    file.write_text(file.read_text() + "\n")
    with pytest.raises(MismatchError, match="tokenizer"):
        run(config, corpus / "shards", tmp_path / "tokenizer", tmp_path)


def test_without_held_out_rows_there_is_nothing_to_report(corpus, config, tmp_path):
    shards = write_shards(tmp_path / "shards", corpus / "tokenizer", splits=("train",))
    summary = run(config.model_copy(update={"steps": 3}), shards, corpus / "tokenizer", tmp_path)
    assert summary["validation"]["targets"] == 0
    assert summary["validation_bits_per_byte"] is summary["unigram_bits_per_byte"] is summary["validation_loss"] is None


def test_without_train_rows_there_is_nothing_to_learn(corpus, config, tmp_path):
    shards = write_shards(tmp_path / "shards", corpus / "tokenizer", splits=("validation",))
    with pytest.raises(ValueError, match="no train rows"):
        run(config, shards, corpus / "tokenizer", tmp_path)


def test_a_damaged_checkpoint_is_refused(corpus, config, tmp_path):
    with pytest.raises(Killed):
        start(config, corpus, tmp_path, killing("train", 6))
    file = checkpoint.latest(tmp_path / "runs" / "tiny" / "checkpoints") / "tensors" / "__0_0.distcp"
    content = bytearray(file.read_bytes())
    content[-100] ^= 255
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"__0_0\.distcp"):
        start(config, corpus, tmp_path)


@pytest.mark.parametrize("damage", ["flipped", "gone", "pointer"])
def test_past_a_damaged_checkpoint_the_run_is_the_same(finished, corpus, config, tmp_path, damage):
    with pytest.raises(Killed):
        start(config, corpus, tmp_path, killing("train", 11))
    checkpoints = tmp_path / "runs" / "tiny" / "checkpoints"
    newest, events = checkpoint.latest(checkpoints), []
    assert newest.name == "step-00000008"
    if damage == "flipped":
        content = bytearray((newest / checkpoint.STATE).read_bytes())
        content[20] ^= 1
        (newest / checkpoint.STATE).write_bytes(content)
    elif damage == "gone":
        shutil.rmtree(newest)
    else:
        (checkpoints / checkpoint.LATEST).unlink()
    start(config, corpus, tmp_path, events.append)
    told = [event["reason"] for event in events if event["kind"] == "damaged"]
    assert [event["step"] for event in events if event["kind"] == "start"] == [8 if damage == "pointer" else 4]
    assert (len(told), all("step-00000008" in reason for reason in told)) == (damage != "pointer", True)
    assert numbers(tmp_path / "runs" / "tiny") == numbers(finished[0])
    theirs = weights(finished[0])
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in weights(tmp_path / "runs" / "tiny").items())


def test_what_is_later_than_the_newest_checkpoint_goes(corpus, config, tmp_path):
    with pytest.raises(Killed):
        start(config, corpus, tmp_path, killing("train", 11))
    checkpoints = tmp_path / "runs" / "tiny" / "checkpoints"
    (checkpoints / checkpoint.LATEST).write_text("step-00000004\n")
    with pytest.raises(Killed):
        start(config, corpus, tmp_path, killing("train", 5))
    assert [path.name for path in checkpoints.glob("step-*")] == ["step-00000004"]


def test_a_checkpoint_of_another_version_is_refused(corpus, config, tmp_path):
    with pytest.raises(Killed):
        start(config, corpus, tmp_path, killing("train", 6))
    newest = checkpoint.latest(tmp_path / "runs" / "tiny" / "checkpoints")
    state = json.loads((newest / checkpoint.STATE).read_text())
    state["config"]["spikes"]["mean"] = "harmonic"
    (newest / checkpoint.STATE).write_text(json.dumps(state))
    digests = json.loads((newest / checkpoint.DIGESTS).read_text())
    digests[checkpoint.STATE] = hashlib.sha256((newest / checkpoint.STATE).read_bytes()).hexdigest()
    (newest / checkpoint.DIGESTS).write_text(json.dumps(digests))
    with pytest.raises(CheckpointError, match=r"another version of this program: config\.spikes\.mean: Extra inputs"):
        start(config, corpus, tmp_path)


def test_a_diverging_run_names_step_and_checkpoint(corpus, config, tmp_path, monkeypatch):
    def poisoned(self, device):
        raise DivergedError("loss is nan")

    start_of = killing("checkpoint", 4)
    with pytest.raises(Killed):
        start(config, corpus, tmp_path, start_of)
    monkeypatch.setattr("pretrain.train.update", lambda *args: poisoned(*args[:2]))
    with pytest.raises(DivergedError, match=r"step 5: .*checkpoint of step 4 is intact"):
        start(config, corpus, tmp_path)


def test_compiled_training_has_the_same_losses(finished, corpus, config, tmp_path, monkeypatch):
    # the eager backend leaves out minutes of code generation, which is torch's own affair
    compiled, compile_any = [], torch.compile

    def compile_eagerly(model, **options):
        compiled.append(model)
        return compile_any(model, **{**options, "backend": "eager"})

    monkeypatch.setattr(torch, "compile", compile_eagerly)
    monkeypatch.setattr(Layer, "compile", functools.partialmethod(torch.nn.Module.compile, backend="eager"))
    start(config.model_copy(update={"name": "compiled", "compile": True}), corpus, tmp_path)
    assert summed_loss in compiled
    assert numbers(tmp_path / "runs" / "compiled") == numbers(finished[0])


def test_metrics_drop_what_will_happen_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [("train", 1), ("train", 2), ("evaluation", 2), ("train", 3)]
    text = "".join(json.dumps({"kind": kind, "step": step}) + "\n" for kind, step in lines)
    for end in ('{"kind": "tra', "\0\0\0\n\0\0\n"):  # killed in the middle of a line; the machine lost its power
        path.write_text(text + end)
        metrics = Metrics(path, 2)
        metrics.write({"kind": "evaluation", "step": 2})
        metrics.close()
    assert [(r["kind"], r["step"]) for r in read_metrics(path)] == [("train", 1), ("train", 2), ("evaluation", 2)]


def test_batches_move_whole():
    batch = Batch(*(torch.zeros(1, 2, dtype=torch.int64) for _ in range(4)))
    assert isinstance(batch.to(torch.device("cpu")), Batch)


def test_weights_that_are_no_numbers_are_not_saved(corpus, config, tmp_path):
    optimizer = config.optimizer.model_copy(update={"lr": 1e39})
    schedule = config.schedule.model_copy(update={"warmup": 0})
    with pytest.raises(DivergedError, match=r"step 1: the weights are no longer numbers.*there is no checkpoint yet"):
        start(config.model_copy(update={"optimizer": optimizer, "schedule": schedule, "steps": 1}), corpus, tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"origin": 3}'])
def test_a_damaged_summary_is_written_again(finished, corpus, config, tmp_path, content):
    shutil.copytree(finished[0].parent, tmp_path / "runs")
    summary = tmp_path / "runs" / finished[0].name / "summary.json"
    whole = json.loads(summary.read_text())
    summary.write_text(content)
    assert start(config, corpus, tmp_path)["validation_loss"] == whole["validation_loss"]


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff\xfe"])
def test_a_damaged_pointer_is_as_none(finished, corpus, config, tmp_path, content):
    shutil.copytree(finished[0].parent, tmp_path / "runs")
    checkpoints = tmp_path / "runs" / finished[0].name / "checkpoints"
    newest = checkpoint.latest(checkpoints)
    (checkpoints / checkpoint.LATEST).write_bytes(content)
    assert checkpoint.latest(checkpoints) == newest
    (tmp_path / "runs" / finished[0].name / "summary.json").unlink()
    events = []
    start(config, corpus, tmp_path, events.append)
    assert not any(event["kind"] in ("damaged", "train") for event in events)


@pytest.mark.parametrize(
    "page",
    [
        {"epochs": math.inf},
        {"epochs": 1e300},
        {"tokens": 10**30},
        {"optimizer": {"lr": math.inf}},
        {"model": {"rope_theta": math.inf}},
        {"model": {"hidden": 24 * 10**30}},
        {"z_loss": math.inf},
    ],
)
def test_numbers_that_no_run_can_have_are_refused(page):
    with pytest.raises(ValidationError, match=r"finite number|less than or equal"):
        PretrainConfig.model_validate(page)


def test_a_power_of_ten_is_a_whole_number():
    assert PretrainConfig.model_validate({"tokens": "2e9"}).tokens == 2_000_000_000
    with pytest.raises(ValidationError, match="valid integer"):
        PretrainConfig.model_validate({"tokens": "2.5"})


def test_a_run_that_is_asked_to_stop_while_it_writes_samples_stops(corpus, config, tmp_path, monkeypatch):
    def signalled(model, *others):
        os.kill(os.getpid(), signal.SIGTERM)
        return write_samples(model, *others)

    monkeypatch.setattr("pretrain.summary.write_samples", signalled)
    with pytest.raises(StoppedError, match=r"SIGTERM after step \d+, which is saved"):
        start(config, corpus, tmp_path)
    monkeypatch.undo()
    events = []
    assert start(config, corpus, tmp_path, events.append)["steps"]
    assert not any(event["kind"] == "train" for event in events)


def test_metrics_and_digests_of_another_form_are_damage(finished, corpus, config, tmp_path):
    shutil.copytree(finished[0].parent, tmp_path / "runs")
    directory = tmp_path / "runs" / finished[0].name
    (directory / "summary.json").unlink()
    (directory / "metrics.jsonl").write_text("[1]\n")
    newest = checkpoint.latest(directory / "checkpoints")
    (newest / checkpoint.DIGESTS).write_text("[]")
    with pytest.raises(CheckpointError, match="holds no digests"):
        checkpoint.verify(newest)
    events = []
    summary = start(config, corpus, tmp_path, events.append)
    assert "damaged" in {event["kind"] for event in events}
    assert summary["validation_loss"] == finished[1]["validation_loss"]
