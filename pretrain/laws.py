"""Scaling laws: what loss to expect of N parameters trained on D tokens, and how to spend C = 6 N D FLOPs on them.

    Kaplan et al. 2020 (arXiv 2001.08361)       KAPLAN: N counts no embeddings
    Hoffmann et al. 2022 (arXiv 2203.15556)     HOFFMANN: Chinchilla's third approach, constants as published
    Besiroglu et al. 2024 (arXiv 2404.10102)    BESIROGLU: the same form fitted again to the same runs. The published
                                                constants are rounded and do not fit them; these do.
    Muennighoff et al. 2023 (arXiv 2305.16264)  MUENNIGHOFF: the same form, and what repeated tokens are worth

Losses are nats per token of the texts and the tokenizer of each paper, so they compare plans, not runs on other data.
Everything is a float: parameters, tokens, FLOPs. Whatever is not positive is refused by name with a ValueError.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

FLOPS_PER_PARAMETER = 6.0  # per token: 2 forward, 4 backward (Kaplan et al. 2020, section 2.1)
PETAFLOP_DAY = 1e15 * 86_400

# Muennighoff et al. 2023, appendix A: after this many repetitions, repeated tokens have brought 1 - 1/e of the most
# that they can bring; likewise for parameters beyond those that are optimal for the unique tokens.
REPEATED_TOKENS = 15.387756
EXCESS_PARAMETERS = 5.309743


def positive(**values: float) -> None:
    """Raise ValueError that names the first value which is not a positive, finite number."""
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name}: must be a positive, finite number, not {value:g}")


class Allocation(NamedTuple):
    """A budget spent: model size and training tokens."""

    parameters: float
    tokens: float

    @property
    def flops(self) -> float:
        """Training FLOPs, 6 N D."""
        return FLOPS_PER_PARAMETER * self.parameters * self.tokens


@dataclass(frozen=True)
class Range:
    """The runs that a law was fitted on, as (least, most)."""

    parameters: tuple[float, float]
    tokens: tuple[float, float]


@dataclass(frozen=True)
class Chinchilla:
    """L(N, D) = E + A / N^alpha + B / D^beta, nats per token; N counts all parameters."""

    name: str
    source: str
    e: float
    a: float
    b: float
    alpha: float
    beta: float
    fitted: Range
    counts: Literal["all", "non-embedding"] = "all"

    @property
    def _g(self) -> float:
        return (self.alpha * self.a / (self.beta * self.b)) ** (1 / (self.alpha + self.beta))

    def loss(self, parameters: float, tokens: float) -> float:
        """Expected loss of `parameters` trained on `tokens` different tokens."""
        positive(parameters=parameters, tokens=tokens)
        return self.e + self.a / parameters**self.alpha + self.b / tokens**self.beta

    def optimum(self, flops: float) -> Allocation:
        """The least loss for 6 N D = `flops`: N = G (C/6)^(beta/(alpha+beta)), D = (C/6)^(alpha/(alpha+beta)) / G.

        G = (alpha A / (beta B))^(1/(alpha+beta)). Setting dL/dN along D = C/(6N) to zero gives these exponents:
        that of N has beta in the numerator, not alpha.
        """
        positive(flops=flops)
        product = flops / FLOPS_PER_PARAMETER
        exponent = self.beta / (self.alpha + self.beta)
        return Allocation(self._g * product**exponent, product ** (1 - exponent) / self._g)

    def parameters_for(self, tokens: float) -> float:
        """The N for which `tokens` are optimal: G (G D)^(beta/alpha)."""
        positive(tokens=tokens)
        return self._g * (self._g * tokens) ** (self.beta / self.alpha)


@dataclass(frozen=True)
class Kaplan:
    """Power laws in one variable each: L(N) = (N_c/N)^alpha_N, L(D) = (D_c/D)^alpha_D, L(C) = (C_c/C)^alpha_C.

    C is in PF-days (8.64e19 FLOPs), spent at the best batch size; C_c is the paper's C_c^min.
    """

    name: str = "kaplan"
    source: str = "Kaplan et al. 2020, arXiv 2001.08361"
    alpha_n: float = 0.076
    n_c: float = 8.8e13
    alpha_d: float = 0.095
    d_c: float = 5.4e13
    alpha_c: float = 0.050
    c_c: float = 3.1e8
    n_e: float = 1.3e9  # N = N_e C^0.73: table 6 of the paper
    n_exponent: float = 0.73
    fitted: Range = Range((768, 1.5e9), (22e6, 23e9))
    counts: Literal["all", "non-embedding"] = "non-embedding"

    def loss_of_parameters(self, parameters: float) -> float:
        """Loss of a model with unlimited data and compute, nats per token."""
        positive(parameters=parameters)
        return (self.n_c / parameters) ** self.alpha_n

    def loss_of_tokens(self, tokens: float) -> float:
        """Loss of an unlimited model stopped at its best on `tokens`, nats per token."""
        positive(tokens=tokens)
        return (self.d_c / tokens) ** self.alpha_d

    def loss_of_compute(self, flops: float) -> float:
        """Loss of the best use of `flops`, nats per token."""
        positive(flops=flops)
        return (self.c_c * PETAFLOP_DAY / flops) ** self.alpha_c

    def loss(self, parameters: float, tokens: float) -> float:
        """Equation 1.5: ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D, nats per token."""
        positive(parameters=parameters, tokens=tokens)
        return ((self.n_c / parameters) ** (self.alpha_n / self.alpha_d) + self.d_c / tokens) ** self.alpha_d

    def optimum(self, flops: float) -> Allocation:
        """N = N_e C^0.73, and the tokens that 6 N D leaves, which grow as C^0.27.

        The paper's own D_e = 2e10 tokens is larger by 1.8: it counts runs at the critical batch size, which need
        twice the compute of the least.
        """
        positive(flops=flops)
        parameters = self.n_e * (flops / PETAFLOP_DAY) ** self.n_exponent
        return Allocation(parameters, flops / (FLOPS_PER_PARAMETER * parameters))


_HOFFMANN_RUNS = Range((70e6, 16e9), (5e9, 500e9))

KAPLAN = Kaplan()
HOFFMANN = Chinchilla(
    "chinchilla", "Hoffmann et al. 2022, arXiv 2203.15556", 1.69, 406.4, 410.7, 0.34, 0.28, _HOFFMANN_RUNS
)
BESIROGLU = Chinchilla(
    "chinchilla-refit",
    "Besiroglu et al. 2024, arXiv 2404.10102",
    1.8172,
    482.01,
    2085.43,
    0.3478,
    0.3658,
    _HOFFMANN_RUNS,
)
MUENNIGHOFF = Chinchilla(
    "data-constrained",
    "Muennighoff et al. 2023, arXiv 2305.16264",
    math.exp(0.6254804),
    math.exp(6.255414),
    math.exp(7.3049974),
    0.3526596,
    0.3526596,
    Range((7e6, 9e9), (100e6, 900e9)),
)
LAWS = {law.name: law for law in (BESIROGLU, HOFFMANN, MUENNIGHOFF)}  # those that a plan may follow, the default first


def effective_tokens(tokens: float, unique: float) -> float:
    """What `tokens` drawn from `unique` different ones are worth in new ones, by Muennighoff et al. 2023, equation 5.

    D' = U + U R* (1 - exp(-R/R*)), R = D/U - 1 repetitions, R* = 15.39: never more than 16.4 U. Equal to `tokens`
    where none repeats; `unique` may be infinite.
    """
    positive(tokens=tokens)
    if not unique > 0:
        raise ValueError(f"unique: must be positive, not {unique:g}")
    used = min(unique, tokens)
    repetitions = tokens / used - 1
    return used * (1 - REPEATED_TOKENS * math.expm1(-repetitions / REPEATED_TOKENS))


def effective_parameters(law: Chinchilla, parameters: float, tokens: float, unique: float) -> float:
    """N' of the same law: parameters beyond U_N, those that are optimal for the unique tokens used, decay likewise."""
    positive(parameters=parameters)
    base = min(parameters, law.parameters_for(min(unique, tokens)))
    excess = parameters / base - 1
    return base * (1 - EXCESS_PARAMETERS * math.expm1(-excess / EXCESS_PARAMETERS))


def data_constrained_loss(law: Chinchilla, parameters: float, tokens: float, unique: float) -> float:
    """The data-constrained law, L = E + A / N'^alpha + B / D'^beta, nats per token.

    With MUENNIGHOFF this is the law as published. With other constants it takes over from it what repetition is worth.
    """
    worth = effective_tokens(tokens, unique)
    return law.loss(effective_parameters(law, parameters, tokens, unique), worth)
