"""Runs that cannot come to a good end are refused before their first step, by the key at fault."""

import pytest
from pretrain_corpus import CONTEXT

from jobs import whole
from pipelines.errors import ConfigError
from pretrain.config import PretrainConfig
from pretrain.feasible import check
from pretrain.optimizer import learning_rate_factor


def changed(config: PretrainConfig, **changes: object) -> PretrainConfig:
    return PretrainConfig.model_validate({**config.model_dump(), **changes})


def verdict(config: PretrainConfig, steps: int, processes: int = 1) -> None:
    check(config, config.reading(CONTEXT), steps, processes)


@pytest.mark.parametrize(("warmup", "steps"), [(12, 12), (13, 12), (1, 1)])
def test_a_warm_up_as_long_as_the_run(config, warmup, steps):
    long = changed(config, schedule={"warmup": warmup}, steps=steps)
    with pytest.raises(ValueError, match=rf"schedule\.warmup: {warmup} steps of warm-up in a run of {steps}"):
        verdict(long, steps)
    verdict(long, warmup + 1)
    verdict(changed(config, schedule={"warmup": 0}), 1)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (9, 0), (10, 1), (250, 25), (400, 40), (100_000, 40)])
def test_left_out_it_is_a_tenth_of_a_short_run(config, steps, warmup):
    default = changed(config, schedule={})
    assert default.schedule.warmup_of(steps) == warmup
    verdict(default, steps)
    rates = [learning_rate_factor(step, steps, default.schedule) for step in range(warmup + 1)]
    assert rates == [(step + 1) / warmup for step in range(warmup)] + rates[warmup:]


def test_it_is_status_2_and_nothing_is_written(corpus, config, tmp_path):
    for name in ("shards", "tokenizer"):
        (tmp_path / name).symlink_to(corpus / name)
    with pytest.raises(ConfigError, match=r"pretrain: schedule\.warmup: 40 steps of warm-up in a run of 12:") as caught:
        whole.train(changed(config, schedule={"warmup": 40}), tmp_path)
    assert caught.value.status == 2
    assert not list((tmp_path / "runs" / "tiny").iterdir())


def test_a_batch_on_the_way_that_is_smaller_than_the_processes(config):
    shrinking = changed(
        config, batch_changes=[{"step": 5, "tokens": 8 * CONTEXT}, {"step": 9, "tokens": 3 * CONTEXT + 1}]
    )
    verdict(shrinking, 12, 3)
    verdict(shrinking, 8, 4)  # it ends before
    with pytest.raises(
        ValueError, match=r"batch_changes\.1\.tokens: a batch of 3 rows cannot be shared by 4 processes"
    ):
        verdict(shrinking, 9, 4)
    with pytest.raises(ValueError, match=r"^batch_tokens: a batch of 4 rows cannot be shared by 5 processes"):
        verdict(shrinking, 1 + config.schedule.warmup_of(12), 5)
