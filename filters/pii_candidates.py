"""Where personal data and secrets may be: one compiled pass over the bytes of a batch, before anything exact.

What is looked for holds a digit, an '@' or a row of dashes, so the pass stops at these bytes alone and reads on from
there: the maximal run of an alphabet around the byte is a candidate if it has enough of what the kind needs. Every run
is read once, whatever the text, so the pass is linear. Candidates are a superset: exact checks decide.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from filters.batch import TextBatch
from filters.segment import Bytes, Ints

# Kinds of candidates.
ADDRESS = 0  # a run with an '@': e-mail
DOTTED = 1  # a run of digits and separators with three dots: IPv4
NUMBER = 2  # a run of digits and separators with seven digits: telephone
LONG_NUMBER = 3  # the same with thirteen digits: payment card
COLONS = 4  # hexadecimal digits and colons, the first group one of 2000::/3: IPv6
ACCOUNT = 5  # two capitals, two digits and what may follow them in an IBAN
TOKEN = 6  # the part of a line around a random-looking token
BLOCK = 7  # '-----BEGIN' with 'PRIVATE KEY' behind it

BEFORE, AFTER = 512, 2048
"""Bytes of its line that belong to a TOKEN on either side of the random-looking run."""

RUN, ALTERNATIONS = 16, 2
"""A run of [A-Za-z0-9_-] looks random from so many bytes and changes between a letter and a digit next to it on."""

_IN_ADDRESS, _IN_NUMBER, _IN_COLONS, _IN_TOKEN, _DIGIT, _LETTER, _STOP = 1, 2, 4, 8, 16, 32, 64

_kernel = numba.njit(cache=True, nogil=True)


def _classes() -> NDArray[np.uint8]:
    classes = np.zeros(256, np.uint8)
    for byte in range(256):
        char = chr(byte)
        ascii_letter, digit = byte < 128 and char.isalpha(), byte < 128 and char.isdigit()
        high = 0x80 <= byte < 0xC0 or 0xC3 <= byte <= 0xD4  # letters of two bytes: U+00C0 to U+053F
        dash_or_space = byte in b"\xc2\xa0\xe2\x80\x90\x91\x92\x93"  # bytes of NBSP and of the dashes U+2010 to U+2013
        classes[byte] = (
            _IN_ADDRESS * (ascii_letter or digit or char in "._%+-@" or high)
            | _IN_NUMBER * (digit or char in " .-()+/" or dash_or_space)
            | _IN_COLONS * (byte < 128 and char in "0123456789abcdefABCDEF:")
            | _IN_TOKEN * (ascii_letter or digit or char in "_-")
            | _DIGIT * digit
            | _LETTER * ascii_letter
            | _STOP * (digit or char in "@-")
        )
    classes.flags.writeable = False
    return classes


_CLASSES = _classes()
_BLOCK_WORDS = (np.frombuffer(b"-----BEGIN", np.uint8), np.frombuffer(b"PRIVATE KEY", np.uint8))


def candidates(batch: TextBatch) -> Ints:
    """int64[candidates, 4]: text, kind, first byte and end in the batch's data; by text, in no order within a text."""
    rows, count = _candidates(batch.data, batch.offsets, _CLASSES, _BLOCK_WORDS, np.empty((256, 4), np.int64))
    found: Ints = rows[:count]
    return found


@_kernel
def _add(rows: Ints, count: int, text: int, kind: int, start: int, end: int) -> tuple[Ints, int]:
    if count == len(rows):
        grown = np.empty((2 * count, 4), np.int64)
        grown[:count] = rows
        rows = grown
    rows[count] = text, kind, start, end
    return rows, count + 1


@_kernel
def _run(data: Bytes, at: int, begin: int, end: int, classes: Bytes, alphabet: int) -> tuple[int, int]:
    """The maximal run of an alphabet around `at`."""
    start = at
    while start > begin and classes[data[start - 1]] & alphabet:
        start -= 1
    while at < end and classes[data[at]] & alphabet:
        at += 1
    return start, at


