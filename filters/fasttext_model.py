"""A fastText classifier: loaded once per process from a checked file, asked one line at a time."""

from functools import cache
from pathlib import Path

from fasttext.FastText import _FastText

from filters.assets import AssetError, asset

# fastText splits words at these bytes, but a line feed also ends the text, and so does the word `</s>`.
_SEPARATORS = bytes(0x20 if byte in b"\0\t\n\v\f\r" else byte for byte in range(256))
_LABEL_PREFIX = "__label__"


class FastTextModel:
    """Predicts the best labels of a text, without fastText's Python wrapper, which copies and warns."""

    def __init__(self, path: Path) -> None:
        """Raises `ValueError` where the file is no fastText classifier."""
        model = _FastText(model_path=str(path))
        labels: list[str] = model.get_labels()
        if not labels or not labels[0].startswith(_LABEL_PREFIX):
            raise ValueError(f"{path} is a fastText model, but none that was trained with labels")
        self._predict = model.f.predict
        self.labels = [label.removeprefix(_LABEL_PREFIX) for label in labels]

    def predict(self, text: bytes) -> tuple[str, float]:
        """The best label, without its prefix, and its probability (0 to 1) for UTF-8 text, read as one line.

        Even an empty text gets a label, from the model's prior; a caller that minds asks only about words.
        """
        return self.best(text, 1)[0]

    def best(self, text: bytes, k: int) -> list[tuple[str, float]]:
        """The k best labels with their probabilities, as `predict` has them, the best first; all where there are fewer.

        Labels of a probability below 1e-5 (fastText's least logarithm) may be missing.
        """
        line = text.translate(_SEPARATORS).replace(b"</s>", b" ") + b"\n"
        found = self._predict(line, k, 0.0, "strict")
        # Floats add up to 1.00001 at times.
        return [(label.removeprefix(_LABEL_PREFIX), min(probability, 1.0)) for probability, label in found]


@cache
def load(option: str, path: Path, sha256: str | None) -> FastTextModel:
    """The model in a file; see `filters.assets.asset` for the arguments.

    Raises:
        AssetError: The file is missing, altered or not a fastText classifier.
    """
    try:
        return FastTextModel(asset(option, path, sha256))
    except ValueError as error:
        raise AssetError(f"{option}: {error}") from error
