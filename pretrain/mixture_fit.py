"""Loss as a function of the data mixture, fitted to the losses of small proxy models.

A mixture is a point r of the simplex, float64 [m], m sources. For each held-out loss L of n proxies four forms compete:

    linear       L = c + t.r                                  (RegMix, Liu et al. 2024, arXiv:2407.01492)
    exponential  L = c + exp(k + t.r)                         (Data Mixing Laws, Ye et al. 2024, arXiv:2403.16952)
    own_share    L = c + exp(k + t.r + s log(r_own + e))      the same; a little of its own source helps most
    transfer     L = c + (sum_j w_j r_j)^-a, w > 0            a power law of effective data: a share of source j
                                                              is worth w_j of it (transfer, Hernandez et al. 2021,
                                                              arXiv:2102.01293)

The form and its regularization are chosen by cross-validation on the proxies alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

Float = npt.NDArray[np.float64]
Predictor = Callable[[Float], Float]
Form = Literal["linear", "exponential", "own_share", "transfer"]

FOLDS: Final = 8
RIDGE: Final = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # on standardized features
FLOOR: Final = (0.5, 0.8, 0.9, 0.95, 0.98)  # c, as a part of the least loss seen
OWN: Final = (3e-4, 1e-3, 3e-3, 1e-2)  # e: the share below which a source counts as absent
FTOL: Final = 1e-5  # relative change of the sum of squares that ends a fit: far below what proxies differ by
PULL: Final = (0.01, 0.03, 0.1, 0.3, 1.0)  # of log w to their mean, in units of the residuals' variance


@dataclass(frozen=True)
class Fit:
    """What was chosen for one held-out loss: form, settings, and the root of the mean squared error out of fold."""

    form: Form
    settings: tuple[float, ...]
    error: float
    predict: Predictor

    def __call__(self, mixtures: Float) -> Float:
        """Predicted losses, float64 [k], of mixtures [k, m]."""
        return self.predict(mixtures)


def fit(mixtures: Float, losses: Float, own: int | None, forms: tuple[Form, ...] | None = None) -> Fit:
    """Choose a form by cross-validation and fit it to all proxies.

    `mixtures` [n, m], each row a point of the simplex; `losses` [n], positive; `own`: the column of the source that the
    loss is measured on, None where it is none of them (then there is no form own_share). Proxy i is in fold i mod 8, or
    mod n with fewer. Raises ValueError for fewer than four proxies, or losses that are not finite and positive.
    """
    if len(losses) < 4 or len(losses) != len(mixtures):
        raise ValueError(f"{len(losses)} losses of {len(mixtures)} mixtures: at least four proxies are needed")
    if not (np.isfinite(losses).all() and (losses > 0).all()):
        raise ValueError("the losses of proxies must be finite and positive")
    fold = np.arange(len(losses)) % min(FOLDS, len(losses))
    best: tuple[float, Form, tuple[float, ...]] | None = None
    for form, settings in _candidates(own, forms):
        guess = np.empty_like(losses)
        for number in range(fold.max() + 1):
            held = fold == number
            guess[held] = FITTERS[form](mixtures[~held], losses[~held], own, *settings)(mixtures[held])
        error = float(np.sqrt(np.mean((guess - losses) ** 2)))
        if best is None or error < best[0]:
            best = error, form, settings
    assert best is not None
    error, form, settings = best
    return Fit(form, settings, error, FITTERS[form](mixtures, losses, own, *settings))


def _candidates(own: int | None, forms: tuple[Form, ...] | None) -> Iterator[tuple[Form, tuple[float, ...]]]:
    grids: dict[Form, tuple[tuple[float, ...], ...]] = {
        "linear": (RIDGE,),
        "exponential": (FLOOR, RIDGE),
        "own_share": (FLOOR, RIDGE, OWN),
        "transfer": (PULL,),
    }
    for form, grid in grids.items():
        if (forms is None or form in forms) and (form != "own_share" or own is not None):
            for settings in product(*grid):
                yield form, settings


def _ridge(features: Float, values: Float, strength: float) -> Predictor:
    """Ridge regression on standardized features [n, k]."""
    centre, scale = features.mean(axis=0), features.std(axis=0) + 1e-12
    standard = (features - centre) / scale
    mean = values.mean()
    gram = standard.T @ standard + strength * np.eye(standard.shape[1])
    weights = np.linalg.solve(gram, standard.T @ (values - mean))
    return lambda asked: np.asarray(mean + (asked - centre) / scale @ weights)


def _linear(mixtures: Float, losses: Float, own: int | None, strength: float) -> Predictor:
    return _ridge(mixtures, losses, strength)


def _exponential(mixtures: Float, losses: Float, own: int | None, floor: float, strength: float) -> Predictor:
    least = floor * losses.min()
    exponent = _ridge(mixtures, np.log(losses - least), strength)
    return lambda asked: least + np.exp(np.minimum(exponent(asked), 50.0))


def _own_share(
    mixtures: Float, losses: Float, own: int | None, floor: float, strength: float, absent: float
) -> Predictor:
    def features(asked: Float) -> Float:
        return np.column_stack((asked, np.log(asked[:, own] + absent)))

    inner = _exponential(features(mixtures), losses, None, floor, strength)
    return lambda asked: inner(features(asked))


def _transfer(mixtures: Float, losses: Float, own: int | None, pull: float) -> Predictor:
    """Least squares over (c, log a, log w), the log w of other sources than `own` pulled to their mean.

    With few proxies most w are hardly determined; that other sources are worth alike is the best guess about those.
    """
    sources = mixtures.shape[1]
    others = np.array([j for j in range(sources) if j != own])
    spread = max(float(losses.std()), 1e-12)
    root = np.sqrt(pull / len(losses))

    def split(p: Float) -> tuple[Float, Float, Float]:
        effective = mixtures @ np.exp(p[2:])
        return effective, effective ** -np.exp(p[1]), np.exp(p[2:])

    def residuals(p: Float) -> Float:
        _, power, _ = split(p)
        u = p[2:][others]
        return np.concatenate([(p[0] + power - losses) / spread, root * (u - u.mean()), [0.01 * (p[1] - START_A)]])

    def jacobian(p: Float) -> Float:
        effective, power, worth = split(p)
        a = np.exp(p[1])
        data = np.column_stack(
            (np.ones(len(losses)), -power * a * np.log(effective), (-a * power / effective)[:, None] * mixtures * worth)
        )
        prior = np.zeros((len(others), 2 + sources))
        prior[:, 2 + others] = root * (np.eye(len(others)) - 1 / len(others))
        last = np.zeros((1, 2 + sources))
        last[0, 1] = 0.01
        return np.concatenate([data / spread, prior, last])

    start = np.zeros(2 + sources)
    start[0], start[1] = 0.9 * losses.min(), START_A
    scale = -np.log(max(float(losses.mean() - start[0]), 1e-6)) / np.exp(START_A)
    start[2:] = scale - 4.0  # other sources are worth little to begin with
    if own is not None:
        start[2 + own] = scale
    found: Any = least_squares(residuals, start, jac=jacobian, x_scale="jac", ftol=FTOL, max_nfev=200)
    floor, a, worth = found.x[0], np.exp(found.x[1]), np.exp(found.x[2:])
    return lambda asked: floor + (asked @ worth) ** -a


START_A: Final = float(np.log(0.3))  # near the exponents of scaling laws in data
FITTERS: Final[dict[Form, Callable[..., Predictor]]] = {
    "linear": _linear,
    "exponential": _exponential,
    "own_share": _own_share,
    "transfer": _transfer,
}
