"""Batches out of shards. A run's place in the data is one integer, the number of rows consumed.

Which rows make up a batch is a pure function of (order digest, mixing weights, seed, position), see `shards.reading`;
so a run resumes exactly, on any number of processes, and any step can be turned back into its documents.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple, Self

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shards.extents import extents
from shards.format import ShardError
from shards.read import Split, Tokens
from shards.reading import Reading

IGNORE: Final = -100  # the target that no loss counts: torch's cross_entropy default

Int64 = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """B rows of L tokens, all int64 [B, L]."""

    inputs: Tensor
    targets: Tensor  # the token after each input; IGNORE where that is padding or of another document
    documents: Tensor  # equal numbers: one document; 0: padding
    positions: Tensor  # place in the piece of the document that lies in this row

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`, but for `documents`: shapes follow from them, and a GPU would be waited for."""
        inputs, targets, positions = (
            tensor.to(device, non_blocking=True) for tensor in (self.inputs, self.targets, self.positions)
        )
        return Batch(inputs, targets, self.documents, positions)

    def pinned(self) -> Batch:
        """The batch in memory that CUDA copies from while it computes."""
        return Batch(*(tensor.pin_memory() for tensor in self))

    def split(self, rows: int) -> Iterator[Batch]:
        """The batch in parts of `rows` rows, the last one maybe smaller."""
        for parts in zip(*(tensor.split(rows) for tensor in self)):
            yield Batch(*parts)


def read_batch(split: Split, rows: Int64) -> Batch:
    """Rows `rows` [B] of a split as a batch.

    A document's first token is nobody's target: what comes before it in the row belongs to another document, which it
    does not see. A piece that continues a document of another row starts at position 0, as what precedes is not there;
    the three pieces of a fill-in-the-middle unit are read as one document. A row may be all padding: it has no targets.
    Raises ShardError, which names the file, for one that is damaged or holds a token outside the vocabulary.
    """
    tokens = split.rows(rows)
    _check_vocabulary(split, rows, tokens)
    batch = Batch(*(torch.empty(len(tokens), tokens.shape[1] - 1, dtype=torch.int64) for _ in Batch._fields))
    _fill(tokens, *extents(split, np.asarray(rows, np.int64)), *(tensor.numpy() for tensor in batch))
    return batch


def _check_vocabulary(split: Split, rows: Int64, tokens: Tokens) -> None:
    largest = tokens.max(axis=1, initial=0)
    if len(largest) and largest.max() >= (size := split.files[0].shared.vocabulary_size):
        file, row = split.locate(int(rows[largest.argmax()]))
        raise ShardError(file.entry.name, f"row {row} holds token {largest.max()} of a vocabulary of {size}")


@numba.njit(cache=True, nogil=True)
def _fill(
    tokens: npt.NDArray[np.integer],
    place: Int64,
    first: Int64,
    end: Int64,
    inputs: Int64,
    targets: Int64,
    documents: Int64,
    positions: Int64,
) -> None:
    """Fill a batch's arrays [B, L] from tokens [B, L + 1] and the extents of its documents, numbered from 1."""
    context = inputs.shape[1]
    for row in range(len(tokens)):
        for i in range(context):
            inputs[row, i] = tokens[row, i]
            targets[row, i], documents[row, i], positions[row, i] = IGNORE, 0, 0
    for document in range(len(place)):
        row = place[document]
        for i in range(first[document], min(end[document], context)):
            documents[row, i] = document + 1
            positions[row, i] = i - first[document]
        for i in range(first[document], end[document] - 1):
            targets[row, i] = tokens[row, i + 1]


class Loader:
    """Training batches of a split, as a config says. Holds no state."""

    def __init__(self, split: Split, reading: Reading):
        """Raises ValueError, naming the bucket, where the weights do not fit the split."""
        self.split = split
        self.reading = reading
        self.order = reading.order(split)

    def rows(self, position: int, count: int) -> Int64:
        """Rows of the split, int64 [count], that are read after `position` others."""
        return self.order.at(np.arange(position, position + count))[1]

    def batch(self, position: int, count: int, rank: int = 0, world: int = 1) -> Batch:
        """What process `rank` of `world` reads of the `count` rows from `position` on: one stretch of them.

        The stretches of all processes are the rows that one process alone would read. Raises ValueError where there are
        fewer rows than processes.
        """
        if count < world:
            raise ValueError(f"a batch of {count} rows cannot be shared by {world} processes: raise batch_tokens")
        rows = self.rows(position, count)
        return read_batch(self.split, rows[rank * count // world : (rank + 1) * count // world])


class Prefetched:
    """The batches of steps `step` to `last`, in order, the next one read by a thread while a step is computed.

    `waited`: seconds that the latest `next` had to wait. A failure of the thread is raised by `next`. Use it as a
    context manager, or `close` it: that ends the thread, whatever it is about.
    """

    def __init__(self, loader: Loader, step: int, last: int, rank: int = 0, world: int = 1, pin: bool = False):
        self.waited = 0.0
        self.reading = loader.reading
        self._loader, self._share, self._pin = loader, (rank, world), pin
        self._step, self._last = step, last
        self._thread = ThreadPoolExecutor(1, "prefetch")
        self._next: Future[Batch] | None = None
        self._submit()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        if self._next is None:
            raise StopIteration
        started = time.perf_counter()
        batch = self._next.result()
        self.waited = time.perf_counter() - started
        self._submit()
        return batch

    def _submit(self) -> None:
        self._next = self._thread.submit(self._read, self._step) if self._step <= self._last else None
        self._step += 1

    def _read(self, step: int) -> Batch:
        batch = self._loader.batch(*self._loader.reading.at(step), *self._share)
        return batch.pinned() if self._pin else batch

    def close(self) -> None:
        """End the thread; there is no next batch any more."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._next = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def spread_rows(split: Split, most: int) -> Int64:
    """At most `most` rows of a split, evenly spaced, so that every bucket has its share.

    Of a bucket so small that it has none of them, its first row too, though that be more than `most`.
    """
    count = min(most, len(split))
    even = np.arange(count, dtype=np.int64) * len(split) // max(1, count)
    buckets = {split.locate(row)[0].entry.bucket for row in even.tolist()}
    small, begin = dict[str, int](), 0
    for file in split.files:
        if file.entry.rows and file.entry.bucket not in buckets:
            small.setdefault(file.entry.bucket, begin)
        begin += file.entry.rows
    return np.union1d(even, np.array(list(small.values()), np.int64))
