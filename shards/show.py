"""Rows as a person reads them: decoded, with the border of every document visible, and of every token by option."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Final

import numpy as np
from rich.text import Text
from tokenizers import Tokenizer

from shards.format import kind_name
from shards.pieces import pieces_of_document
from shards.read import ShardSet, Split, Tokens
from tokenizer.vocabulary import byte_alphabet

STYLES: Final = ("cyan", "green", "yellow", "magenta")
PARTS: Final = ("prefix", "middle", "suffix")
BORDER: Final = "│"


@dataclass(frozen=True)
class ShownToken:
    """A token: its id, its text, with escapes where it is part of a character, and whether it is a special token."""

    id: int
    text: str
    special: bool


@dataclass(frozen=True)
class ShownPiece:
    """A piece of a row, decoded: ids in hex; `offset` in the document, `start` and `length` in the row, in tokens.

    `part`: of a piece of fill-in-the-middle, prefix, middle or suffix, as its sentinel says; else None. `tokens`: where
    they were asked for.
    """

    document: str
    cluster: str
    kind: str
    part: str | None
    offset: int
    start: int
    length: int
    text: str
    tokens: list[ShownToken] | None


@dataclass(frozen=True)
class ShownRow:
    """A decoded row: where it lies, its pieces, and how many of its tokens are padding.

    `others`: how many documents of the row are not shown.
    """

    split: str
    row: int
    file: str
    row_in_file: int
    pieces: list[ShownPiece]
    padding: int
    others: int


class Shower:
    """Decodes rows of a shard set with its tokenizer."""

    def __init__(self, tokenizer: Tokenizer, shards: ShardSet, with_tokens: bool = False) -> None:
        self._tokenizer = tokenizer
        self._shards = shards
        self._with_tokens = with_tokens
        self._special = {number: name for name, number in shards.header.special_ids.items()}
        self._sentinels = dict(zip(shards.header.sentinel_ids or (), PARTS))

    def row(self, split: Split, row: int, document: str | None = None) -> ShownRow:
        """Row `row` of a split, special tokens spelled out; of one document alone, where it is named by its id in hex.

        A piece may begin or end inside a character; the broken bytes decode to U+FFFD. Raises IndexError for a row that
        is not there and ShardError for a damaged file.
        """
        file, nth = split.locate(row)
        tokens, pieces = file.row(nth), file.pieces(nth)
        every = [self._piece(piece, tokens) for piece in pieces]
        padding = len(tokens) - sum(piece.length for piece in every)
        shown = [piece for piece in every if document in (None, piece.document)]
        others = len({piece.document for piece in every} - {piece.document for piece in shown})
        return ShownRow(split.name, row, file.entry.name, nth, shown, padding, others)

    def _piece(self, piece: np.void, tokens: Tokens) -> ShownPiece:
        start, length = int(piece["start"]), int(piece["length"])
        ids = tokens[start : start + length].tolist()
        return ShownPiece(
            document=piece["document"].tobytes().hex(),
            cluster=piece["cluster"].tobytes().hex(),
            kind=kind_name(int(piece["kind"])),
            part=next((self._sentinels[i] for i in ids if i in self._sentinels), None),
            offset=int(piece["offset"]),
            start=start,
            length=length,
            text=self._tokenizer.decode(ids, skip_special_tokens=False),
            tokens=[ShownToken(i, self._spelt(i), i in self._special) for i in ids] if self._with_tokens else None,
        )

    def _spelt(self, number: int) -> str:
        """One token as text; part of a character of a byte-level vocabulary as its bytes' escapes."""
        text = self._tokenizer.decode([number], skip_special_tokens=False)
        letters, alphabet = self._tokenizer.id_to_token(number) or "", byte_alphabet()
        if "\ufffd" not in text or number in self._special or not all(letter in alphabet for letter in letters):
            return text
        return bytes(alphabet[letter] for letter in letters).decode("utf-8", "backslashreplace")


def rows_of_document(shards: ShardSet, document: str) -> Iterator[tuple[Split, int]]:
    """The rows that hold a document, given by its id in hex, in the order of its text. Reads all pieces.

    Raises ValueError for what is no id and ShardError for a damaged file.
    """
    if not re.fullmatch("[0-9a-fA-F]{32}", document):
        raise ValueError(f"{document!r} is no document id: these are 32 hex digits")
    found = []
    for name in shards.manifest.splits:
        split, first = shards.split(name), 0
        for file in split.files:
            rows, pieces = pieces_of_document(file, document)
            places = zip(pieces["offset"].tolist(), rows.tolist())
            found += [(offset, name, first + nth, split) for offset, nth in places]
            first += file.entry.rows
    once = {(name, row): split for _, name, row, split in sorted(found, key=lambda place: place[:3])}
    yield from ((split, row) for (_, row), split in once.items())


def as_text(shown: ShownRow) -> Text:
    """A row for the terminal: a rule before every piece that names its document, each document in the next colour."""
    text = Text(f"{shown.split} row {shown.row}: {printable(shown.file)}, row {shown.row_in_file}\n", "bold")
    styles, style, document = cycle(STYLES), "", None
    for piece in shown.pieces:
        if piece.document != document:
            document, style = piece.document, next(styles)
        kind = piece.kind if piece.part is None else f"{piece.kind}, {piece.part}"
        where = f"tokens {piece.offset} to {piece.offset + piece.length - 1}, at {piece.start} of the row"
        text.append(f"--- {piece.document} {kind}, {where}\n", f"bold reverse {style}")
        if piece.tokens is None:
            text.append(printable(piece.text), style)
        for token in piece.tokens or ():
            text.append(printable(token.text), f"bold {style}" if token.special else style)
            text.append(BORDER, "dim")
        text.append("\n")
    if shown.others:
        text.append(f"--- {shown.others} other documents in this row\n", "dim")
    if shown.padding:
        text.append(f"--- padding, {shown.padding} tokens\n", "dim")
    return text


def printable(text: str, kept: str = "\n\t") -> str:
    """Text of strangers, without what would drive the terminal: control characters, but those kept, as escapes."""
    return "".join(c if c in kept or c.isprintable() else c.encode("unicode_escape").decode() for c in text)
