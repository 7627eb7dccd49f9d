"""Checkpoints: whole or not there, and refused when they belong elsewhere."""

import json
import shutil

import pytest
import torch

from pretrain import checkpoint
from pretrain.checkpoint import CheckpointError, MismatchError, Origin, State
from pretrain.model import Decoder
from pretrain.optimizer import adamw

FILES = [checkpoint.WEIGHTS, checkpoint.OPTIMIZER, checkpoint.STATE, checkpoint.DIGESTS]


@pytest.fixture
def model(config):
    return Decoder(config.model, 50, seed=1)


@pytest.fixture
def optimizer(model, config):
    optimizer = adamw(model, config.optimizer)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    return optimizer


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


def test_round_trip(tmp_path, model, optimizer, config):
    torch.manual_seed(5)
    path = checkpoint.save(tmp_path, state_at(4, config), model, optimizer)
    drawn = torch.rand(3)
    assert checkpoint.latest(tmp_path) == path
    assert checkpoint.read_state(path) == state_at(4, config)
    other = Decoder(config.model, 50, seed=2)
    restored = adamw(other, config.optimizer)
    checkpoint.load_weights(path, other)
    checkpoint.load_optimizer(path, restored)
    assert torch.equal(torch.rand(3), drawn)
    assert other.lm_head.weight is other.model.embed_tokens.weight
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters()))
    for ours, theirs in zip(optimizer.state.values(), restored.state.values()):
        assert all(torch.equal(ours[key], theirs[key]) for key in ("step", "exp_avg", "exp_avg_sq"))


def test_keeps_the_newest(tmp_path, model, optimizer, config):
    for step in (1, 2, 10, 11):
        checkpoint.save(tmp_path, state_at(step, config), model, optimizer)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "step-00000010", "step-00000011"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_file_is_named(tmp_path, model, optimizer, config, name, damage):
    path = checkpoint.save(tmp_path, state_at(4, config), model, optimizer)
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


def test_a_pointer_to_nothing_is_an_error_and_no_pointer_is_a_fresh_start(tmp_path, model, optimizer, config):
    assert checkpoint.latest(tmp_path / "nowhere") is None
    path = checkpoint.save(tmp_path, state_at(4, config), model, optimizer)
    shutil.rmtree(path)
    with pytest.raises(CheckpointError, match="step-00000004"):
        checkpoint.latest(tmp_path)


@pytest.mark.parametrize("killed_at", ["save_file", "torch.save", "_fsync", "rename", "replacing"])
def test_a_save_cut_short_leaves_the_previous_checkpoint(tmp_path, model, optimizer, config, killed_at, monkeypatch):
    first = checkpoint.save(tmp_path, state_at(4, config), model, optimizer)

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if killed_at == "rename":
            patch.setattr("pathlib.Path.rename", killed)
        else:
            patch.setattr(f"pretrain.checkpoint.{killed_at}", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(tmp_path, state_at(8, config), model, optimizer)
    assert checkpoint.latest(tmp_path) == first
    assert checkpoint.read_state(first).step == 4
    second = checkpoint.save(tmp_path, state_at(8, config), model, optimizer)
    assert checkpoint.latest(tmp_path) == second
    assert checkpoint.read_state(second).step == 8
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("change", [{"order_digest": "x"}, {"tokenizer_sha256": "x"}, {"context": 48}])
def test_another_origin_is_refused_by_name(config, change):
    origin = state_at(0, config).origin
    origin.refuse(origin.model_copy(), "runs/tiny")
    with pytest.raises(MismatchError, match=rf"runs/tiny.*{next(iter(change))}"):
        origin.refuse(origin.model_copy(update=change), "runs/tiny")


def test_another_model_is_refused_by_name(config):
    origin = state_at(0, config).origin
    wider = config.model_copy(update={"model": config.model.model_copy(update={"intermediate": 72})})
    with pytest.raises(MismatchError, match=r"model\.intermediate is 64, not 72"):
        origin.refuse(state_at(0, wider).origin, "runs/tiny")


def test_weights_of_another_shape_are_refused(tmp_path, model, optimizer, config):
    path = checkpoint.save(tmp_path, state_at(4, config), model, optimizer)
    with pytest.raises(CheckpointError, match="another model"):
        checkpoint.load_weights(path, Decoder(config.model, 51))


def test_weights_are_plain_safetensors_with_hugging_face_names(tmp_path, model, optimizer, config):
    from safetensors import safe_open

    path = checkpoint.save(tmp_path, state_at(4, config), model, optimizer)
    with safe_open(path / checkpoint.WEIGHTS, "pt") as file:
        names = set(file.keys())
    assert "model.layers.1.self_attn.k_proj.weight" in names
    assert "lm_head.weight" not in names  # tied: saved once
    assert json.loads((path / checkpoint.STATE).read_text())["step"] == 4
