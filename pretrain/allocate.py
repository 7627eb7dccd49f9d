"""How to spend a budget where no formula gives the answer: data that repeats, and models that will serve many requests.

Both are minima over the model's size alone, found on a grid and narrowed by golden section.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from pretrain.laws import (
    FLOPS_PER_PARAMETER,
    REPEATED_TOKENS,
    Allocation,
    Chinchilla,
    data_constrained_loss,
    effective_parameters,
    positive,
)

SERVING_FLOPS = 2.0  # per parameter and token served: the forward pass


def repeats(tokens: float, unique: float) -> bool:
    """Whether a run of `tokens` reads some of `unique` tokens again; one epoch does not, however it was rounded."""
    return tokens > unique * (1 + 1e-9)


def expected_loss(law: Chinchilla, spent: Allocation, unique: float) -> float:
    """Nats per token of a run with `unique` different tokens: the plain law until they repeat, then the constrained.

    Where they begin to repeat, the loss of a model that is too large for them jumps: for the second law its excess
    parameters are worth less, for the first they are not.
    """
    if not repeats(spent.tokens, unique):
        return law.loss(*spent)
    return data_constrained_loss(law, *spent, unique)


def optimum(law: Chinchilla, flops: float, unique: float = math.inf) -> Allocation:
    """The least loss for 6 N D = `flops` with `unique` different tokens. Raises ValueError for what is not positive.

    The law's own formula where its tokens suffice; otherwise the minimum of the data-constrained law, which has
    fewer parameters than the formula gives, for more epochs (Muennighoff et al. 2023).
    """
    free = law.optimum(flops)
    if free.tokens <= unique:
        return free

    def spend(parameters: float) -> Allocation:
        return Allocation(parameters, flops / (FLOPS_PER_PARAMETER * parameters))

    best = _minimum(
        lambda parameters: data_constrained_loss(law, *spend(parameters), unique),
        free.parameters / 100,
        free.parameters * 100,
    )
    return spend(best)


def tokens_for_loss(law: Chinchilla, loss: float, parameters: float, unique: float = math.inf) -> float:
    """Training tokens after which `parameters` reach `loss`, counted with repetitions; infinite where they never do."""
    positive(loss=loss, parameters=parameters)
    tokens = _inverse(law, loss, parameters)
    if tokens <= unique:
        return tokens
    worth = _inverse(law, loss, effective_parameters(law, parameters, tokens, unique)) / unique - 1
    if worth >= REPEATED_TOKENS:
        return math.inf
    return unique * (1 - REPEATED_TOKENS * math.log1p(-max(worth, 0.0) / REPEATED_TOKENS))


def serving_optimum(law: Chinchilla, loss: float, served: float, unique: float = math.inf) -> Allocation:
    """The model that reaches `loss` and takes the fewest FLOPs in its life, 6 N D for training and 2 N `served`.

    Sardana et al. 2023 (arXiv 2401.00448); with nothing served it is the compute-optimal one. Raises
    ValueError where no model reaches `loss` on `unique` tokens.
    """
    if not 0 <= served < math.inf:
        raise ValueError(f"served: must be a finite number of tokens, not {served:g}")

    def life(parameters: float) -> float:
        tokens = tokens_for_loss(law, loss, parameters, unique)
        return parameters * (FLOPS_PER_PARAMETER * tokens + SERVING_FLOPS * served)

    floor = _least_parameters(law, loss)
    best = _minimum(life, floor, floor * 1e6)
    if not math.isfinite(life(best)):
        raise ValueError(
            f"serve: a loss of {loss:.3f} is out of reach for smaller models: {unique:,.0f} different tokens teach no "
            "more, however often they repeat"
        )
    return Allocation(best, tokens_for_loss(law, loss, best, unique))


def _inverse(law: Chinchilla, loss: float, parameters: float) -> float:
    """D with L(N, D) = loss, infinite where the parameters alone lose more than that."""
    rest = loss - law.e - law.a / parameters**law.alpha
    return (law.b / rest) ** (1 / law.beta) if rest > 0 else math.inf


def _least_parameters(law: Chinchilla, loss: float) -> float:
    """N with L(N, infinity) = loss. Raises ValueError for a loss that no model reaches."""
    if loss <= law.e:
        raise ValueError(f"loss: {loss:.3f} is below what {law.name} holds for irreducible, {law.e:.3f}")
    return (law.a / (loss - law.e)) ** (1 / law.alpha)


def _minimum(cost: Callable[[float], float], low: float, high: float, points: int = 400) -> float:
    """Where `cost` is least between `low` and `high`, by a grid in the logarithm, then golden section."""
    grid = [low * (high / low) ** (i / points) for i in range(points + 1)]
    costs = [cost(x) for x in grid]
    best = min(range(points + 1), key=costs.__getitem__)
    a, b = math.log(grid[max(best - 1, 0)]), math.log(grid[min(best + 1, points)])
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(50):
        left, right = b - ratio * (b - a), a + ratio * (b - a)
        if cost(math.exp(left)) <= cost(math.exp(right)):
            b = right
        else:
            a = left
    return math.exp((a + b) / 2)
