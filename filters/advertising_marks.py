"""The marks of advertising in a text: calls to buy, prices, contacts and links, as `filters.advertising` defines them.

One walk over the words of a batch. What a word can be is looked up by its hash; the bytes around it decide.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import advertising_phrases as phrases
from filters.batch import TextBatch
from filters.segment import Bytes, Ints, Words

DIGITS = 7
"""Digits of a telephone number."""

Hashes = NDArray[np.uint64]
_CALL, _CURRENCY, _MAGNITUDE, _TELEPHONE, _DOMAIN, _HTTP, _WWW = 1, 2, 4, 8, 16, 32, 64
_LINK = _DOMAIN | _HTTP | _WWW
_SLOTS = 4096


class Lexicon(NamedTuple):
    """The vocabulary by word hash: an open-addressed table of 2 ** k slots, and the calls, those of one word together.

    `keys` uint64[slots], 0 where free; `kinds` uint8[slots], flags of what the word is; `first` int64[slots], the first
    of the calls that begin with it; `borders` int64[calls + 1] in `hashes` uint64[...], the words of each call.
    """

    keys: Hashes
    kinds: NDArray[np.uint8]
    first: Ints
    borders: Ints
    hashes: Hashes


@cache
def lexicon() -> Lexicon:
    """The vocabulary of `filters.advertising_phrases`."""
    calls = sorted({tuple(_hashes(phrase).tolist()) for phrase in phrases.CALLS})
    table = Lexicon(
        np.zeros(_SLOTS, np.uint64),
        np.zeros(_SLOTS, np.uint8),
        np.zeros(_SLOTS, np.int64),
        np.cumsum([0, *map(len, calls)], dtype=np.int64),
        np.array([word for call in calls for word in call], np.uint64),
    )
    groups: list[tuple[int, Sequence[str]]] = [
        (_CURRENCY, phrases.CURRENCIES),
        (_MAGNITUDE, phrases.MAGNITUDES),
        (_TELEPHONE, phrases.TELEPHONES),
        (_DOMAIN, phrases.DOMAINS),
        (_HTTP, ("http", "https")),
        (_WWW, ("www",)),
    ]
    for kind, words in groups:
        for word in words:
            table.kinds[_enter(table.keys, int(_hashes(word)[0]))] |= kind
    for place in reversed(range(len(calls))):
        slot = _enter(table.keys, calls[place][0])
        table.kinds[slot] |= _CALL
        table.first[slot] = place
    return table


def _hashes(phrase: str) -> Hashes:
    return TextBatch(pa.array([phrase])).words.hashes


def _enter(keys: Hashes, word: int) -> int:
    slot = word % _SLOTS
    while keys[slot] not in (0, word):
        slot = (slot + 1) % _SLOTS
    keys[slot] = word
    return slot


Span = tuple[int, int]
_kernel = numba.njit(cache=True, nogil=True)


@_kernel
def _slot(word: np.uint64, keys: Hashes) -> Any:
    """Where a word is in the table, or -1."""
    slot = np.int64(word & np.uint64(_SLOTS - 1))
    while keys[slot] != 0:
        if keys[slot] == word:
            return slot
        slot = (slot + 1) & (_SLOTS - 1)
    return -1


@_kernel
def _is(kind: int, word: int, span: Span, words: Words, lexicon: Lexicon) -> bool:
    """Whether the word at a position is of a kind; none is outside the text, whose words are `span`."""
    if not span[0] <= word < span[1]:
        return False
    slot = _slot(words.hashes[word], lexicon.keys)
    return slot >= 0 and lexicon.kinds[slot] & kind != 0


@_kernel
def _follows(word: int, data: Bytes, words: Words) -> bool:
    """Whether at most two bytes, no line end among them, part a word from the one before it."""
    before = words.starts[word - 1] + words.lengths[word - 1]
    gap = words.starts[word] - before
    return gap <= 2 and (gap < 1 or data[before] != 0x0A) and (gap < 2 or data[before + 1] != 0x0A)


@_kernel
def _call(word: int, slot: int, end: int, data: Bytes, words: Words, lexicon: Lexicon) -> int:
    """How many words the call has that begins at a word, which is at `slot` in the table; 0 for none."""
    place, head = lexicon.first[slot], words.hashes[word]
    while place < len(lexicon.borders) - 1 and lexicon.hashes[lexicon.borders[place]] == head:
        begin, size = lexicon.borders[place], lexicon.borders[place + 1] - lexicon.borders[place]
        same = 1
        while same < size and word + same < end and words.hashes[word + same] == lexicon.hashes[begin + same]:
            if not _follows(word + same, data, words):
                break
            same += 1
        if same == size:
            return size
        place += 1
    return 0


@_kernel
def _sign(data: Bytes, at: int, end: int) -> int:
    """How many bytes $, £, ¥ or the character of Unicode's currency block has that is at `at`; 0 for another."""
    if at >= end:
        return 0
    if data[at] == 0xC2:
        return 2 if at + 1 < end and (data[at + 1] == 0xA3 or data[at + 1] == 0xA5) else 0
    if data[at] == 0xE2:
        return 3 if at + 2 < end and data[at + 1] == 0x82 and data[at + 2] >= 0xA0 else 0
    return 1 if data[at] == 0x24 else 0


