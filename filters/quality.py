"""Gopher's quality signals, and what the C4, FineWeb and code rules measure of words and lines.

Where implementations of the Gopher rules (Rae et al. 2021, arXiv 2112.11446, section A.1.1) differ, these follow
datatrove, with three differences. Words are those of `filters.segment`: punctuation marks are no words and count in no
denominator. Words are case-folded, so "The" is a stop word as "the" is. Lines are those that hold more than white
space, as in FineWeb's filter (datatrove's Gopher filter counts blank lines, too). All are measured on the text as it is
given. Nothing is ever NaN: every ratio over no words, no lines or no characters is 0.
"""

from functools import cache

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import codepoints
from filters.batch import TextBatch
from filters.codepoints import TERMINAL
from filters.family import signal

Ints = NDArray[np.int64]
Small = NDArray[np.int32]

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
"""Gopher's English stop words (arXiv 2112.11446, section A.1.1)."""

SHORT_LINE = 30
"""Characters of a line that FineWeb calls short (datatrove, `short_line_length`)."""

_count, _share = pa.int64(), pa.float64()

SCHEMA = pa.schema(
    [
        signal("words", _count, "Words. Gopher, datatrove's reading: punctuation does not count."),
        signal("characters", _count, "Unicode code points of the text."),
        signal("mean_word_length", _share, "Mean of the words' lengths in characters (Dolma: the median)."),
        signal("hash_ratio", _share, "'#' per word. Gopher's symbol-to-word ratio, first half."),
        signal(
            "ellipsis_ratio",
            _share,
            "'...' (not overlapping) and '…' per word. Gopher's symbol-to-word ratio, second half.",
        ),
        signal("lines", _count, "Lines that hold more than white space."),
        signal(
            "bullet_lines",
            _share,
            "Share of lines whose first character after white space is '•' or '-' (datatrove; Dolma: '*' or '-').",
        ),
        signal(
            "ellipsis_lines",
            _share,
            "Share of lines that end, but for white space, in '...' or '…' (datatrove; Dolma: '…' alone).",
        ),
        signal(
            "alpha_words",
            _share,
            "Share of words with a letter. Gopher; datatrove counts punctuation marks as words without one.",
        ),
        signal("stop_words", _count, "How many different ones of Gopher's eight English stop words occur, 0 to 8."),
        signal("paragraphs", _count, r"Paragraphs: split at two or more '\n', holding more than white space."),
        signal(
            "terminal_punct_lines",
            _share,
            """Share of lines that end, but for white space, in a sentence's end of any script (Unicode's
            Sentence_Terminal) or one of " ' ” ’. FineWeb (as released: . ' " ! ?), widened to all scripts.""",
        ),
        signal("short_lines", _share, f"Share of lines of at most {SHORT_LINE} characters, not stripped. FineWeb."),
        signal("newline_ratio", _share, r"'\n' per word. FineWeb; datatrove counts punctuation marks as words."),
        signal("max_line_length", _count, "Characters of the longest line, its white space included. StarCoder."),
        signal(
            "mean_line_length",
            _share,
            r"Mean characters of all lines, blank ones included, without their '\n'. StarCoder (str.splitlines).",
        ),
        signal(
            "alphanumeric",
            _share,
            "Share of characters that are letters or digits (general categories L*, N*). StarCoder.",
        ),
    ]
)


class Quality:
    """The family `quality`; thresholds are in the rule sets gopher_quality, fineweb and code."""

    name = "quality"
    version = 1
    schema = SCHEMA

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """One row per text; no nulls."""
        words, lines, paragraphs = batch.words, batch.lines, batch.paragraphs
        signs = _count_signs(batch.data, batch.offsets)
        alphabetic, letters, stops = _measure_words(
            words.offsets, words.hashes, words.chars, words.alphabetic, _stop_hashes()
        )
        kinds = _measure_lines(batch.data, lines.offsets, lines.starts, lines.lengths, lines.widths, codepoints.table())
        bullets, ellipses, terminals, short, longest = kinds.T
        hashes, dots, newlines, all_lines = signs.T
        n_words, n_lines = np.diff(words.offsets), np.diff(lines.offsets)
        columns = {
            "words": n_words,
            "characters": words.characters,
            "mean_word_length": _ratio(letters, n_words),
            "hash_ratio": _ratio(hashes, n_words),
            "ellipsis_ratio": _ratio(dots, n_words),
            "lines": n_lines,
            "bullet_lines": _ratio(bullets, n_lines),
            "ellipsis_lines": _ratio(ellipses, n_lines),
            "alpha_words": _ratio(alphabetic, n_words),
            "stop_words": stops,
            "paragraphs": np.diff(paragraphs.offsets),
            "terminal_punct_lines": _ratio(terminals, n_lines),
            "short_lines": _ratio(short, n_lines),
            "newline_ratio": _ratio(newlines, n_words),
            "max_line_length": longest,
            "mean_line_length": _ratio(words.characters - newlines, all_lines),
            "alphanumeric": _ratio(words.alphanumeric, words.characters),
        }
        return pa.RecordBatch.from_arrays([pa.array(columns[field.name]) for field in SCHEMA], schema=SCHEMA)


