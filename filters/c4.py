"""C4's page rules and mC4's: sentences, placeholder text, code, words that are none, long lines.

Raffel et al. 2020, JMLR 21(140), section 2.2, and its code (tensorflow_datasets' text/c4_utils.py, `tfds`); datatrove's
C4QualityFilter and dclm's c4.yaml follow them. All signals are measured on the text after line edits, as in all three;
but there a page with "{" or "lorem ipsum" goes even where that line would have been cut by a later line rule (tfds and
datatrove ask for "lorem ipsum" before javascript and policy, and for "{" before policy).
"""

from functools import cache
from typing import Any

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import codepoints
from filters.batch import TextBatch
from filters.codepoints import CLASS_MASK, FOLD_SHIFT, LETTER, SPACE, TERMINAL
from filters.family import signal
from filters.lines import longest_word
from filters.phrases import Phrases
from filters.segment import _is_at, code_point

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Small = NDArray[np.int32]
Flags = NDArray[np.bool_]

LONG_LINE = 200
"""Characters of a line that mC4 calls a paragraph (tfds; datatrove, `C4ParagraphFilter`)."""

_count = pa.int64()

SCHEMA = pa.schema(
    [
        signal(
            "sentences",
            _count,
            """Sentences, counted line by line. A sentence holds a word, and ends behind . ? ! or another of Unicode's
            Sentence_Terminal with the quotation marks and brackets that close there, if white space follows (which an
            end beyond ASCII does not need) or the line ends, with or without a mark. A full stop ends none before a
            lower-case letter, or behind a word of one letter (initials). After UAX #29; tfds has Punkt and datatrove
            spaCy's sentencizer count line by line, dclm Punkt in the whole text.""",
        ),
        signal("lorem_ipsum", pa.bool_(), 'Whether "lorem ipsum" occurs, in any case.'),
        signal("curly_bracket", pa.bool_(), "Whether '{' occurs: in pages about code, mostly."),
        signal(
            "longest_word",
            _count,
            """Characters of the longest word; a word is what white space separates, but letters of scripts without
            spaces end it. In tfds, datatrove and dclm the line goes: see the line edit long_word.""",
        ),
        signal(
            "long_lines",
            _count,
            f"Lines of at least {LONG_LINE} characters, not stripped; blank ones do not count. mC4 wants 3 of them.",
        ),
    ]
)

_PHRASES = Phrases(("lorem ipsum", "{"))

_kernel = numba.njit(cache=True, nogil=True)


class C4:
    """The family `c4`; thresholds are in the rule sets c4, c4_paper and mc4."""

    name = "c4"
    version = 1
    schema = SCHEMA

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """One row per text; no nulls."""
        words, lines = batch.words, batch.lines
        phrases = _PHRASES.within(batch.data, batch.offsets[:-1], batch.offsets[1:])
        sentences = _sentences(
            batch.data,
            lines.starts,
            lines.starts + lines.lengths,
            words.starts,
            words.lengths,
            words.chars,
            codepoints.table(),
            _lower_case(),
        )
        long_lines = np.concatenate([[0], np.cumsum(lines.widths >= LONG_LINE)])
        columns = [
            np.diff(np.concatenate([[0], np.cumsum(sentences)])[lines.offsets]),
            phrases & np.uint64(1) != 0,
            phrases & np.uint64(2) != 0,
            _longest_words(batch.data, batch.offsets, codepoints.table()),
            np.diff(long_lines[lines.offsets]),
        ]
        return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=SCHEMA)


@cache
def _lower_case() -> Flags:
    """Which code points are lower case: those that case folding makes of letters, and the final sigma."""
    entries = codepoints.table()
    upper = np.flatnonzero((entries >> FOLD_SHIFT != 0) & (entries & CLASS_MASK == LETTER))
    lower = np.zeros(len(entries), np.bool_)
    lower[upper + (entries[upper] >> FOLD_SHIFT)] = True
    lower[ord("ς")] = True
    return lower


@_kernel
def _longest_words(data: Bytes, offsets: Ints, table: Small) -> Ints:
    found = np.zeros(len(offsets) - 1, np.int64)
    for text in range(len(found)):
        found[text] = longest_word(data, offsets[text], offsets[text + 1], table, 0)
    return found


@_kernel
def _strength(code: Any, table: Small) -> int:
    """Of a sentence's end: 1 for the full stop, 2 for others in ASCII, 3 beyond; 0 for other characters."""
    if code == 0x2E:
        return 1
    if code < 0x80:
        return 2 if code in (0x21, 0x3F) else 0
    return 3 if table[code] & TERMINAL != 0 and code not in (0x2019, 0x201D) else 0  # the flag is on quotes, too


@_kernel
def _closes(code: Any, table: Small) -> bool:
    """Whether a character goes with the sentence's end before it: another end, a closing quotation mark or bracket."""
    if table[code] & TERMINAL != 0:
        return True
    return code in (0x29, 0x5D, 0x7D, 0xBB, 0x203A, 0x3009, 0x300B, 0x300D, 0x300F, 0x3011, 0xFF09)


@_kernel
def _whole_end(data: Bytes, at: int, end: int, table: Small) -> tuple[int, int]:
    """Where what closes a sentence ends, and the most of its `_strength`."""
    most = 0
    while at < end:
        code, width = code_point(data, at, end)
        if not _closes(code, table):
            break
        most = max(most, _strength(code, table))
        at += width
    return at, most


@_kernel
def _goes_on(data: Bytes, at: int, end: int, table: Small, lower: Flags) -> bool:
    """Whether white space at `at` is followed by a lower-case letter; a line ends in no white space."""
    while at < end:
        code, width = code_point(data, at, end)
        if table[code] & CLASS_MASK != SPACE:
            return bool(lower[code])
        at += width
    return False


@_kernel
def _sentences(
    data: Bytes,
    starts: Ints,
    ends: Ints,
    word_starts: Ints,
    word_lengths: Small,
    word_chars: Small,
    table: Small,
    lower: Flags,
) -> Ints:
    """Sentences of each line: int64[lines]."""
    found = np.zeros(len(starts), np.int64)
    words = 0  # how many begin before the place looked at
    for line in range(len(starts)):
        at, end = starts[line], ends[line]
        begin = at  # of the sentence
        while at < end:
            code, width = np.int64(data[at]), 1
            if code >= 0x80:
                code, width = code_point(data, at, end)
            if _strength(code, table) == 0:
                at += width
                continue
            sign = at
            at, strength = _whole_end(data, sign, end, table)
            while words < len(word_starts) and word_starts[words] < sign:
                words += 1
            if words == 0 or word_starts[words - 1] < begin:
                continue
            if at < end:
                if not _is_at(SPACE, data, at, end, table):
                    if strength < 3:
                        continue
                elif strength == 1:
                    last = word_starts[words - 1]
                    touches = last + word_lengths[words - 1] == sign
                    initial = touches and word_chars[words - 1] == 1 and _is_at(LETTER, data, last, end, table)
                    if initial or _goes_on(data, at, end, table, lower):
                        continue
            found[line] += 1
            begin = at
        while words < len(word_starts) and word_starts[words] < end:
            words += 1
        found[line] += words > 0 and word_starts[words - 1] >= begin
    return found
