"""Mixtures: the draws, the fits on made-up laws and on RegMix's tables, the optimum under caps."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import DATA, MISSING
from scipy.stats import spearmanr

from pretrain.mixture_design import draw, under_caps
from pretrain.mixture_fit import fit
from pretrain.mixture_optimum import best_mixture, leave_one_out, optimum
from pretrain.mixture_transfer import linearized

TABLES = DATA / "mixture"


class Regmix(NamedTuple):
    """The 512 proxies: mixtures [512, m], losses [512, domains], and the column of each domain's own source."""

    mixtures: np.ndarray
    losses: np.ndarray
    owns: list[int]


def simplex(count: int, sources: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(sources, 0.7), count)


def law(mixtures: np.ndarray, worth: np.ndarray) -> np.ndarray:
    return 1.5 + (mixtures @ worth + 1e-3) ** -0.2


@given(
    shares=st.lists(st.floats(0.001, 1), min_size=2, max_size=12),
    caps=st.lists(st.floats(0, 1), min_size=12, max_size=12),
)
@settings(max_examples=200)
def test_no_share_is_above_its_cap(shares: list[float], caps: list[float]) -> None:
    natural = np.array(shares) / np.sum(shares)
    limits = np.array(caps[: len(natural)])
    if limits.sum() < 1 - 1e-12:  # what rounding may leave
        with pytest.raises(ValueError, match="caps add up"):
            under_caps(natural, limits)
        return
    found = under_caps(natural, limits)
    assert found.sum() == pytest.approx(1)
    assert (found <= limits + 1e-9).all()
    assert (found >= 0).all()
    if (natural <= limits).all():
        assert found == pytest.approx(natural)


def test_draws_are_seeded_and_begin_with_the_natural_mixture() -> None:
    natural = np.array([0.7, 0.2, 0.1])
    first = draw(natural, 40, seed=3)
    assert (first == draw(natural, 40, seed=3)).all()
    assert (first != draw(natural, 40, seed=4)).any()
    assert first[0] == pytest.approx(natural)
    assert first.sum(axis=1) == pytest.approx(1)
    assert len(np.unique(first, axis=0)) == 40
    # spread out at first, nearly the tempered natural mixture at the end
    assert first[1:14].std(axis=0).mean() > 2 * first[-13:].std(axis=0).mean()


def test_shares_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        draw(np.array([0.5, 0.2]), 4, seed=0)


def test_a_power_law_of_effective_data_is_recognized() -> None:
    worth = np.array([1.0, 0.3, 0.02, 0.1])
    mixtures, others = simplex(48, 4, 0), simplex(200, 4, 1)
    found = fit(mixtures, law(mixtures, worth), own=0)
    assert found.form == "transfer"
    off = np.abs(found(others) - law(others, worth))
    assert off.mean() < 0.005
    assert off.max() < 0.1  # where hardly anything but the least useful source is in the mixture
    assert leave_one_out(found, mixtures, law(mixtures, worth), 0) > 0.99


def test_the_slopes_of_the_power_law_are_those_of_its_values() -> None:
    mixtures = np.vstack([simplex(12, 4, 3), np.eye(4)])
    at = np.array([1.3, np.log(0.3), np.log(0.6), np.log(0.8), 0.4, -1.0, 2.0, 0.0])
    logs, losses, others = np.log(np.where(mixtures > 0, mixtures, 1)), np.ones(16), np.arange(4) != 2
    residuals, slopes = linearized(at, mixtures, logs, losses, others)
    for column, nudge in enumerate(1e-6 * np.eye(8)):
        there = linearized(at + nudge, mixtures, logs, losses, others)[0]
        assert (there - residuals) / 1e-6 == pytest.approx(slopes[:, column], abs=1e-4)


def test_shares_of_which_the_first_is_worth_most_are_recognized() -> None:
    # the aggregate of constant elasticity of substitution
    def losses(mixtures: np.ndarray) -> np.ndarray:
        return 2 + (mixtures**0.5 @ np.array([1.0, 0.2, 0.05, 0.1, 0.02])) ** -0.4

    mixtures, others = simplex(64, 5, 0), simplex(200, 5, 1)
    found = fit(mixtures, losses(mixtures), own=0)
    assert found.form == "transfer"
    assert spearmanr(found(others), losses(others)).statistic > 0.999


def test_a_linear_law_is_recognized() -> None:
    slope = np.array([-1.0, 0.5, 0.2, 0.4])
    mixtures = simplex(40, 4, 2)
    found = fit(mixtures, 4 + mixtures @ slope, own=None)
    assert found(np.eye(4)) == pytest.approx(4 + slope, abs=0.02)


