"""What ends a run: each failure says so in one sentence, leaves a valid checkpoint, and has its exit status."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import wait
from pathlib import Path

import pytest
import torch
import yaml

from jobs import pretrain as job
from jobs import whole
from pipelines.errors import GristmillError
from pretrain import checkpoint, evaluate
from pretrain.checkpoint import Checkpoints
from pretrain.config import PretrainConfig
from pretrain.metrics import Metrics, read_metrics
from pretrain.model import Decoder
from pretrain.train import run

ROOT = Path(__file__).parents[2]
SOURCE = {"name": "books", "format": "text", "paths": ["*.txt"]}  # a config has one; training reads none


@pytest.fixture
def output(corpus, tmp_path) -> Path:
    """An output directory of its own, whose shards a test may damage."""
    directory = tmp_path / "output"
    (directory / "shards").mkdir(parents=True)
    for file in (corpus / "shards").iterdir():
        (directory / "shards" / file.name).write_bytes(file.read_bytes())
    (directory / "tokenizer").symlink_to(corpus / "tokenizer")
    return directory


def failure(config: PretrainConfig, output: Path) -> str:
    """What the run says, in one line; it is known to have failed with status 1."""
    with pytest.raises(GristmillError) as caught:
        whole.train(config, output)
    assert caught.value.status == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


def saved(config: PretrainConfig, output: Path) -> int:
    """The step of the newest checkpoint, every file of which is what was written."""
    newest = checkpoint.latest(output / "runs" / config.name / "checkpoints")
    return checkpoint.read_state(newest).step


def failing_at(call: int, fail):
    """A forward pass that fails at its `call`-th call; a step of the config makes two, a checkpoint comes every 4."""
    forward, calls = Decoder.forward, []

    def limited(self, *arguments):
        if torch.is_grad_enabled():
            calls.append(None)
            if len(calls) == call:
                fail()
        return forward(self, *arguments)

    return limited


def of_torch():
    torch.empty(1 << 60, dtype=torch.uint8)


def of_cuda():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the documentation.")


def of_python():
    bytearray(1 << 62)


@pytest.mark.parametrize("fail", [of_torch, of_cuda, of_python])
def test_out_of_memory(output, config, monkeypatch, fail):
    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "forward", failing_at(13, fail))
        said = failure(config, output)
    assert said.startswith("pretrain: out of memory")
    assert "lower micro_batch" in said
    assert "activation_checkpointing: true" in said
    assert said.endswith("the checkpoint of step 4 is intact")
    assert saved(config, output) == 4
    assert whole.train(config, output)["steps"] == 12


def test_out_of_memory_before_the_first_checkpoint(output, config, monkeypatch):
    monkeypatch.setattr(Decoder, "forward", failing_at(1, of_torch))
    assert failure(config, output).endswith("there is no checkpoint yet")


def test_other_errors_are_not_taken_for_memory(output, config, monkeypatch):
    def wrong():
        torch.ones(2) @ torch.ones(3)

    monkeypatch.setattr(Decoder, "forward", failing_at(13, wrong))
    with pytest.raises(RuntimeError, match="size"):
        whole.train(config, output)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_full_for_metrics(output, config, monkeypatch):
    write = Metrics.write

    def full(self, record):
        if record["step"] == 7:
            self._file = Path("/dev/full").open("a")  # noqa: SIM115
        write(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(Metrics, "write", full)
        said = failure(config, output)
    assert "No space left on device" in said
    assert said.endswith("the checkpoint of step 4 is intact")
    assert saved(config, output) == 4
    assert whole.train(config, output)["steps"] == 12


def no_space(*arguments, **options):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("place", "last"),
    [
        ("pretrain.summary._write_json", 12),
        ("pretrain.metrics.Metrics.sync", None),
        ("torch.distributed.checkpoint.filesystem._write_item", None),
    ],
)
def test_a_disk_that_is_full_elsewhere(output, config, monkeypatch, place, last):
    with monkeypatch.context() as patch:
        patch.setattr(place, no_space)
        assert "No space left on device" in failure(config, output)
    if last is None:
        assert checkpoint.latest(output / "runs" / config.name / "checkpoints") is None
    else:
        assert saved(config, output) == last
    assert whole.train(config, output)["steps"] == 12


def test_a_checkpoint_that_fails_in_the_background_ends_the_run_at_once(output, config, monkeypatch):
    """Not an interval later: what is trained meanwhile would be lost. What there is of it does not fill the disk."""
    check = Checkpoints.check

    def after_writing(self):
        if self._upload is not None:
            wait([self._upload])
        check(self)

    with monkeypatch.context() as patch:
        patch.setattr("torch.distributed.checkpoint.filesystem._write_item", no_space)
        patch.setattr(Checkpoints, "check", after_writing)
        said = failure(config, output)
    assert "a checkpoint could not be written: " in said
    assert "No space left on device" in said
    directory = output / "runs" / "tiny"
    assert read_metrics(directory / "metrics.jsonl")[-1]["step"] == 5
    assert not list((directory / "checkpoints").iterdir())
    assert whole.train(config, output)["steps"] == 12


@pytest.mark.parametrize("at", [3, 12])
def test_a_signal_during_an_evaluation(output, config, corpus, monkeypatch, tmp_path, at):
    """The evaluation of a step without a checkpoint, and the last one: neither is waited for, nor is anything lost."""
    read, calls = evaluate.read_batch, []

    def interrupted(*arguments):
        calls.append(None)
        if len(calls) == (at // 3 - 1) * 4 + 2:  # ten rows, three at a time
            os.kill(os.getpid(), signal.SIGTERM)
        return read(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "read_batch", interrupted)
        with pytest.raises(GristmillError, match=f"stopped by SIGTERM after step {at}, which is saved") as caught:
            whole.train(config, output)
    assert caught.value.status == 143
    assert len(calls) == (at // 3 - 1) * 4 + 2
    assert saved(config, output) == at
    assert whole.train(config, output)["steps"] == 12
    run(config, corpus / "shards", corpus / "tokenizer", tmp_path)
    assert numbers(output / "runs" / "tiny") == numbers(tmp_path / "runs" / "tiny")


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_shard_that_goes_while_the_run_is_under_way(output, config, monkeypatch, damage):
    """Files are opened when a row of theirs is first read: weights put that at step 7."""
    data = {"weights": {"mill": 1}, "changes": [{"step": 7, "weights": {"river": 1}}]}
    mixed = PretrainConfig.model_validate({**config.model_dump(), "data": data, "evaluation": {"every": 100}})
    shard = output / "shards" / "train-river-00000.arrow"
    content = shard.read_bytes()

    def go(event):
        if event["kind"] == "train" and event["step"] == 2:
            shard.unlink() if damage == "missing" else shard.write_bytes(content[: len(content) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(whole, "_tell", go)
        said = failure(mixed, output)
    assert "train-river-00000.arrow" in said
    assert saved(mixed, output) == 4
    assert "train-river-00000.arrow" in failure(mixed, output)  # nor does a run begin that cannot end
    shard.write_bytes(content)
    assert whole.train(mixed, output)["steps"] == 12


def test_a_loss_that_is_no_number(output, config, monkeypatch):
    poisoned: list[bool] = []
    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "forward", failing_at(13, lambda: poisoned.append(True)))
        inner = Decoder.forward

        def nan(self, *arguments):
            logits = inner(self, *arguments)
            return logits * torch.nan if poisoned else logits

        patch.setattr(Decoder, "forward", nan)
        said = failure(config, output)
    assert "step 7: loss is nan" in said
    assert said.endswith("the checkpoint of step 4 is intact")
    assert saved(config, output) == 4
    assert whole.train(config, output)["steps"] == 12


def called(monkeypatch, capfd, page: Path, output: Path) -> tuple[int, str]:
    """Exit status and stderr of jobs/pretrain.py."""
    monkeypatch.setattr(sys, "argv", ["jobs/pretrain.py", "--config", str(page), "--output", str(output)])
    with pytest.raises(SystemExit) as ended:
        job.main()
    return ended.value.code, capfd.readouterr().err


def test_a_directory_without_shards_is_refused_and_not_made(config, tmp_path, monkeypatch, capfd):
    page = tmp_path / "run.yaml"
    page.write_text(yaml.safe_dump({"name": "a", "sources": [SOURCE], "pretrain": config.model_dump(mode="json")}))
    status, said = called(monkeypatch, capfd, page, tmp_path / "typo")
    assert (status, said) == (2, f"gristmill: there are no shards in {tmp_path / 'typo'}\n")
    assert not (tmp_path / "typo").exists()


def test_a_key_that_interrupts_before_training_is_one_line(tmp_path, monkeypatch, capfd):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "pretrain", interrupted)
    status, said = called(monkeypatch, capfd, tmp_path / "run.yaml", tmp_path)
    assert (status, said) == (130, "gristmill: interrupted; the same command goes on from here\n")


@pytest.mark.parametrize("program", ["jobs/pretrain.py", "gristmill"])
def test_a_scheduler_s_signal(output, config, tmp_path, program):
    endless = {**config.model_dump(mode="json"), "steps": 10**6, "evaluation": {"every": 10**6, "rows": 1}}
    page = tmp_path / "run.yaml"
    page.write_text(yaml.safe_dump({"name": "stopped", "sources": [SOURCE], "pretrain": endless}))
    launch = [program] if program.endswith(".py") else ["-c", "from jobs.cli import main; main()", "pretrain", "run"]
    command = [sys.executable, *launch, "--config", str(page), "--output", str(output)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    diary = output / "runs" / "tiny" / "metrics.jsonl"
    while len(read_metrics(diary)) < 10 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 143, said
    step = saved(config, output)
    assert step == read_metrics(diary)[-1]["step"] >= 10
    assert f"gristmill: pretrain: stopped by SIGTERM after step {step}, which is saved: start it again\n" in said
    assert "Traceback" not in said


def numbers(directory: Path) -> list[dict]:
    times = {"tokens_per_second", "data_seconds", "memory_mb"}
    records = read_metrics(directory / "metrics.jsonl")
    return [{key: value for key, value in record.items() if key not in times} for record in records]


def weights(directory: Path) -> dict[str, torch.Tensor]:
    newest = checkpoint.latest(directory / "checkpoints")
    model = Decoder(checkpoint.read_state(newest).config.model, 320)
    checkpoint.load(newest, model)
    return model.state_dict()


def test_killed_twenty_times_at_random_moments(corpus, config, tmp_path):
    every = {"evaluation": {"every": 10, "rows": 4}, "checkpoint": {"every": 3, "keep": 2}}
    longer = PretrainConfig.model_validate({**config.model_dump(), "steps": 60, **every})
    program = Path(__file__).with_name("killing_program.py")
    command = [sys.executable, str(program), longer.model_dump_json(), str(corpus), str(tmp_path), "20", "7"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    reference, *killed = (Path(folder) / "runs" / "tiny" for folder in json.loads(done.stdout))
    expected, theirs = numbers(reference), weights(reference)
    assert [record["step"] for record in expected if record["kind"] == "train"] == list(range(1, 61))
    assert killed
    for directory in killed:
        assert numbers(directory) == expected
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in weights(directory).items())
        assert (directory / "samples.json").read_bytes() == (reference / "samples.json").read_bytes()
