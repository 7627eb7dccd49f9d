"""How frequent a text's words are in a corpus of the user's choice.

Prose mixes very frequent words with rare ones; lists of names, keywords, random letters and text in another language
lack the frequent ones, templates and word salad lack the rare ones. peS2o and datatrove's UnigramLogProbFilter take the
mean alone, of words of a table of English, with probability 1e-9 for words that it lacks.
"""

from collections.abc import Iterable
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import learned_tables
from filters.assets import AssetError
from filters.batch import TextBatch
from filters.family import signal
from filters.learned_texts import batches

KIND = "frequencies"
SCHEMA = pa.schema([pa.field("hash", pa.uint64(), nullable=False), pa.field("count", pa.int64(), nullable=False)])
MOST_HELD = 10_000_000  # different words while counting: about 160 MB

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Floats = NDArray[np.float64]


class Unigram:
    """The family `unigram`, measured on the whole text.

    The log-frequency of a word is ln((count + 1) / (tokens + words + 1)): add-one smoothing (Laplace), where `tokens`
    counts all words of the corpus that the table was made from, and `words` the different ones in the table. A word
    that is not in the table has count 0.
    """

    name = "unigram"
    version = 1
    schema = pa.schema(
        [
            signal(
                "mean",
                pa.float64(),
                """Mean of the words' log-frequencies (natural logarithm), rounded to 4 decimals; that of an unknown
                word for a text without words.""",
            ),
            signal(
                "std",
                pa.float64(),
                """Standard deviation of the words' log-frequencies (over n, not n - 1), rounded to 4 decimals; 0 for a
                text without words.""",
            ),
        ]
    )

    def __init__(self, *, frequencies: Path | str | None = None, sha256: str | None = None) -> None:
        """Load a table of word counts.

        Args:
            frequencies: A file made by `gristmill quality frequencies`; there is no default.
            sha256: The file's digest, which that command prints; None accepts any content.

        Raises:
            AssetError: No file is given, or it is missing, altered, no table of counts or of another segmentation.
        """
        table = learned_tables.load("unigram.frequencies", frequencies, sha256, KIND, SCHEMA)
        hashes, counts = (table[name].to_numpy() for name in SCHEMA.names)
        counted = table.schema.metadata.get(b"tokens", b"")
        tokens = int(counted) if counted.isdigit() else 0
        if not len(hashes) or (hashes[1:] <= hashes[:-1]).any() or (counts < 1).any() or counts.sum() > tokens:
            raise AssetError(f"unigram.frequencies: {frequencies} is no table of word counts")
        self._hashes = hashes
        self._slots = _place(hashes, 1 << (2 * len(hashes)).bit_length())
        # The last value is that of words which are not in the table.
        self._values = np.log((np.append(counts, 0) + 1) / (tokens + len(hashes) + 1))

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """Measure every text of the batch; float64 [texts] each."""
        words = batch.words
        means, deviations = _measure(words.offsets, words.hashes, self._hashes, self._slots, self._values)
        return pa.record_batch([means.round(4), deviations.round(4)], schema=self.schema)


def make(texts: Iterable[str], path: Path, words: int = 200_000) -> dict[str, object]:
    """Write the counts of the most frequent `words` words of the texts to `path`; of equals, those of smaller hash.

    Returns `sha256`, `tokens` (words counted) and `words` (different ones in the table). While counting, words seen
    once so far are forgotten whenever 10 million different ones are held. Raises ValueError where there is no word.
    """
    held = pa.table({"hash": pa.array([], pa.uint64()), "count": pa.array([], pa.int64())})
    tokens = 0
    for batch in batches(texts):
        tokens += len(batch.words.hashes)
        new = pa.table({"hash": batch.words.hashes, "count": np.ones(len(batch.words.hashes), np.int64)})
        held = pa.concat_tables([held, new]).group_by("hash").aggregate([("count", "sum")])
        held = held.rename_columns(["hash", "count"])
        if len(held) > MOST_HELD:
            held = held.filter(pa.compute.greater(held["count"], 1))
    if not len(held):
        raise ValueError("the texts hold no word")
    top = held.sort_by([("count", "descending"), ("hash", "ascending")]).slice(0, words).sort_by("hash")
    columns = {name: top[name].combine_chunks() for name in SCHEMA.names}
    digest = learned_tables.save(path, KIND, columns, SCHEMA, {"tokens": str(tokens)})
    return {"sha256": digest, "tokens": tokens, "words": len(top)}


@numba.njit(cache=True, nogil=True)
def _place(hashes: Hashes, size: int) -> NDArray[np.int32]:
    """A hash table with linear probing: in each of `size` slots, a power of 2, a position in `hashes` or -1."""
    slots = np.full(size, -1, np.int32)
    for position in range(len(hashes)):
        at = np.int64(hashes[position] & np.uint64(size - 1))
        while slots[at] >= 0:
            at = (at + 1) & (size - 1)
        slots[at] = position
    return slots


@numba.njit(cache=True, nogil=True)
def _value(word: np.uint64, hashes: Hashes, slots: NDArray[np.int32], values: Floats) -> float:
    at = np.int64(word & np.uint64(len(slots) - 1))
    while slots[at] >= 0:
        if hashes[slots[at]] == word:
            return values[slots[at]]
        at = (at + 1) & (len(slots) - 1)
    return values[-1]


@numba.njit(cache=True, nogil=True)
def _measure(
    offsets: Ints, words: Hashes, hashes: Hashes, slots: NDArray[np.int32], values: Floats
) -> tuple[Floats, Floats]:
    """Mean and standard deviation per text: two float64[n], sums taken in the order of the words."""
    texts = len(offsets) - 1
    means, deviations = np.full(texts, values[-1]), np.zeros(texts)
    for text in range(texts):
        count = offsets[text + 1] - offsets[text]
        if not count:
            continue
        found = np.empty(count)
        total = 0.0
        for i in range(count):
            found[i] = _value(words[offsets[text] + i], hashes, slots, values)
            total += found[i]
        means[text] = total / count
        squares = 0.0
        for i in range(count):
            squares += (found[i] - means[text]) ** 2
        deviations[text] = np.sqrt(squares / count)
    return means, deviations
