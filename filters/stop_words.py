"""How many of a language's stop words a text holds: Gopher's rule with FineWeb-2's lists, of `rules/fineweb2.csv`.

A stop word counts where it is a word of the text (`filters.segment`, case-folded). Where words are not parted by white
space (Chinese, Japanese, Thai, Khmer, Burmese, Lao), and in Korean, whose stop words are endings, it counts wherever
its characters stand. FineWeb-2 splits words with a tokenizer of each language and does not fold case.
"""

import csv
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import TextBatch
from filters.language_codes import tag

LISTS = Path(__file__).parent / "rules" / "fineweb2.csv"
UNPARTED = ("Hani", "Jpan", "Thai", "Khmr", "Mymr", "Laoo", "Hang")

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]


@cache
def lists() -> dict[str, list[str]]:
    """The stop words of each language by tag, as in `deu_Latn`."""
    with LISTS.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {tag(row["label"], ""): row["stop_words"].split() for row in rows}


def count(batch: TextBatch, tags: Sequence[str]) -> Ints:
    """Of each text the different stop words of its language: int64[n], 0 where the language has no list.

    `tags`: the languages of the n texts, as in `deu_Latn`.
    """
    tables = _tables()
    languages = np.array([tables.numbers.get(name, -1) for name in tags], np.int64)
    found = np.zeros(len(batch), np.int64)
    if (languages >= 0).any():
        words = batch.words
        found = _count(words.offsets, words.hashes, languages, tables.offsets, tables.hashes)
    for text, language in enumerate(tags):
        if language[-4:] in UNPARTED and language in lists():
            content = batch.texts[text].as_py()
            found[text] = sum(word in content for word in lists()[language])
    return found


class _Tables:
    """The lists of languages whose words are parted: sorted hashes, those of language i from offsets[i] on."""

    def __init__(self) -> None:
        parted = {name: words for name, words in lists().items() if name[-4:] not in UNPARTED}
        self.numbers = {name: number for number, name in enumerate(parted)}
        hashes = [_hashes(words) for words in parted.values()]
        self.hashes = np.concatenate(hashes)
        self.offsets = np.cumsum([0, *map(len, hashes)])


_tables = cache(_Tables)


def _hashes(words: list[str]) -> Hashes:
    """The hashes of those that hold one word ("г." holds "г"); punctuation marks are no words of any text."""
    split = TextBatch(pa.array(words, pa.string())).words
    return np.unique(split.hashes[split.offsets[:-1][np.diff(split.offsets) == 1]])


@numba.njit(cache=True, nogil=True)
def _count(offsets: Ints, hashes: Hashes, languages: Ints, list_offsets: Ints, listed: Hashes) -> Ints:
    found = np.zeros(len(languages), np.int64)
    seen = np.full(len(listed), -1)  # the last text in which a stop word was found
    for text in range(len(languages)):
        if languages[text] < 0:
            continue
        first, last = list_offsets[languages[text]], list_offsets[languages[text] + 1]
        for word in range(offsets[text], offsets[text + 1]):
            low, high = first, last
            while low < high:
                middle = (low + high) // 2
                if listed[middle] < hashes[word]:
                    low = middle + 1
                else:
                    high = middle
            if low < last and listed[low] == hashes[word] and seen[low] != text:
                seen[low] = text
                found[text] += 1
    return found
