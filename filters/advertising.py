"""Advertising: calls to buy, prices, telephones and addresses, links, and words said again and again.

A mark is a call, a price, a contact or a link:

    call      a phrase of `filters.advertising_phrases`, in two dozen languages, at most two bytes between words
    price     a number (ASCII digits) with a currency sign or a currency's name before or behind it, and no magnitude
              such as "million" behind: what is asked for, not what a company earns
    contact   an e-mail address, or a telephone number: 7 digits or more in numbers that follow each other, behind `+`
              or `(` or a word such as "Tel", or numbers of 3, 3 and 4 digits
    link      a URL, a host name behind `www.`, or one that ends in a common domain; one per string of ASCII

News name prices and blogs name links, but neither calls to buy: so the score is the geometric mean of the calls and of
all marks, per word, and 1 where that is one in 20 words. Each text is given 100 words without marks more, so that one
mark says little of a short text. Measured on the text after line edits; words are those of `filters.segment`.

An echo is a word of 4 or more characters that is among the 12 words before it, too. Stuffing, the share of echoes, is
no part of the score: on real pages it was timetables and captions. By this project's choice; no published recipe has
such signals.
"""

import numba
import numpy as np
import pyarrow as pa

from filters.advertising_marks import Lexicon, count_marks, lexicon
from filters.batch import TextBatch
from filters.family import signal
from filters.segment import Bytes, Ints, Words

WORDS_PER_MARK = 20
"""The score is 1 where one in so many words is a call."""
PRIOR = 100
"""Words without marks that each text is given, so that one mark says little of a short one."""
ECHO = 12
"""Words back in which a word said again is an echo."""
LONG = 4
"""Characters of a word that can be an echo."""

_share = pa.float64()
SCHEMA = pa.schema(
    [
        signal(
            "score",
            _share,
            f"""{WORDS_PER_MARK} times the square root of calls times marks (calls, prices, contacts, links), per word,
            of which {PRIOR} more are counted; at most 1, rounded to 4 decimals.""",
        ),
        signal("calls", _share, "Calls to buy per word; rounded to 4 decimals."),
        signal("prices", _share, "Prices per word; rounded to 4 decimals."),
        signal("contacts", _share, "E-mail addresses and telephone numbers per word; rounded to 4 decimals."),
        signal("links", _share, "URLs and host names per word; rounded to 4 decimals."),
        signal(
            "stuffing",
            _share,
            f"""Echoes per word of {LONG} or more characters with a letter: it is among the {ECHO} words before it, too;
            rounded to 4 decimals.""",
        ),
    ]
)


class Advertising:
    """The family `advertising`; the threshold is in `rules/advertising.yaml`."""

    name = "advertising"
    version = 1
    schema = SCHEMA

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """One row per text; no nulls; 0 where there is no word."""
        counts = _measure(batch.data, batch.offsets, batch.words, lexicon())
        total = np.diff(batch.words.offsets)
        marks, echoes, long = counts[:, :4].T, counts[:, 4], counts[:, 5]
        density = np.sqrt(marks[0] * marks.sum(axis=0)) / (total + PRIOR)
        score = np.minimum(WORDS_PER_MARK * density, 1)
        columns = [score, *marks / np.maximum(total, 1), echoes / np.maximum(long, 1)]
        return pa.record_batch([column.round(4) for column in columns], schema=SCHEMA)


_kernel = numba.njit(cache=True, nogil=True)


@_kernel
def _count_echoes(span: tuple[int, int], words: Words) -> tuple[int, int]:
    """Echoes and long words of a text."""
    echoes = long = 0
    for word in range(span[0], span[1]):
        if words.chars[word] >= LONG and words.alphabetic[word]:
            long += 1
            same = False
            for before in range(max(word - ECHO, span[0]), word):
                same |= words.hashes[before] == words.hashes[word]
            echoes += same
    return echoes, long


@_kernel
def _measure(data: Bytes, offsets: Ints, words: Words, lexicon: Lexicon) -> Ints:
    """Per text: calls, prices, contacts, links, echoes, long words: int64[n, 6]."""
    counts = np.zeros((len(offsets) - 1, 6), np.int64)
    for text in range(len(offsets) - 1):
        span = words.offsets[text], words.offsets[text + 1]
        count_marks(span, (offsets[text], offsets[text + 1]), data, words, lexicon, counts[text])
        counts[text, 4:] = _count_echoes(span, words)
    return counts
