"""The elements of a JSON array too long to be parsed at once: dialogue is often passed on in such files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)  # the inside of a string, as far as it is there
_TOKEN = re.compile(rb'["\[\]{},]')


def elements(pieces: Iterable[bytes], limit: int) -> Iterator[bytes | None]:
    """The bytes of each element, None for one that is longer than `limit` bytes, of which no more is ever held.

    Where elements begin and end is told by brackets and quotes alone: one that is no JSON is the parser's to find. What
    follows the array is one more element. Raises EOFError where the array does not end.
    """
    element = _Element(limit)
    depth, quoted, escaped, empty = 0, False, False, True
    for piece in pieces:
        at, start = int(escaped), 0
        escaped = False
        while True:
            if quoted:
                at = _STRING.match(piece, at).end()  # type: ignore[union-attr]
                if at >= len(piece) or piece[at] == 0x5C:  # a backslash whose character is in the next piece
                    escaped = at < len(piece)
                    break
                quoted, at = False, at + 1
            token = _TOKEN.search(piece, at)
            if token is None:
                break
            at, mark = token.end(), token[0]
            if mark == b'"':
                quoted = True
            elif mark in (b"[", b"{"):
                depth += 1
                if depth == 1 and empty:
                    start, empty = at, False
            elif mark != b",":
                depth -= 1
            if (mark == b"," and depth == 1) or (mark in (b"]", b"}") and depth == 0):
                element.add(piece[start : at - 1])
                yield from element.take()
                start = at
        element.add(piece[start:])
    yield from element.take()
    if depth > 0:
        raise EOFError("the file ends within an array")


class _Element:
    """The bytes of an element, as long as they are not too many."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> None:
        self.size += len(data)
        if self.size <= self.limit:
            self.held.append(data)
        else:
            self.held = []

    def take(self) -> Iterator[bytes | None]:
        """The element, where there is one, and be ready for the next."""
        data = b"".join(self.held)
        too_long = self.size > self.limit
        self.held, self.size = [], 0
        if too_long:
            yield None
        elif data.strip():
            yield data
