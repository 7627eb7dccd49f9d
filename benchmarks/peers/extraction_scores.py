"""How good an extracted text is: passages that it must and must not hold, words of a text by hand, parts left whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from html import unescape

from selectolax.lexbor import LexborHTMLParser, LexborNode

_WORD = re.compile(r"\w+")
_BREAK = re.compile(r"<br\b", re.IGNORECASE)
_TEX = 'annotation[encoding="application/x-tex"]'
LEAST_CODE = 20  # characters


def squeezed(text: str) -> str:
    return " ".join(text.split())


def passages(rows: Iterable[tuple[str, list[str], list[str]]]) -> dict[str, float]:
    """Precision, recall and F1 over all passages of (text, what it must hold, what it must not), as trafilatura's own
    evaluation counts them, but for white space, which does not count."""
    found = missed = wrong = 0
    for text, inside, outside in rows:
        text = squeezed(text)
        held = sum(squeezed(passage) in text for passage in inside)
        found, missed = found + held, missed + len(inside) - held
        wrong += sum(squeezed(passage) in text for passage in outside)
    return {
        "precision": round(found / max(found + wrong, 1), 4),
        "recall": round(found / max(found + missed, 1), 4),
        "f1": round(2 * found / max(2 * found + wrong + missed, 1), 4),
    }


def token_f1(text: str, gold: str) -> float:
    """F1 of the words of a text, as a bag, against those of the text by hand."""
    ours, theirs = Counter(_WORD.findall(text.lower())), Counter(_WORD.findall(gold.lower()))
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


def parts(html: str, gold: str) -> dict[str, list[list[str]]]:
    """Tables, code blocks and formulas of a page that are within its main text by hand, each as pieces in order.

    A table with at least two rows of several cells and none within, a piece a cell and one for each row's end; <pre> of
    at least LEAST_CODE characters, a piece a line; a formula whose TeX the page has.
    """
    tree = LexborHTMLParser(_BREAK.sub("\n<br", html))
    whole = "".join(gold.split())
    tables = [cells for table in tree.css("table") if (cells := _cells(table)) and _within(cells, whole)]
    code = [
        lines
        for block in tree.css("pre")
        if len("".join(lines := _lines(block))) >= LEAST_CODE and _within([line.strip() for line in lines], whole)
    ]
    formulas = [[" ".join(unescape(node.text()).split())] for node in tree.css(_TEX)]
    return {"tables": tables, "code": code, "formulas": [formula for formula in formulas if formula[0]]}


def survives(kind: str, pieces: list[str], text: str) -> bool:
    """Whether a part is whole: cells in order, those of a row in a line; lines of code with their indentation, one
    after another; a formula's TeX, but for white space and what only sets its size."""
    if kind == "tables":
        return re.search("".join(map(_pattern, pieces)), text) is not None
    if kind == "code":
        return "\n".join(pieces) in "\n".join(line.rstrip() for line in text.split("\n"))
    tex = re.sub(r"\\(?:display|text)style\b|\s|^\{|\}$", "", pieces[0])
    return tex in re.sub(r"\s", "", text)


def _cells(table: LexborNode) -> list[str]:
    if table.css("table table, table pre") or any(node is not table for node in table.css("table")[1:]):
        return []
    rows = [[squeezed(cell.text(separator=" ")) for cell in row.css("td, th")] for row in table.css("tr")]
    filled = [[cell for cell in row if cell] for row in rows]
    if sum(len(row) > 1 for row in filled) < 2:
        return []
    return [piece for row in filled if row for piece in (*row, "\n")]


def _pattern(piece: str) -> str:
    """A cell, which may be broken into lines, and what may stand between it and the next one; between two rows."""
    if piece == "\n":
        return r"[\s|:-]*"
    return r"\s+".join(map(re.escape, piece.split())) + r"[ \t|]*"


def _lines(block: LexborNode) -> list[str]:
    lines = [line.rstrip() for line in block.text().strip("\n").split("\n")]
    return lines if any(lines) else []


def _within(pieces: list[str], whole: str) -> bool:
    return bool(pieces) and all("".join(piece.split()) in whole for piece in pieces if piece)
