"""A power law of effective data: what a mixture is worth to a held-out text, source by source.

    L(r) = c + E(r)^-a,    E(r) = w_own r_own^q + sum_j w_j r_j^p,    a > 0, w > 0, 0 < p, q <= 1

A share r_j of source j is worth w_j r_j^p of effective data (data transferred: Hernandez et al. 2021,
arXiv:2102.01293). For p = q, E is the aggregate of constant elasticity of substitution (Arrow et al. 1961, "Capital-
Labor Substitution and Economic Efficiency"): below 1 the first share of each source is worth most, so that sources
complete each other. The text's own source has an exponent of its own: more of the same wears out differently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Predictor = Callable[[Float], Float]

LAW: Final = 4  # c, log a, log p, log q; the log w follow
START_A: Final = float(np.log(0.3))  # near the exponents of scaling laws in data
START_P: Final = float(np.log(0.7))  # between one source that replaces another and two that do not
HOLD: Final = np.array([0.0, 1e-4, 1e-2, 1e-2])  # weak priors in units of the residuals' variance: keep a, p, q finite
LEAP: Final = np.array([np.inf, 1.0, 0.3, 0.3])  # longest step
LEAP_W: Final = 3.0
STEPS: Final = 60
TOLERANCE: Final = 1e-5  # relative change of the sum of squares that ends a fit: far below what proxies differ by


def transfer(mixtures: Float, losses: Float, own: int | None, pull: float) -> Predictor:
    """The law fitted to `losses` [n] of `mixtures` [n, m]; predicts losses [k] of mixtures [k, m].

    Penalized least squares over (c, log a, log p, log q, log w) by the method of Levenberg and Marquardt. With few
    proxies most w are hardly determined; that other sources than `own` are worth alike is the best guess about those,
    so their log w are pulled to their mean, by `pull` in units of the residuals' variance.
    """
    count, sources = mixtures.shape
    others = np.arange(sources) != own
    scale = -np.log(max(float(losses.mean() - 0.9 * losses.min()), 1e-6)) / np.exp(START_A)
    start = np.concatenate([[0.9 * losses.min(), START_A, START_P, START_P], scale - 4.0 * others])
    about = np.concatenate([[0.0, START_A, START_P, START_P], np.zeros(sources)])  # others are worth little at first
    prior = np.zeros((len(start), len(start)))
    prior[:LAW, :LAW] = np.diag(HOLD)
    prior[LAW:, LAW:] = pull / count * (np.diag(others * 1.0) - np.outer(others, others) / max(1, others.sum()))
    fitted = _least(start, about, prior, mixtures, losses, others)
    floor, a = fitted[0], np.exp(fitted[1])
    exponents, worth = np.exp(np.where(others, fitted[2], fitted[3])), np.exp(fitted[LAW:])
    return lambda asked: floor + (np.maximum(asked, 0.0) ** exponents @ worth) ** -a


def _least(
    start: Float, about: Float, prior: Float, mixtures: Float, losses: Float, others: npt.NDArray[np.bool_]
) -> Float:
    """The parameters of least squared residuals, plus the quadratic form `prior` of what they are off from `about`."""
    logs = np.log(np.where(mixtures > 0, mixtures, 1.0))
    spread = max(float(losses.std()), 1e-12)
    leap = np.concatenate([LEAP, np.full(len(start) - LAW, LEAP_W)])

    def look(at: Float) -> tuple[float, Float, Float]:
        residuals, jacobian = linearized(at, mixtures, logs, losses, others)
        residuals, jacobian = residuals / spread, jacobian / spread
        off = prior @ (at - about)
        return float(residuals @ residuals + (at - about) @ off), jacobian.T @ residuals + off, jacobian.T @ jacobian

    here, damping = start, 1e-2
    least, slope, curvature = look(here)
    for _ in range(STEPS):
        bowl = curvature + prior
        diagonal = np.diag(bowl)
        step = np.linalg.solve(bowl + damping * np.diag(diagonal + 1e-9 * diagonal.max()), slope)
        there = here - np.clip(step, -leap, leap)
        there[2:LAW] = np.minimum(there[2:LAW], 0.0)  # p and q at most 1
        there[LAW:] = np.clip(there[LAW:], -60.0, 60.0)
        value, *rest = look(there)
        if not value < least:  # also where it is no number
            damping *= 4
            if damping > 1e5:
                break
            continue
        change = (least - value) / least
        here, least, (slope, curvature), damping = there, value, rest, max(damping / 5, 1e-9)
        if change < TOLERANCE:
            break
    return here


def linearized(
    at: Float, mixtures: Float, logs: Float, losses: Float, others: npt.NDArray[np.bool_]
) -> tuple[Float, Float]:
    """Residuals [n] and their derivatives [n, 4 + m] at parameters `at`; `logs`: of the shares, 0 where there is none.

    `others` [m]: the sources with exponent p; the one with q is missing there.
    """
    a, p, q = np.exp(at[1:LAW])
    parts = mixtures ** np.where(others, p, q) * np.exp(at[LAW:])
    effective = parts.sum(axis=1)
    power = effective**-a
    outer = -a * power / effective
    slopes = parts * logs
    law = (
        np.ones(len(losses)),
        -power * a * np.log(effective),
        outer * p * slopes[:, others].sum(axis=1),
        outer * q * slopes[:, ~others].sum(axis=1),
    )
    return at[0] + power - losses, np.column_stack((*law, outer[:, None] * parts))
