"""fastText's model files (`.bin`, `.ftz`), read as arrays.

Layout: fastText 0.9.2 (Joulin et al. 2016, arXiv 1607.01759 and 1612.03651), `FastText::saveModel` and what it calls;
all numbers are little-endian.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

_MAGIC, _VERSIONS = 793712314, (11, 12)
_SUPERVISED = 3
HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4
_ARGUMENTS = ("dim", "ws", "epoch", "min_count", "neg", "word_ngrams", "loss", "model", "bucket", "minn", "maxn", "lr")
_CENTROIDS = 256  # of each part of a quantised row

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


class ModelFile(NamedTuple):
    """A classifier as it lies in its file."""

    dim: int
    word_ngrams: int
    loss: int
    bucket: int
    minn: int
    maxn: int
    words: Bytes  # all entries of the dictionary one after the other, each with a NUL behind it
    word_begins: Ints  # [words + 1]
    labels: list[str]
    label_counts: Ints
    kept: NDArray[np.int32]  # [bucket]: the row of an n-gram behind those of the words, or -1; empty where all are kept
    rows: Floats  # [n, dim]: of words, then of n-grams
    output: Floats  # [labels, dim]


def read(path: Path) -> ModelFile:
    """Read a classifier. A matrix that is not quantised stays on disk where it happens to be aligned, or is copied.

    Raises ValueError where the file is damaged or no fastText classifier.
    """
    file = _Reader(path)
    magic, version = file.numbers(np.int32, 2).tolist()
    if magic != _MAGIC or version not in _VERSIONS:
        raise ValueError(f"{path} is no fastText model")
    arguments = dict(zip(_ARGUMENTS, file.numbers(np.int32, len(_ARGUMENTS)).tolist()))
    file.numbers(np.float64, 1)  # sampling, which is training's
    if arguments["model"] != _SUPERVISED:
        raise ValueError(f"{path} is a fastText model, but none that was trained with labels")
    if version == 11:
        arguments["maxn"] = 0  # its classifiers had no character n-grams
    size, words, labels = file.numbers(np.int32, 3).tolist()
    _tokens, pruned = file.numbers(np.int64, 2).tolist()
    entries, begins, counts = file.entries(size)
    if not 0 <= words + labels == size or not labels:
        raise ValueError(f"{path}: its dictionary has no labels")
    bucket = arguments["bucket"]
    kept = np.empty(0, np.int32)
    if bucket < 0:
        raise ValueError(f"{path}: a negative number of n-grams")
    if pruned >= 0:
        pairs = file.numbers(np.int32, 2 * pruned).reshape(-1, 2)
        if pairs.size and (pairs.min() < 0 or pairs[:, 0].max() >= bucket):
            raise ValueError(f"{path}: its n-grams are damaged")
        kept = np.full(bucket, -1, np.int32)
        kept[pairs[:, 0]] = pairs[:, 1]
    is_quantised = bool(file.numbers(np.uint8, 1)[0])
    rows = file.quantised() if is_quantised else file.dense()
    output_is_quantised = bool(file.numbers(np.uint8, 1)[0]) and is_quantised
    output = file.quantised() if output_is_quantised else file.dense()
    # Kernels read rows without looking whether they are there.
    needed = words + (bucket if pruned < 0 else int(kept.max(initial=-1)) + 1)
    if rows.shape[0] < needed or rows.shape[1] != arguments["dim"] or output.shape != (labels, arguments["dim"]):
        raise ValueError(f"{path}: its matrices are not of the size that its dictionary wants")
    names = [bytes(entries[begins[i] : begins[i + 1] - 1]).decode("utf-8", "replace") for i in range(words, size)]
    return ModelFile(
        arguments["dim"],
        arguments["word_ngrams"],
        arguments["loss"],
        bucket,
        arguments["minn"],
        arguments["maxn"],
        entries[: begins[words]],
        begins[: words + 1],
        names,
        counts[words:],
        kept,
        rows,
        output,
    )


class _Reader:
    """A mapped file, read from front to back. Each method raises ValueError at the end of the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: Bytes = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
        self.at = 0

    def numbers(self, kind: type[np.generic], count: int) -> NDArray[np.generic]:
        size = np.dtype(kind).itemsize * count
        if count < 0 or self.at + size > len(self.data):
            raise ValueError(f"{self.path} ends too soon, or is no fastText model")
        self.at += size
        return np.frombuffer(self.data, kind, count, self.at - size)

    def entries(self, size: int) -> tuple[Bytes, Ints, Ints]:
        """The dictionary's entries with a NUL behind each, where they begin [size + 1], and how often each occurred."""
        begins, counts, end = _entries(self.data, self.at, max(0, size))
        if end < 0:
            raise ValueError(f"{self.path}: its dictionary is damaged")
        lengths = _lengths(self.data, begins)
        self.at = end
        borders = np.concatenate([[0], np.cumsum(lengths)])
        texts = np.concatenate([np.empty(0, np.uint8), *(self.data[b : b + n] for b, n in zip(begins, lengths))])
        return texts, borders, counts

    def dense(self) -> Floats:
        """A matrix of floats, [n, m], still on disk."""
        n, m = self.numbers(np.int64, 2).tolist()
        # A row begins where it will, and arrays of floats want multiples of four.
        values = self.numbers(np.uint8, 4 * n * m)
        return (
            values.view(np.float32).reshape(n, m) if self.at % 4 == 0 else values.copy().view(np.float32).reshape(n, m)
        )

    def quantised(self) -> Floats:
        """A matrix of rows cut into parts, each the number of a centroid, and scaled by a norm; as floats, [n, m]."""
        has_norms = bool(self.numbers(np.uint8, 1)[0])
        n, dim = self.numbers(np.int64, 2).tolist()
        (size,) = self.numbers(np.int32, 1).tolist()
        codes = self.numbers(np.uint8, size)
        centroids = self.centroids()
        parts = len(centroids)
        if size != n * parts:
            raise ValueError(f"{self.path}: its matrix is damaged")
        codes = codes.reshape(n, parts)
        rows = np.hstack([centroids[part, codes[:, part]] for part in range(parts)])[:, :dim]
        if has_norms:
            numbers = self.numbers(np.uint8, n)
            rows *= self.centroids()[0, numbers]
        return np.ascontiguousarray(rows)

    def centroids(self) -> Floats:
        """[parts, 256, width]; the last part may be narrower and is filled up with zeros."""
        dim, parts, width, last = self.numbers(np.int32, 4).tolist()
        if not (parts > 0 and (parts - 1) * width + last == dim and 0 < last <= width):
            raise ValueError(f"{self.path}: its quantiser is damaged")
        values = self.numbers(np.uint8, 4 * dim * _CENTROIDS).copy().view(np.float32)
        table = np.zeros((parts, _CENTROIDS, width), np.float32)
        whole = (parts - 1) * _CENTROIDS * width
        table[:-1] = values[:whole].reshape(parts - 1, _CENTROIDS, width)
        table[-1, :, :last] = values[whole:].reshape(_CENTROIDS, last)
        return table


@numba.njit(cache=True, nogil=True)
def _entries(data: Bytes, at: int, size: int) -> tuple[Ints, Ints, int]:
    """Where entries begin, their counts, and where what follows begins; -1 where the data end before."""
    begins, counts = np.empty(size, np.int64), np.empty(size, np.int64)
    for i in range(size):
        begins[i] = at
        while at < len(data) and data[at]:
            at += 1
        if at + 10 > len(data):
            return begins, counts, -1
        at += 1
        count = np.int64(0)
        for byte in range(8):
            count |= np.int64(data[at + byte]) << (8 * byte)
        counts[i] = count
        at += 9  # the count, and what kind of entry it is: words come first, then labels
    return begins, counts, at


@numba.njit(cache=True, nogil=True)
def _lengths(data: Bytes, begins: Ints) -> Ints:
    """The length of each entry with its NUL."""
    lengths = np.empty(len(begins), np.int64)
    for i, begin in enumerate(begins):
        at = begin
        while data[at]:
            at += 1
        lengths[i] = at + 1 - begin
    return lengths
