"""The schedule's values, the optimizers' groups and arithmetic, the loss, and one update."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pretrain.config import ModelConfig, MuonConfig, OptimizerConfig, PretrainConfig, ScheduleConfig
from pretrain.data import IGNORE, Batch
from pretrain.device import precision_of
from pretrain.model import Decoder
from pretrain.optimizer import build_optimizers, learning_rate_factor, parameter_groups, set_learning_rate
from pretrain.update import DivergedError, summed_loss, update

CPU = precision_of(torch.device("cpu"))


def factors(steps: int, **schedule) -> list[float]:
    config = ScheduleConfig(**schedule)
    return [learning_rate_factor(step, steps, config) for step in range(steps)]


def test_cosine_values():
    found = factors(14, kind="cosine", warmup=4, final=0.1)
    assert found[:4] == [0.25, 0.5, 0.75, 1.0]
    assert found[8] == pytest.approx(0.1 + 0.9 * 0.5)  # half way: cos(pi / 2) = 0
    assert found[-1] == pytest.approx(0.1)
    assert found[3:] == sorted(found[3:], reverse=True)


SHAPES = {
    "linear": lambda u: 1 - u,
    "1-sqrt": lambda u: 1 - math.sqrt(u),
    "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_wsd_values(shape):
    found = factors(20, kind="wsd", warmup=2, decay=0.25, decay_shape=shape, final=0.1)
    assert found[:2] == [0.5, 1.0]
    assert found[2:15] == [1.0] * 13
    assert found[15:] == pytest.approx([0.1 + 0.9 * SHAPES[shape](k / 5) for k in range(1, 6)])


def test_wsd_decays_over_the_last_fifth_by_one_minus_sqrt():
    assert factors(20, kind="wsd", warmup=2) == factors(20, kind="wsd", warmup=2, decay=0.2, decay_shape="1-sqrt")


def test_wsd_over_the_whole_run_by_cosine_is_cosine():
    wsd = factors(30, kind="wsd", warmup=5, decay=1.0, decay_shape="cosine")
    assert wsd == factors(30, kind="cosine", warmup=5)


@given(
    steps=st.integers(1, 300),
    warmup=st.integers(0, 400),
    decay=st.floats(0.001, 1),
    shape=st.sampled_from([None, *SHAPES]),
    final=st.floats(0, 1),
)
def test_schedules_rise_once_and_fall_once(steps, warmup, decay, shape, final):
    wsd = {"kind": "wsd", "decay": decay, "decay_shape": shape}
    for kind in (wsd, {"kind": "cosine"}):
        found = factors(steps, warmup=warmup, final=final, **kind)
        assert all(0 <= factor <= 1 for factor in found)
        top = min(warmup, steps)
        assert found[:top] == [(step + 1) / warmup for step in range(top)]
        assert found[top:] == sorted(found[top:], reverse=True)
        if warmup < steps and (kind["kind"] == "cosine" or round(decay * steps) > 0):
            assert found[-1] == pytest.approx(final, abs=1e-12)


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"schedule": {"kind": "cosine", "decay": 0.2}}, "schedule\n.*decay: is for kind: wsd"),
        ({"schedule": {"decay_shape": "linear"}}, "schedule\n.*decay_shape: is for kind: wsd"),
        ({"schedule": {"kind": "wsd", "decay": 0}}, "schedule.decay"),
        ({"schedule": {"kind": "wsd", "decay_shape": "square"}}, "schedule.decay_shape"),
        ({"optimizer": {"muon": {"adjust_lr_fn": "original"}}}, "optimizer.muon\n.*adjust_lr_fn: original needs an lr"),
        ({"optimizer": {"muon": {"momentum": 1}}}, "optimizer.muon.momentum"),
        ({"z_loss": -1}, "z_loss"),
    ],
)
def test_contradictions_are_refused_by_key(section, named):
    with pytest.raises(ValueError, match=named):
        PretrainConfig.model_validate(section)


def test_a_config_survives_being_written_down():
    for section in ({}, {"schedule": {"kind": "wsd"}, "optimizer": {"muon": {}}}):
        config = PretrainConfig.model_validate(section)
        assert PretrainConfig.model_validate_json(config.model_dump_json()) == config


def test_matrices_decay_and_norms_do_not():
    model = Decoder(ModelConfig(layers=1, hidden=16, heads=2, kv_heads=1, intermediate=16), 20, seed=0)
    (optimizer,) = build_optimizers(model, OptimizerConfig(lr=0.1, weight_decay=0.5))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        expected = before[name] * (1 - 0.1 * 0.5) if parameter.ndim == 2 else before[name]
        torch.testing.assert_close(parameter.detach(), expected)


def test_adamw_step_against_its_formula():
    config = OptimizerConfig(lr=0.01, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1)
    model = torch.nn.Linear(3, 2, bias=False)
    (optimizer,) = build_optimizers(model, config)
    weight, first, second = model.weight.detach().clone(), torch.zeros(2, 3), torch.zeros(2, 3)
    for step in range(1, 4):
        gradient = torch.randn(2, 3)
        model.weight.grad = gradient.clone()
        set_learning_rate([optimizer], step)
        optimizer.step()
        first, second = 0.8 * first + 0.2 * gradient, 0.9 * second + 0.1 * gradient**2
        direction = (first / (1 - 0.8**step)) / ((second / (1 - 0.9**step)).sqrt() + 1e-6)
        weight = weight * (1 - 0.01 * step * 0.1) - 0.01 * step * direction
        torch.testing.assert_close(model.weight.detach(), weight)


def tiny(**options) -> Decoder:
    return Decoder(ModelConfig(layers=1, hidden=32, heads=2, kv_heads=2, intermediate=48, **options), 50, seed=0)


@pytest.mark.parametrize("tied", [True, False])
def test_muon_has_the_hidden_matrices_and_adamw_the_rest(tied):
    model = tiny(qk_norm=True, tied_embeddings=tied)
    adamw, muon = build_optimizers(model, OptimizerConfig(lr=0.1, muon=MuonConfig(lr=0.02)))
    names = {parameter: name for name, parameter in model.named_parameters()}
    of_muon = [names[p] for group in muon.param_groups for p in group["params"]]
    assert {name.rsplit(".", 2)[-2] for name in of_muon} == {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    }
    of_adamw = {names[p]: group["weight_decay"] for group in adamw.param_groups for p in group["params"]}
    assert of_adamw.keys() == set(names.values()) - set(of_muon)
    assert {name for name, decay in of_adamw.items() if decay} == {
        "model.embed_tokens.weight",
        *([] if tied else ["lm_head.weight"]),
    }
    set_learning_rate([adamw, muon], 0.5)
    assert [group["lr"] for group in parameter_groups([adamw, muon])] == [0.05, 0.05, 0.01]


@pytest.mark.parametrize("adjust", ["match_rms_adamw", "original"])
def test_muon_step_against_its_formula(adjust):
    model = tiny()
    config = OptimizerConfig(lr=0.01, weight_decay=0.1, muon=MuonConfig(lr=0.03, adjust_lr_fn=adjust))
    _, muon = build_optimizers(model, config)
    parameter = model.model.layers[0].mlp.up_proj.weight  # 48 x 32
    before = parameter.detach().clone()
    gradient = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    parameter.grad = gradient.clone()
    muon.step()
    scale = {"match_rms_adamw": 0.2 * math.sqrt(48), "original": math.sqrt(48 / 32)}[adjust]
    moved = (before * (1 - 0.03 * 0.1) - parameter.detach()) / (0.03 * scale)
    left, values, right = torch.linalg.svd(gradient, full_matrices=False)
    moved_values = torch.diagonal(left.T @ moved @ right.T)
    assert 0.6 < float(moved_values.min()) <= float(moved_values.max()) < 1.3  # five iterations bring each near 1
    assert float((left @ moved_values.diag() @ right - moved).norm()) < 0.05 * float(moved.norm())
    assert float(values.max() / values.min()) > 3


def random_batch(rows: int, length: int, vocab: int) -> Batch:
    tokens = torch.randint(0, vocab, (rows, length + 1), generator=torch.Generator().manual_seed(1))
    targets = tokens[:, 1:].clone()
    targets[0, : length // 2] = IGNORE  # rows count unequally
    positions = torch.arange(length).expand(rows, length)
    return Batch(tokens[:, :-1], targets, torch.ones_like(targets), positions)


@pytest.mark.parametrize("z_loss", [0.0, 0.3])
def test_loss_is_cross_entropy_with_the_square_of_ln_z(z_loss):
    logits = torch.randn(2, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3 + 1
    targets = torch.tensor([[1, 2, IGNORE, 0, 6], [IGNORE, IGNORE, 3, 3, 5]])
    logits = logits.float().requires_grad_()
    nats, penalty = summed_loss(logits, targets, z_loss)
    expected = expected_penalty = torch.zeros((), dtype=torch.float64)
    exact = logits.detach().double().requires_grad_()
    for row, target in zip(exact.flatten(0, 1), targets.flatten().tolist()):
        if target != IGNORE:
            log_z = row.exp().sum().log()
            expected = expected + log_z - row[target]
            expected_penalty = expected_penalty + z_loss * log_z**2
    assert nats.item() == pytest.approx(expected.item(), rel=1e-6)
    assert penalty.item() == pytest.approx(expected_penalty.item(), rel=1e-6)
    (nats + penalty).backward()
    (expected + expected_penalty).backward()
    torch.testing.assert_close(logits.grad.double(), exact.grad, atol=1e-6, rtol=1e-5)


def test_z_loss_moves_weights_but_is_no_part_of_the_loss():
    results = []
    for z_loss in (0.0, 0.1):
        model = tiny()
        loss, norm = update(
            model, build_optimizers(model, OptimizerConfig()), random_batch(5, 12, 50), 5, 1.0, CPU, z_loss
        )
        results.append((loss, norm, model.lm_head.weight.detach()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    assert results[0][1] != pytest.approx(results[1][1], rel=1e-3)
    assert not torch.allclose(results[0][2], results[1][2])


@pytest.mark.parametrize("muon", [None, MuonConfig()])
@pytest.mark.parametrize("options", [{}, {"qk_norm": True, "sliding_window": 5}])
def test_overfits_one_batch(muon, options):
    shape = ModelConfig(layers=2, hidden=64, heads=4, kv_heads=2, intermediate=128, **options)
    model = Decoder(shape, 50, seed=0)
    optimizers = build_optimizers(model, OptimizerConfig(lr=5e-3, weight_decay=0.0, muon=muon))
    batch = random_batch(4, 16, 50)
    losses = [update(model, optimizers, batch, 4, 1.0, CPU, z_loss=1e-4)[0] for _ in range(80)]
    assert losses[0] == pytest.approx(math.log(50), abs=0.4)
    assert losses[-1] < 0.02


def test_micro_batches_add_up_to_the_batch():
    results = []
    for micro_batch in (5, 2, 1):
        model = tiny()
        (optimizer,) = build_optimizers(model, OptimizerConfig(lr=1e-3))
        loss, norm = update(model, [optimizer], random_batch(5, 12, 50), micro_batch, 1.0, CPU, z_loss=0.1)
        moments = [state["exp_avg"] for state in optimizer.state.values()]
        results.append((loss, norm, torch.cat([moment.flatten() for moment in moments])))
    for loss, norm, moments in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=1e-6)
        assert norm == pytest.approx(results[0][1], rel=1e-5)
        torch.testing.assert_close(moments, results[0][2], atol=1e-7, rtol=1e-4)


def test_gradient_is_clipped_and_its_norm_reported_unclipped():
    model = tiny()
    (optimizer,) = build_optimizers(model, OptimizerConfig(lr=1e-3))
    _, norm = update(model, [optimizer], random_batch(5, 12, 50), 5, 1e-3, CPU)
    applied = sum(float((state["exp_avg"] / (1 - 0.9)).square().sum()) for state in optimizer.state.values()) ** 0.5
    assert norm > 0.1
    assert applied == pytest.approx(1e-3, rel=1e-3)


def test_a_loss_that_is_no_number_stops_before_the_weights_change():
    model = tiny()
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    before = model.lm_head.weight.detach().clone()
    with pytest.raises(DivergedError, match="nan"):
        update(model, build_optimizers(model, OptimizerConfig()), random_batch(2, 12, 50), 2, 1.0, CPU)
    assert torch.equal(before, model.lm_head.weight)


def test_length_of_a_run():
    assert PretrainConfig(steps=7).total_steps(100, 256) == 7
    assert PretrainConfig(tokens=10_000, batch_tokens=4096).total_steps(100, 256) == 3
    assert PretrainConfig(epochs=1.5, batch_tokens=4096).total_steps(100, 256) == 10
    assert PretrainConfig(batch_tokens=4096).total_steps(100, 256) == 7
    assert PretrainConfig(batch_tokens=100).reading(256).at(1) == (0, 1)
    with pytest.raises(ValueError, match="steps, epochs"):
        PretrainConfig(steps=1, epochs=1)


@pytest.mark.parametrize(("steps", "decay"), [(2, None), (3, 0.1), (200, 0.002)])
def test_wsd_ends_where_it_should_however_short_its_decay(steps, decay):
    assert factors(steps, kind="wsd", warmup=0, decay=decay, final=0.0)[-1] == 0
