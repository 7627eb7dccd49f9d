"""Texts counted: bytes, characters, words and the tokens of several tokenizers, by source, language and script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.batch import TextBatch
from filters.scripts import SCRIPTS, dominant_scripts
from tokenizer.encode import Encoder

Int64 = npt.NDArray[np.int64]
Key = str | tuple[str, str | None]
"""A source, or a source and a language; None where the language is not known."""

TEXT_COLUMNS = ("texts", "bytes", "characters", "words")
TOKEN_COLUMNS = ("tokens", "not_round_tripped")
BATCH_CHARACTERS = 1 << 20


class Counts(NamedTuple):
    """Sums over texts.

    `keys`: (source, language) in the order in which they came. `sums`: int64 [keys, scripts, 4 + 2 x tokenizers], the
    `TEXT_COLUMNS` and then the `TOKEN_COLUMNS` of each tokenizer, scripts as in `filters.scripts.SCRIPTS`. `used`: for
    each tokenizer, how often each id occurs, int64 [vocabulary size].
    """

    keys: list[tuple[str, str | None]]
    sums: Int64
    used: list[Int64]

    def of_tokenizer(self, number: int) -> Int64:
        """The columns of the texts and of one tokenizer, int64 [keys, scripts, 6]."""
        first = len(TEXT_COLUMNS) + number * len(TOKEN_COLUMNS)
        return np.concatenate(
            [self.sums[..., : len(TEXT_COLUMNS)], self.sums[..., first : first + len(TOKEN_COLUMNS)]], axis=2
        )


def count(encoders: Sequence[Encoder], groups: Iterable[tuple[Key, Iterable[str]]]) -> Counts:
    """Count texts, each read and encoded once; keys may come again. Memory: a batch of about a megabyte of text.

    Characters are code points. Words are those of `filters.segment`: runs of letters and digits; in scripts written
    without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each letter with its marks is a word, so that there
    tokens per word are tokens per letter. The script of a text is that of most of its letters
    (`filters.scripts.dominant_scripts`). A text is not round-tripped where decode(encode(text)) is another text.
    """
    keys: dict[tuple[str, str | None], int] = {}
    used = [np.zeros(encoder.vocabulary_size, np.int64) for encoder in encoders]
    width = len(TEXT_COLUMNS) + len(TOKEN_COLUMNS) * len(encoders)
    sums = np.zeros((0, width), np.int64)
    for numbers, batch in _batches(groups, keys):
        columns, script = _of_texts(batch)
        encoded = [_of_tokens(encoder, tally, batch) for encoder, tally in zip(encoders, used)]
        sums.resize((len(keys) * len(SCRIPTS), width), refcheck=False)  # new rows are zeros
        np.add.at(sums, numbers * len(SCRIPTS) + script, np.concatenate([columns, *encoded], axis=1))
    sums.resize((len(keys) * len(SCRIPTS), width), refcheck=False)  # keys without a text
    return Counts(list(keys), sums.reshape(len(keys), len(SCRIPTS), width), used)


def _of_texts(batch: list[str]) -> tuple[Int64, npt.NDArray[np.uint8]]:
    """`TEXT_COLUMNS` of each text, int64 [n, 4], and its script, uint8 [n]."""
    segmented = TextBatch(pa.array(batch, pa.large_string()))
    offsets, words = segmented.offsets, segmented.words
    columns = [np.ones(len(batch), np.int64), np.diff(offsets), words.characters, np.diff(words.offsets)]
    return np.stack(columns, axis=1), dominant_scripts(segmented.data, offsets)


def _of_tokens(encoder: Encoder, used: Int64, batch: list[str]) -> Int64:
    """`TOKEN_COLUMNS` of each text, int64 [n, 2]; adds to how often each id occurs."""
    values, offsets = encoder.encode_batch(batch)
    used += np.bincount(values, minlength=len(used))
    changed = [encoder.decode(values[a:b]) != text for text, a, b in zip(batch, offsets, offsets[1:])]
    return np.stack([np.diff(offsets), np.array(changed, np.int64)], axis=1)


def _batches(
    groups: Iterable[tuple[Key, Iterable[str]]], keys: dict[tuple[str, str | None], int]
) -> Iterator[tuple[Int64, list[str]]]:
    """The texts of all groups, about a megabyte at once, and the number of each one's key, entered in `keys`."""
    numbers: list[int] = []
    batch: list[str] = []
    held = 0
    for key, texts in groups:
        number = keys.setdefault((key, None) if isinstance(key, str) else key, len(keys))
        for text in texts:
            numbers.append(number)
            batch.append(text)
            held += len(text)
            if held >= BATCH_CHARACTERS:
                yield np.array(numbers), batch
                numbers, batch, held = [], [], 0
    if batch:
        yield np.array(numbers), batch