@pytest.mark.parametrize("losses", [[1.0, 2.0, 3.0], [1.0, 2.0, float("nan"), 3.0], [1.0, 2.0, -1.0, 3.0]])
def test_losses_that_mean_nothing_are_refused(losses: list[float]) -> None:
    with pytest.raises(ValueError, match="proxies"):
        fit(simplex(len(losses), 3, 0), np.array(losses), own=0)


def test_the_optimum_is_that_of_the_law_and_keeps_to_caps() -> None:
    # Two losses, each a power law of its own source: by symmetry half of each is best, and nothing of the third.
    mixtures = simplex(60, 3, 5)
    worths = [np.array([1.0, 0.01, 0.01]), np.array([0.01, 1.0, 0.01])]
    losses = np.column_stack([law(mixtures, worth) for worth in worths])
    fits = [fit(mixtures, losses[:, at], own=at) for at in range(2)]
    natural, free = np.array([0.1, 0.1, 0.8]), np.ones(3)
    best = best_mixture(fits, np.ones(2), mixtures, natural, free)
    assert best == pytest.approx([0.5, 0.5, 0.0], abs=0.03)
    capped = best_mixture(fits, np.ones(2), mixtures, natural, np.array([0.3, 1.0, 1.0]))
    assert capped[0] == pytest.approx(0.3, abs=1e-6)
    assert capped[1] > 0.6
    found = optimum(fits, np.ones(2), mixtures, losses, [0, 1], natural, free, seed=1)
    true = [np.mean([law(shares[None], worth)[0] for worth in worths]) for shares in (natural, found.shares)]
    assert found.gain == pytest.approx(true[0] - true[1], rel=0.1)
    assert found.gain > 5 * found.gain_error
    assert (found.shares_error < 0.1).all()


def table(name: str) -> tuple[list[str], dict[int, list[float]]]:
    with Path(TABLES / name).open(newline="") as file:
        names, *rows = csv.reader(file)
    return names[1:], {int(float(row[0])): [float(value) for value in row[1:]] for row in rows if row}


@pytest.fixture(scope="module")
def regmix() -> Regmix:
    sources, mixtures = table("train_mixture_1m.csv")
    metrics, losses = table("train_pile_loss_1m.csv")
    proxies = sorted(mixtures)
    owns = [sources.index(metric.replace("metric/", "train_").replace("_val_loss", "")) for metric in metrics]
    return Regmix(shares(mixtures, proxies), np.array([losses[at] for at in proxies]), owns)


def shares(rows: dict[int, list[float]], numbers: list[int]) -> np.ndarray:
    found = np.array([rows[number] for number in numbers])
    return found / found.sum(axis=1, keepdims=True)


def correlations(regmix: Regmix, chosen: np.ndarray, size: str) -> np.ndarray:
    """Spearman's, by domain, of the losses of models of another size with what fits to the `chosen` proxies say."""
    _, asked = table(f"test_mixture_{size}.csv")
    _, wanted = table(f"test_pile_loss_{size}.csv")
    models = sorted(set(asked) & set(wanted))
    mixtures, losses = shares(asked, models), np.array([wanted[at] for at in models])
    found = []
    for column, own in enumerate(regmix.owns):
        one = fit(regmix.mixtures[chosen], regmix.losses[chosen, column], own)
        found.append(spearmanr(one(mixtures), losses[:, column]).statistic)
    return np.array(found)


@pytest.mark.skipif(not TABLES.is_dir(), reason=MISSING)
def test_64_proxies_of_1m_parameters_rank_the_mixtures_of_1b_models(regmix: Regmix) -> None:
    found = correlations(regmix, np.arange(64), "1B")
    assert np.median(found) >= 0.95
    assert found.min() >= 0.82


@pytest.mark.skipif(not TABLES.is_dir(), reason=MISSING)
@pytest.mark.parametrize("seed", range(3))
def test_any_64_proxies_rank_nearly_as_well(regmix: Regmix, seed: int) -> None:
    # Worst is the domain of which 46 of the 64 mixtures have less than the tables' last digit: all 512 proxies reach
    # 0.835 there, and a law fitted to the 1B models' own losses, each left out in turn, 0.84 to 0.86.
    chosen = np.random.default_rng(seed).choice(512, 64, replace=False)
    found = correlations(regmix, chosen, "1B")
    assert np.median(found) >= 0.95
    assert found.min() >= 0.77
