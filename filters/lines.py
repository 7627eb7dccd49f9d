"""Tests of single lines: what C4 and RefinedWeb cut whole lines for.

A line is what stands between two '\\n' and holds more than white space, without the white space around it; blank lines
pass every test. Words are those of `filters.segment`, so that in Chinese or Thai, too, a line has as many words as it
says (C4's and RefinedWeb's code counts what white space separates, which makes one word of a Chinese line). Letters
are compared in any case, but of ASCII letters only.

    C4: Raffel et al. 2020 (JMLR 21(140), section 2.2) and its code, tensorflow_datasets' text/c4_utils.py (`tfds`),
    which go different ways in words a line and in sentences a page; datatrove follows the paper, dclm `tfds`.
    long_word      a word of more than 1,000 characters (tfds, datatrove, dclm; not in the paper). Here a word is what
                   white space separates, but for letters of scripts without spaces, which end it
    no_end_mark    does not end in . ? ! " or ' (datatrove; tfds and dclm: not '), or ends in "...". Citation marks such
                   as [1] and white space before them do not count (in tfds and datatrove the white space does). Made
                   for English: there are no marks of other scripts
    under_5_words  fewer than 5 words (tfds, dclm)
    under_3_words  fewer than 3 words (the paper, datatrove)
    javascript     contains "javascript": such lines are mostly warnings that a page needs it
    policy         contains one of six phrases (tfds, datatrove, dclm; not in the paper)

    RefinedWeb: Penedo et al. 2023 (arXiv 2306.01116, section G.2), whose code is not public; thresholds and patterns
    are those of dclm's baselines/mappers/modifiers.py, which set out to reproduce it.
    uppercase      more than half of its characters are upper case: letters that case folding changes, but for the
                   final sigma (dclm: str.isupper)
    numeric        all its characters are digits or other numbers (general categories N*; dclm: str.isdigit)
    counter        is a number and what it counts: "3 likes", "1.2K views"
    under_2_words  has no word or one

    Ours:
    no_words       has no word: rulers, bullets, separators
"""

import re
from collections.abc import Callable
from functools import cache, cached_property

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import codepoints
from filters.batch import TextBatch
from filters.codepoints import CLASS_MASK, FOLD_SHIFT, LETTER, NUMBER, SINGLE, SPACE
from filters.phrases import Phrases
from filters.segment import code_point

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Small = NDArray[np.int32]
Flags = NDArray[np.bool_]

LONG_WORD = 1000
"""Characters; a longer word marks a line that is no text (tfds, `_MAX_WORD_LENGTH`)."""

POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
"""tfds, `_POLICY_SUBSTRINGS`."""

COUNTED = (
    *("likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes", "downvotes"),
    *("downloads", "views", "followers"),
)
"""What a counter counts (dclm, `counter_line_modifier`)."""

PHRASES = ("javascript", *POLICY_PHRASES, "[", "items in cart", "read more", "sign-in")
"""What `LineView.holds` knows, found in one walk."""

_COUNTER = re.compile(rf"\W*\d[,.\d]*[kmb]?\s+(?:{'|'.join(COUNTED)})\W*")
_PHRASES = Phrases(PHRASES)
_EDIT, _CITATION = (np.frombuffer(mark, np.uint8) for mark in (b"[edit]", b"[citation needed]"))
_FINAL_SIGMA = 0x3C2

_kernel = numba.njit(cache=True, nogil=True)


class LineView:
    """The lines of all texts of a batch, and what more than one test asks of them, measured at most once.

    `starts`, `ends`: int64[lines], bytes in the batch's data.
    """

    def __init__(self, batch: TextBatch) -> None:
        self.batch = batch
        self.starts = batch.lines.starts
        self.ends = batch.lines.starts + batch.lines.lengths

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, line: int) -> bytes:
        """A line's UTF-8."""
        return self.batch.data[self.starts[line] : self.ends[line]].tobytes()

    @cached_property
    def words(self) -> Ints:
        """Per line: its first word's position in the batch's words, and how many it has: int64[lines, 2]."""
        return _words_of_lines(self.batch.words.starts, self.starts, self.ends)

    @cached_property
    def _phrases(self) -> NDArray[np.uint64]:
        return _PHRASES.within(self.batch.data, self.starts, self.ends)

    def holds(self, *phrases: str) -> Flags:
        """Whether a line contains one of these of `PHRASES`: bool[lines]."""
        return self._phrases & np.uint64(sum(1 << PHRASES.index(phrase) for phrase in phrases)) != 0

    def under(self, words: int) -> Flags:
        """Whether a line has fewer words: bool[lines]."""
        return self.words[:, 1] < words

    def long_word(self) -> Flags:
        """Whether a line has a word of more than `LONG_WORD` characters: bool[lines]."""
        return _long_words(self.batch.data, self.starts, self.ends, codepoints.table())

    def end_mark(self) -> Flags:
        """Whether a line ends as C4 wants it: bool[lines]."""
        return _end_marks(self.batch.data, self.starts, self.ends, _EDIT, _CITATION)

    def uppercase(self) -> Flags:
        """Whether more than half of a line's characters are upper case: bool[lines]."""
        shouted = _uppercase(self.batch.data, self.starts, self.ends, codepoints.table())
        return 2 * shouted > self.batch.lines.chars

    def numeric(self) -> Flags:
        """Whether a line is made of numbers: bool[lines]."""
        return _numeric(self.batch.data, self.starts, self.ends, codepoints.table())

    def counter(self) -> Flags:
        """Whether a line counts something: bool[lines]."""
        first, count = self.words.T
        found = np.zeros(len(self), np.bool_)
        if len(self.batch.words.hashes):
            last = np.maximum(first + count - 1, 0)  # of a line without words it is another line's word
            for line in np.flatnonzero(np.isin(self.batch.words.hashes[last], _counted())).tolist():
                found[line] = bool(_COUNTER.fullmatch(self[line].decode(errors="replace").lower()))
        return found