@cache
def _stop_hashes() -> NDArray[np.uint64]:
    return TextBatch(pa.array([" ".join(STOP_WORDS)])).words.hashes


def _ratio(part: Ints, whole: Ints) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


@numba.njit(cache=True, nogil=True)
def _count_signs(data: NDArray[np.uint8], offsets: Ints) -> Ints:
    r"""Per text: '#', ellipses, '\n', lines (a '\n' at the very end starts none): int64[n, 4]."""
    counts = np.zeros((len(offsets) - 1, 4), np.int64)
    for text in range(len(offsets) - 1):
        end = offsets[text + 1]
        hashes = ellipses = newlines = dots = 0
        for at in range(offsets[text], end):
            byte = data[at]
            dots = dots + 1 if byte == 0x2E else 0
            if dots == 3:
                ellipses += 1
                dots = 0
            hashes += byte == 0x23
            newlines += byte == 0x0A
            if byte == 0xE2 and at + 2 < end and data[at + 1] == 0x80 and data[at + 2] == 0xA6:
                ellipses += 1
        unfinished = end > offsets[text] and data[end - 1] != 0x0A
        counts[text] = hashes, ellipses, newlines, newlines + unfinished
    return counts


@numba.njit(cache=True, nogil=True)
def _measure_words(
    offsets: Ints,
    hashes: NDArray[np.uint64],
    chars: Small,
    alphabetic: NDArray[np.bool_],
    stop_hashes: NDArray[np.uint64],
) -> tuple[Ints, Ints, Ints]:
    """Per text: words with a letter, characters in words, distinct stop words: three int64[n]."""
    texts = len(offsets) - 1
    with_letter, letters, stops = np.zeros(texts, np.int64), np.zeros(texts, np.int64), np.zeros(texts, np.int64)
    for text in range(texts):
        seen = 0
        for word in range(offsets[text], offsets[text + 1]):
            with_letter[text] += alphabetic[word]
            letters[text] += chars[word]
            if chars[word] <= 4:
                for stop in range(len(stop_hashes)):
                    if hashes[word] == stop_hashes[stop]:
                        seen |= 1 << stop
        for stop in range(len(stop_hashes)):
            stops[text] += seen >> stop & 1
    return with_letter, letters, stops


@numba.njit(cache=True, nogil=True)
def _measure_lines(
    data: NDArray[np.uint8], offsets: Ints, starts: Ints, lengths: Small, widths: Small, table: Small
) -> Ints:
    """Per text: lines with a bullet, ending in an ellipsis, ending a sentence, short; longest: int64[n, 5]."""
    counts = np.zeros((len(offsets) - 1, 5), np.int64)
    for text in range(len(offsets) - 1):
        for line in range(offsets[text], offsets[text + 1]):
            start, end = starts[line], starts[line] + lengths[line]
            last = end - 1
            while last > start and data[last] & 0xC0 == 0x80:
                last -= 1
            code = _code_point(data[last:end])
            bullet = data[start] == 0x2D or (end - start >= 3 and _code_point(data[start : start + 3]) == 0x2022)
            dots = end - start >= 3 and data[end - 1] == 0x2E and data[end - 2] == 0x2E and data[end - 3] == 0x2E
            counts[text, 0] += bullet
            counts[text, 1] += dots or code == 0x2026
            counts[text, 2] += table[code] & TERMINAL != 0
            counts[text, 3] += widths[line] <= SHORT_LINE
            counts[text, 4] = max(counts[text, 4], widths[line])
    return counts


@numba.njit(cache=True, nogil=True)
def _code_point(char: NDArray[np.uint8]) -> int:
    """The code point of one UTF-8 character; 0 for bytes that are none."""
    lead, size = int(char[0]), len(char)
    if size == 1:
        return lead if lead < 0x80 else 0
    code = lead & (0xFF >> (size + 1))
    for at in range(1, size):
        code = code << 6 | (char[at] & 0x3F)
    return code if size <= 4 and code <= 0x10FFFF else 0
