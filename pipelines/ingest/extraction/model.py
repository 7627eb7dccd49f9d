"""The shipped model: two sets of boosted trees and the threshold, in one file of arrays."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.ingest.extraction import features
from pipelines.ingest.extraction.trees import Trees

FILE = Path(__file__).parent / "models" / "blocks.npz"


class Model(NamedTuple):
    """`first`: trees over features.NAMES; `second`: over these and agreement.NAMES; `threshold`: what stays."""

    first: Trees
    second: Trees
    threshold: float


@cache
def shipped() -> Model:
    """The model in the package."""
    return load(FILE)


def load(path: Path) -> Model:
    """A model that `save` wrote. Raises ValueError for one of other features."""
    with np.load(path, allow_pickle=False) as file:
        if int(file["features"]) != len(features.NAMES):
            raise ValueError(f"{path.name} was trained on other features: train it again")
        first, second = (Trees(*(file[f"{part}_{name}"] for name in Trees._fields)) for part in ("first", "second"))
        return Model(first, second, float(file["threshold"]))


def save(path: Path, model: Model) -> None:
    """Write a model."""
    arrays = {
        f"{part}_{name}": values
        for part in ("first", "second")
        for name, values in getattr(model, part)._asdict().items()
    }
    np.savez_compressed(path, features=len(features.NAMES), threshold=model.threshold, **arrays)
