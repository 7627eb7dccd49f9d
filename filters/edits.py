"""Line edits: which lines of a text would go, or which parts of lines, and why. They change nothing themselves: an edit
is a span with a reason. Signals are measured on what is left, and the corpus is written without the spans.

The tests of whole lines are in `filters/lines.py`. Parts of lines, searched in any case of ASCII letters; where nothing
of a line is left, the whole line goes:

    citation       [1], [], [edit], [citation needed] (tensorflow_datasets' text/c4_utils.py, datatrove, dclm)
    items_in_cart  "items in cart" in a line of at most 10 words (RefinedWeb, arXiv 2306.01116, section G.2)
    read_more      "Read more", "Read more..." or "Read more…" at the end of such a line (dclm's pattern, `Read more...`
                   as a regular expression, wants three more characters of any kind)
    sign_in        "Sign-in" at the beginning of such a line

The published recipes, in their order; where several edits claim a line, the first that the config names is its reason:

    C4's code          long_word, citation, no_end_mark, under_5_words, javascript, policy
    C4's paper         long_word, citation, no_end_mark, under_3_words, javascript, policy (datatrove's C4 filter)
    FineWeb            long_word, citation, under_3_words, javascript, policy (C4's paper but for the end marks)
    RefinedWeb         uppercase, numeric, counter, under_2_words, items_in_cart, read_more, sign_in
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import TextBatch
from filters.lines import LINES, LineView

VERSION = 2
"""Version of these definitions and of those in `filters/lines.py`."""

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


class Part(NamedTuple):
    """What is cut out of lines: a pattern, a phrase of `lines.PHRASES` that it needs, words of a line at most."""

    pattern: re.Pattern[bytes]
    phrase: str
    most_words: int


SHORT_LINE = 10
"""Words of a line that RefinedWeb calls short."""

PARTS = {
    "citation": Part(re.compile(rb"\[[0-9]*\]|\[edit\]|\[citation needed\]"), "[", 2**31),
    "items_in_cart": Part(re.compile(rb"(?i)\s?items in cart"), "items in cart", SHORT_LINE),
    "read_more": Part(re.compile(rb"(?i)\s?read more(?:\.\.\.|\xe2\x80\xa6)?\Z"), "read more", SHORT_LINE),
    "sign_in": Part(re.compile(rb"(?i)\Asign-in\s?"), "sign-in", SHORT_LINE),
}

EDITS = (*LINES, *PARTS)
"""The names that a config may use."""


@dataclass(frozen=True)
class Edit:
    """A span of a text that goes: `start` and `end` are bytes of its UTF-8 form, `reason` the name of the edit.

    Where a whole line goes, its newline belongs to the span, unless the line is the last one. `replacement` takes its
    place.
    """

    start: int
    end: int
    reason: str
    replacement: str = ""


class Cuts(NamedTuple):
    """The m spans that go from a batch, in its order; those of a text do not overlap. All int64[m]."""

    texts: Ints  # position of the text in the batch
    starts: Ints  # bytes of the text's UTF-8
    ends: Ints
    reasons: Ints  # positions in EDITS

    def of(self, texts: NDArray[np.bool_]) -> Cuts:
        """Those in some texts only: `texts` is bool[n], by position in the batch."""
        return Cuts(*(column[texts[self.texts]] for column in self))


NO_CUTS = Cuts(*[np.empty(0, np.int64)] * 4)


def merge(parts: list[Cuts]) -> Cuts:
    """One or more groups of cuts, each of other texts of the same batch, as one."""
    both = Cuts(*map(np.concatenate, zip(*parts)))
    order = np.argsort(both.texts, kind="stable")
    return Cuts(*(column[order] for column in both))


class EditedBatch(TextBatch):
    """The texts of the batch `before`, cut: without the spans `cuts` and the line breaks that they leave at either end.

    Texts that nothing is cut from are as they were.
    """

    def __init__(self, before: TextBatch, cuts: Cuts) -> None:
        values, ends = _without(before.data, before.offsets, cuts.texts, cuts.starts, cuts.ends)
        wide = pa.types.is_large_string(before.texts.type)
        offsets = ends.astype(np.int64 if wide else np.int32)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(values[: ends[-1]])]
        texts = pa.Array.from_buffers(before.texts.type, len(before), buffers)
        super().__init__(texts, uris=before.uris, languages=before.languages)
        self.before = before


class LineEdits:
    """Finds what the named edits cut."""

    def __init__(self, names: list[str]) -> None:
        """`names` of `EDITS`, in the order in which they claim a line. Raises KeyError for a name that is not there."""
        for name in names:
            if name not in EDITS:
                raise KeyError(name)
        self.lines = [name for name in names if name in LINES]
        self.parts = [name for name in names if name in PARTS]

    def cuts(self, batch: TextBatch) -> Cuts:
        """What goes from the texts of a batch."""
        view = LineView(batch)
        claims = np.full(len(view), -1)
        for name in self.lines:
            claims[(claims < 0) & LINES[name](view)] = EDITS.index(name)
        parts = np.array(self._cut_parts(view, claims), np.int64).reshape(-1, 4)
        claimed = np.flatnonzero(claims >= 0)
        texts = np.repeat(np.arange(len(batch)), np.diff(batch.lines.offsets))
        starts, ends = _whole_lines(batch.data, batch.offsets, texts[claimed], view.starts[claimed], view.ends[claimed])
        whole = Cuts(texts[claimed], starts, ends, claims[claimed])
        both = Cuts(texts[parts[:, 0]], *parts[:, 1:].T)
        order = np.argsort(np.concatenate([starts, both.starts]), kind="stable")
        cuts = Cuts(*(np.concatenate(columns)[order] for columns in zip(whole, both)))
        shift = batch.offsets[cuts.texts]
        return cuts._replace(starts=cuts.starts - shift, ends=cuts.ends - shift)

    def find(self, texts: pa.StringArray) -> dict[int, list[Edit]]:
        """The edits of each text that has any, by its position in `texts` (n strings), in ascending order."""
        found: dict[int, list[Edit]] = {}
        for text, start, end, reason in np.stack(self.cuts(TextBatch(texts)), axis=1).tolist():
            found.setdefault(text, []).append(Edit(start, end, EDITS[reason]))
        return found

    def _cut_parts(self, view: LineView, claims: Ints) -> list[tuple[int, int, int, int]]:
        """Line, start and end (bytes of the batch's data) and reason of each part; claims lines that lose all."""
        if not self.parts:
            return []
        suspects = np.array([_suspects(view, PARTS[name]) for name in self.parts]) & (claims < 0)
        found = []
        for line in np.flatnonzero(suspects.any(axis=0)).tolist():
            text, base = view[line], int(view.starts[line])
            names = [name for name, suspect in zip(self.parts, suspects[:, line]) if suspect]
            spans = sorted((*m.span(), EDITS.index(name)) for name in names for m in PARTS[name].pattern.finditer(text))
            position, kept = 0, []
            for start, end, reason in spans:
                kept.append(text[position:start])
                found.append((line, base + max(start, position), base + end, reason))
                position = end
            if spans and not (b"".join(kept) + text[position:]).decode(errors="replace").strip():
                del found[-len(spans) :]
                claims[line] = spans[0][2]
        return found


def apply(text: str, edits: list[Edit]) -> str:
    """The text without the spans of `edits`, which rise, and without the line breaks that they leave at either end.

    Of spans that overlap, the first one's replacement stands for what they share; one within another leaves nothing.
    """
    data = text.encode()
    kept, position = [], 0
    for edit in edits:
        if edit.end <= position and edit.replacement:
            continue
        kept += [data[position : edit.start], edit.replacement.encode()]
        position = max(position, edit.end)
    kept.append(data[position:])
    return b"".join(kept).decode().strip("\n")


def _suspects(view: LineView, part: Part) -> NDArray[np.bool_]:
    holds = view.holds(part.phrase)
    return holds if part.most_words > SHORT_LINE else holds & view.under(part.most_words + 1)


@numba.njit(cache=True, nogil=True)
def _whole_lines(data: Bytes, offsets: Ints, texts: Ints, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Where stripped lines begin and end with their white space and their line break: two int64[lines]."""
    starts, ends = starts.copy(), ends.copy()
    for line in range(len(starts)):
        first, last = offsets[texts[line]], offsets[texts[line] + 1]
        while starts[line] > first and data[starts[line] - 1] != 0x0A:
            starts[line] -= 1
        while ends[line] < last and data[ends[line]] != 0x0A:
            ends[line] += 1
        ends[line] += ends[line] < last
    return starts, ends


@numba.njit(cache=True, nogil=True)
def _without(data: Bytes, offsets: Ints, texts: Ints, starts: Ints, ends: Ints) -> tuple[Bytes, Ints]:
    """The texts without the cuts: their bytes, in a longer buffer, and their int64[n + 1] offsets in it."""
    values = np.empty(offsets[-1] - offsets[0], np.uint8)
    borders = np.zeros(len(offsets), np.int64)
    size = cut = 0
    for text in range(len(offsets) - 1):
        begin, at, edited = size, offsets[text], False
        while True:
            edited |= cut < len(texts) and texts[cut] == text
            more = cut < len(texts) and texts[cut] == text
            end = offsets[text] + starts[cut] if more else offsets[text + 1]
            while edited and size == begin and at < end and data[at] == 0x0A:
                at += 1
            values[size : size + end - at] = data[at:end]
            size += end - at
            if not more:
                break
            at = offsets[text] + ends[cut]
            cut += 1
        while edited and size > begin and values[size - 1] == 0x0A:
            size -= 1
        borders[text + 1] = size
    return values, borders
