"""Mixtures: the draws, the fits on made-up laws and on RegMix's tables, the optimum under caps."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import DATA, MISSING
from scipy.stats import spearmanr

from pretrain.mixture_design import draw, under_caps
from pretrain.mixture_fit import fit
from pretrain.mixture_optimum import best_mixture, leave_one_out, optimum

TABLES = DATA / "mixture"


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
    assert np.abs(found(others) - law(others, worth)).max() < 0.02
    assert leave_one_out(found, mixtures, law(mixtures, worth), 0) > 0.99


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


@pytest.mark.skipif(not TABLES.is_dir(), reason=MISSING)
def test_64_proxies_of_1m_parameters_rank_the_mixtures_of_1b_models() -> None:
    sources, mixtures = table("train_mixture_1m.csv")
    metrics, losses = table("train_pile_loss_1m.csv")
    _, asked = table("test_mixture_1B.csv")
    _, wanted = table("test_pile_loss_1B.csv")
    proxies, models = sorted(mixtures)[:64], sorted(set(asked) & set(wanted))
    r, held = (np.array([rows[at] for at in at_all]) for rows, at_all in ((mixtures, proxies), (asked, models)))
    r, held = r / r.sum(axis=1, keepdims=True), held / held.sum(axis=1, keepdims=True)
    found = []
    for column, metric in enumerate(metrics):
        own = sources.index(metric.replace("metric/", "train_").replace("_val_loss", ""))
        one = fit(r, np.array([losses[at][column] for at in proxies]), own)
        found.append(spearmanr(one(held), [wanted[at][column] for at in models]).statistic)
    assert np.median(found) >= 0.95
    assert min(found) >= 0.82
