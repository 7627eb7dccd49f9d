"""A fastText classifier: loaded once per process from a checked file, asked many lines at a time."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from filters import fasttext_file
from filters.assets import AssetError, asset
from filters.fasttext_kernel import Engine

_LABEL_PREFIX = "__label__"


class FastTextModel:
    """Gives the labels of texts, each UTF-8 and read as one line, the probabilities that fastText gives them."""

    def __init__(self, path: Path) -> None:
        """Raises `ValueError` where the file is no fastText classifier."""
        model = fasttext_file.read(path)
        if not model.labels[0].startswith(_LABEL_PREFIX):
            raise ValueError(f"{path} is a fastText model, but none that was trained with labels")
        self.labels = [label.removeprefix(_LABEL_PREFIX) for label in model.labels]
        self._engine = Engine(model)

    def probabilities(self, texts: list[bytes]) -> NDArray[np.float64]:
        """Of each text and label, 0 to 1: float64[texts, labels].

        Even an empty text gets them, from the model's prior; a caller that minds asks only about words.
        """
        return np.minimum(self._engine.probabilities(texts).astype(np.float64), 1.0)

    def best(self, texts: list[bytes], k: int) -> list[list[tuple[str, float]]]:
        """For each text the k best labels with their probabilities, the best first; all where there are fewer.

        Labels of a probability below 1e-5 (fastText's least logarithm) may be missing.
        """
        found = self.probabilities(texts)
        order = np.argsort(-found, axis=1, kind="stable")[:, :k]
        values = np.take_along_axis(found, order, axis=1).tolist()
        names = [[self.labels[i] for i in row] for row in order.tolist()]
        return [[pair for pair in zip(*row) if pair[1] > 0] for row in zip(names, values)]

    def predict(self, text: bytes) -> tuple[str, float]:
        """The best label of a text, and its probability."""
        return self.best([text], 1)[0][0]

    def share(self, label: str, texts: list[bytes]) -> NDArray[np.float64]:
        """The probability of `label`, one of the model's two, or what that of the better one leaves it: float64[n]."""
        found = self.probabilities(texts)
        place = self.labels.index(label)
        own, other = found[:, place], found[:, 1 - place]
        return np.where(own >= other, own, 1 - other)


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