LINES: dict[str, Callable[[LineView], Flags]] = {
    "long_word": LineView.long_word,
    "no_end_mark": lambda view: ~view.end_mark(),
    "under_5_words": lambda view: view.under(5),
    "under_3_words": lambda view: view.under(3),
    "under_2_words": lambda view: view.under(2),
    "no_words": lambda view: view.under(1),
    "javascript": lambda view: view.holds("javascript"),
    "policy": lambda view: view.holds(*POLICY_PHRASES),
    "uppercase": LineView.uppercase,
    "numeric": LineView.numeric,
    "counter": LineView.counter,
}
"""The tests by the names that configs use; true = the line goes."""


@cache
def _counted() -> NDArray[np.uint64]:
    return TextBatch(pa.array([" ".join(COUNTED)])).words.hashes


@_kernel
def _words_of_lines(word_starts: Ints, starts: Ints, ends: Ints) -> Ints:
    found = np.empty((len(starts), 2), np.int64)
    word = 0
    for line in range(len(starts)):
        while word < len(word_starts) and word_starts[word] < starts[line]:
            word += 1
        found[line, 0] = word
        while word < len(word_starts) and word_starts[word] < ends[line]:
            word += 1
        found[line, 1] = word - found[line, 0]
    return found


@_kernel
def longest_word(data: Bytes, start: int, end: int, table: Small, best: int) -> int:
    """Characters of the longest word of `data[start:end]`, or `best`, whichever is more."""
    at = start
    while at < end:
        begin = at
        while at < end and not (data[at] == 0x20 or 0x09 <= data[at] <= 0x0D or 0x1C <= data[at] <= 0x1F):
            at += 1
        if at - begin > best:  # only now, characters matter
            size, spot = 0, begin
            while spot < at:
                code, width = code_point(data, spot, at)
                group = table[code] & CLASS_MASK
                size = 0 if group in (SPACE, SINGLE) else size + 1
                best = max(best, size)
                spot += width
        at += 1
    return best


@_kernel
def _long_words(data: Bytes, starts: Ints, ends: Ints, table: Small) -> Flags:
    found = np.zeros(len(starts), np.bool_)
    for line in range(len(starts)):
        if ends[line] - starts[line] > LONG_WORD:
            found[line] = longest_word(data, starts[line], ends[line], table, LONG_WORD) > LONG_WORD
    return found


@_kernel
def _is_before(mark: Bytes, data: Bytes, start: int, end: int) -> bool:
    """Whether `data[start:end]` ends in a mark."""
    begin = end - len(mark)
    if begin < start:
        return False
    same = 0
    while same < len(mark) and data[begin + same] == mark[same]:
        same += 1
    return same == len(mark)


@_kernel
def _before_citations(data: Bytes, start: int, end: int, edit: Bytes, citation: Bytes) -> int:
    """Where a line ends, but for citation marks (tfds: `\\[\\d*\\]|\\[edit\\]|\\[citation needed\\]`) and spaces."""
    while end > start:
        at = end - 1
        if data[at] == 0x20 or data[at] == 0x09:
            end = at
        elif _is_before(edit, data, start, end):
            end -= len(edit)
        elif _is_before(citation, data, start, end):
            end -= len(citation)
        elif data[at] == 0x5D:
            at -= 1
            while at > start and 0x30 <= data[at] <= 0x39:
                at -= 1
            if at < start or data[at] != 0x5B:
                break
            end = at
        else:
            break
    return end


@_kernel
def _end_marks(data: Bytes, starts: Ints, ends: Ints, edit: Bytes, citation: Bytes) -> Flags:
    found = np.zeros(len(starts), np.bool_)
    for line in range(len(starts)):
        start = starts[line]
        end = _before_citations(data, start, ends[line], edit, citation)
        if end > start:
            last = data[end - 1]
            dots = last == 0x2E and end - start >= 3 and data[end - 2] == 0x2E and data[end - 3] == 0x2E
            found[line] = not dots and (last in (0x2E, 0x3F, 0x21, 0x22, 0x27))
    return found


@_kernel
def _uppercase(data: Bytes, starts: Ints, ends: Ints, table: Small) -> Ints:
    """Upper-case letters of each line: int64[lines]."""
    found = np.zeros(len(starts), np.int64)
    for line in range(len(starts)):
        at, end, count = starts[line], ends[line], np.int64(0)
        while at < end:
            code, width = np.int64(data[at]), 1
            if code < 0x80:
                count += 0x41 <= code <= 0x5A
            else:
                code, width = code_point(data, at, end)
                entry = table[code]
                count += entry >> FOLD_SHIFT != 0 and entry & CLASS_MASK == LETTER and code != _FINAL_SIGMA
            at += width
        found[line] = count
    return found


@_kernel
def _numeric(data: Bytes, starts: Ints, ends: Ints, table: Small) -> Flags:
    found = np.zeros(len(starts), np.bool_)
    for line in range(len(starts)):
        at, end = starts[line], ends[line]
        while at < end:
            code, width = code_point(data, at, end)
            if table[code] & CLASS_MASK != NUMBER:
                break
            at += width
        found[line] = at >= end
    return found
