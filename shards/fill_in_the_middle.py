"""Fill-in-the-middle: documents whose middle comes last, so that a model learns to infill.

Bavarian et al., Efficient Training of Language Models to Fill in the Middle, 2022 (arXiv:2207.14255): a text is cut at
two random places, each of the three pieces is encoded by itself and begins with a sentinel, and the pieces are put in
the order prefix, suffix, middle (PSM) or suffix, prefix, middle (SPM). Cutting at characters, not tokens, keeps a model
from failing where a cursor stands within a token.

A unit is the three pieces of one text in one row. It begins and ends as a document does: with bos before the first
sentinel and eos after the middle, where the header asks for them. A text that does not fit in a row becomes several
units. A document's tokens are counted in the order of its text: prefix, middle, suffix, unit by unit. So its pieces,
sorted by offset, are the text once the special tokens are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import xxhash

from shards.format import FILL_IN_THE_MIDDLE, SetHeader
from shards.order import Int64
from shards.packing import Layout, spread

# Tokens left free in a row for those that encoding a text in three pieces gives more than encoding it whole: two at the
# mean. Of 2,252 units of Python code in rows of 1,025 tokens, 4% needed more; padding was 0.14%, and 0.23% with 6.
SLACK: Final = 4
ROW_ORDERS: Final = np.array([[0, 2, 1], [2, 0, 1]])  # PSM and SPM, of prefix 0, middle 1 and suffix 2

Ids = npt.NDArray[np.integer]
Encode = Callable[[list[str]], list[Ids]]


@dataclass(frozen=True)
class Units:
    """A document as units: its tokens in text order, and where they are cut."""

    tokens: Ids
    pieces: list[int]  # lengths in tokens: prefix, middle and suffix of the first unit, of the second, and so on
    suffix_first: bool


def draw(document: bytes, header: SetHeader, seed: int) -> bool | None:
    """Whether the document of this id has its suffix first; None: it stays as it is. A hash of seed and id decides."""
    policy = header.fill_in_the_middle
    first, second = _hashes(b"fill in the middle", document, 0, seed)
    if policy is None or first >= policy.rate * 2**64:
        return None
    return second < policy.spm_rate * 2**64


def cut_points(document: bytes, start: int, characters: int, seed: int) -> tuple[int, int]:
    """Where the part of a document that begins at character `start` is cut: 0 <= a < b <= characters, all as likely.

    At least one character is needed. The middle has one at least; prefix and suffix may be empty.
    """
    first, second = _hashes(b"cut points", document, start, seed)
    a = first * (characters + 1) >> 64
    b = second * characters >> 64
    b += b >= a
    return min(a, b), max(a, b)


def _hashes(use: bytes, document: bytes, start: int, seed: int) -> tuple[int, int]:
    """Two numbers of 64 bits."""
    both = xxhash.xxh3_128_intdigest(b"%s\0%s%d" % (use, document, start), seed)
    return both >> 64, both & (2**64 - 1)


def units(
    document: bytes, text: str, plain: Ids, byte_lengths: Int64, encode: Encode, header: SetHeader, seed: int
) -> Units:
    """A document, which `draw` chose, as units that fit in a row each. Its text must not be empty.

    `plain`: the text's ids, without bos and eos; `byte_lengths`: of every token of the vocabulary; `encode`: texts to
    their ids. Raises ValueError where the tokens are not the text's bytes, as with a tokenizer that normalizes, or
    where one character does not fit in a row.
    """
    suffix_first = bool(draw(document, header, seed))
    room = header.width - 3 - header.adds_bos - header.adds_eos
    parts = _parts(text, plain, byte_lengths, room)
    done: list[tuple[int, list[Ids]]] = []
    while parts:
        cuts = [cut_points(document, start, len(part), seed) for start, part in parts]
        flat = [piece for (_, part), (a, b) in zip(parts, cuts) for piece in (part[:a], part[a:b], part[b:])]
        encoded = encode(flat)
        again: list[tuple[int, str]] = []
        for i, (start, part) in enumerate(parts):
            three = encoded[3 * i : 3 * i + 3]
            tokens = sum(map(len, three))
            if tokens <= room:
                done.append((start, three))
            elif len(part) == 1:
                raise ValueError(f"fill-in-the-middle: a character of {tokens} tokens does not fit in a row")
            else:  # the end that is too much, at least a character of it, becomes a part of its own
                tail = min(len(part) - 1, -(-len(part) * (tokens - room + SLACK) // tokens))
                again += [(start, part[:-tail]), (start + len(part) - tail, part[-tail:])]
        parts = again
    pieces = [_with_specials(three, suffix_first, header) for _, three in sorted(done, key=lambda unit: unit[0])]
    every = [piece for three in pieces for piece in three]
    return Units(np.concatenate(every), [len(piece) for piece in every], suffix_first)


def _parts(text: str, plain: Ids, byte_lengths: Int64, room: int) -> list[tuple[int, str]]:
    """The text in parts of about `room` tokens, but SLACK, each with the number of its first character."""
    data = text.encode()
    ends = np.cumsum(byte_lengths[plain])
    if ends[-1] != len(data):
        raise ValueError("fill-in-the-middle: the tokens are not the bytes of the text")
    if len(plain) <= room:
        return [(0, text)]
    step = max(1, room - SLACK)
    parts, start, begin = [], 0, 0
    for end in [*ends[step - 1 : -1 : step].tolist(), len(data)]:
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1  # a token may end within a character
        if end > begin:
            part = data[begin:end].decode()
            parts.append((start, part))
            start, begin = start + len(part), end
    return parts


def _with_specials(three: list[Ids], suffix_first: bool, header: SetHeader) -> list[Ids]:
    """Prefix, middle and suffix of a unit, each with its sentinel, and with bos and eos as the header asks for them."""
    assert header.sentinel_ids is not None
    before = [[sentinel] for sentinel in header.sentinel_ids]
    after: list[list[int]] = [[], [], []]
    if header.adds_bos and header.bos_id is not None:
        before[ROW_ORDERS[int(suffix_first), 0]].insert(0, header.bos_id)
    if header.adds_eos and header.eos_id is not None:
        after[1].append(header.eos_id)
    return [np.concatenate([a, ids, b]).astype(header.dtype) for a, ids, b in zip(before, three, after)]


def pack(
    packer: Callable[[npt.ArrayLike, int], Layout],
    lengths: Int64,
    width: int,
    counts: Int64,
    pieces: Int64,
    suffix_first: npt.NDArray[np.bool_],
) -> Layout:
    """Pack documents of which some are units, each of which lies in one row undivided.

    `lengths` [n]: tokens per document. `counts` [n]: in how many pieces a document is, 0 for one that has no units;
    `pieces` [counts.sum()]: their lengths, in text order. `suffix_first` [n]: the order of a document's units.
    """
    sizes = pieces.reshape(-1, 3)
    items = np.maximum(1, counts // 3)  # what is packed: units, and documents without any
    document, _ = spread(items)
    is_unit = counts[document] > 0
    length = lengths[document]
    length[is_unit] = sizes.sum(axis=1)
    before = np.cumsum(length) - length
    offset = before - before[np.cumsum(items) - items][document]
    packed = packer(length, width)

    units_only = is_unit[packed.document]
    item = packed.document[units_only]
    order = ROW_ORDERS[suffix_first[document[item]].astype(np.int64)]
    sizes = sizes[(np.cumsum(is_unit) - 1)[item]]
    in_row, offsets = np.take_along_axis(sizes, order, axis=1), offset[item, None] + _before(sizes)
    columns = {
        "document": (document[packed.document], np.repeat(document[item], 3)),
        "offset": (offset[packed.document] + packed.offset, np.take_along_axis(offsets, order, axis=1)),
        "row": (packed.row, np.repeat(packed.row[units_only], 3)),
        "start": (packed.start, packed.start[units_only, None] + _before(in_row)),
        "length": (packed.length, in_row),
        "kind": (packed.kind, np.full(3 * len(item), FILL_IN_THE_MIDDLE, np.uint8)),
    }
    joined = {name: np.concatenate([a[~units_only], b.reshape(-1)]) for name, (a, b) in columns.items()}
    by_place = np.argsort(joined["row"] * width + joined["start"])
    return Layout(rows=packed.rows, width=width, **{name: column[by_place] for name, column in joined.items()})


def _before(sizes: Int64) -> Int64:
    """The sum of what stands before each of the sizes [u, 3] of a unit."""
    return np.cumsum(sizes, axis=1) - sizes


def in_order(row: Int64, start: Int64, length: Int64) -> npt.NDArray[np.bool_]:
    """Which units lie in one row, in PSM or SPM order without a gap, bool [u].

    `row`, `start` and `length` [u, 3]: of prefix, middle and suffix.
    """
    end = start + length
    prefix, middle, suffix = range(3)
    psm = (start[:, suffix] == end[:, prefix]) & (start[:, middle] == end[:, suffix])
    spm = (start[:, prefix] == end[:, suffix]) & (start[:, middle] == end[:, prefix])
    return (row == row[:, :1]).all(axis=1) & (psm | spm)
