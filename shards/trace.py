"""One token of a shard set traced to its document, and to the characters of the document's text that it stands for.

A token's place in the text is found by decoding: the bytes of all tokens of the document before it, taken from the
document's pieces in the order of their offsets, special tokens left out. Nothing is searched for in the text.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shards.format import ShardError, kind_name
from shards.pieces import pieces_of_document
from shards.read import ShardFile, ShardSet

PADDING = "padding"
SPECIAL = "special"
TEXT = "text"


@dataclass(frozen=True)
class Traced:
    """A token and where it comes from.

    `role`: text, special (`special` spells it) or padding. `document`, `cluster`: ids in hex; `offset`: of the token in
    the document's tokens, special ones included. All of `document` to `offset` is None for padding, which is nobody's.
    """

    split: str
    row: int
    position: int
    file: str
    row_in_file: int
    token: int
    role: str
    special: str | None = None
    document: str | None = None
    cluster: str | None = None
    kind: str | None = None
    offset: int | None = None


@dataclass(frozen=True)
class Span:
    """Where a token stands in its document's text: bytes of its UTF-8, and the characters that these touch."""

    first_byte: int
    end_byte: int
    first: int
    end: int

    @property
    def characters(self) -> slice:
        """The characters, to index the text with."""
        return slice(self.first, self.end)


def trace(shards: ShardSet, split: str, row: int, position: int) -> Traced:
    """The document of token `position` in row `row` of a split.

    Raises KeyError for a split that is not there, IndexError for a row or position outside it, ShardError for a damaged
    file.
    """
    file, nth = shards.split(split).locate(row)
    tokens = file.row(nth)
    if not 0 <= position < len(tokens):
        raise IndexError(f"a row has tokens 0 to {len(tokens) - 1}")
    token = int(tokens[position])
    names = {number: name for name, number in shards.header.special_ids.items()}
    here = (split, row, position, file.entry.name, nth, token)
    for piece in file.pieces(nth):
        inside = position - int(piece["start"])
        if 0 <= inside < int(piece["length"]):
            return Traced(
                *here,
                role=SPECIAL if token in names else TEXT,
                special=names.get(token),
                document=piece["document"].tobytes().hex(),
                cluster=piece["cluster"].tobytes().hex(),
                kind=kind_name(int(piece["kind"])),
                offset=int(piece["offset"]) + inside,
            )
    return Traced(*here, role=PADDING, special=names.get(token))


def document_tokens(file: ShardFile, document: str) -> npt.NDArray[np.int64]:
    """The tokens of the document with this id (hex), int64 [n], in the order of their offsets, special ones included.

    All pieces of a document lie in one file. Raises ShardError where they leave a gap, or where there are none.
    """
    rows, pieces = pieces_of_document(file, document)
    found = np.empty(int(pieces["length"].sum(dtype=np.int64)), np.int64)
    done = 0
    for i in np.argsort(pieces["offset"], kind="stable"):
        start, length = int(pieces["start"][i]), int(pieces["length"][i])
        if int(pieces["offset"][i]) != done:
            raise ShardError(file.entry.name, f"pieces of document {document} leave a gap or overlap")
        found[done : done + length] = file.row(int(rows[i]))[start : start + length]
        done += length
    if not len(pieces):
        raise ShardError(file.entry.name, f"no piece of document {document}")
    return found


def span(tokens: npt.NDArray[np.int64], offset: int, spelling: list[bytes | None], text: str) -> Span | None:
    """Where in `text` the token at `offset` of a document's `tokens` stands.

    `spelling`: the bytes of every token by id, None for special tokens, which stand nowhere. A token may begin or end
    inside a character; `first` to `end` are then all characters that it has a part of. None where the text does not
    begin with the bytes of these tokens: it is not the text that was encoded.
    """
    own = spelling[int(tokens[offset])]
    decoded = b"".join(spelling[token] or b"" for token in tokens[: offset + 1].tolist())
    data = text.encode("utf-8", "surrogatepass")
    if own is None or not data.startswith(decoded):
        return None
    return _span(data, len(decoded) - len(own), len(decoded))


def _span(data: bytes, first: int, end: int) -> Span:
    """Bytes `first` to `end` of UTF-8 as characters: a character begins at every byte that is no continuation."""
    begins = (np.frombuffer(data[:end], np.uint8) & 0xC0) != 0x80
    return Span(first, end, int(np.count_nonzero(begins[: first + 1])) - 1, int(np.count_nonzero(begins)))
