"""Spikes: z-scores over the steps before, from which spikes themselves are kept out."""

import numpy as np
import pytest

from pretrain.spikes import SpikeWatch


def noise(count: int, seed: int) -> list[tuple[float, float]]:
    generator = np.random.default_rng(seed)
    return [(3 + 0.1 * a, 1 + 0.05 * b) for a, b in generator.normal(size=(count, 2))]


def test_scores_are_those_of_the_window():
    history = noise(300, 0)
    watch = SpikeWatch(128, 6.0)
    assert [watch.judge(*each) for each in history] == [None] * 300
    window = np.array(history[-128:])
    found = watch.judge(5.0, 1.0)
    assert found is not None
    assert found.loss == pytest.approx((5.0 - window[:, 0].mean()) / window[:, 0].std())
    assert found.grad_norm == pytest.approx((1.0 - window[:, 1].mean()) / window[:, 1].std())


def test_a_gradient_alone_can_spike():
    watch = SpikeWatch(64, 6.0, noise(64, 1))
    assert watch.judge(3.0, 40.0) is not None


def test_nothing_is_a_spike_before_the_window_is_full():
    watch = SpikeWatch(64, 6.0, noise(63, 1))
    assert watch.judge(100.0, 1.0) is None


def test_a_spike_does_not_hide_the_next():
    watch = SpikeWatch(64, 6.0, noise(64, 2))
    first = watch.judge(9.0, 1.0)
    assert first is not None
    assert [watch.judge(9.0, 1.0) for _ in range(5)] == [first] * 5


def test_a_resumed_watch_goes_on_as_if_uninterrupted():
    history = noise(200, 3)
    history[150] = (30.0, 1.0)
    whole = SpikeWatch(64, 6.0)
    said = [whole.judge(*each) for each in history]
    assert [i for i, scores in enumerate(said) if scores] == [150]
    calm = [each for each, scores in zip(history[:170], said) if scores is None]
    resumed = SpikeWatch(64, 6.0, calm)
    for each in noise(40, 4):
        assert resumed.judge(*each) == SpikeWatch(64, 6.0, calm).judge(*each)
        calm.append(each)


def test_steady_losses_are_no_spikes():
    watch = SpikeWatch(8, 6.0, [(2.0, 1.0)] * 8)
    assert watch.judge(2.0, 1.0) is None
