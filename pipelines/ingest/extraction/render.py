"""Blocks that stay, as plain text.

Paragraphs and headings are separated by blank lines; items of a list are a line each, with a hyphen or their number and
two spaces for each list around them; rows of a table of data are a line each, their cells separated by " | ";
preformatted text is as it was; formulas are their TeX between dollars, where the page has it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.extraction.blocks import FORMULA_MARK, Blocks
from pipelines.ingest.extraction.formulas import formula
from pipelines.ingest.extraction.structure import Structure

_MARK = chr(FORMULA_MARK)
_CELLS = " | "


def render(html: bytes, blocks: Blocks, places: Structure, keep: NDArray[np.bool_]) -> str:
    """The text of the blocks that stay. `html` is what the tokens were cut from, for the sources of formulas."""
    chosen = np.flatnonzero(keep)
    buffer = blocks.text.tobytes()
    columns = (blocks.begin, blocks.end, blocks.first, places.item, places.list, places.cell, places.row, places.table,
               places.level, places.number, places.column, places.is_pre)  # fmt: skip
    parts: list[str] = []
    item_before = list_before = cell_before = row_before = table_before = column_before = 0
    for begin, end, first, item, listing, cell, row, table, level, number, column, is_pre in zip(
        *(values[chosen].tolist() for values in columns)
    ):
        text = buffer[begin:end].decode("utf-8", "replace")
        if _MARK in text:
            text = _with_formulas(text, html, blocks, first)
        if is_pre:
            text = text.strip("\n")
        is_data = row and places.is_data[table]
        if is_data and row == row_before:
            separator = " " if cell == cell_before else _CELLS * max(column - column_before, 1)
        elif is_data and table == table_before:
            separator = "\n" + _CELLS.lstrip() * column
        elif listing and listing == list_before and not is_pre:
            separator = "\n"
        else:
            separator = "\n\n"
        if is_data:
            text = " ".join(text.split())
        elif item and not is_pre:
            indent = "  " * (level - 1)
            bullet = f"{number}. " if number else "- "
            text = indent + (bullet if item != item_before else " " * len(bullet)) + text
        parts.append(separator if parts else "")
        parts.append(text)
        item_before, list_before, cell_before, row_before = item, listing, cell, row
        table_before, column_before = table, column
    return "".join(parts)


def _with_formulas(text: str, html: bytes, blocks: Blocks, first: int) -> str:
    pieces = text.split(_MARK)
    written = [pieces[0]]
    for number, piece in enumerate(pieces[1:], first):
        begin, end = blocks.formulas[number].tolist()
        written += [formula(html[begin:end].decode("utf-8", "replace")), piece]
    return "".join(written)
