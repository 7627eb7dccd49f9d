"""Which of a few phrases stand in spans of text, in any case of ASCII letters, found in one walk over the bytes."""

from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

_FREQUENT_FIRST = " etaoinsrhldcumfpgwybvkxjqz"  # English letters; all other characters are rarer
_LOWER = np.array([byte | 0x20 if chr(byte) in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" else byte for byte in range(256)], np.uint8)


class Phrases:
    """Up to 64 ASCII phrases to look for.

    The walk stops only at the bytes that are the rarest letter of a phrase, and compares the phrase around them.
    """

    def __init__(self, phrases: Sequence[str]) -> None:
        """Raises ValueError for more than 64 phrases, an empty one, one in upper case or one beyond ASCII."""
        if len(phrases) > 64 or not all(phrase and phrase.isascii() and phrase == phrase.lower() for phrase in phrases):
            raise ValueError(f"up to 64 phrases in lower-case ASCII can be looked for, not {phrases}")
        self.offsets = np.cumsum([0, *map(len, phrases)], dtype=np.int64)
        self.letters = np.frombuffer("".join(phrases).encode(), np.uint8)
        self.anchors = np.array([_rarest(phrase) for phrase in phrases], np.int64)
        self.stops = np.zeros(256, np.uint64)  # by byte: the phrases, as bits, whose anchor it is
        for i, phrase in enumerate(phrases):
            for byte in np.flatnonzero(ord(phrase[self.anchors[i]]) == _LOWER):
                self.stops[byte] |= np.uint64(1 << i)

    def within(self, data: Bytes, starts: Ints, ends: Ints) -> NDArray[np.uint64]:
        """Which phrases each span `data[starts[i]:ends[i]]` holds: uint64[spans], bit p for phrase p."""
        return _within(data, starts, ends, self.letters, self.offsets, self.anchors, self.stops, _LOWER)


def _rarest(phrase: str) -> int:
    ranks = [_FREQUENT_FIRST.find(letter) for letter in phrase]
    return max(range(len(phrase)), key=lambda at: ranks[at] if ranks[at] >= 0 else len(_FREQUENT_FIRST))


@numba.njit(cache=True, nogil=True)
def _within(
    data: Bytes,
    starts: Ints,
    ends: Ints,
    letters: Bytes,
    offsets: Ints,
    anchors: Ints,
    stops: NDArray[np.uint64],
    lower: Bytes,
) -> NDArray[np.uint64]:
    found = np.zeros(len(starts), np.uint64)
    for span in range(len(starts)):
        for at in range(starts[span], ends[span]):
            stop = stops[data[at]] & ~found[span]
            phrase = 0
            while stop:
                if stop & np.uint64(1):
                    begin = at - anchors[phrase]
                    size = offsets[phrase + 1] - offsets[phrase]
                    if begin >= starts[span] and begin + size <= ends[span]:
                        same = 0
                        while same < size and lower[data[begin + same]] == letters[offsets[phrase] + same]:
                            same += 1
                        if same == size:
                            found[span] |= np.uint64(1) << np.uint64(phrase)
                stop >>= np.uint64(1)
                phrase += 1
    return found
