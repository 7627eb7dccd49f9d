"""Importance weights towards a target corpus (DSIR: Xie et al. 2023, arXiv 2302.03169, section 3 and appendix).

Words and pairs of neighbouring words are hashed into 10,000 buckets; target and raw corpus each are a bag of them, and
a text's weight is how much likelier it is under the one than under the other. Differences from the authors' code
(p-lambda/dsir): words are those of `filters.segment`, so punctuation marks are none, and hashes are theirs instead of
SHA-256. The authors then draw documents with these weights; a rule with a threshold or a quantile takes the heaviest.
"""

from collections.abc import Iterable
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import learned_tables
from filters.assets import AssetError
from filters.batch import TextBatch
from filters.family import signal
from filters.learned_texts import batches
from filters.segment import HASH_PRIME

BUCKETS = 10_000
"""Buckets of the paper and of the authors' code."""

EPSILON = 1e-8
"""What is added to a bucket's probability before the logarithm, so that an empty bucket has one (authors' code)."""

KIND = "weights"
SCHEMA = pa.schema([pa.field("log_weight", pa.float64(), nullable=False)])

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]


class Importance:
    """The family `importance`, measured on the whole text."""

    name = "importance"
    version = 1
    schema = pa.schema(
        [
            signal(
                "log_weight",
                pa.float64(),
                """Sum over the text's words and pairs of neighbouring words of log(p_target + 1e-8) -
                log(p_raw + 1e-8) of their buckets; natural logarithm, rounded to 4 decimals. DSIR's log importance
                weight: it grows with the text's length.""",
            ),
            signal(
                "mean",
                pa.float64(),
                "`log_weight` over the number of words and pairs, rounded to 4 decimals; 0 for a text without words.",
            ),
        ]
    )

    def __init__(self, *, weights: Path | str | None = None, sha256: str | None = None) -> None:
        """Load the buckets' weights.

        Args:
            weights: A file made by `gristmill quality weights`; there is no default.
            sha256: The file's digest, which that command prints; None accepts any content.

        Raises:
            AssetError: No file is given, or it is missing, altered, no file of weights or of another segmentation.
        """
        table = learned_tables.load("importance.weights", weights, sha256, KIND, SCHEMA)
        self._weights = table["log_weight"].to_numpy()
        if len(self._weights) != BUCKETS or not np.isfinite(self._weights).all():
            raise AssetError(f"importance.weights: {weights} does not hold {BUCKETS:,} numbers")

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """Weigh every text of the batch; float64 [texts] each."""
        words = batch.words
        sums = _weigh(words.offsets, words.hashes, self._weights)
        grams = np.diff(words.offsets)
        grams = grams + np.maximum(grams - 1, 0)
        means = np.divide(sums, grams, out=np.zeros(len(sums)), where=grams > 0)
        return pa.record_batch([sums.round(4), means.round(4)], schema=self.schema)


def make(target: Iterable[str], raw: Iterable[str], path: Path) -> dict[str, object]:
    """Write the weights of `target` over `raw` to `path`.

    Returns `sha256` and the number of words and pairs on each side, `target` and `raw`. Raises ValueError where a side
    has fewer of them than there are buckets.
    """
    counts = {"target": count(target), "raw": count(raw)}
    totals = {side: int(buckets.sum()) for side, buckets in counts.items()}
    for side, total in totals.items():
        if total < BUCKETS:
            raise ValueError(f"{side}: {total:,} words and pairs of words are too few; {BUCKETS:,} are needed")
    logs = {side: np.log(buckets / totals[side] + EPSILON) for side, buckets in counts.items()}
    facts = {side: str(total) for side, total in totals.items()}
    digest = learned_tables.save(path, KIND, {"log_weight": pa.array(logs["target"] - logs["raw"])}, SCHEMA, facts)
    return {"sha256": digest, **totals}


def count(texts: Iterable[str]) -> Ints:
    """How many words and pairs of neighbouring words of the texts fall into each bucket: int64[10,000]."""
    counts = np.zeros(BUCKETS, np.int64)
    for batch in batches(texts):
        _count(batch.words.offsets, batch.words.hashes, counts)
    return counts


@numba.njit(cache=True, nogil=True)
def _bucket(word: np.uint64) -> np.int64:
    return np.int64(word % np.uint64(BUCKETS))


@numba.njit(cache=True, nogil=True)
def _pair_bucket(first: np.uint64, second: np.uint64) -> np.int64:
    mixed = (first * HASH_PRIME ^ second) * HASH_PRIME
    return _bucket(mixed ^ mixed >> np.uint64(32))


@numba.njit(cache=True, nogil=True)
def _count(offsets: Ints, hashes: Hashes, counts: Ints) -> None:
    for text in range(len(offsets) - 1):
        for word in range(offsets[text], offsets[text + 1]):
            counts[_bucket(hashes[word])] += 1
            if word > offsets[text]:
                counts[_pair_bucket(hashes[word - 1], hashes[word])] += 1


@numba.njit(cache=True, nogil=True)
def _weigh(offsets: Ints, hashes: Hashes, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Per text the sum of the weights, words and pairs in the order in which they end: float64[n]."""
    sums = np.zeros(len(offsets) - 1)
    for text in range(len(offsets) - 1):
        for word in range(offsets[text], offsets[text + 1]):
            sums[text] += weights[_bucket(hashes[word])]
            if word > offsets[text]:
                sums[text] += weights[_pair_bucket(hashes[word - 1], hashes[word])]
    return sums
