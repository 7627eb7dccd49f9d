"""Garbled text: characters lost, mojibake, OCR noise, and words that no language writes.

All signals are shares of tokens. A token is what white space separates; each letter of a script without spaces is one,
with its marks. The score is the share of tokens with any of the damages, so that one page in a wrong encoding and one
of an OCR gone wrong are told from sound text by one number. Measured on the text after line edits.

An address is a token with a sign of `garbled_words.ADDRESS` between two letters or digits, as in URLs, file names and
code: it is neither mixed nor implausible. What is not noticed: letters that were recognized as other letters where
words stay plausible ("arid" for "and"), wrong encodings of Chinese and Japanese as Chinese, and texts in which question
marks replace whole words.

The OCR tests are after rules of Taghva et al. 2001 (Automatic Removal of "Garbage Strings" in OCR Text), which ask of
English alone: their rule P (two kinds of punctuation within a string) takes URLs and dashes for damage, so punctuation
counts only where it stands between two small letters; their rule V (vowels to consonants) is what letter trigrams of
75 languages say better; their rule C (a capital within small letters) fires on every camelCase name and is left out.
"""

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import codepoints
from filters.batch import TextBatch
from filters.codepoints import CLASS_MASK, EXTEND, LETTER, SINGLE, SPACE
from filters.family import signal
from filters.garbled_letters import letters
from filters.garbled_mojibake import byte_table, is_mojibake
from filters.garbled_words import ACRONYM, LONGEST, NOISE, UNSEEN, odd_words, signs
from filters.segment import Bytes, Ints, Table, code_point

SPACED = 5
"""Letters in a row, each a token, that are a word pulled apart."""

_REPLACED, _MOJIBAKE = 1, 2
_GBK = np.frombuffer("锟斤拷".encode(), np.uint8)

_share = pa.float64()
SCHEMA = pa.schema(
    [
        signal(
            "score",
            _share,
            "Share of tokens that are replaced, mojibake, mixed, implausible or spaced; 0 to 1, rounded to 4 decimals.",
        ),
        signal(
            "replaced", _share, "Share of tokens with U+FFFD, or of the letters 锟斤拷 that GBK makes of two of it."
        ),
        signal(
            "mojibake", _share, "Share of tokens with UTF-8 read as CP1252 or Latin-1. filters/garbled_mojibake.py."
        ),
        signal(
            "mixed",
            _share,
            f"""Share of tokens, but for addresses, with digits or one of {NOISE} between two small letters: "w0rd",
            "wh!ch". OCR noise, and question marks in the place of letters.""",
        ),
        signal(
            "implausible",
            _share,
            f"""Share of tokens, but for addresses, with a word of more than {LONGEST} letters or of which {UNSEEN} or
            more trigrams, and at least half, occur in none of 75 languages (filters/garbled_letters.py), but for words
            of up to {ACRONYM} capitals.""",
        ),
        signal(
            "spaced",
            _share,
            f"""Share of tokens that are one letter, with its marks, and among {SPACED} or more such in a row:
            "T i t l e". A letter that is the third of three code points in a row ends a row, being of an index.""",
        ),
        signal("damaged", pa.int64(), "How many tokens are damaged in any of these ways."),
    ]
)


class Garbled:
    """The family `garbled`; the threshold is in `rules/garbled.yaml`."""

    name = "garbled"
    version = 2
    schema = SCHEMA

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """One row per text; no nulls; 0 where there is no token."""
        tables = codepoints.table(), byte_table(), signs(), *letters()
        counts = _measure(batch.data, batch.offsets, *tables)
        tokens = np.maximum(counts[:, :1], 1)
        shares = (counts[:, 1:] / tokens).round(4).T.copy()
        return pa.record_batch([*shares, counts[:, 1].copy()], schema=SCHEMA)


_kernel = numba.njit(cache=True, nogil=True)


@_kernel
def _token(data: Bytes, start: int, end: int, table: Table) -> tuple[int, bool, bool]:
    """Where the token ends that begins at `start`; whether it is one letter with its marks; whether it is ASCII."""
    at, single, size, ascii = start, False, 0, True
    while at < end:
        code, width = np.int64(data[at]), 1
        wide = code >= 0x80
        if wide:
            code, width = code_point(data, at, end)
        group = table[code] & CLASS_MASK
        if group == SPACE or (at > start and (group == SINGLE or (single and group != EXTEND))):
            break
        if at == start:
            single = group == SINGLE
            size = 1 if group == LETTER else 2
        else:
            size += group != EXTEND
        if wide:
            ascii = False
        at += width
    return at, size == 1, ascii


@_kernel
def _holds_replacement(data: Bytes, start: int, end: int) -> bool:
    """Whether U+FFFD is in `data[start:end]`."""
    found = False
    for at in range(start, end - 2):
        found |= data[at] == 0xEF and data[at + 1] == 0xBF and data[at + 2] == 0xBD
    return found


@_kernel
def _starts_gbk(data: Bytes, start: int, end: int) -> bool:
    """Whether 锟斤拷 begins at `start`."""
    if end - start < len(_GBK) or data[start] != _GBK[0]:
        return False
    same = True
    for place in range(len(_GBK)):
        same &= data[start + place] == _GBK[place]
    return same


@_kernel
def _measure(
    data: Bytes,
    borders: Ints,
    table: Table,
    units: Table,
    signs: NDArray[np.uint8],
    seen: NDArray[np.uint8],
    known: NDArray[np.bool_],
) -> Ints:
    """Per text: tokens, those that are damaged, replaced, mojibake, mixed, implausible, spaced: int64[n, 7]."""
    counts = np.zeros((len(borders) - 1, 7), np.int64)
    for text in range(len(borders) - 1):
        at, end = borders[text], borders[text + 1]
        gbk = 0  # letters of 锟斤拷 that are to come
        lone = fine = rising = last = 0  # lone letters in a row, and those of them that are not damaged
        while at < end:
            stop, letter, ascii = _token(data, at, end, table)
            if stop == at:  # white space
                at += code_point(data, at, end)[1]
                continue
            flags = odd_words(data, at, stop, table, signs, seen, known)
            if _starts_gbk(data, at, end):
                gbk = 3
            if gbk or (not ascii and _holds_replacement(data, at, stop)):
                flags |= _REPLACED
            gbk = max(gbk - 1, 0)
            if not ascii and is_mojibake(data, at, stop, table, units):
                flags |= _MOJIBAKE
            lone, fine = (lone + 1, fine + (flags == 0)) if letter else (0, 0)
            if letter:
                code = code_point(data, at, stop)[0]
                rising, last = (rising + 1 if code == last + 1 else 0), code
                if rising >= 2:  # an index: A B C
                    lone = fine = 0
            else:
                rising = last = 0
            if lone >= SPACED:  # with the fifth, the four before it count, too
                counts[text, 6] += SPACED if lone == SPACED else 1
                counts[text, 1] += fine if lone == SPACED else flags == 0
            counts[text, 0] += 1
            counts[text, 1] += flags != 0
            for part in range(4):
                counts[text, 2 + part] += flags >> part & 1
            at = stop
    return counts
