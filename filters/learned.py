"""Learned quality: the probability, by a classifier of the user's own, that a text is of the good kind.

The classifier is a fastText model of two labels, `good` and `bad`, made by `gristmill quality train`. The package ships
none: what is good depends on what the corpus is for.
"""

from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import codepoints, fasttext_model
from filters.assets import AssetError
from filters.batch import TextBatch
from filters.codepoints import CLASS_MASK, CONNECTOR, FOLD_SHIFT, NUMBER
from filters.family import signal
from filters.fasttext_model import FastTextModel
from filters.language import SAMPLE
from filters.segment import code_point

GOOD, BAD = "good", "bad"

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


class Learned:
    """The family `learned`, measured on the normalized words of the whole text, or of a sample of a long one."""

    name = "learned"
    version = 2
    schema = pa.schema(
        [
            signal(
                "score",
                pa.float64(),
                """The model's probability that the text is of the good kind; 0 to 1, rounded to 4 decimals; 0 where
                no word is read. Of a text above 6 KiB, 2 KiB each of start, middle and end are read.""",
            )
        ]
    )

    def __init__(self, *, model: Path | str | None = None, sha256: str | None = None) -> None:
        """Load a classifier.

        Args:
            model: The model's file; there is no default.
            sha256: The file's digest, which `gristmill quality train` prints; None accepts any content.

        Raises:
            AssetError: No file is given, or it is missing, altered or no classifier of `good` and `bad`.
        """
        if model is None:
            raise AssetError("learned.model is not set; make a model with `gristmill quality train` and name its file")
        self._model = fasttext_model.load("learned.model", Path(model), sha256)
        if sorted(self._model.labels) != [BAD, GOOD]:
            labels = ", ".join(self._model.labels[:5])
            raise AssetError(f"learned.model: {model} has the labels {labels}, not {GOOD} and {BAD}")

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """Score every text of the batch."""
        return pa.record_batch([scores(self._model, normalized_words(batch)).round(4)], schema=self.schema)


def scores(model: FastTextModel, texts: list[bytes]) -> NDArray[np.float64]:
    """The probability, 0 to 1, that texts with these normalized words are good; 0 where there are none: float64[n]."""
    found = model.share(GOOD, texts)
    found[[not words for words in texts]] = 0.0
    return found


def normalized_words(batch: TextBatch) -> list[bytes]:
    """What the model sees of each text: its words, case-folded, each followed by a space, UTF-8.

    Every number character is written `0`, so that a date or a price is a shape, as CCNet does (Wenzek et al. 2020,
    arXiv 1911.00359); every connector is written `-`, so that no word can pass for one of fastText's labels. Words are
    those of `filters.segment`; of a text above 6 KiB, those that lie in the parts that `filters.language.sample` takes.
    """
    words = batch.words
    # A word with the space after it is at most three times as long as before: folding makes two bytes three at most.
    room = 3 * int(np.minimum(np.diff(batch.offsets), 3 * SAMPLE).sum())
    written, ends = np.empty(room, np.uint8), np.zeros(len(batch) + 1, np.int64)
    _write(batch.data, batch.offsets, codepoints.table(), words.offsets, words.starts, words.lengths, written, ends)
    buffer, borders = written.data, ends.tolist()
    return [bytes(buffer[start:end]) for start, end in pairwise(borders)]


@numba.njit(cache=True, nogil=True)
def _write(
    data: Bytes,
    borders: Ints,
    table: NDArray[np.int32],
    offsets: Ints,
    starts: Ints,
    lengths: NDArray[np.int32],
    out: Bytes,
    ends: Ints,
) -> None:
    at = 0
    for text in range(len(borders) - 1):
        begin, end = borders[text], borders[text + 1]
        size = end - begin
        middle = begin + (size - SAMPLE) // 2
        for word in range(offsets[text], offsets[text + 1]):
            left, right = starts[word], starts[word] + lengths[word]
            first = right <= begin + SAMPLE
            second = left >= middle and right <= middle + SAMPLE
            if size > 3 * SAMPLE and not (first or second or left >= end - SAMPLE):
                continue
            while left < right:
                code, width = code_point(data, left, right)
                entry = table[code]
                group = entry & CLASS_MASK
                if group in (NUMBER, CONNECTOR):
                    out[at] = 0x30 if group == NUMBER else 0x2D
                    at += 1
                else:
                    at = _write_character(out, at, code + (entry >> FOLD_SHIFT))
                left += width
            out[at] = 0x20
            at += 1
        ends[text + 1] = at


@numba.njit(cache=True, nogil=True)
def _write_character(out: Bytes, at: int, code: int) -> int:
    """Write one code point as UTF-8; where the next one goes."""
    if code < 0x80:
        out[at] = code
        return at + 1
    if code < 0x800:
        out[at], out[at + 1] = 0xC0 | code >> 6, 0x80 | code & 0x3F
        return at + 2
    if code < 0x10000:
        out[at], out[at + 1], out[at + 2] = 0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
        return at + 3
    out[at], out[at + 1] = 0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F
    out[at + 2], out[at + 3] = 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
    return at + 4
