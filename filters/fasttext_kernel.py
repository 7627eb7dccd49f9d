"""What a fastText classifier makes of a text: its vector, by kernels over UTF-8 bytes, and the labels' probabilities.

The same numbers as fastText 0.9.2 gives, but for the last bits of floats: `Dictionary::getLine`, `Model::predict` and
the losses' `predict`. fastText's own code asks a hash map of strings for each word and one of numbers for each n-gram;
here both are arrays, and the words seen last are remembered. Measured once: lid.176 takes two fifths of the time, the
toxicity model three fifths, a model of words alone as much as before.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from filters.fasttext_file import HIERARCHICAL, NEGATIVE, ONE_VS_ALL, SOFTMAX, Bytes, Floats, Ints, ModelFile

_EOS, _LABEL = tuple(b"</s>"), tuple(b"__label__")
_FNV_START, _FNV_PRIME = 2166136261, 16777619  # of the 32-bit FNV-1a hash, over signed bytes
_NGRAM_FACTOR = 116049371
_LEAST = 1e-5  # what fastText adds to a probability before it takes its logarithm
_SIGMOID_SIZE, _SIGMOID_MAX = 512, 8  # of its table
_HELD = 4096  # words whose sums are held, a power of two

# Plain tuples: a class of one's own would be pickled into Numba's cache.
Words = tuple[Bytes, Ints, NDArray[np.int32]]
"""Entries one behind the other, where they begin, and a table of a power of two places: the number of the entry with
that hash, or with the hash of a place before it; -1 where there is none."""
Ngrams = tuple[NDArray[np.int32], NDArray[np.uint64], np.uint64, np.uint64]
"""`ModelFile.kept`, a bit for each of them, `bucket`, and what divides by it."""

_kernel = numba.njit(cache=True, nogil=True)
_inline = numba.njit(cache=True, nogil=True, inline="always")


class Engine:
    """Probabilities of all labels for many texts at once."""

    def __init__(self, model: ModelFile) -> None:
        """Raises ValueError for a loss that fastText does not have."""
        if model.loss not in (HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL):
            raise ValueError(f"a fastText model with an unknown loss, number {model.loss}")
        count = len(model.word_begins) - 1
        table = np.full(1 << max(1, (2 * count).bit_length()), -1, np.int32)
        _fill(model.words, model.word_begins, table)
        bits = np.packbits(model.kept >= 0, bitorder="little")
        # A bit for each n-gram: most have no row, and this much fits a processor's cache.
        is_kept = np.concatenate([bits, np.zeros(-len(bits) % 8, np.uint8)]).view(np.uint64)
        bucket = max(1, model.bucket)
        magic = (2**64 - 1) // bucket + 1 if bucket > 1 else 0  # see _remainder
        self._words = (model.words, model.word_begins, table)
        self._ngrams = (model.kept, is_kept, np.uint64(bucket), np.uint64(magic))
        self._sizes = (model.minn, model.maxn, model.word_ngrams)
        self._rows, self._output, self._loss, self._dim = model.rows, model.output, model.loss, model.dim
        self._parents = _tree(model.label_counts) if model.loss == HIERARCHICAL else np.empty((0, 2), np.int64)

    def probabilities(self, texts: list[bytes]) -> Floats:
        """float32 [texts, labels] for UTF-8 texts, each read as one line; 0 where fastText names no label.

        As in fastText, 1e-5 too high, so that they can add up to a little more than 1.
        """
        data = np.frombuffer(b"".join(texts), np.uint8)
        borders = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
        hidden = np.zeros((len(texts), self._dim), np.float32)
        has_any = np.empty(len(texts), np.bool_)
        _hidden(data, borders, self._words, self._ngrams, self._sizes, self._rows, hidden, has_any)
        scores = _dots(hidden, self._output)
        if self._loss == HIERARCHICAL:
            found = _descend(scores, self._parents)
        elif self._loss == SOFTMAX:
            exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
            found = exponents / exponents.sum(axis=1, keepdims=True) + np.float32(_LEAST)
        else:
            found = _sigmoid(scores) + np.float32(_LEAST)
        return np.where(has_any[:, None], found, np.float32(0))


def _tree(counts: Ints) -> Ints:
    """Of each node of the labels' Huffman tree its parent, and 1 where it is the right child: int64[2 labels - 1, 2].

    `HierarchicalSoftmaxLoss::buildTree`; the labels are the first nodes, by falling counts, and the root is the last.
    """
    size = len(counts)
    weights = [*counts.tolist(), *[10**15] * (size - 1)]
    parents = np.full((2 * size - 1, 2), -1, np.int64)
    leaf, node = size - 1, size
    for inner in range(size, 2 * size - 1):
        weights[inner] = 0
        for side in (0, 1):
            if leaf >= 0 and (node >= inner or weights[leaf] < weights[node]):
                child, leaf = leaf, leaf - 1
            else:
                child, node = node, node + 1
            weights[inner] += weights[child]
            parents[child] = inner, side
    return parents


@_kernel
def _dots(vectors: Floats, output: Floats) -> Floats:
    """The products of n vectors with m rows, float32[n, m]; a library's may depend on how many there are."""
    found = np.zeros((len(vectors), len(output)), np.float32)
    for i in range(len(vectors)):
        for j in range(len(output)):
            total = np.float32(0)
            for k in range(vectors.shape[1]):
                total += vectors[i, k] * output[j, k]
            found[i, j] = total
    return found


