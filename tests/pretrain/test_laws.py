"""Scaling laws against the figures of their papers, and numerical minima against the formulas."""

import math

import pytest
from scipy.optimize import minimize_scalar

from pretrain.allocate import expected_loss, optimum, serving_optimum, tokens_for_loss
from pretrain.laws import (
    BESIROGLU,
    HOFFMANN,
    KAPLAN,
    LAWS,
    MUENNIGHOFF,
    Allocation,
    data_constrained_loss,
    effective_parameters,
    effective_tokens,
)

GOPHER = 5.76e23  # FLOPs: the budget of Gopher and Chinchilla


def test_published_chinchilla_at_gophers_budget():
    best = HOFFMANN.optimum(GOPHER)
    assert best.parameters == pytest.approx(3.2e10, rel=0.01)
    assert best.tokens == pytest.approx(3.0e12, rel=0.01)
    assert best.flops == pytest.approx(GOPHER)


def test_refit_at_gophers_budget():
    best = BESIROGLU.optimum(GOPHER)
    assert best.parameters == pytest.approx(7.2e10, rel=0.01)
    assert best.tokens == pytest.approx(1.3e12, rel=0.03)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("flops", [1e15, 1e20, GOPHER])
def test_the_formula_is_the_numerical_minimum(law, flops):
    found = minimize_scalar(
        lambda n: law.loss(math.exp(n), flops / 6 / math.exp(n)),
        bounds=(0, 60),
        method="bounded",
        options={"xatol": 1e-9},
    )
    best = law.optimum(flops)
    assert math.exp(found.x) == pytest.approx(best.parameters, rel=1e-4)
    assert law.loss(*best) <= found.fun + 1e-12
    assert law.parameters_for(best.tokens) == pytest.approx(best.parameters)


def test_loss_of_chinchilla():
    assert HOFFMANN.loss(70e9, 1.4e12) == pytest.approx(1.9366, abs=1e-4)
    assert BESIROGLU.loss(70e9, 1.4e12) == pytest.approx(1.9739, abs=1e-4)


def test_kaplan():
    assert KAPLAN.loss_of_compute(GOPHER) == pytest.approx(1.71, abs=0.005)
    assert KAPLAN.loss_of_parameters(8.8e13) == 1
    assert KAPLAN.loss_of_tokens(5.4e13) == 1
    assert KAPLAN.loss(1e9, 1e30) == pytest.approx(KAPLAN.loss_of_parameters(1e9))
    assert KAPLAN.loss(1e40, 1e10) == pytest.approx(KAPLAN.loss_of_tokens(1e10))
    small, large = KAPLAN.optimum(1e20), KAPLAN.optimum(1e21)
    assert math.log10(large.parameters / small.parameters) == pytest.approx(0.73)
    assert math.log10(large.tokens / small.tokens) == pytest.approx(0.27)
    assert large.flops == pytest.approx(1e21)
    assert KAPLAN.optimum(8.64e19).parameters == pytest.approx(1.3e9)  # one PF-day


def test_data_constrained_law_at_its_authors_values():
    assert data_constrained_loss(MUENNIGHOFF, 6.34e9, 242e9, 25e9) == pytest.approx(2.2256440889984477, rel=1e-12)
    assert data_constrained_loss(MUENNIGHOFF, 8.67e9, 178e9, 25e9) == pytest.approx(2.2269634075087867, rel=1e-12)


def test_what_epochs_are_worth():
    assert effective_tokens(100, 100) == 100
    assert effective_tokens(50, 100) == 50
    assert effective_tokens(50, math.inf) == 50
    assert effective_tokens(400, 100) == pytest.approx(372.5, abs=0.5)  # nearly as good as new
    assert effective_tokens(1600, 100) == pytest.approx(100 + 1538.8 * (1 - math.exp(-15 / 15.387756)), abs=0.5)
    assert effective_tokens(1e9, 100) == pytest.approx(1638.8, abs=0.1)  # all that repeating can bring


def test_excess_parameters_decay():
    enough = MUENNIGHOFF.parameters_for(1e9)
    assert effective_parameters(MUENNIGHOFF, enough, 4e9, 1e9) == pytest.approx(enough)
    assert effective_parameters(MUENNIGHOFF, enough / 2, 4e9, 1e9) == enough / 2
    assert enough < effective_parameters(MUENNIGHOFF, 3 * enough, 4e9, 1e9) < 3 * enough


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_repeated_data_make_smaller_models_optimal(law):
    unique = law.optimum(1e21).tokens / 10
    free, best = law.optimum(1e21), optimum(law, 1e21, unique)
    assert best.flops == pytest.approx(1e21)
    assert best.parameters < free.parameters
    loss = data_constrained_loss(law, *best, unique)
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2):
        assert loss < data_constrained_loss(law, best.parameters * factor, best.tokens / factor, unique)
    assert law.loss(*free) < loss < law.loss(law.parameters_for(unique), unique)
    assert optimum(law, 1e21, free.tokens * 1.01) == free


@pytest.mark.parametrize("unique", [math.inf, 5e9])
def test_tokens_for_loss_inverts_the_law(unique):
    for tokens in (1e9, 2e10):
        loss = expected_loss(BESIROGLU, Allocation(2e8, tokens), unique)
        assert tokens_for_loss(BESIROGLU, loss, 2e8, unique) == pytest.approx(tokens)
    assert tokens_for_loss(BESIROGLU, 1.9, 1e6, unique) == math.inf


def test_nothing_served_is_compute_optimal():
    best = BESIROGLU.optimum(1e22)
    found = serving_optimum(BESIROGLU, BESIROGLU.loss(*best), 0)
    assert found.parameters == pytest.approx(best.parameters, rel=1e-3)
    assert found.flops == pytest.approx(1e22, rel=1e-6)


def test_serving_makes_models_smaller_and_life_cheaper():
    best = HOFFMANN.optimum(1e22)
    loss = HOFFMANN.loss(*best)
    sizes = [serving_optimum(HOFFMANN, loss, served) for served in (1e10, 1e12, 1e14)]
    assert best.parameters > sizes[0].parameters > sizes[1].parameters > sizes[2].parameters
    for served, found in zip((1e10, 1e12, 1e14), sizes, strict=True):
        assert HOFFMANN.loss(*found) == pytest.approx(loss)

        def life(n: float, served: float = served) -> float:
            return n * (6 * tokens_for_loss(HOFFMANN, loss, n) + 2 * served)

        least = life(found.parameters)
        assert least < life(best.parameters)
        assert least < life(found.parameters * 0.97)
        assert least < life(found.parameters * 1.03)


def test_serving_cannot_need_more_than_the_text_can_teach():
    with pytest.raises(ValueError, match="out of reach"):
        serving_optimum(BESIROGLU, 1.9, 1e12, unique=1e6)
    with pytest.raises(ValueError, match="irreducible"):
        serving_optimum(BESIROGLU, 1.8, 1e12)


def test_nonsense_is_refused_by_name():
    for call, name in (
        (lambda: HOFFMANN.optimum(-1), "flops"),
        (lambda: BESIROGLU.loss(0, 1e9), "parameters"),
        (lambda: BESIROGLU.loss(1e9, math.nan), "tokens"),
        (lambda: KAPLAN.loss_of_compute(0), "flops"),
        (lambda: KAPLAN.optimum(math.inf), "flops"),
        (lambda: effective_tokens(10, 0), "unique"),
        (lambda: optimum(BESIROGLU, 1e20, -1), "unique"),
        (lambda: serving_optimum(BESIROGLU, 2.5, -1), "served"),
    ):
        with pytest.raises(ValueError, match=name):
            call()
