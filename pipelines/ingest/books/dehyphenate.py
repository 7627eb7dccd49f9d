"""Words hyphenated at line ends, put together as the text itself writes them elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

_HYPHENS = "-\u2010\xad"
_BEFORE = re.compile(rf"([^\W\d_]{{2,}})[{_HYPHENS}]\Z")
_BEHIND = re.compile(r"[^\W\d_]{2,}")
_COMPOUND = re.compile(r"[^\W\d_]+(?:[-\u2010][^\W\d_]+)*")
LONGEST = 80  # characters of a line's end that are looked at


class Hyphenation:
    """The words that a text's lines break, and which of their hyphens are only the line end's."""

    def __init__(self, text: str, lines: list[str]) -> None:
        """`lines` are the text's. Takes time linear in the text, and nearly none where no line ends with a hyphen."""
        self.mended = 0
        self.broken: set[tuple[str, str]] = set()
        for line, following in pairwise(lines):
            if line and line[-1] in _HYPHENS and (pair := _pair(line, following.lstrip())):
                self.broken.add(pair)
        wanted = {a + b for a, b in self.broken} | {f"{a}-{b}" for a, b in self.broken}
        found = (match[0].replace("\u2010", "-").casefold() for match in _COMPOUND.finditer(text) if wanted)
        self.seen = Counter(word for word in found if word in wanted)
        told = [self.hyphen_goes(*pair) for pair in self.broken]
        self.usually_goes = told.count(True) > told.count(False)

    def hyphen_goes(self, first: str, second: str) -> bool | None:
        """Whether the text has the word in one piece, or else with a hyphen within a line; None for neither."""
        whole, compound = self.seen[first + second], self.seen[f"{first}-{second}"]
        return None if whole == compound == 0 else whole >= compound

    def before(self, first: str, second: str) -> str | None:
        """The first of two lines as it is where the second follows directly; None where no word goes on in it.

        With its hyphen or without: a word that the text has nowhere else goes by most of the others.
        """
        pair = _pair(first, second)
        if pair is None:
            return None
        goes = self.hyphen_goes(*pair)
        goes = first.endswith("\xad") or (self.usually_goes if goes is None else goes)
        self.mended += goes
        return first[:-1] if goes else first

    def mend(self, lines: list[str]) -> list[str]:
        """The lines, with words that the text has elsewhere in one piece put together on the first of their lines."""
        if not self.broken:
            return lines
        result = list(lines)
        for i, following in enumerate(lines[1:]):
            words = following.lstrip()
            head, _, rest = words.partition(" ")
            pair = _pair(result[i], head)
            if pair and self.hyphen_goes(*pair):
                self.mended += 1
                result[i] = result[i][:-1] + head
                result[i + 1] = following[: len(following) - len(words)] + rest if rest else ""
        return result


def _pair(first: str, second: str) -> tuple[str, str] | None:
    """The two parts, case-folded, of a word that goes on in the next line in lower case."""
    before = _BEFORE.search(first[-LONGEST:])
    behind = _BEHIND.match(second[:LONGEST]) if before else None
    return (before[1].casefold(), behind[0]) if before and behind and behind[0].islower() else None
