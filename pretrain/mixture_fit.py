"""Loss as a function of the data mixture, fitted to the losses of small proxy models.

A mixture is a point r of the simplex, float64 [m], m sources. For each held-out loss L of n proxies four forms compete:

    linear       L = c + t.r                                  (RegMix, Liu et al. 2024, arXiv:2407.01492)
    exponential  L = c + exp(k + t.r)                         (Data Mixing Laws, Ye et al. 2024, arXiv:2403.16952)
    own_share    L = c + exp(k + t.r + s log(r_own + e))      the same; a little of its own source helps most
    transfer     L = c + E(r)^-a, a power law of effective data (`pretrain.mixture_transfer`)

The form and its regularization are chosen by cross-validation on the proxies alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

import numpy as np

from pretrain.mixture_transfer import Float, Predictor, transfer

Form = Literal["linear", "exponential", "own_share", "transfer"]

FOLDS: Final = 8
RIDGE: Final = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # on standardized features
FLOOR: Final = (0.5, 0.8, 0.9, 0.95, 0.98)  # c, as a part of the least loss seen
OWN: Final = (3e-4, 1e-3, 3e-3, 1e-2)  # e: the share below which a source counts as absent
PULL: Final = (0.1, 0.3, 1.0, 3.0)  # of log w to their mean, in units of the residuals' variance


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


FITTERS: Final[dict[Form, Callable[..., Predictor]]] = {
    "linear": _linear,
    "exponential": _exponential,
    "own_share": _own_share,
    "transfer": transfer,
}
