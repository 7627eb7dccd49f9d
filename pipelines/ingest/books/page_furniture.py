"""What a printed page has besides its text, where a scanned book still has it: page numbers, running heads.

A number alone on a line may as well be a chapter's. Page numbers are told by three things together: they count on by
one, they come every few lines, and some of them stand in the midst of a sentence. Running heads are short lines that
stand beside such numbers, or beside form feeds, again and again in the same words.
"""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise

FEWEST_PAGES = 5
MAX_PAGE = 120  # lines between two page numbers
INTERRUPTING = 0.2  # share of page numbers, or of the places of a running head, in the midst of a sentence
FEWEST_HEADS = 3  # as often stands a running head beside a page's border
MAX_HEAD = 80  # characters
NEAR = 6  # lines between a page's border and what stands beside it

# "12", "- 12 -", "[12]", "Page 12", "12 / 300", "xii".
_NUMBER = re.compile(
    r"[ \t]*(?:[-–—~*|=_\[({]+[ \t]*)?(?:(?:p(?:age|g|\.)|s(?:eite|\.)|página|стр(?:\.|аница))[ \t.]*)?"
    r"(\d{1,4}|[ivxlc]{1,8}|[IVXLC]{1,8})(?:[ \t]*(?:/|of|von|sur|de)[ \t]*\d{1,4})?(?:[ \t]*[-–—~*|=_\])}]+)?[ \t]*",
    re.IGNORECASE,
)
_WITH_HEAD = re.compile(r"[ \t]*(\d{1,4})[ \t]{2,}\S.{2,70}|[ \t]*\S.{2,70}?[ \t]{2,}(\d{1,4})[ \t]*")
_MARK = re.compile(r"(?<![ \t])[ \t]*[\[{]P(?:age|g)\.?[ \t]*(\d{1,4}|[ivxlc]{1,8})[\]}]", re.IGNORECASE)
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_SENTENCE_END = re.compile(r"""[.!?:;。！？…۔।](?:["'”’»›)\]_*])*$""")
_LINE_NUMBER = re.compile(r"[ \t]{2}\d+$")  # of verse
_NO_LETTERS = re.compile(r"[\W\d_]+")


def without_furniture(text: str) -> tuple[str, int]:
    """The text without page numbers, running heads and form feeds, and how many lines and marks ("[Pg 12]") went.

    Where a page's border stood in the midst of a sentence, the blank lines around it go as well. Lines end at line
    feeds. A text in which nothing is told to be a page's furniture comes back as it is, but for form feeds.
    """
    text, marks = _without_marks(text)
    lines = text.replace("\f", "\n\f\n").split("\n")
    feeds = {i for i, line in enumerate(lines) if line == "\f"}
    borders = feeds | _page_numbers(lines)
    if not borders:
        return text, marks
    gone = borders | _running_heads(lines, borders)
    return _without(lines, gone), marks + len(gone - feeds)


def _without_marks(text: str) -> tuple[str, int]:
    numbers = [_value(match[1]) for match in _MARK.finditer(text)]
    counting = sum(b == a + 1 for a, b in pairwise(numbers))
    if len(numbers) < FEWEST_PAGES or counting < 0.5 * (len(numbers) - 1):
        return text, 0
    return _MARK.sub("", text), len(numbers)


def _page_numbers(lines: list[str]) -> set[int]:
    """Lines that are a page number, or a page number and a running head."""
    found: list[tuple[int, int]] = []
    for i, line in enumerate(lines):
        if not line or len(line) > MAX_HEAD:
            continue
        if match := _NUMBER.fullmatch(line):
            found.append((i, _value(match[1])))
        elif "  " in line and (match := _WITH_HEAD.fullmatch(line)):
            found.append((i, int(match[1] or match[2])))
    pages: set[int] = set()
    for run in _runs(found):
        if len(run) >= FEWEST_PAGES and sum(_interrupts(lines, i) for i in run) >= INTERRUPTING * len(run):
            pages.update(run)
    return pages


def _runs(found: list[tuple[int, int]]) -> list[list[int]]:
    """Lines whose numbers count on within MAX_PAGE lines; one or two numbers may be missing, others may lie between."""
    runs: list[list[int]] = []
    ends: dict[int, tuple[int, int]] = {}  # by the number that comes next: the run and its last line
    for i, value in found:
        for missing in range(3):
            run, last = ends.get(value - missing, (-1, 0))
            if run >= 0 and i - last <= MAX_PAGE * (missing + 1):
                del ends[value - missing]
                break
        else:
            run = len(runs)
            runs.append([])
        runs[run].append(i)
        ends[value + 1] = (run, i)
    return runs


def _running_heads(lines: list[str], borders: set[int]) -> set[int]:
    """Lines beside borders that say the same, but for numbers: not chapters' headings, which interrupt nothing."""
    places: dict[str, dict[int, bool]] = defaultdict(dict)  # by words: the lines, and whether the border interrupts
    for border in borders:
        for i in _neighbours(lines, border, borders):
            if words := _NO_LETTERS.sub(" ", lines[i]).strip().casefold():
                places[words][i] = _interrupts(lines, border)
    heads = [at for at in places.values() if len(at) >= FEWEST_HEADS and sum(at.values()) >= INTERRUPTING * len(at)]
    return {i for at in heads for i in at}


def _neighbours(lines: list[str], border: int, borders: set[int]) -> list[int]:
    """The nearest line with text before a page's border, and the nearest behind it, if they are short."""
    near = []
    for step in (-1, 1):
        i = border + step
        while 0 <= i < len(lines) and abs(i - border) < NEAR and (i in borders or not lines[i].strip()):
            i += step
        if 0 <= i < len(lines) and i not in borders and 0 < len(lines[i].strip()) <= MAX_HEAD:
            near.append(i)
    return near


def _interrupts(lines: list[str], border: int) -> bool:
    """Whether a page's border is in the middle of a sentence: none ends before it, and what follows goes on.

    The line of a running head may lie between. Lines of verse do not count: they begin in upper case.
    """
    before = (
        _LINE_NUMBER.sub("", line[-200:].rstrip()).rstrip() for line in reversed(lines[max(0, border - NEAR) : border])
    )
    last = next((line for line in before if len(line) > 30), "")
    behind = [line.lstrip() for line in lines[border + 1 : border + 2 * NEAR] if line.strip() and line != "\f"][:2]
    return bool(last) and _SENTENCE_END.search(last) is None and any(map(_goes_on, behind))


def _goes_on(line: str) -> bool:
    return line[0].islower() or (line[0].isalpha() and not line[0].isupper())


def _without(lines: list[str], gone: set[int]) -> str:
    result: list[str] = []
    at_border = False
    for i, line in enumerate(lines):
        if i in gone:
            at_border = True
            continue
        if line.strip():
            if at_border and _continues(result, line):
                while not result[-1].strip():
                    result.pop()
            at_border = False
        result.append(line)
    return "\n".join(result)


def _continues(before: list[str], line: str) -> bool:
    last = next((text.rstrip() for text in reversed(before[-2 * NEAR :]) if text.strip()), "")
    return bool(last) and _SENTENCE_END.search(last) is None and _goes_on(line.lstrip())


def _value(number: str) -> int:
    if number.isdigit():
        return int(number)
    values = [_ROMAN[char] for char in number.lower()]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0]))
