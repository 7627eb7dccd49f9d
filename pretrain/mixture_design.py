"""Which mixtures the proxies are trained on: seeded draws around the natural one.

As RegMix draws them (Liu et al. 2024, arXiv:2407.01492, section 3): from Dirichlet distributions around the natural
mixture, tempered so that small sources are seen at all, of concentrations from spread out to nearly natural.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]

TEMPERATURE: Final = 0.5  # the natural shares are raised to it
CONCENTRATIONS: Final = (0.1, 5.0)  # least and greatest, times the number of sources; spaced by factors between
LEAST: Final = 2e-4  # a share below it is none: a proxy would not see a row of it


def draw(natural: Float, count: int, seed: int, caps: Float | None = None) -> Float:
    """`count` mixtures, float64 [count, m], each a point of the simplex; the first is the natural one.

    `natural` [m]: shares of the corpus's tokens. `caps` [m]: greatest share of each source, what there is of it times
    the epochs allowed over the tokens of a run; a draw beyond it is brought back (`under_caps`). Raises ValueError for
    shares that are negative or do not add up to 1, or caps that leave no mixture.
    """
    natural = np.asarray(natural, np.float64)
    if (natural < 0).any() or abs(natural.sum() - 1) > 1e-6:
        raise ValueError("the natural mixture must be shares that add up to 1")
    caps = np.ones_like(natural) if caps is None else np.asarray(caps, np.float64)
    tempered = natural**TEMPERATURE / (natural**TEMPERATURE).sum()
    generator = np.random.Generator(np.random.PCG64(seed))
    low, high = CONCENTRATIONS
    found = [under_caps(natural, caps)]
    for number in range(1, count):
        concentration = low * (high / low) ** ((number - 1) / max(1, count - 2)) * len(natural)
        shares = generator.dirichlet(np.maximum(concentration * tempered, 1e-3))
        shares = np.where(shares < LEAST, 0.0, shares)
        found.append(under_caps(shares / shares.sum(), caps))
    return np.array(found[:count])


def under_caps(shares: Float, caps: Float) -> Float:
    """The mixture with every share at most its cap, float64 [m]: what is above goes to the others in proportion.

    Sources without a share take what is left only where the others are all at their caps. Raises ValueError where the
    caps add up to less than 1.
    """
    if caps.sum() < 1 - 1e-12:
        raise ValueError(f"the caps add up to {caps.sum():.4f}: the sources last for that part of the run only")
    shares = shares.astype(np.float64)
    capped = np.zeros(len(shares), np.bool_)
    for _ in range(len(shares) + 1):
        over = (shares > caps) & ~capped
        if not over.any():
            return shares / shares.sum()
        capped |= over
        rest = 1.0 - caps[capped].sum()
        free = np.where(capped, 0.0, shares)
        if free.sum() <= 0:  # every source with a share is full
            free = np.where(capped, 0.0, caps)
        shares = np.where(capped, caps, free * rest / max(free.sum(), 1e-300))
    return shares / shares.sum()
