"""The mixture whose predicted loss is least, how sure that is, and how well the fits predict at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import LinearConstraint, minimize
from scipy.stats import spearmanr

from pretrain.mixture_design import under_caps
from pretrain.mixture_fit import FITTERS, Fit

Float = npt.NDArray[np.float64]
Goal = Callable[[Float], Float]

STARTS: Final = 5  # proxies of least loss that the search starts from, beside the natural mixture
RESAMPLES: Final = 30
NUDGE: Final = (
    1e-6  # of a share, for slopes: small beside any share that matters, and finite where the slope at 0 is not
)


@dataclass(frozen=True)
class Optimum:
    """The best mixture under the fits, and what resampling the proxies makes of it.

    `shares` and `shares_error` float64 [m]; `loss`, `natural_loss` and `gain` (natural less best) in the unit of the
    losses, each predicted; the errors are standard deviations over resampled proxies.
    """

    shares: Float
    shares_error: Float
    loss: float
    natural_loss: float
    gain: float
    gain_error: float


def best_mixture(fits: Sequence[Fit], weights: Float, mixtures: Float, natural: Float, caps: Float) -> Float:
    """The shares, float64 [m], of least weighted mean loss, each at most its cap.

    `fits`: one per held-out loss, `weights` [len(fits)] of them; `mixtures` [n, m]: the proxies'. Found by sequential
    quadratic programming from the natural mixture and the proxies that the fits like best; the best end wins, or the
    best start, where no search improves on it.
    """
    goal = _goal(fits, weights)
    candidates = np.array([under_caps(shares, caps) for shares in np.vstack([natural, mixtures])])
    order = np.argsort(goal(candidates), kind="stable")[:STARTS]
    found = [candidates[0], *candidates[order]]
    sum_to_one = LinearConstraint(np.ones((1, len(natural))), 1.0, 1.0)
    nudges = NUDGE * np.vstack([np.zeros(len(natural)), np.eye(len(natural))])

    def look(shares: Float) -> tuple[float, Float]:
        """The goal and its slopes, all mixtures at once: fits are costly to call, not to evaluate."""
        here, *there = goal(shares + nudges)
        return float(here), (np.array(there) - here) / NUDGE

    for start in list(found):
        ended: Any = minimize(
            look,
            start,
            method="SLSQP",
            jac=True,
            bounds=[(0.0, min(1.0, cap)) for cap in caps],
            constraints=[sum_to_one],
            options={"maxiter": 200, "ftol": 1e-10},
        )
        if np.isfinite(ended.x).all():
            found.append(under_caps(np.clip(ended.x, 0.0, None) / np.clip(ended.x, 0.0, None).sum(), caps))
    return found[int(np.argmin(goal(np.array(found))))]


def optimum(
    fits: Sequence[Fit],
    weights: Float,
    mixtures: Float,
    losses: Float,
    owns: Sequence[int | None],
    natural: Float,
    caps: Float,
    seed: int,
) -> Optimum:
    """`best_mixture` with its uncertainty: forms and settings stay as chosen, the proxies are drawn again (bootstrap).

    `losses` [n, len(fits)]; `owns`: the column of the source that each loss is measured on, or None.
    """
    natural = under_caps(natural, caps)
    shares = best_mixture(fits, weights, mixtures, natural, caps)
    goal = _goal(fits, weights)
    loss, natural_loss = goal(np.array([shares, natural]))
    generator = np.random.Generator(np.random.PCG64(seed))
    others, gains = [], []
    for _ in range(RESAMPLES):
        drawn = generator.integers(0, len(mixtures), len(mixtures))
        again = [refit(fit, mixtures[drawn], losses[drawn, at], owns[at]) for at, fit in enumerate(fits)]
        others.append(best_mixture(again, weights, mixtures, natural, caps))
        ours, theirs = _goal(again, weights)(np.array([shares, natural]))
        gains.append(theirs - ours)
    return Optimum(
        shares=shares,
        shares_error=np.std(others, axis=0),
        loss=float(loss),
        natural_loss=float(natural_loss),
        gain=float(natural_loss - loss),
        gain_error=float(np.std(gains)),
    )


def refit(fit: Fit, mixtures: Float, losses: Float, own: int | None) -> Fit:
    """The same form and settings, fitted to other proxies."""
    return Fit(fit.form, fit.settings, fit.error, FITTERS[fit.form](mixtures, losses, own, *fit.settings))


def leave_one_out(fit: Fit, mixtures: Float, losses: Float, own: int | None) -> float:
    """Spearman's rank correlation of the losses [n] with what the fit without each proxy predicts of it."""
    guess = np.empty(len(losses))
    for held in range(len(losses)):
        rest = np.arange(len(losses)) != held
        guess[held] = refit(fit, mixtures[rest], losses[rest], own)(mixtures[held : held + 1])[0]
    return float(spearmanr(guess, losses).statistic)


def _goal(fits: Sequence[Fit], weights: Float) -> Goal:
    """Weighted mean of the predicted losses, float64 [k], of mixtures [k, m]."""
    part = np.asarray(weights, np.float64) / np.sum(weights)
    return lambda mixtures: np.asarray(sum(w * fit(mixtures) for w, fit in zip(part, fits)))
