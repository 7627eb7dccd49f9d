"""Toxicity: how hateful or insulting a text is, its worst passage, and how much of it is so.

The model, its data and its limits are described in `models/toxicity.md`; `toxicity_training.py` made it.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from filters import fasttext_model
from filters.assets import AssetError
from filters.batch import TextBatch
from filters.family import signal
from filters.fasttext_model import FastTextModel

MODEL = Path(__file__).parent / "models" / "toxicity.ftz"
MODEL_SHA256 = "d41dac8d0bfc13971f546417959f7c990c96069b0d1962b927dfb4d9e0ed5708"
TOXIC = "toxic"
THRESHOLD = 0.5
PASSAGE = 500

# ASCII punctuation separates words, but for what stands inside of them, in "don't" and in "f*ck" or "a$$".
_WORDS = bytes(byte if byte > 0x7F or chr(byte).isalnum() or chr(byte) in "'*$" else 0x20 for byte in range(256))


class Toxicity:
    """The family `toxicity`, measured on the whole text, passage by passage.

    A passage is what `passages` cuts; its score is the model's probability of the label `toxic`. Passages without a
    word count for nothing; a text without words scores 0.
    """

    name = "toxicity"
    version = 1
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
        ]
    )

    def __init__(self, *, model: Path | str = MODEL, sha256: str | None = None) -> None:
        """Load a fastText classifier with a label `toxic`.

        Args:
            model: The model's file, by default the one in this package, which is checked against its digest.
            sha256: The digest of a model of one's own.

        Raises:
            AssetError: The file is missing, altered, no fastText classifier or one without that label.
        """
        model = Path(model)
        digest = sha256 if model != MODEL else sha256 or MODEL_SHA256
        self._model = fasttext_model.load("toxicity.model", model, digest)
        if TOXIC not in self._model.labels:
            raise AssetError(f"toxicity.model: {model} has no label {TOXIC}")

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """Measure every text of the batch; columns float64 [texts] as in `schema`."""
        rows = np.array([self._measure(text) for text in batch.texts.to_pylist()], np.float64).reshape(-1, 3)
        return pa.record_batch(list(rows.round(4).T.copy()), schema=self.schema)

    def _measure(self, text: str) -> tuple[float, float, float]:
        total = bad = size = 0.0
        worst = 0.0
        for words in map(features, passages(text)):
            if words.isspace():
                continue
            probability = score(self._model, words)
            total += probability * len(words)
            bad += (probability > THRESHOLD) * len(words)
            size += len(words)
            worst = max(worst, probability)
        return (total / size, worst, bad / size) if size else (0.0, 0.0, 0.0)


def score(model: FastTextModel, words: bytes) -> float:
    """The probability, 0 to 1, that what `features` made of a passage is toxic."""
    label, probability = model.predict(words)
    return probability if label == TOXIC else 1 - probability


def passages(text: str) -> Iterator[str]:
    """Cut a text into passages of at most 500 characters that together are the text.

    A passage ends behind the last line end in the second half of that room, or else behind the last full stop, or else
    behind the last space, or else in the middle of a word. 500 characters are about the length of the longer comments
    that the model learnt from.
    """
    start = 0
    while len(text) - start > PASSAGE:
        half, end = start + PASSAGE // 2, start + PASSAGE
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
