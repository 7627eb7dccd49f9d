"""How the documents that a program keeps agree with the similarities that are known."""

from __future__ import annotations

import numpy as np

THRESHOLD = 0.8


def agreement(stays: np.ndarray, a: np.ndarray, b: np.ndarray, jaccard: np.ndarray) -> dict[str, int]:
    """Counts, from `stays` (bool by document) and the similarities of pairs of documents a[i] and b[i].

    kept: documents that stay; missed: pairs of THRESHOLD or more of which both stay; unfounded: documents that are
    dropped though no document that stays is similar to them by THRESHOLD or more.
    """
    similar = jaccard >= THRESHOLD
    founded = np.zeros(len(stays), bool)
    founded[a[similar & stays[b]]] = True
    founded[b[similar & stays[a]]] = True
    return {
        "kept": int(stays.sum()),
        "missed": int((similar & stays[a] & stays[b]).sum()),
        "unfounded": int((~stays & ~founded).sum()),
    }


def mask(ids: np.ndarray, documents: int) -> np.ndarray:
    """Ids of documents as bool by document."""
    stays = np.zeros(documents, bool)
    stays[ids] = True
    return stays
