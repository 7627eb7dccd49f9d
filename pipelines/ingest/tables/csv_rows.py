"""Rows of delimited text, one by one, such that a broken row costs no other."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipelines.ingest.records import Failure, too_large

BROKEN_BYTE = "\udfff"  # no decoder yields it for bytes that mean something
_LINE_END = re.compile(r"\r\n?|\n")


class Layout(NamedTuple):
    """How fields are told apart."""

    delimiter: str
    quote: str | None


def numbered_rows(
    text: Iterable[str], layout: Layout, limit: int, width: int | None
) -> Iterator[tuple[int, list[str] | Failure]]:
    """The line from 1 on which each row begins, and its fields, or why there are none.

    `width` is how many fields a row must have: those of the first row where it is None. After a broken row the line
    after its first is read as a row: a quotation mark that nobody closed costs one line, not what follows it. Of a
    row longer than `limit` characters no more is ever held.
    """
    csv.field_size_limit(max(csv.field_size_limit(), limit + 1))  # `limit` is what stops a row
    lines = _Lines(text_lines(text, limit), limit)
    reader = csv.reader(
        lines,
        delimiter=layout.delimiter,
        quotechar=layout.quote,
        quoting=csv.QUOTE_MINIMAL if layout.quote else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        begin = lines.number + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except _TooLarge:
            yield begin, too_large(str(begin), limit)
            lines.back_up()
            continue
        except csv.Error as error:
            yield begin, Failure("record", str(begin), "broken row", str(error))
            lines.back_up()
            continue
        if width is None and row:
            width = len(row)
        if row and len(row) != width:
            yield begin, Failure("record", str(begin), "wrong number of fields", f"{len(row)}, not {width}")
            lines.back_up()
            continue
        if any(BROKEN_BYTE in field for field in row):
            yield begin, Failure("record", str(begin), "wrong bytes", "they mean nothing in the file's encoding")
        elif row:  # an empty line has no fields
            yield begin, row
        lines.taken.clear()


class _TooLarge(Exception):
    """A row that is too long."""


class _Lines:
    """Lines for csv.reader, which remembers those of the row that is being read, so that they can be read again."""

    def __init__(self, lines: Iterator[str | None], limit: int) -> None:
        self.lines, self.limit = lines, limit
        self.again: deque[str | None] = deque()
        self.taken: list[str | None] = []
        self.number = 0  # lines given so far
        self.size = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if not self.taken:
            self.size = 0
        line = self.again.popleft() if self.again else next(self.lines)
        self.number += 1
        self.taken.append(line)
        self.size += len(line or "")
        if line is None or self.size > self.limit:
            raise _TooLarge
        return line

    def back_up(self) -> None:
        """Give all lines after the row's first again."""
        _, *others = self.taken
        self.again.extendleft(reversed(others))
        self.number -= len(others)
        self.taken.clear()


def text_lines(text: Iterable[str], limit: int) -> Iterator[str | None]:
    """Lines with their ends (line feed, carriage return or both), None for each of more than `limit` characters."""
    held: list[str] = []
    size = 0
    carry = ""  # a carriage return whose line feed may be in the next piece
    for piece in text:
        piece = carry + piece
        carry = piece[-1:] if piece.endswith("\r") else ""
        piece = piece.removesuffix("\r")
        at = 0
        for match in _LINE_END.finditer(piece):
            line = piece[at : match.end()]
            at = match.end()
            size += len(line)
            yield "".join([*held, line]) if size <= limit else None
            held, size = [], 0
        size += len(piece) - at
        held = [*held, piece[at:]] if size <= limit else []
    if size or carry:
        yield "".join([*held, carry]) if size <= limit else None
