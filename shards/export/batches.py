"""What every format is written from: sequences of tokens, a few megabytes at a time."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shards.format import SetHeader
from shards.order import Int64
from shards.read import Split, Tokens

BATCH_TOKENS: Final = 1 << 20


class Batch(NamedTuple):
    """Sequences end to end: `tokens` uint16 or uint32 [sum of lengths], `lengths` int64 [n], each at least 1."""

    tokens: Tokens
    lengths: Int64

    def sequences(self) -> Iterator[Tokens]:
        """The sequences one by one."""
        end = 0
        for length in self.lengths.tolist():
            yield self.tokens[end : end + length]
            end += length


def rows(split: Split, header: SetHeader, keep_padding: bool) -> Iterator[Batch]:
    """The rows of a split in their order, [L + 1] tokens each; or only their real tokens.

    Without padding, a row that holds nothing else (its documents were removed) is left out.
    """
    per_batch = max(1, BATCH_TOKENS // header.width)
    for begin in range(0, len(split), per_batch):
        tokens = split.rows(np.arange(begin, min(begin + per_batch, len(split))))
        if keep_padding:
            yield Batch(tokens.reshape(-1), np.full(len(tokens), header.width, np.int64))
        else:
            real = tokens != header.padding_id
            lengths = real.sum(axis=1)
            yield Batch(tokens[real], lengths[lengths > 0])


def groups(batches: Iterator[Batch], most: int) -> Iterator[Iterator[Batch]]:
    """Consecutive batches in groups of at most `most` tokens, one group a file; a larger batch is a group of its own.

    Nothing is held but the next batch: a group must be read to its end before the next one is asked for.
    """
    pending = next(batches, None)

    def group() -> Iterator[Batch]:
        nonlocal pending
        size = 0
        while pending is not None and (size == 0 or size + len(pending.tokens) <= most):
            size += len(pending.tokens)
            yield pending
            pending = next(batches, None)

    while pending is not None:
        yield group()


def little_endian(values: npt.NDArray[np.integer], dtype: npt.DTypeLike) -> memoryview:
    """The bytes of `values` as `dtype`, the lowest byte first on any machine; no copy where they are that already."""
    return np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<")).data
