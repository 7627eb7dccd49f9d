"""Event files say what the diary says, once each, however often the run was begun."""

import sys
from pathlib import Path

import pytest
from bad_rows import spoiled

from jobs import whole
from pipelines.errors import ConfigError
from pretrain.config import PretrainConfig
from pretrain.data import Loader
from pretrain.metrics import read_metrics
from pretrain.tensorboard import scalars
from pretrain.train import run

TRAIN = ("loss", "lr", "grad_norm", "tokens_per_second", "data_seconds", "memory_mb")


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def watched(config) -> PretrainConfig:
    return config.model_copy(update={"tensorboard": True})


def points(output: Path) -> dict[str, list[tuple[int, float]]]:
    """Of each tag, steps and values as TensorBoard shows them."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(output / "runs" / "tiny" / "tensorboard"), {"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def expected(output: Path) -> dict[str, list[tuple[int, float]]]:
    """The same from the diary; TensorBoard keeps values as float32."""
    found: dict[str, list[tuple[int, float]]] = {}
    for record in read_metrics(output / "runs" / "tiny" / "metrics.jsonl"):
        of = record if record["kind"] != "train" else {**record, "buckets": {}}
        section = {"train": "train", "evaluation": "validation"}.get(record["kind"])
        for name in TRAIN if record["kind"] == "train" else ("loss", "bits_per_byte") if section else ():
            found.setdefault(f"{section}/{name}", []).append((record["step"], pytest.approx(of[name], rel=1e-6)))
            for bucket, part in of["buckets"].items():
                tag = f"{section}/{name}/{bucket}"
                found.setdefault(tag, []).append((record["step"], pytest.approx(part[name], rel=1e-6)))
    return found


def start(config, corpus, output, kind=None, step=None):
    def kill(event):
        if event["kind"] == kind and event["step"] == step:
            raise Killed

    run(config, corpus / "shards", corpus / "tokenizer", output, kill)


@pytest.mark.parametrize(("kind", "step"), [("train", 3), ("train", 6), ("checkpoint", 4), ("evaluation", 9)])
def test_a_run_that_was_killed(watched, corpus, tmp_path, kind, step):
    """Evaluations come at steps 3, 6, 9, checkpoints at 4, 8: what was told after a checkpoint is told again."""
    pytest.importorskip("tensorboard")
    with pytest.raises(Killed):
        start(watched, corpus, tmp_path, kind, step)
    start(watched, corpus, tmp_path)
    found = points(tmp_path)
    assert found == expected(tmp_path)
    assert [at for at, _ in found["train/loss"]] == list(range(1, 13))
    assert [at for at, _ in found["validation/bits_per_byte/river"]] == [3, 6, 9, 12]


def test_a_run_that_went_back(watched, corpus, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.setattr(Loader, "batch", spoiled)
    changes = {
        "steps": 30,
        "optimizer": {"lr": 2e-3},
        "evaluation": {"every": 12, "rows": 4},
        "spikes": {"window": 12, "threshold": 7.0, "rollback_after": 2},
    }
    start(PretrainConfig.model_validate({**watched.model_dump(), **changes}), corpus, tmp_path)
    assert [r["after"] for r in read_metrics(tmp_path / "runs" / "tiny" / "metrics.jsonl") if "after" in r] == [27]
    found = points(tmp_path)
    assert [at for at, _ in found["train/loss"]] == list(range(1, 31))
    assert found == expected(tmp_path)


def test_a_run_that_is_watched_later_has_its_past(config, watched, corpus, tmp_path):
    pytest.importorskip("tensorboard")
    with pytest.raises(Killed):
        start(config, corpus, tmp_path, "train", 7)
    assert not (tmp_path / "runs" / "tiny" / "tensorboard").exists()
    start(watched, corpus, tmp_path)
    assert points(tmp_path) == expected(tmp_path)


def test_what_is_not_known_has_no_point():
    record = {"kind": "evaluation", "step": 3, "loss": 2.5, "bits_per_byte": None}
    assert list(scalars(record)) == [("validation/loss", 2.5)]
    assert list(scalars({"kind": "rollback", "step": 3})) == []


def test_without_the_package_it_is_refused(watched, corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in ("shards", "tokenizer"):
        (tmp_path / name).symlink_to(corpus / name)
    with pytest.raises(ConfigError, match=r"pretrain: tensorboard: .*not installed: pip install") as caught:
        whole.train(watched, tmp_path)
    assert caught.value.status == 2
    assert not (tmp_path / "runs").exists()
