"""Words that are mixed with digits and signs, or that no language writes, within one token (see `filters.garbled`)."""

from functools import cache

import numba
import numpy as np
from numpy.typing import NDArray

from filters.codepoints import CLASS_MASK, EXTEND, FOLD_SHIFT, LETTER, NUMBER
from filters.garbled_letters import BLOCK, FIELD, SOFT_HYPHEN, slot
from filters.segment import Bytes, Table, code_point

NOISE = "^~|!;?"
"""Signs that never stand between two small letters, unless a space was forgotten."""
ADDRESS = "/@_=#%&<>()[]{}+$*.:"
LONGEST = 40
"""Letters of a word that is plausible (Taghva et al., rule L: characters of a string)."""
UNSEEN = 2
"""Trigrams of an implausible word that no language has; they must be half of its trigrams or more, too."""
ACRONYM = 4
"""Letters of a word in capitals that is never implausible."""
CASED = 0x590
"""Before this code point, letters are of scripts with capitals: Latin, Greek, Cyrillic, Armenian."""

MIXED, IMPLAUSIBLE = 4, 8

_kernel = numba.njit(cache=True, nogil=True)


@cache
def signs() -> NDArray[np.uint8]:
    """By ASCII code: 1 for noise, 2 for what makes an address, else 0."""
    table = np.zeros(128, np.uint8)
    table[[ord(sign) for sign in NOISE]] = 1
    table[[ord(sign) for sign in ADDRESS]] = 2
    return table


@_kernel
def _is_implausible(letters: int, capitals: int, total: int, unseen: int) -> bool:
    """Whether no language writes a word of so many letters and trigrams, those that are unseen among them."""
    if letters <= ACRONYM and capitals == letters:
        return False
    return (unseen >= UNSEEN and 2 * unseen >= total) or letters > LONGEST


@_kernel
def odd_words(
    data: Bytes,
    start: int,
    end: int,
    table: Table,
    signs: NDArray[np.uint8],
    seen: NDArray[np.uint8],
    known: NDArray[np.bool_],
) -> int:
    """Whether a token is mixed and whether it is implausible, as flags; none for an address."""
    flags = letters = capitals = total = unseen = 0  # the last four of the word that is being read
    key, strange = np.uint64(0), False  # its last letters; whether one of them is of a script that the table lacks
    small = 0  # 1 behind a small letter, 2 behind signs that follow one
    alnum = sign = False  # behind a letter or digit; behind a sign that has one before it
    at = start
    while at <= end:
        code, width, entry = np.int64(0), 1, np.int64(0)
        if at < end:
            code = np.int64(data[at])
            if code >= 0x80:
                code, width = code_point(data, at, end)
            entry = np.int64(table[code])
        at += width
        group = entry & CLASS_MASK
        if group == EXTEND and (code == SOFT_HYPHEN or key == 0):
            continue
        in_word = group in (LETTER, EXTEND)
        if in_word or key:
            key = (key << np.uint64(FIELD)) | np.uint64(code + (entry >> FOLD_SHIFT) if in_word else 0)
            if letters:
                spot = slot(key)
                total += 1
                unseen += 1 - (seen[spot >> 3] >> (spot & 7) & 1)
            letters += group == LETTER
            capitals += group == LETTER and entry >> FOLD_SHIFT != 0
            strange |= in_word and not known[code >> BLOCK]
            if not in_word:
                if not strange and _is_implausible(letters, capitals, total, unseen):
                    flags |= IMPLAUSIBLE
                letters = capitals = total = unseen = 0
                key, strange = np.uint64(0), False
        if group == EXTEND:
            continue
        kind = signs[code] if code < 0x80 else 0
        if group == LETTER and code < CASED and entry >> FOLD_SHIFT == 0:
            if small == 2:
                flags |= MIXED
            small = 1
        else:
            small = 2 if small and (group == NUMBER or kind == 1) else 0
        if group >= NUMBER:
            if sign:
                return 0
            alnum = True
        else:
            sign, alnum = alnum and kind == 2, False
    return flags
