"""Paired differences over seeds, their intervals, and the smallest effect that so many pairs can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm, t

ALPHA = 0.05  # of both sides together
POWER = 0.8


def compare(first: Sequence[float], second: Sequence[float]) -> dict[str, Any]:
    """Of the differences `first` - `second`, pair by pair: mean, standard deviation, 95% interval, p, and `detectable`.

    The interval and p are Student's for the mean of paired differences. Raises ValueError for fewer than two pairs.
    """
    differences = np.subtract(first, second)
    if len(differences) < 2:
        raise ValueError("a difference needs two pairs or more")
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    error = deviation / math.sqrt(len(differences))
    half = float(t.ppf(1 - ALPHA / 2, len(differences) - 1)) * error
    p = float(2 * t.sf(abs(mean) / error, len(differences) - 1)) if error else float(mean == 0)
    return {
        "mean": mean,
        "deviation": deviation,
        "interval": [mean - half, mean + half],
        "p": p,
        "detectable": detectable(deviation, len(differences)),
    }


def detectable(deviation: float, pairs: int) -> float:
    """The mean difference that a two-sided paired t-test at ALPHA finds with a probability of POWER.

    `deviation`: standard deviation of a difference, in the unit of the result. Where the true effect is d deviations,
    the test's statistic is (Z + d sqrt(n)) / sqrt(V / (n - 1)), Z standard normal, V chi-squared (Cohen 1988, chapter
    2): the power is an integral over V, taken here over its quantiles; d is where it is POWER.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    limits = t.ppf(1 - ALPHA / 2, pairs - 1) * np.sqrt(chi2.ppf((nodes + 1) / 2, pairs - 1) / (pairs - 1))

    def lacking(effect: float) -> float:
        away = effect * math.sqrt(pairs)
        return float(weights / 2 @ (norm.sf(limits - away) + norm.cdf(-limits - away))) - POWER

    return deviation * float(brentq(lacking, 1e-3, 100))
