"""Batches out of shards. A run's place in the data is one integer, the number of rows consumed.

Which rows make up a batch is a pure function of (order digest, seed, position), see `shards.order`; so a run resumes
exactly, and any step can be turned back into its documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shards.read import Split

IGNORE: Final = -100  # the target that no loss counts: torch's cross_entropy default

Int64 = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """B rows of L tokens, all int64 [B, L]."""

    inputs: Tensor
    targets: Tensor  # the token after each input; IGNORE where that is padding or of another document
    documents: Tensor  # equal numbers: one document; 0: padding
    positions: Tensor  # place in the piece of the document that lies in this row

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))

    def split(self, rows: int) -> Iterator[Batch]:
        """The batch in parts of `rows` rows, the last one maybe smaller."""
        for parts in zip(*(tensor.split(rows) for tensor in self)):
            yield Batch(*parts)


def read_batch(split: Split, rows: Int64) -> Batch:
    """Rows `rows` [B] of a split as a batch.

    A document's first token is nobody's target: what comes before it in the row belongs to another document, which it
    does not see. A piece that continues a document of another row starts at position 0, as what precedes is not there.
    """
    tokens = split.rows(rows).astype(np.int64)
    documents, positions = _borders([split.pieces(int(row)) for row in rows], tokens.shape[1])
    predictable = (documents[:, 1:] == documents[:, :-1]) & (documents[:, 1:] > 0)
    targets = np.where(predictable, tokens[:, 1:], IGNORE)
    arrays = (tokens[:, :-1], targets, documents[:, :-1], positions[:, :-1])
    return Batch(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def _borders(pieces: list[npt.NDArray[np.void]], width: int) -> tuple[Int64, Int64]:
    """Document numbers from 1 (0: padding) and positions in the piece, int64 [rows, width] each."""
    documents, positions = np.zeros((2, len(pieces), width), np.int64)
    every = np.concatenate(pieces)
    row = np.repeat(np.arange(len(pieces)), [len(p) for p in pieces])
    length = every["length"].astype(np.int64)
    inside = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    place = np.repeat(row * width + every["start"], length) + inside
    documents.reshape(-1)[place] = np.repeat(np.arange(1, len(every) + 1), length)
    positions.reshape(-1)[place] = inside
    return documents, positions


class Loader:
    """Training batches of `batch_rows` rows of a split in the order of `seed`. Holds no state."""

    def __init__(self, split: Split, seed: int, batch_rows: int):
        self.split = split
        self.order = split.order(seed)
        self.batch_rows = batch_rows

    def rows(self, position: int) -> Int64:
        """Rows of the split, int64 [batch_rows], read by the step that starts at `position`."""
        return self.order.at(np.arange(position, position + self.batch_rows))[1]

    def batch(self, position: int) -> Batch:
        """The batch that starts at `position` (rows consumed before it)."""
        return read_batch(self.split, self.rows(position))


def spread_rows(split: Split, most: int) -> Int64:
    """At most `most` rows of a split, evenly spaced, so that every bucket has its share."""
    count = min(most, len(split))
    return np.arange(count, dtype=np.int64) * len(split) // max(1, count)
