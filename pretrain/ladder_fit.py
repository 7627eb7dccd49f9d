"""The scaling law of one's own shards, fitted to the losses of a few small runs.

    L(C) = E + A / C^b        nats per token

C = 6 N D are the FLOPs of a run with N parameters on D tokens. The law is one of compute alone, as all its runs have as
many tokens per parameter: there L(N, D) = E + A / N^alpha + B / D^beta of Hoffmann et al. 2022 (arXiv 2203.15556,
equation 10) with alpha = beta, as Muennighoff et al. 2023 fit it, is this with b = alpha / 2. Five runs that vary N and
D apart do not determine alpha and beta, and the shortest of them say little about long ones; five on the line that the
run is on leave one direction to extrapolate in. Runs on such a line, at the same part of their length, differ by a
scale only (Qiu et al. 2025, arXiv 2507.02119), so the losses at each part have a law of their own.

The fit is the most probable E, A and b for the errors and spreads below, which are wide: what the losses of five rungs
leave open of E hardly matters over one decade of C. A rung weighs as much as its compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from pretrain.laws import positive

Float = npt.NDArray[np.float64]

# Of the largest rung's log L, by its seed, its shape and the law itself; smaller rungs are less like the run and have
# sqrt(largest C / C) times that. Seeds alone make 0.1 to 0.5%; with this, forecasts of eleven runs were off by as much
# as they said they would be (benchmarks/README.md).
NOISE: Final = 3e-3
# Of log b: between 0.050 without a floor (Kaplan et al. 2020), and half of the 0.28 to 0.37 that goes with a floor.
EXPONENT: Final = (np.log(0.09), 0.5)
# Nats a byte that E is about, and the spread of log E: 1.82 a token (Besiroglu et al. 2024, arXiv 2404.10102), of
# 10.5 TB in 2.34e12 tokens (Rae et al. 2021, arXiv 2112.11446: 300e9 tokens are 12.8% of MassiveText).
FLOOR: Final = (1.82 * 2.34 / 10.5, 0.5)
STARTS: Final = tuple(product((0.1, 0.3, 0.6), (0.05, 0.2)))  # E / least loss, b


@dataclass(frozen=True)
class Law:
    """E, A and b, C in units of `unit` FLOPs; `covariance` float64 [3, 3], of log E, log A, log b."""

    e: float
    a: float
    b: float
    unit: float
    covariance: Float

    def loss(self, compute: float) -> float:
        """Expected loss of a run of `compute` FLOPs."""
        return self.e + self.a * (compute / self.unit) ** -self.b

    def error(self, compute: float) -> float:
        """Standard deviation of the expected loss, as a part of it: by the covariance, to first order."""
        log = np.log(compute / self.unit)
        above = self.a * np.exp(-self.b * log)
        slope = np.array([self.e, above, -above * self.b * log]) / (self.e + above)
        return float(np.sqrt(slope @ self.covariance @ slope))

    def facts(self) -> dict[str, float]:
        """E, A, b for C in FLOPs."""
        return {"e": self.e, "a": self.a * self.unit**self.b, "b": self.b}


def fit_law(compute: Float, losses: Float, bytes_per_token: float, noise: float = NOISE) -> Law:
    """The law of runs of `compute` FLOPs [n] that came to `losses` [n], of tokens of so many bytes.

    `noise`: standard deviation of log L of the largest; sqrt(largest C / C) times that for another.
    Raises ValueError for fewer than three runs, or what is not positive and finite.
    """
    if len(losses) < 3 or losses.shape != compute.shape:
        raise ValueError(f"a law needs the losses of three runs or more, not of {len(losses)}")
    for number, found in enumerate(zip(compute.tolist(), losses.tolist())):
        positive(**{f"compute of run {number}": found[0], f"loss of run {number}": found[1]})
    positive(bytes_per_token=bytes_per_token)
    unit, least = float(np.exp(np.log(compute).mean())), float(losses.min())
    log, spread = np.log(compute / unit), noise * np.sqrt(compute.max() / compute)
    floor = np.log(FLOOR[0] * bytes_per_token / least)

    def residuals(p: Float) -> Float:
        guess = np.exp(p[0]) * least + np.exp(p[1] - np.exp(p[2]) * log)
        prior = [(p[0] - floor) / FLOOR[1], (p[2] - EXPONENT[0]) / EXPONENT[1]]
        return np.concatenate([(np.log(guess) - np.log(losses)) / spread, np.array(prior, np.float64)])

    def ended(part: float, exponent: float) -> Any:
        start = np.log([part, float(losses.mean()) - part * least, exponent])
        return least_squares(residuals, start, max_nfev=1000)

    best = min((ended(*start) for start in STARTS), key=lambda found: float(found.cost))
    # Runs that no law fits to within the noise are noisier than that.
    excess = max(1.0, 2 * float(best.cost) / len(losses))
    e, a, b = np.exp(best.x)
    return Law(float(e * least), float(a), float(b), unit, excess * np.linalg.inv(best.jac.T @ best.jac))


def leave_one_out(compute: Float, losses: Float, bytes_per_token: float) -> Float:
    """By how much, as a part of it, each run's loss is missed by the law of the others, float64 [n]."""
    missed = []
    for held in range(len(losses)):
        rest = np.arange(len(losses)) != held
        missed.append(fit_law(compute[rest], losses[rest], bytes_per_token).loss(compute[held]) / losses[held] - 1)
    return np.array(missed)
