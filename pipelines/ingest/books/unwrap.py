"""Lines that were broken to a width are joined to paragraphs; lines that end where their author ended them are left.

A line was broken for its width if the next line's first word would not have fitted behind it: such a break is *forced*.
In hard-wrapped prose nearly all breaks within paragraphs are, whatever the width; in verse, lists, tables, letterheads
and code few are. Two things must hold before anything is joined, first for the text and then for each block of lines
between blank ones: breaks are forced, and lines go on in the middle of sentences (the next one begins in lower case,
and no comma or stop ends this one), which tells prose from verse with lines of one length and from columns of figures.
The thresholds were set by this project on novels, plays, poems and lists (see tests/ingest/test_unwrap.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.ingest.books.dehyphenate import Hyphenation

WIDTHS = range(36, 181)  # characters of a line to which texts are wrapped
FEWEST_BREAKS = 8  # of a text: with fewer there is no telling
FORCED = 0.85  # share of breaks that are forced: wrapped by a program
RAGGED = 0.6  # the same where the lines are those of a printed page, if as many go on in lower case
GOES_ON = 0.4  # share of lines that go on in lower case; German prose, with its capitals, has 0.6, verse 0.1
STOPPED = 0.4  # share of lines that end with a comma or stop: prose has 0.2, verse 0.5 to 0.9
CHANCE = 0.01  # a block of which no line goes on is verse if prose would come to that this rarely
CORRECTED = 0.6  # share of the width from which on a line that goes on is prose, shortened by a correction
NARROW = 3  # breaks from which on a block may have a width of its own
MAX_INDENT = 8  # characters before a paragraph's first line; with more it is a heading or a signature
_COLUMNS = re.compile(r"\S(?: {3}|\t)[ \t]*+\S|[|│]|\.{4,}|(?: \.){4,}")
_CLOSING = r"""["'”’»›)\]_*]*$"""
_SENTENCE_END = re.compile(rf"[.!?:;。！？…؟۔।॥·]{_CLOSING}")
_STOP = re.compile(rf"[,.!?:;。，、！？；：…؟،؛۔।॥·–—-]{_CLOSING}")
# Scripts that put no space between words: lines are joined without one, and may be broken anywhere.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u31ff\u3400-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
_ENDS_UNSPACED = re.compile(rf"[{_UNSPACED}]\Z")
# A dash or hyphen at a line's end has no space behind it, unless it has one before it.
_ENDS_DASH = re.compile(r"[^\s—-](?:-{1,3}|—{1,2}|\u2010)\Z")
_BEGINS_UNSPACED = re.compile(rf"[{_UNSPACED}]")


@dataclass(frozen=True, slots=True)
class _Break:
    """Between two lines: how far the first would reach with the next one's first word, in characters.

    `reach` is 0 where either is no prose, `goes_on` whether the next line is in the middle of a sentence (None: it
    may as well begin one with a name), `stopped` whether the first ends with a comma or stop.
    """

    length: int
    reach: int
    goes_on: bool | None
    stopped: bool


@dataclass(frozen=True, slots=True)
class Wrapping:
    """The width to which a text's lines are broken, in characters, and the share of lines that do not go on."""

    width: int
    capitals: float


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines without a blank one between, from `begin` on, and the breaks between them."""

    begin: int
    lines: list[str]
    breaks: list[_Break]


def unwrap(text: str, *, join: bool = True, dehyphenate: bool = True) -> tuple[str, dict[str, int]]:
    """The text with its paragraphs on one line each, and how many `lines` and `words` were joined, as far as any were.

    Args:
        text: lines end at line feeds; blocks are separated by blank lines, paragraphs also by indented first lines.
        join: whether lines are joined where the text is hard-wrapped.
        dehyphenate: whether words hyphenated at line ends are joined: without the hyphen where the text has the word
            elsewhere in one piece, with it where the text has it so, and where it has neither, as most of the others.
            Where lines are not joined, only words that the text has elsewhere in one piece are.

    Takes time linear in the text.
    """
    lines = text.split("\n")
    blocks = _blocks(lines) if join else []
    wrapping = find_wrapping([between for block in blocks for between in block.breaks])
    words = Hyphenation(text, lines) if dehyphenate else None
    if wrapping is None:
        result = words.mend(lines) if words else lines
    else:
        result, last = [], 0
        for block in blocks:
            result += lines[last : block.begin]
            result += _joined(block, wrapping, words)
            last = block.begin + len(block.lines)
        result += lines[last:]
    counts = {"lines": len(lines) - len(result), "words": words.mended if words else 0}
    return "\n".join(result), {what: count for what, count in counts.items() if count}


def find_wrapping(breaks: list[_Break]) -> Wrapping | None:
    """How a text with these breaks is wrapped, None where there is no strong evidence that it is."""
    lengths = sorted(between.length for between in breaks if between.reach)
    if len(lengths) < FEWEST_BREAKS:
        return None
    # Not the longest line: printed pages' lines differ in length, and a few lines in any text are too long.
    width = lengths[int(0.9 * (len(lengths) - 1))]
    forced = [between for between in breaks if between.reach >= width]
    told = [between.goes_on for between in forced if between.goes_on is not None]
    goes_on = sum(told) / max(len(told), 1)
    share = len(forced) / len(breaks)
    stopped = sum(between.stopped for between in breaks) / len(breaks)
    if width not in WIDTHS or goes_on < GOES_ON or stopped > STOPPED:
        return None
    return Wrapping(width, 1 - goes_on) if share >= FORCED or min(share, goes_on) >= RAGGED else None


def _blocks(lines: list[str]) -> list[_Block]:
    blocks: list[_Block] = []
    begin = 0
    for i in range(len(lines) + 1):
        if i == len(lines) or not lines[i] or lines[i].isspace():
            if i > begin:
                blocks.append(_Block(begin, lines[begin:i], _breaks(lines[begin:i])))
            begin = i + 1
    return blocks


def _breaks(lines: list[str]) -> list[_Break]:
    if len(lines) == 1:
        return []
    result = []
    columns = [_COLUMNS.search(line) is not None for line in lines]
    for i, line in enumerate(lines[:-1]):
        following, length = lines[i + 1].lstrip(), len(line.rstrip())
        word = 1 if _BEGINS_UNSPACED.match(following) else 1 + len(following.split(maxsplit=1)[0])
        # One long name in a line is no prose; but a paragraph's last line may be a single word.
        words = len(line.split(maxsplit=2)) > 2 or _BEGINS_UNSPACED.search(line) is not None
        reach = length + word if words and not (columns[i] or columns[i + 1]) else 0
        end = line[max(0, length - 40) : length]
        result.append(_Break(length, reach, _goes_on(end, following), _STOP.search(end) is not None))
    return result


def _goes_on(end: str, following: str) -> bool | None:
    first = next((char for char in following[:4] if char.isalpha()), "")
    if first.islower():
        return True
    return False if first.isupper() or not first else _SENTENCE_END.search(end) is None


def _joined(block: _Block, wrapping: Wrapping, words: Hyphenation | None) -> list[str]:
    """The block's paragraphs, each on a line; its lines as they are where it is not prose."""
    width = _width(block, wrapping)
    if width is None:
        return block.lines
    base = min(map(_indent, block.lines))
    first = block.lines[0]
    paragraphs = [[first.strip() if _indent(first) <= base + MAX_INDENT else first]]
    for i, between in enumerate(block.breaks):
        line, following = block.lines[i], block.lines[i + 1]
        begins = _indent(following) > base == _indent(line)
        forced = between.reach >= width
        corrected = between.goes_on and between.reach and between.length >= CORRECTED * width
        if begins or not (forced or corrected):
            paragraphs.append([following.strip() if begins else following])
        else:
            parts = paragraphs[-1]
            parts[-1] = _before(parts[-1].rstrip(), following.lstrip(), words)
            parts.append(following.strip())
    return ["".join(parts) for parts in paragraphs]


def _width(block: _Block, wrapping: Wrapping) -> int | None:
    """The width to which a block is wrapped: the text's, or less for a quotation; None where it is not prose."""
    count = len(block.breaks)
    going = sum(bool(between.goes_on) for between in block.breaks)
    if count == 0 or (going == 0 and wrapping.capitals**count < CHANCE):
        return None
    forced = sum(between.reach >= wrapping.width for between in block.breaks)
    if forced >= FORCED * count or min(forced, going) >= RAGGED * count:
        return wrapping.width
    own = max(between.length for between in block.breaks)
    narrow = own in WIDTHS and count >= NARROW and all(between.reach >= own for between in block.breaks)
    return own if narrow and going >= 0.5 * count else None


def _before(first: str, second: str, words: Hyphenation | None) -> str:
    """The first line as it is where the second follows on the same line: with a space, or without its hyphen."""
    if words and (end := words.before(first, second)) is not None:
        return end
    end = first[-4:]
    glued = _ENDS_DASH.search(end) or (_ENDS_UNSPACED.search(end) and _BEGINS_UNSPACED.match(second))
    return first if glued else f"{first} "


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
