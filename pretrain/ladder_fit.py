"""The scaling law of one's own shards, fitted to the loss curves of a few small runs.

    L_k(N, D) = E + A_k / N^alpha + B_k / D^beta        nats per token

N parameters, D tokens of the whole run, k the part of the run that is done: runs of one schedule shape are compared at
the same part, where learning rates are alike, and there the losses of Hoffmann et al. 2022 (arXiv 2203.15556, equation
10) hold with constants of that part; at the end, with A and B. That curves at equal parts are scaled copies of each
other is what Qiu et al. 2025 (arXiv 2507.02119) found. E, alpha and beta are common, so that every measurement of a run
helps to determine them.

The fit minimizes Huber's loss (delta 1e-3) of the difference in log L, as Hoffmann et al. and the refit of Besiroglu et
al. 2024 (arXiv 2404.10102) do, from several starts. Five runs hardly determine E, alpha and beta alone: the exponents
are drawn to those of the literature, as weakly as a few residuals weigh.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

Float = npt.NDArray[np.float64]

DELTA: Final = 1e-3  # of Huber's loss, in log L
EXPONENT: Final = (np.log(0.35), 0.3)  # of log alpha, log beta: 0.34 and 0.28 as published, 0.35 and 0.37 in the refit
FLOOR: Final = (np.log(0.5), 0.5)  # of log(E / least loss)
PRIOR: Final = 3e-3  # what a deviation by one of those spreads weighs, in log L
STARTS: Final = tuple(product((0.2, 0.5), (0.2, 0.5)))  # alpha, beta; E begins at half the least loss


@dataclass(frozen=True)
class Law:
    """E, alpha, beta; A_k and B_k, float64 [k], with N and D in units of `unit`."""

    e: float
    alpha: float
    beta: float
    a: Float
    b: Float
    unit: tuple[float, float]

    def losses(self, parameters: float, tokens: float) -> Float:
        """Expected losses, float64 [k], of a run at the parts that the law was fitted at; the last is its end."""
        n, d = parameters / self.unit[0], tokens / self.unit[1]
        return self.e + self.a * n**-self.alpha + self.b * d**-self.beta

    def facts(self) -> dict[str, float]:
        """E, A, B, alpha, beta of the end of a run, for N and D in parameters and tokens."""
        a, b = self.a[-1] * self.unit[0] ** self.alpha, self.b[-1] * self.unit[1] ** self.beta
        return {"e": self.e, "a": float(a), "b": float(b), "alpha": self.alpha, "beta": self.beta}


def fit_law(parameters: Float, tokens: Float, losses: Float) -> Law:
    """The law of runs with `parameters` [n] on `tokens` [n], whose losses at k parts are `losses` [n, k].

    Raises ValueError for fewer than three runs, or what is not positive and finite.
    """
    if losses.ndim != 2 or len(losses) < 3 or not len(parameters) == len(tokens) == len(losses):
        raise ValueError(f"a law needs the losses of three runs or more, not of {len(losses)}")
    if not all(np.isfinite(values).all() and (values > 0).all() for values in (parameters, tokens, losses)):
        raise ValueError("parameters, tokens and losses must be positive and finite")
    unit = (float(np.exp(np.log(parameters).mean())), float(np.exp(np.log(tokens).mean())))
    n, d = np.log(parameters / unit[0])[:, None], np.log(tokens / unit[1])[:, None]
    least, parts = float(losses.min()), losses.shape[1]

    def residuals(p: Float) -> Float:
        e, alpha, beta = np.exp(p[:3])
        guess = e * least + np.exp(p[3 : 3 + parts] - alpha * n) + np.exp(p[3 + parts :] - beta * d)
        prior = [(p[0] - FLOOR[0]) / FLOOR[1], *((p[1:3] - EXPONENT[0]) / EXPONENT[1])]
        return np.concatenate([(np.log(guess) - np.log(losses)).ravel(), PRIOR * np.array(prior)])

    def ended(alpha: float, beta: float) -> Any:
        above = np.log((losses.mean(axis=0) - least / 2) / 2)
        start = np.concatenate([np.log([0.5, alpha, beta]), above, above])
        return least_squares(residuals, start, loss="huber", f_scale=DELTA, max_nfev=500)

    best = min((ended(*start) for start in STARTS), key=lambda found: float(found.cost)).x
    e, alpha, beta = np.exp(best[:3])
    a, b = np.exp(best[3 : 3 + parts]), np.exp(best[3 + parts :])
    return Law(float(e * least), float(alpha), float(beta), a, b, unit)


def leave_one_out(parameters: Float, tokens: Float, losses: Float) -> Float:
    """By how much, as a part of it, each run's final loss is missed by the law of the others, float64 [n]."""
    missed = []
    for held in range(len(losses)):
        rest = np.arange(len(losses)) != held
        law = fit_law(parameters[rest], tokens[rest], losses[rest])
        missed.append(law.losses(parameters[held], tokens[held])[-1] / losses[held, -1] - 1)
    return np.array(missed)