@_kernel
def _candidates(data: Bytes, offsets: Ints, classes: Bytes, words: tuple[Bytes, Bytes], rows: Ints) -> tuple[Ints, int]:
    count = 0
    for text in range(len(offsets) - 1):
        begin, end = offsets[text], offsets[text + 1]
        address_end = number_end = token_end = begin
        window = -1  # the row of the text's last TOKEN
        for at in range(begin, end):
            group = classes[data[at]]
            if group & _STOP == 0:
                continue
            if data[at] == 0x40:
                if at >= address_end:
                    start, address_end = _run(data, at, begin, end, classes, _IN_ADDRESS)
                    rows, count = _add(rows, count, text, ADDRESS, start, address_end)
                continue
            if group & _DIGIT == 0:
                if _begins_block(data, at, end, words):
                    rows, count = _add(rows, count, text, BLOCK, at, at + 10)
                continue
            if at >= number_end:
                start, number_end = _run(data, at, begin, end, classes, _IN_NUMBER)
                digits, dots = _measure_number(data, start, number_end, classes)
                if dots >= 3:
                    rows, count = _add(rows, count, text, DOTTED, start, number_end)
                if digits >= 7:
                    rows, count = _add(rows, count, text, NUMBER, start, number_end)
                if digits >= 13:
                    rows, count = _add(rows, count, text, LONG_NUMBER, start, number_end)
            if at >= token_end:
                start, token_end = _run(data, at, begin, end, classes, _IN_TOKEN)
                if token_end - start >= RUN and _alternations(data, start, token_end, classes) >= ALTERNATIONS:
                    rows, count, window = _add_token(data, rows, count, window, text, start, token_end, begin, end)
            stop = _colons_end(data, at, begin, end, classes)
            if stop > at:
                rows, count = _add(rows, count, text, COLONS, at, stop)
            stop = _account_end(data, at, begin, end, classes)
            if stop > at:
                rows, count = _add(rows, count, text, ACCOUNT, at - 3, stop)
    return rows, count


@_kernel
def _measure_number(data: Bytes, start: int, end: int, classes: Bytes) -> tuple[int, int]:
    digits = dots = 0
    for at in range(start, end):
        digits += classes[data[at]] & _DIGIT != 0
        dots += data[at] == 0x2E
    return digits, dots


@_kernel
def _alternations(data: Bytes, start: int, end: int, classes: Bytes) -> int:
    """How often a letter stands beside a digit."""
    count = 0
    for at in range(start + 1, end):
        count += (classes[data[at - 1]] | classes[data[at]]) & (_DIGIT | _LETTER) == _DIGIT | _LETTER
    return count


@_kernel
def _add_token(
    data: Bytes, rows: Ints, count: int, window: int, text: int, start: int, stop: int, begin: int, end: int
) -> tuple[Ints, int, int]:
    """Add the line around a run, clipped, or widen the row before, which then holds both."""
    last = rows[window, 3] if window >= 0 else begin
    left = start
    while left > max(last, begin, start - BEFORE) and data[left - 1] != 10:
        left -= 1
    right = max(stop, last)
    while right < min(end, stop + BEFORE + AFTER) and data[right] != 10:
        right += 1
    if window >= 0 and left <= last:
        rows[window, 3] = right
        return rows, count, window
    rows, count = _add(rows, count, text, TOKEN, left, right)
    return rows, count, count - 1


@_kernel
def _colons_end(data: Bytes, at: int, begin: int, end: int, classes: Bytes) -> int:
    """End of the run that may be an IPv6 address, its first group at `at` being four digits from 2000 to 3fff."""
    if data[at] not in (0x32, 0x33) or at + 5 >= end or data[at + 4] != 0x3A:
        return at
    if at > begin and classes[data[at - 1]] & _IN_COLONS:
        return at
    stop, colons, double = at, 0, False
    while stop < end and classes[data[stop]] & _IN_COLONS:
        if data[stop] == 0x3A:
            colons += 1
            double |= data[stop - 1] == 0x3A
        stop += 1
    return stop if double or colons >= 7 else at


@_kernel
def _account_end(data: Bytes, at: int, begin: int, end: int, classes: Bytes) -> int:
    """End of what may be an IBAN (at most 34 characters and the spaces between them) whose check digits end at `at`."""
    if at - 3 < begin or classes[data[at - 1]] & _DIGIT == 0:
        return at
    for letter in (data[at - 3], data[at - 2]):
        if letter < 0x41 or letter > 0x5A:
            return at
    if at - 3 > begin and classes[data[at - 4]] & (_DIGIT | _LETTER):
        return at
    stop, characters = at + 1, 4
    while stop < end and characters < 34:
        byte = data[stop]
        if 0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x5A:
            characters += 1
        elif byte != 0x20 or data[stop - 1] == 0x20:
            break
        stop += 1
    return stop if characters >= 15 else at


@_kernel
def _begins_block(data: Bytes, at: int, end: int, words: tuple[Bytes, Bytes]) -> bool:
    """Whether '-----BEGIN' is at `at` and 'PRIVATE KEY' not far behind it."""
    begin, private = words
    if not _is_word(data, at, end, begin):
        return False
    last = at + len(begin) + 42
    place = at + len(begin)
    while place < last and not _is_word(data, place, end, private):
        place += 1
    return place < last


@_kernel
def _is_word(data: Bytes, at: int, end: int, word: Bytes) -> bool:
    place = 0
    while place < len(word) and at + place < end and data[at + place] == word[place]:
        place += 1
    return place == len(word)
