"""Line edits: which lines of a text would go, and why. They change nothing themselves: an edit is a span with a reason.

An edit is a named test of one line. Signals are measured on what is left, and the corpus is written without the lines.

    javascript   the line contains "javascript", in any case (Raffel et al. 2020, C4: such lines are mostly warnings
                 that a page needs it)
    policy       the line contains one of C4's six policy phrases, in any case (tensorflow_datasets, c4_utils.py)
    no_words     the line has no letter and no digit of any script, and is not empty: rulers, bullets, separators
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

VERSION = 1

POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)

EDITS: dict[str, str] = {
    "javascript": r"(?i)^[^\n]*javascript[^\n]*$",
    "policy": r"(?i)^[^\n]*(?:" + "|".join(POLICY_PHRASES) + r")[^\n]*$",
    "no_words": r"^[^\n\w]*[^\n\w\s][^\n\w]*$",
}


@dataclass(frozen=True)
class Edit:
    """A span of a text that goes: `start` and `end` are bytes of its UTF-8 form, `reason` the name of the edit.

    The line's newline belongs to the span, unless the line is the last one.
    """

    start: int
    end: int
    reason: str


class LineEdits:
    """Finds the lines that the named edits cut.

    `names`: keys of `EDITS`, in the order in which they claim a line. Raises KeyError for a name that is not there.
    """

    def __init__(self, names: list[str]) -> None:
        self.patterns = [(name, EDITS[name], re.compile(EDITS[name], re.MULTILINE)) for name in names]

    def find(self, texts: pa.StringArray) -> dict[int, list[Edit]]:
        """The edits of each text that has any, by its position in `texts` (n strings), in ascending order."""
        found: dict[int, dict[int, Edit]] = {}
        for name, expression, pattern in self.patterns:
            # RE2 over Arrow's buffers finds the few texts that Python has to look at.
            suspects = pc.match_substring_regex(texts, pattern="(?m)" + expression.replace(r"\w", r"\pL\pN\pM_"))
            for i in pc.indices_nonzero(suspects).to_pylist():
                text = texts[i].as_py()
                spans = [(m.start(), min(m.end() + 1, len(text))) for m in pattern.finditer(text)]
                ends = _byte_positions(text, [end for _, end in spans])
                for start, end in zip(_byte_positions(text, [start for start, _ in spans]), ends):
                    found.setdefault(i, {}).setdefault(start, Edit(start, end, name))
        return {i: [edits[start] for start in sorted(edits)] for i, edits in sorted(found.items())}


def apply(text: str, edits: list[Edit]) -> str:
    """The text without the edits' spans, and without white space that they leave at either end."""
    data = text.encode()
    kept, position = [], 0
    for edit in edits:
        kept.append(data[position : edit.start])
        position = max(position, edit.end)
    kept.append(data[position:])
    return b"".join(kept).decode().strip("\n")


def _byte_positions(text: str, characters: list[int]) -> list[int]:
    """Byte positions in UTF-8 of ascending character positions, in one walk over the text."""
    if text.isascii():
        return characters
    positions, last, total = [], 0, 0
    for character in characters:
        total += len(text[last:character].encode())
        last = character
        positions.append(total)
    return positions
