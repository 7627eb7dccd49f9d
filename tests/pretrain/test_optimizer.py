"""The schedule's values, AdamW's groups and arithmetic, and one update."""

import math

import pytest
import torch

from pretrain.config import ModelConfig, OptimizerConfig, PretrainConfig, ScheduleConfig
from pretrain.data import IGNORE, Batch
from pretrain.device import precision_of
from pretrain.model import Decoder
from pretrain.optimizer import adamw, learning_rate_factor, set_learning_rate
from pretrain.update import DivergedError, update

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


def test_wsd_values():
    found = factors(20, kind="wsd", warmup=2, decay=0.25, final=0.0)
    assert found[:2] == [0.5, 1.0]
    assert found[2:15] == [1.0] * 13
    assert found[15:] == pytest.approx([1 - math.sqrt(k / 5) for k in range(1, 6)])


@pytest.mark.parametrize("kind", ["cosine", "wsd"])
@pytest.mark.parametrize(("steps", "warmup", "decay"), [(1, 0, 0.2), (3, 10, 1.0), (10, 0, 0.0), (5, 5, 0.5)])
def test_schedule_stays_within_bounds_in_short_runs(kind, steps, warmup, decay):
    found = factors(steps, kind=kind, warmup=warmup, decay=decay, final=0.2)
    assert all(0 < factor <= 1 for factor in found)


def test_matrices_decay_and_norms_do_not():
    model = Decoder(ModelConfig(layers=1, hidden=16, heads=2, kv_heads=1, intermediate=16), 20, seed=0)
    optimizer = adamw(model, OptimizerConfig(lr=0.1, weight_decay=0.5))
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
    optimizer = adamw(model, config)
    weight, first, second = model.weight.detach().clone(), torch.zeros(2, 3), torch.zeros(2, 3)
    for step in range(1, 4):
        gradient = torch.randn(2, 3)
        model.weight.grad = gradient.clone()
        set_learning_rate(optimizer, 0.01 * step)
        optimizer.step()
        first, second = 0.8 * first + 0.2 * gradient, 0.9 * second + 0.1 * gradient**2
        direction = (first / (1 - 0.8**step)) / ((second / (1 - 0.9**step)).sqrt() + 1e-6)
        weight = weight * (1 - 0.01 * step * 0.1) - 0.01 * step * direction
        torch.testing.assert_close(model.weight.detach(), weight)


def random_batch(rows: int, length: int, vocab: int) -> Batch:
    tokens = torch.randint(0, vocab, (rows, length + 1), generator=torch.Generator().manual_seed(1))
    targets = tokens[:, 1:].clone()
    targets[0, : length // 2] = IGNORE  # rows count unequally
    positions = torch.arange(length).expand(rows, length)
    return Batch(tokens[:, :-1], targets, torch.ones_like(targets), positions)


def test_overfits_one_batch():
    model = Decoder(ModelConfig(layers=2, hidden=64, heads=4, kv_heads=2, intermediate=128), 50, seed=0)
    optimizer = adamw(model, OptimizerConfig(lr=5e-3, weight_decay=0.0))
    batch = random_batch(4, 16, 50)
    losses = [update(model, optimizer, batch, 4, 1.0, CPU)[0] for _ in range(80)]
    assert losses[0] == pytest.approx(math.log(50), abs=0.4)
    assert losses[-1] < 0.02


def test_micro_batches_add_up_to_the_batch():
    results = []
    for micro_batch in (5, 2, 1):
        model = Decoder(ModelConfig(layers=1, hidden=32, heads=2, kv_heads=2, intermediate=48), 50, seed=0)
        optimizer = adamw(model, OptimizerConfig(lr=1e-3))
        loss, norm = update(model, optimizer, random_batch(5, 12, 50), micro_batch, 1.0, CPU)
        moments = [state["exp_avg"] for state in optimizer.state.values()]
        results.append((loss, norm, torch.cat([moment.flatten() for moment in moments])))
    for loss, norm, moments in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=1e-6)
        assert norm == pytest.approx(results[0][1], rel=1e-5)
        torch.testing.assert_close(moments, results[0][2], atol=1e-7, rtol=1e-4)


def test_gradient_is_clipped_and_its_norm_reported_unclipped():
    model = Decoder(ModelConfig(layers=1, hidden=32, heads=2, kv_heads=2, intermediate=48), 50, seed=0)
    optimizer = adamw(model, OptimizerConfig(lr=1e-3))
    _, norm = update(model, optimizer, random_batch(5, 12, 50), 5, 1e-3, CPU)
    applied = sum(float((state["exp_avg"] / (1 - 0.9)).square().sum()) for state in optimizer.state.values()) ** 0.5
    assert norm > 0.1
    assert applied == pytest.approx(1e-3, rel=1e-3)


def test_a_loss_that_is_no_number_stops_before_the_weights_change():
    model = Decoder(ModelConfig(layers=1, hidden=32, heads=2, kv_heads=2, intermediate=48), 50, seed=0)
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    before = model.lm_head.weight.detach().clone()
    with pytest.raises(DivergedError, match="nan"):
        update(model, adamw(model, OptimizerConfig()), random_batch(2, 12, 50), 2, 1.0, CPU)
    assert torch.equal(before, model.lm_head.weight)


def test_length_of_a_run():
    assert PretrainConfig(steps=7).total_steps(100, 256) == 7
    assert PretrainConfig(tokens=10_000, batch_tokens=4096).total_steps(100, 256) == 3
    assert PretrainConfig(epochs=1.5, batch_tokens=4096).total_steps(100, 256) == 10
    assert PretrainConfig(batch_tokens=4096).total_steps(100, 256) == 7
    assert PretrainConfig(batch_tokens=100).batch_rows(256) == 1
    with pytest.raises(ValueError, match="steps, epochs"):
        PretrainConfig(steps=1, epochs=1)