@_kernel
def _is_number(word: int, data: Bytes, words: Words) -> bool:
    return 0x30 <= data[words.starts[word]] <= 0x39 and not words.alphabetic[word]


@_kernel
def _is_price(word: int, span: Span, text: Span, data: Bytes, words: Words, lexicon: Lexicon) -> bool:
    """Whether a number is a price; `text` is where the text's bytes are, `span` its words."""
    before, after = words.starts[word], words.starts[word] + words.lengths[word]
    if before > text[0] and data[before - 1] == 0x20:
        before -= 1
    if after < text[1] and data[after] == 0x20:
        after += 1
    priced = _sign(data, after, text[1]) > 0
    for width in range(1, 4):
        priced |= before - width >= text[0] and _sign(data, before - width, before) == width
    if not priced and word + 1 < span[1] and words.starts[word + 1] <= after:
        priced = _is(_CURRENCY, word + 1, span, words, lexicon)
    if not priced and word > span[0] and words.starts[word - 1] + words.lengths[word - 1] >= before:
        priced = _is(_CURRENCY, word - 1, span, words, lexicon)
    return priced and not _is(_MAGNITUDE, word + 1, span, words, lexicon)


@_kernel
def _telephone(word: int, span: Span, text: Span, data: Bytes, words: Words, lexicon: Lexicon) -> int:
    """How many numbers the telephone number has that begins with a number; 0 for none."""
    digits, shape, at = 0, 0, word
    while at < span[1] and _is_number(at, data, words) and (at == word or _follows(at, data, words)):
        digits += words.chars[at]
        shape = 10 * shape + min(words.chars[at], 9) if at < word + 3 else 0
        at += 1
    start = words.starts[word]
    led = start > text[0] and (data[start - 1] == 0x2B or data[start - 1] == 0x28)
    if shape == 334 or (digits >= DIGITS and (led or _is(_TELEPHONE, word - 1, span, words, lexicon))):
        return at - word
    return 0


@_kernel
def _is_link(word: int, kind: Any, span: Span, text: Span, data: Bytes, words: Words) -> bool:
    """Whether a word of a kind begins a URL or ends a host name."""
    before, after = words.starts[word] - 1, words.starts[word] + words.lengths[word]
    if kind & _HTTP and after + 2 < text[1]:
        return data[after] == 0x3A and data[after + 1] == 0x2F and data[after + 2] == 0x2F
    if kind & _WWW and after < text[1]:
        return data[after] == 0x2E
    if kind & _DOMAIN and word > span[0]:
        return data[before] == 0x2E and words.starts[word - 1] + words.lengths[word - 1] == before
    return False


@_kernel
def _is_mail(word: int, end: int, data: Bytes, words: Words) -> bool:
    """Whether a word is the last one before the @ of an e-mail address."""
    after = words.starts[word] + words.lengths[word]
    return word + 1 < end and words.starts[word + 1] == after + 1 and data[after] == 0x40


@_kernel
def count_marks(span: Span, text: Span, data: Bytes, words: Words, lexicon: Lexicon, counts: Ints) -> None:
    """Add the marks of the text `data[text[0]:text[1]]` to calls, prices, contacts, links."""
    word, number = span[0], -1  # the last position that was part of a number
    address = text[0]  # where the address ends that was read last
    while word < span[1]:
        size = 1
        if words.starts[word] < address:
            word += 1
            continue
        slot = _slot(words.hashes[word], lexicon.keys)
        kind = np.int64(lexicon.kinds[slot]) if slot >= 0 else 0
        mail = _is_mail(word, span[1], data, words)
        if mail or (kind & _LINK and _is_link(word, kind, span, text, data, words)):
            counts[2 if mail else 3] += 1
            address = words.starts[word] + words.lengths[word]
            while address < text[1] and 0x20 < data[address] < 0x80:
                address += 1
        elif _is_number(word, data, words):
            begins = number < word - 1 or number < 0 or not _follows(word, data, words)
            size = _telephone(word, span, text, data, words, lexicon) if begins else 0
            counts[2] += size > 0
            counts[1] += size == 0 and _is_price(word, span, text, data, words, lexicon)
            size = max(size, 1)
            number = word + size - 1
        elif kind & _CALL:
            size = _call(word, slot, span[1], data, words, lexicon)
            counts[0] += size > 0
            size = max(size, 1)
        word += size
