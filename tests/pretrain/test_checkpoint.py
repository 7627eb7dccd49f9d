"""Checkpoints: whole or not there, and refused when they belong elsewhere."""

import shutil

import pytest
import torch

from pretrain import checkpoint
from pretrain.checkpoint import CheckpointError, Checkpoints, State
from pretrain.config import MuonConfig
from pretrain.model import Decoder
from pretrain.optimizer import build_optimizers
from pretrain.origin import MismatchError, Origin
from pretrain.parallel import ALONE

PARTS = [f"{checkpoint.TENSORS}/.metadata", f"{checkpoint.TENSORS}/__0_0.distcp"]
FILES = [*PARTS, checkpoint.STATE, checkpoint.DIGESTS]


@pytest.fixture
def model(config):
    return Decoder(config.model, 50, seed=1)


@pytest.fixture
def optimizers(model, config):
    return stepped(model, config.optimizer)


def stepped(model, optimizer_config) -> list[torch.optim.Optimizer]:
    """Optimizers that have moments."""
    optimizers = build_optimizers(model, optimizer_config)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    for optimizer in optimizers:
        optimizer.step()
    return optimizers


def save(directory, state, model, optimizers):
    """A checkpoint that is complete."""
    checkpoints = Checkpoints(directory, ALONE)
    checkpoints.save(state, model, optimizers)
    checkpoints.finish()
    return checkpoint.latest(directory)


def state_at(step: int, config) -> State:
    origin = Origin(
        order_digest="o",
        packing_config="p",
        tokenizer_sha256="t",
        vocabulary=50,
        context=24,
        trajectory={"steps": 12, **config.trajectory()},
    )
    return State(step=step, position=4 * step, tokens=96 * step, parameters=1, config=config, origin=origin)


@pytest.mark.parametrize("muon", [None, MuonConfig()])
def test_round_trip(tmp_path, model, config, muon):
    with_muon = config.optimizer.model_copy(update={"muon": muon})
    optimizers = stepped(model, with_muon)
    path = save(tmp_path, state_at(4, config), model, optimizers)
    assert checkpoint.latest(tmp_path) == path
    assert checkpoint.read_state(path) == state_at(4, config)
    other = Decoder(config.model, 50, seed=2)
    restored = build_optimizers(other, with_muon)
    checkpoint.load(path, other, restored)
    assert other.lm_head.weight is other.model.embed_tokens.weight
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters()))
    assert len(restored) == (1 if muon is None else 2)
    for optimizer, loaded in zip(optimizers, restored, strict=True):
        assert optimizer.state.keys()
        assert optimizer.param_groups[0]["initial_lr"] == loaded.param_groups[0]["initial_lr"] == with_muon.lr
        for ours, theirs in zip(optimizer.state.values(), loaded.state.values(), strict=True):
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_keeps_the_newest(tmp_path, model, optimizers, config):
    for step in (1, 2, 10, 11):
        save(tmp_path, state_at(step, config), model, optimizers)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "step-00000010", "step-00000011"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_file_is_named(tmp_path, model, optimizers, config, name, damage):
    path = save(tmp_path, state_at(4, config), model, optimizers)
    content = bytearray((path / name).read_bytes())
    if damage == "remove":
        (path / name).unlink()
    else:
        if damage == "flip":
            content[len(content) // 2] ^= 1
        (path / name).write_bytes(content if damage == "flip" else content[: len(content) // 2])
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read_state(checkpoint.latest(tmp_path))
    if name != checkpoint.DIGESTS:
        assert name in str(caught.value)


def test_a_pointer_to_nothing_is_an_error_and_no_pointer_is_a_fresh_start(tmp_path, model, optimizers, config):
    assert checkpoint.latest(tmp_path / "nowhere") is None
    path = save(tmp_path, state_at(4, config), model, optimizers)
    shutil.rmtree(path)
    with pytest.raises(CheckpointError, match="step-00000004"):
        checkpoint.latest(tmp_path)


@pytest.mark.parametrize("killed_at", ["_digest", "_fsync", "rename", "replacing"])
def test_a_save_cut_short_leaves_the_previous_checkpoint(tmp_path, model, optimizers, config, killed_at, monkeypatch):
    first = save(tmp_path, state_at(4, config), model, optimizers)

    def killed(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if killed_at == "rename":
            patch.setattr("pathlib.Path.rename", killed)
        else:
            patch.setattr(f"pretrain.checkpoint.{killed_at}", killed)
        with pytest.raises(CheckpointError, match=r"could not be written: .*No space left on device"):
            save(tmp_path, state_at(8, config), model, optimizers)
    assert checkpoint.latest(tmp_path) == first
    assert checkpoint.read_state(first).step == 4
    second = save(tmp_path, state_at(8, config), model, optimizers)
    assert checkpoint.latest(tmp_path) == second
    assert checkpoint.read_state(second).step == 8
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_is_named(tmp_path, model, optimizers, config, monkeypatch):
    first = save(tmp_path, state_at(4, config), model, optimizers)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("torch.distributed.checkpoint.filesystem._write_item", full)
        with pytest.raises(CheckpointError, match="No space left on device"):
            save(tmp_path, state_at(8, config), model, optimizers)
    assert checkpoint.latest(tmp_path) == first


def test_what_is_saved_is_the_state_at_that_moment(tmp_path, model, optimizers, config):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    checkpoints = Checkpoints(tmp_path, ALONE)
    checkpoints.save(state_at(4, config), model, optimizers)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    checkpoints.finish()
    other = Decoder(config.model, 50, seed=2)
    checkpoint.load(checkpoint.latest(tmp_path), other)
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


@pytest.mark.parametrize(
    "change", [{"order_digest": "x"}, {"shards_digest": "x"}, {"tokenizer_sha256": "x"}, {"context": 48}]
)
def test_another_origin_is_refused_by_name(config, change):
    origin = state_at(0, config).origin
    origin.refuse(origin.model_copy(), "runs/tiny")
    with pytest.raises(MismatchError, match=rf"runs/tiny.*{next(iter(change))}"):
        origin.refuse(origin.model_copy(update=change), "runs/tiny")


def test_shards_of_a_later_version_are_not_others(config):
    origin = state_at(0, config).origin.model_copy(update={"shards_version": 2, "shards_digest": "a"})
    later = origin.model_copy(update={"shards_version": 3, "shards_digest": "b"})
    origin.refuse(later, "runs/tiny")
    with pytest.raises(MismatchError, match="shards_version is 3, not 2"):
        later.refuse(origin, "runs/tiny")
    with pytest.raises(MismatchError, match="order_digest"):
        origin.refuse(later.model_copy(update={"order_digest": "x"}), "runs/tiny")


def test_another_model_is_refused_by_name(config):
    origin = state_at(0, config).origin
    wider = config.model_copy(update={"model": config.model.model_copy(update={"intermediate": 72})})
    with pytest.raises(MismatchError, match=r"model\.intermediate is 64, not 72"):
        origin.refuse(state_at(0, wider).origin, "runs/tiny")


def test_weights_of_another_shape_are_refused(tmp_path, model, optimizers, config):
    path = save(tmp_path, state_at(4, config), model, optimizers)
    with pytest.raises(CheckpointError, match="does not fit the model"):
        checkpoint.load(path, Decoder(config.model, 51))
