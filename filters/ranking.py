"""How well scores rank the positive above the negative."""

import numpy as np
from numpy.typing import NDArray


def roc_auc(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counted half.

    Args:
        positive: bool[n], with at least one of each kind.
        scores: float[n], higher for what is more likely positive.

    The Mann-Whitney statistic over the number of pairs (Hanley and McNeil 1982), from ranks in which ties share their
    mean.
    """
    _, tie, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[tie]
    positives = int(positive.sum())
    negatives = len(positive) - positives
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Precision at each score that a positive has, weighted by the recall gained there, without interpolation.

    Args:
        positive: bool[n], with at least one positive.
        scores: float[n], higher for what is more likely positive.

    The sum of (R_i - R_(i-1)) P_i over the distinct scores from high to low, as scikit-learn defines it.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)
    found = np.cumsum(positive[order])[last_of_tie]
    precision = found / (last_of_tie + 1)
    return float(np.sum(np.diff(found, prepend=0) * precision) / positive.sum())
