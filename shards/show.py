"""Rows as a person reads them: decoded, with the border of every document visible."""

from dataclasses import dataclass
from itertools import cycle
from typing import Final

from rich.text import Text
from tokenizers import Tokenizer

from shards.format import FILL_IN_THE_MIDDLE, PIECE, WHOLE
from shards.read import Split

KIND_NAMES: Final = {WHOLE: "whole", PIECE: "piece", FILL_IN_THE_MIDDLE: "fill_in_the_middle"}
STYLES: Final = ("cyan", "green", "yellow", "magenta")


@dataclass(frozen=True)
class ShownPiece:
    """A piece of a row, decoded: ids in hex; `offset` in the document, `start` and `length` in the row, in tokens."""

    document: str
    cluster: str
    kind: str
    offset: int
    start: int
    length: int
    text: str


@dataclass(frozen=True)
class ShownRow:
    """A decoded row: where it lies, its pieces, and how many of its tokens are padding."""

    row: int
    file: str
    row_in_file: int
    pieces: list[ShownPiece]
    padding: int


def show_row(tokenizer: Tokenizer, split: Split, row: int) -> ShownRow:
    """Decode row `row` of a split, special tokens spelled out. Raises IndexError for a row that is not there.

    A piece may begin or end inside a character; the broken bytes decode to U+FFFD.
    """
    file, nth = split.locate(row)
    tokens = file.row(nth)
    pieces = []
    for piece in file.pieces(nth):
        start, length = int(piece["start"]), int(piece["length"])
        pieces.append(
            ShownPiece(
                document=piece["document"].tobytes().hex(),
                cluster=piece["cluster"].tobytes().hex(),
                kind=KIND_NAMES.get(int(piece["kind"]), "unknown"),
                offset=int(piece["offset"]),
                start=start,
                length=length,
                text=tokenizer.decode(tokens[start : start + length].tolist(), skip_special_tokens=False),
            )
        )
    padding = len(tokens) - sum(piece.length for piece in pieces)
    return ShownRow(row, file.entry.name, nth, pieces, padding)


def as_text(shown: ShownRow) -> Text:
    """A row for the terminal: a rule before every piece that names its document, each piece in the next colour."""
    text = Text(f"row {shown.row}: {shown.file}, row {shown.row_in_file}\n", "bold")
    for piece, style in zip(shown.pieces, cycle(STYLES)):
        where = f"tokens {piece.offset} to {piece.offset + piece.length - 1}"
        text.append(f"--- {piece.document} {piece.kind}, {where}\n", f"bold reverse {style}")
        text.append(f"{_printable(piece.text)}\n", style)
    if shown.padding:
        text.append(f"--- padding, {shown.padding} tokens\n", "dim")
    return text


def _printable(text: str) -> str:
    """Text of strangers, without what would drive the terminal: control characters become their escapes."""
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)
