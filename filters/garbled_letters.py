"""Which letters follow each other in the writing of 75 languages: the table by which words are called implausible.

The table is a set of letter trigrams, of all languages together, since a text's language is not known here and since
names and quotations are of other languages. A word is a run of letters with their marks, case-folded; its trigrams are
taken with a border on each side, so that a word of n letters has n. It is a Bloom filter of one hash: a bit that is set
says that a trigram of that hash occurs, so that some trigrams that occur nowhere pass for one that does.

Only words of scripts that the table knows can be implausible. It knows the blocks of 128 code points that hold at least
`LEAST` letters of the sentences, of scripts that separate words by spaces, but for Hangul, which has too many syllables
for trigrams of them.

Made by `python -m filters.garbled_letters SENTENCES`, a gzipped table `language <TAB> sentence`: lingua-py's test data,
from the Leipzig Corpora Collection (CC BY).
"""

import gzip
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import codepoints
from filters.batch import TextBatch
from filters.codepoints import CLASS_MASK, EXTEND, FOLD_SHIFT, LETTER
from filters.garbled_mojibake import byte_table, is_mojibake
from filters.normalize import normalize
from filters.segment import Bytes, Ints, Table, code_point

FILE = Path(__file__).parent / "models" / "letters.npz"
BITS = 20
"""The table has 2 ** BITS bits; an eighth of them is set."""
LEAST = 500
BLOCK = 7
"""A block is 2 ** BLOCK code points."""
FIELD = 21
"""Bits of a code point."""
SOFT_HYPHEN = 0xAD
"""Is no part of a word's spelling."""

_HANGUL = range(0x1100, 0x1200), range(0x3100, 0x3200), range(0xA900, 0xD800), range(0xFF80, 0x10000)
_PRIME = np.uint64(0x9E3779B97F4A7C15)

_kernel = numba.njit(cache=True, nogil=True)


class Letters(NamedTuple):
    """The table: `seen` uint8[2 ** BITS / 8], bit `h & 7` of byte `h >> 3` for hash h; `known` bool[blocks]."""

    seen: NDArray[np.uint8]
    known: NDArray[np.bool_]


@cache
def letters() -> Letters:
    """The shipped table."""
    with np.load(FILE, allow_pickle=False) as file:
        return Letters(file["seen"], file["known"])


@_kernel
def slot(key: np.uint64) -> Any:
    """Where the trigram is in the table, below 2 ** BITS, that the last three folded code points of `key` are.

    Each has 21 bits and is 0 for a border; Fibonacci hashing of the 63 bits.
    """
    return np.int64(((key << np.uint64(64 - 3 * FIELD)) * _PRIME) >> np.uint64(64 - BITS))


@_kernel
def _collect(data: Bytes, borders: Ints, table: Table, seen: NDArray[np.uint8], counts: Ints) -> None:
    """Set the bits of all trigrams of the texts' words, and count the letters of each block."""
    for text in range(len(borders) - 1):
        key = np.uint64(0)
        at, end = borders[text], borders[text + 1]
        while at <= end:
            code, width = 0, 1
            if at < end:
                code, width = code_point(data, at, end)
            if code == SOFT_HYPHEN:
                at += width
                continue
            entry = table[code]
            group = entry & CLASS_MASK
            letter = 0
            if at < end and (group == LETTER or (group == EXTEND and key)):
                counts[code >> BLOCK] += 1
                letter = code + (entry >> FOLD_SHIFT)
            first = key == 0
            key = (key << np.uint64(FIELD)) | np.uint64(letter)
            if not first:
                spot = slot(key)
                seen[spot >> 3] |= np.uint8(1 << (spot & 7))
            if letter == 0:
                key = np.uint64(0)
            at += width


def build(sentences: list[str]) -> Letters:
    """The table of the trigrams in normalized sentences."""
    batch = TextBatch(pa.array(sentences, pa.large_string()))
    seen, counts = np.zeros(1 << BITS >> 3, np.uint8), np.zeros(0x110000 >> BLOCK, np.int64)
    _collect(batch.data, batch.offsets, codepoints.table(), seen, counts)
    for syllables in _HANGUL:
        counts[syllables.start >> BLOCK : syllables.stop >> BLOCK] = 0
    return Letters(seen, counts >= LEAST)


def read_sentences(path: Path) -> list[str]:
    """The normalized sentences of a gzipped table `language <TAB> sentence`, but those that are mojibake themselves."""
    with gzip.open(path, "rt", encoding="utf-8") as rows:
        sentences = [normalize(row.rstrip("\n").split("\t", 1)[1]) for row in rows]
    return [sentence for sentence in sentences if "\ufffd" not in sentence and not _holds_mojibake(sentence)]


def _holds_mojibake(sentence: str) -> bool:
    data = np.frombuffer(sentence.encode(), np.uint8)
    return is_mojibake(data, 0, len(data), codepoints.table(), byte_table())


if __name__ == "__main__":
    table = build(read_sentences(Path(sys.argv[1])))
    np.savez_compressed(FILE, seen=table.seen, known=table.known)