@_kernel
def _descend(scores: Floats, parents: Ints) -> Floats:
    """The probabilities of the labels below the nodes of a tree: float32[texts, labels]."""
    texts, size = scores.shape  # of the inner nodes there is one less
    logs = np.zeros(2 * size - 1, np.float32)
    found = np.zeros((texts, size), np.float32)
    for text in range(texts):
        for node in range(2 * size - 3, -1, -1):
            parent, is_right = parents[node]
            right = np.float32(1.0 / (1.0 + np.exp(-np.float64(scores[text, parent - size]))))
            share = np.float64(right) if is_right else 1.0 - np.float64(right)
            logs[node] = logs[parent] + np.float32(np.log(share + _LEAST))
            if node < size and logs[node] >= np.float32(np.log(_LEAST)):
                found[text, node] = np.exp(logs[node])
    return found


def _sigmoid(scores: Floats) -> Floats:
    """fastText's logistic function, from a table of 512 values between -8 and 8."""
    steps = np.arange(_SIGMOID_SIZE + 1, dtype=np.float32) * (2 * _SIGMOID_MAX) / _SIGMOID_SIZE - _SIGMOID_MAX
    table = (1 / (1 + np.exp(-steps))).astype(np.float32)
    clipped = np.clip(scores, -_SIGMOID_MAX, _SIGMOID_MAX)
    found = table[((clipped + _SIGMOID_MAX) * (_SIGMOID_SIZE / _SIGMOID_MAX / 2)).astype(np.int64)]
    return np.where(scores < -_SIGMOID_MAX, np.float32(0), np.where(scores > _SIGMOID_MAX, np.float32(1), found))


@_kernel
def _hash(data: Bytes, begin: int, end: int) -> np.uint32:
    value = np.uint32(_FNV_START)
    for i in range(begin, end):
        value = _more(value, data[i])
    return value


@_inline
def _more(value: np.uint32, byte: np.uint8) -> np.uint32:
    """The hash of what has hash `value` with one more byte, which fastText takes for signed."""
    return np.uint32((value ^ np.uint32(np.int32(np.int8(byte)))) * np.uint32(_FNV_PRIME))


@_kernel
def _fill(words: Bytes, begins: Ints, table: NDArray[np.int32]) -> None:
    """Write the numbers of words to the places of their hashes."""
    for word in range(len(begins) - 1):
        at = _hash(words, begins[word], begins[word + 1] - 1) & np.uint32(len(table) - 1)
        while table[at] >= 0:
            at = (at + np.uint32(1)) & np.uint32(len(table) - 1)
        table[at] = word


@_kernel
def _find(data: Bytes, begin: int, end: int, value: np.uint32, words: Words) -> int:
    """The number of the word data[begin:end] with hash `value`, -1 where it is not in the dictionary."""
    texts, begins, table = words
    at = value & np.uint32(len(table) - 1)
    while table[at] >= 0:
        word = table[at]
        if _are_equal(texts, begins[word], begins[word + 1] - 1, data, begin, end):
            return int(word)
        at = (at + np.uint32(1)) & np.uint32(len(table) - 1)
    return -1


@_kernel
def _are_equal(a: Bytes, begin: int, end: int, b: Bytes, other: int, other_end: int) -> bool:
    size = end - begin
    if size != other_end - other:
        return False
    i = 0
    while i < size and a[begin + i] == b[other + i]:
        i += 1
    return i == size


@_inline
def _remainder(value: np.uint32, bucket: np.uint64, magic: np.uint64) -> np.uint64:
    """value % bucket by multiplication, which is faster; Lemire, Kaser and Kurz 2019, arXiv 1902.01961."""
    low = magic * np.uint64(value)
    carried = ((low & np.uint64(0xFFFFFFFF)) * bucket) >> np.uint64(32)
    return ((low >> np.uint64(32)) * bucket + carried) >> np.uint64(32)


@_inline
def _row(number: np.uint64, kept: NDArray[np.int32], is_kept: NDArray[np.uint64]) -> np.int64:
    """The row of an n-gram behind those of the words, -1 where it has none."""
    if not len(kept):
        return np.int64(number)
    if not is_kept[number >> np.uint64(6)] >> (number & np.uint64(63)) & np.uint64(1):
        return np.int64(-1)
    return np.int64(kept[number])


