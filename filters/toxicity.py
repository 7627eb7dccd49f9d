"""Toxicity: how hateful or insulting a text is, its worst passage, how much of it is so, and a second opinion.

The model, its data and its limits are described in `models/toxicity.md`; `toxicity_training.py` made it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import fasttext_model
from filters.assets import AssetError
from filters.batch import TextBatch
from filters.detoxify import Detoxify
from filters.family import signal
from filters.fasttext_model import FastTextModel

MODEL = Path(__file__).parent / "models" / "toxicity.ftz"
MODEL_SHA256 = "6c594592b79dc3788698c41edaea05ec42ccff76afa4b89b508029e6f602ced2"
TOXIC = "toxic"
THRESHOLD = 0.5
PASSAGE = 500
# What the second opinion sees: 2,000 characters of English are about the 512 tokens that its models can read.
STRETCH = 2000
STRETCHES = 8

# ASCII punctuation separates words, but for what stands inside of them, in "don't" and in "f*ck" or "a$$".
_WORDS = bytes(byte if byte > 0x7F or chr(byte).isalnum() or chr(byte) in "'*$" else 0x20 for byte in range(256))


class Toxicity:
    """The family `toxicity`, measured on the text after edits, passage by passage.

    A passage is what `passages` cuts; its score is the model's probability of the label `toxic`. Passages without a
    word count for nothing; a text without words scores 0.

    The second opinion is Detoxify's, asked where the first score is in a band. It is the answer to the same question,
    how toxic the text is as a whole: a text of up to 2,000 characters is read at once, of a longer one up to 8
    stretches of 2,000 characters from beginning to end at equal distances, so that a book costs no more than a long
    page.
    """

    name = "toxicity"
    version = 3
    schema = pa.schema(
        [
            signal(
                "score",
                pa.float64(),
                "Mean of the passages' scores, weighted by their length in bytes; 0 to 1, rounded to 4 decimals.",
            ),
            signal("worst", pa.float64(), "The highest score of a passage; 0 to 1, rounded to 4 decimals."),
            signal(
                "share",
                pa.float64(),
                f"Share of the text's bytes in passages that score above {THRESHOLD}; 0 to 1, rounded to 4 decimals.",
            ),
            signal(
                "second_score",
                pa.float64(),
                "Mean of Detoxify's `toxicity` of the text's stretches, weighted by their length in bytes; 0 to 1, "
                "rounded to 4 decimals; null where it was not asked.",
            ).with_nullable(True),
        ]
    )

    def __init__(
        self, *, model: Path | str = MODEL, sha256: str | None = None, second: Mapping[str, Any] | None = None
    ) -> None:
        """Load a fastText classifier with a label `toxic`, and Detoxify where a second opinion is wanted.

        Args:
            model: The classifier's file, by default the one in this package, which is checked against its digest.
            sha256: The digest of a model of one's own.
            second: `directory` and `digests` of `filters.detoxify.Detoxify`, and `band`: the lowest and the highest
                `score` with which a text goes to it.

        Raises:
            AssetError: A file is missing, altered, no fastText classifier or one without that label, no Detoxify.
            ValueError: The band is none.
        """
        model = Path(model)
        digest = sha256 if model != MODEL else sha256 or MODEL_SHA256
        self._model = fasttext_model.load("toxicity.model", model, digest)
        if TOXIC not in self._model.labels:
            raise AssetError(f"toxicity.model: {model} has no label {TOXIC}")
        self._second = None
        if second is not None:
            self._second = _Second(**second)

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """Measure every text of the batch; columns float64 [texts] as in `schema`."""
        texts = batch.texts.to_pylist()
        rows = self._measure(texts).round(4)
        second = self._second(texts, rows[:, 0]) if self._second else np.full(len(texts), np.nan)
        columns = [*rows.T.copy(), pa.array(second.round(4), from_pandas=True)]
        return pa.record_batch(columns, schema=self.schema)

    def _measure(self, texts: list[str]) -> NDArray[np.float64]:
        """`score`, `worst` and `share` of each text: float64[texts, 3]."""
        cut = [[words for words in map(features, passages(text)) if not words.isspace()] for text in texts]
        found = scores(self._model, [words for passages in cut for words in passages])
        sizes = np.array([len(words) for passages in cut for words in passages], np.float64)
        rows, begin = np.zeros((len(texts), 3)), 0
        for row, words in zip(rows, cut):
            own = slice(begin, begin := begin + len(words))
            if words:
                total = sizes[own].sum()
                bad = sizes[own][found[own] > THRESHOLD].sum()
                row[:] = found[own] @ sizes[own] / total, found[own].max(), bad / total
        return rows


class _Second:
    """Asks Detoxify about the texts whose first score lies in a band."""

    def __init__(self, *, directory: Path | str, digests: Mapping[str, str], band: tuple[float, float]) -> None:
        low, high = band
        if not 0 <= low <= high <= 1:
            raise ValueError(f"second.band: wanted are two scores between 0 and 1, the lower first, not {low}, {high}")
        self._low, self._high = low, high
        self._detoxify = Detoxify(directory, digests)

    def __call__(self, texts: list[str], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Detoxify's scores of the texts with scores in the band, NaN for the others and those without words."""
        asked = np.flatnonzero((scores >= self._low) & (scores <= self._high))
        seen = [(text, stretch) for text in asked for stretch in stretches(texts[text])]
        if not seen:
            return np.full(len(texts), np.nan)
        owners = np.array([text for text, _ in seen])
        weights = np.array([len(stretch.encode("utf-8", "replace")) for _, stretch in seen], np.float64)
        weighted = weights * self._detoxify([stretch for _, stretch in seen])
        total, size = (np.bincount(owners, values, len(texts)) for values in (weighted, weights))
        return np.divide(total, size, out=np.full(len(texts), np.nan), where=size > 0)


def stretches(text: str) -> list[str]:
    """What the second opinion sees of a text: at most 8 stretches of up to 2,000 characters, those without words not.

    Of more than 8 the first, the last and those between them at equal distances.
    """
    cut = [stretch for stretch in passages(text, STRETCH) if not features(stretch).isspace()]
    if len(cut) > STRETCHES:
        cut = [cut[i] for i in np.linspace(0, len(cut) - 1, STRETCHES).round().astype(int)]
    return cut


def scores(model: FastTextModel, words: list[bytes]) -> NDArray[np.float64]:
    """The probability, 0 to 1, that what `features` made of passages is toxic: float64[passages]."""
    return model.share(TOXIC, words)


def passages(text: str, size: int = PASSAGE) -> Iterator[str]:
    """Cut a text into passages of at most `size` characters that together are the text.

    A passage ends behind the last line end in the second half of that room, or else behind the last full stop, or else
    behind the last space, or else in the middle of a word. 500 characters are about the length of the longer comments
    that the model learnt from.
    """
    start = 0
    while len(text) - start > size:
        half, end = start + size // 2, start + size
        cut = text.rfind("\n", half, end) + 1 or text.rfind(". ", half, end) + 2
        if cut < half:
            cut = text.rfind(" ", half, end) + 1 or end
        yield text[start:cut]
        start = cut
    if start < len(text):
        yield text[start:]


def features(passage: str) -> bytes:
    """What the model sees of a passage: lower case, UTF-8, words separated by spaces instead of ASCII punctuation."""
    return passage.lower().replace("’", "'").encode("utf-8", "replace").translate(_WORDS)
