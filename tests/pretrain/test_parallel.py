"""Several processes: the same rows, the same losses, and checkpoints that any number of processes can go on from."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bad_rows import spoiled
from pretrain_corpus import CONTEXT

from pretrain.config import PretrainConfig
from pretrain.data import Loader
from pretrain.metrics import read_metrics
from pretrain.parallel import World, layout_of
from pretrain.runs import open_run
from pretrain.train import run

PROGRAM = Path(__file__).with_name("parallel_program.py")


@pytest.fixture(scope="module")
def wide(config) -> PretrainConfig:
    """Batches of 7 rows: processes have unequal stretches, and the last parts of theirs are of unequal size."""
    changes = {
        "batch_tokens": 7 * CONTEXT,
        "micro_batch": 2,
        "steps": 6,
        "model": {**config.model.model_dump(), "qk_norm": True},
        "optimizer": {"lr": 1e-2, "muon": {}},
    }
    return PretrainConfig.model_validate({**config.model_dump(), **changes})


@pytest.fixture(scope="module")
def alone(wide, corpus, tmp_path_factory) -> Path:
    """The run in one process."""
    output = beside(corpus, tmp_path_factory.mktemp("alone"))
    run(wide, corpus / "shards", corpus / "tokenizer", output)
    return output


def torchrun(
    processes: int, config: PretrainConfig, corpus: Path, output: Path, stop: int = 0, rows: str = ""
) -> subprocess.CompletedProcess:
    folders = os.pathsep.join(map(str, (Path(__file__).parents[2], PROGRAM.parent)))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*launch, str(PROGRAM), config.model_dump_json(), str(corpus), str(output), str(stop), rows]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": folders}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def beside(corpus: Path, output: Path) -> Path:
    """An output directory that also holds the corpus's shards and tokenizer."""
    output.mkdir(exist_ok=True)
    for name in ("shards", "tokenizer"):
        (output / name).symlink_to(corpus / name)
    return output


def losses(output: Path) -> list[float]:
    records = read_metrics(output / "runs" / "tiny" / "metrics.jsonl")
    return [r["loss"] for r in records if r["kind"] == "train"]


@pytest.mark.parametrize(("processes", "layout"), [(2, "ddp"), (4, "ddp"), (2, "fsdp"), (4, "fsdp")])
def test_losses_are_those_of_one_process(wide, corpus, alone, tmp_path, processes, layout):
    config = wide.model_copy(update={"parallel": layout})
    done = torchrun(processes, config, corpus, beside(corpus, tmp_path))
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path) == pytest.approx(losses(alone), rel=2e-3)  # Muon computes in bfloat16
    expected, found = (open_run(output).evaluate() for output in (alone, tmp_path))
    assert found["targets"] == expected["targets"]
    assert found["bits_per_byte"] == pytest.approx(expected["bits_per_byte"], rel=2e-3)
    evaluations = [r for r in read_metrics(tmp_path / "runs" / "tiny" / "metrics.jsonl") if r["kind"] == "evaluation"]
    assert evaluations[-1]["bits_per_byte"] == pytest.approx(found["bits_per_byte"], rel=1e-5)
    assert evaluations[-1]["targets"] == found["targets"]


def test_a_run_that_was_asked_to_stop_goes_on_with_other_numbers_of_processes(wide, corpus, alone, tmp_path):
    beside(corpus, tmp_path)
    for stop, processes, layout in ((2, 2, "fsdp"), (3, 3, "ddp")):
        done = torchrun(processes, wide.model_copy(update={"parallel": layout}), corpus, tmp_path, stop)
        assert f"stopped by SIGTERM after step {stop}, which is saved" in done.stderr
        assert "exitcode  : 143" in done.stderr
        assert open_run(tmp_path).state.step == stop
    run(wide, corpus / "shards", corpus / "tokenizer", tmp_path)
    assert losses(tmp_path) == pytest.approx(losses(alone), rel=2e-3)


@pytest.fixture(scope="module")
def unstable(config) -> PretrainConfig:
    """Batch and weights change on the way; rows that spoil it come in steps 23 and 24."""
    changes = {
        "steps": 36,
        "batch_changes": [{"step": 12, "tokens": 5 * CONTEXT}, {"step": 28, "tokens": 7 * CONTEXT}],
        "data": {"weights": {"mill": 2, "river": 1}, "changes": [{"step": 26, "weights": {"mill": 1, "river": 1}}]},
        "optimizer": {"lr": 2e-3},
        "evaluation": {"every": 40, "rows": 4},
        "checkpoint": {"every": 4, "keep": 1},
        "spikes": {"window": 12, "threshold": 5.0, "skip": True, "rollback_after": 2},
    }
    return PretrainConfig.model_validate({**config.model_dump(), **changes})


@pytest.mark.parametrize("layout", ["ddp", "fsdp"])
def test_spikes_are_skipped_and_gone_back_from_in_all_processes(unstable, corpus, tmp_path, monkeypatch, layout):
    """Stopped after the rollback, the run goes on in one process; all of it is as in one process throughout."""
    output, reference = (beside(corpus, tmp_path / name) for name in ("many", "one"))
    done = torchrun(2, unstable.model_copy(update={"parallel": layout}), corpus, output, 30, "bad")
    assert "stopped by SIGTERM after step 30, which is saved" in done.stderr, done.stderr
    monkeypatch.setattr(Loader, "batch", spoiled)
    for directory in (output, reference):
        run(unstable, corpus / "shards", corpus / "tokenizer", directory)
    found, expected = (read_metrics(directory / "runs" / "tiny" / "metrics.jsonl") for directory in (output, reference))
    assert [(r["kind"], r["step"]) for r in found] == [(r["kind"], r["step"]) for r in expected]
    (back,), (theirs,) = ([r for r in records if r["kind"] == "rollback"] for records in (found, expected))
    assert [(r["step"], r["skipped"], r["documents"]) for r in back["spikes"]] == [
        (r["step"], r["skipped"], r["documents"]) for r in theirs["spikes"]
    ]
    assert [spike["step"] for spike in back["spikes"]] == [23, 24]
    assert (back["step"], back["after"], back["rows"]) == (20, 24, 20)
    assert losses(output) == pytest.approx(losses(reference), rel=1e-3)
    states = [open_run(directory).state for directory in (output, reference)]
    assert [(s.step, s.position, s.tokens, s.jumps, s.rollbacks) for s in states[:1]] == [
        (s.step, s.position, s.tokens, s.jumps, s.rollbacks) for s in states[1:]
    ]


def test_more_processes_than_rows_are_refused(wide, corpus, tmp_path):
    done = torchrun(2, wide.model_copy(update={"batch_tokens": CONTEXT}), corpus, tmp_path)
    assert done.returncode != 0
    assert "a batch of 1 rows cannot be shared by 2 processes: raise it, or start fewer" in done.stderr


def test_one_process_has_nothing_to_spread(wide):
    one, two = World(torch.device("cpu")), World(torch.device("cpu"), 1, 2)
    assert [layout_of(asked, one) for asked in ("auto", "none", "ddp", "fsdp")] == ["none"] * 4
    assert [layout_of(asked, two) for asked in ("auto", "ddp", "fsdp")] == ["ddp", "ddp", "fsdp"]
    with pytest.raises(ValueError, match="parallel: none"):
        layout_of("none", two)