@_kernel
def _add_subwords(
    data: Bytes, end: int, ngrams: Ngrams, minn: int, maxn: int, rows: Floats, first_row: int, out: Floats
) -> int:
    """Add the n-grams of a word between `<` and `>`, as data[:end] has it; how many have a row.

    `Dictionary::computeSubwords`.
    """
    kept, is_kept, bucket, magic = ngrams
    added = 0
    for i in range(end):
        if data[i] & 0xC0 == 0x80:
            continue
        value = np.uint32(_FNV_START)
        j, characters = i, 1
        while j < end and characters <= maxn:
            value = _more(value, data[j])
            j += 1
            while j < end and data[j] & 0xC0 == 0x80:
                value = _more(value, data[j])
                j += 1
            if characters >= minn and not (characters == 1 and (i == 0 or j == end)):
                row = _row(_remainder(value, bucket, magic), kept, is_kept)
                if row >= 0:
                    added += 1
                    for k in range(len(out)):
                        out[k] += rows[first_row + row, k]
            characters += 1
    return added


@_kernel
def _is_separator(byte: int) -> bool:
    return byte == 0x20 or byte == 0 or 0x09 <= byte <= 0x0D


@_kernel
def _hidden(
    data: Bytes,
    borders: Ints,
    words: Words,
    ngrams: Ngrams,
    sizes: tuple[int, int, int],
    rows: Floats,
    out: Floats,
    has_any: NDArray[np.bool_],
) -> None:
    """The mean of the rows of each text's words and n-grams, and whether it has any: float32[texts, dim]."""
    eos, label = np.array(_EOS, np.uint8), np.array(_LABEL, np.uint8)
    eos_hash = _hash(eos, 0, 4)
    end_of_line = _find(eos, 0, 4, eos_hash, words)
    longest = 0
    for text in range(len(borders) - 1):
        longest = max(longest, borders[text + 1] - borders[text])
    hashes = np.empty(longest // 2 + 2, np.int32)
    marked = np.full(longest + 2, 0x3C, np.uint8)  # a word between < and >
    # Most words of a text have been seen in it before: the sums of the last ones are held.
    places, sums = np.full((_HELD, 2), -1, np.int64), np.zeros((_HELD, out.shape[1]), np.float32)
    counts = np.zeros(_HELD, np.int64)
    for text in range(len(borders) - 1):
        at, last = borders[text], borders[text + 1]
        found = added = 0
        vector = out[text]
        while True:
            while at < last and _is_separator(data[at]):
                at += 1
            begin = at
            while at < last and not _is_separator(data[at]):
                at += 1
            if begin == at:
                break
            if _are_equal(data, begin, at, eos, 0, 4) or _are_equal(data, begin, min(at, begin + 9), label, 0, 9):
                continue  # fastText takes the one for the line's end, the other for a label
            value = _hash(data, begin, at)
            slot = np.int64(value & np.uint32(_HELD - 1))
            if not _are_equal(data, places[slot, 0], places[slot, 1], data, begin, at):
                places[slot] = begin, at
                sums[slot] = 0
                marked[1 : at - begin + 1] = data[begin:at]
                marked[at - begin + 1] = 0x3E
                word = _find(data, begin, at, value, words)
                counts[slot] = _add_word(marked, at - begin, word, words, ngrams, sizes, rows, sums[slot])
            for i in range(len(vector)):
                vector[i] += sums[slot, i]
            added += counts[slot]
            hashes[found] = np.int32(value)
            found += 1
        if end_of_line >= 0:
            vector += rows[end_of_line]
            added += 1
        hashes[found] = np.int32(eos_hash)
        added += _add_word_ngrams(hashes[: found + 1], words, ngrams, sizes[2], rows, vector)
        has_any[text] = added > 0
        if added:
            vector *= np.float32(1.0 / added)


@_kernel
def _add_word(
    marked: Bytes,
    size: int,
    word: int,
    words: Words,
    ngrams: Ngrams,
    sizes: tuple[int, int, int],
    rows: Floats,
    out: Floats,
) -> int:
    """Add the rows of a word of the dictionary, or of none (-1), and of its n-grams; how many it has."""
    added = 0
    if word >= 0:
        out += rows[word]
        added = 1
    minn, maxn, _ = sizes
    if maxn > 0:
        added += _add_subwords(marked, size + 2, ngrams, minn, maxn, rows, len(words[1]) - 1, out)
    return added


@_kernel
def _add_word_ngrams(
    hashes: NDArray[np.int32], words: Words, ngrams: Ngrams, longest: int, rows: Floats, out: Floats
) -> int:
    """`Dictionary::addWordNgrams`."""
    kept, is_kept, bucket, _ = ngrams
    added = 0
    for i in range(len(hashes)):
        value = np.uint64(np.int64(hashes[i]))
        for j in range(i + 1, min(len(hashes), i + longest)):
            value = np.uint64(value * np.uint64(_NGRAM_FACTOR) + np.uint64(np.int64(hashes[j])))
            row = _row(value % bucket, kept, is_kept)
            if row >= 0:
                added += 1
                for k in range(len(out)):
                    out[k] += rows[len(words[1]) - 1 + row, k]
    return added
