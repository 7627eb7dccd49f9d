"""The text of a document with the lines marked that something objects to: edits, repeats, and lines that come again."""

from __future__ import annotations

from pipelines.lookup import Row, excerpt

MARKS = PLAIN, FOUND, CHANGED, CUT = " ", "=", "*", "-"
"""Marks, the strongest last: found elsewhere, or before in the same text; has a placeholder; loses something."""

LINE = 200  # characters that are shown of a line
MOST = 60  # marked lines that are shown


def marked_lines(text: str, spans: list[Row], limit: int) -> list[Row]:
    """The lines of a text up to `limit` characters, and of what follows those that are marked.

    `spans`: start and end (bytes of the text's UTF-8 form), mark and reason. Of each line: number (from 1), mark,
    reasons, text (cut, and safe to show).
    """
    shown: list[Row] = []
    first: dict[str, int] = {}
    position = characters = marked = 0
    for number, line in enumerate(text.split("\n"), 1):
        end = position + len(line.encode()) + 1
        here = [span for span in spans if span["start"] < end and span["end"] > position]
        reasons = list(dict.fromkeys(span["reason"] for span in here))
        mark = max([PLAIN, *(span["mark"] for span in here)], key=MARKS.index)
        bare = line.strip()
        if bare and first.setdefault(bare, number) != number:
            reasons.append(f"as line {first[bare]}")
            mark = max(mark, FOUND, key=MARKS.index)
        marked += mark != PLAIN
        if characters < limit or (mark != PLAIN and marked <= MOST):
            shown.append({"number": number, "mark": mark, "reasons": reasons, "text": excerpt(line, LINE)})
        position, characters = end, characters + len(line) + 1
    return shown


def as_lines(lines: list[Row]) -> list[str]:
    """The marked lines as they are printed, with a sign where some are left out."""
    printed, before = [], 0
    for line in lines:
        if line["number"] != before + 1:
            printed.append("    ...")
        reasons = f"   <- {', '.join(line['reasons'])}" if line["reasons"] else ""
        printed.append(f"  {line['mark']} | {line['text']}{reasons}")
        before = line["number"]
    return printed
