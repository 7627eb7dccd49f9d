"""What splits share beyond documents: passages of 50 tokens that occur in training and in a held-out split.

The windows of `WINDOW` tokens of the held-out rows are entered in a hash table; then training is read once, and each of
its windows looked up by a rolling hash. A hit counts only where the tokens are the same, so nothing is reported by
accident; a window is missed where another one has its 64-bit hash, with a chance of n^2 / 2^65 among n windows.

A window lies within one piece of one row, so it never crosses documents, and holds no special token. 50 tokens are the
length of a repeated passage in Lee et al., Deduplicating Training Data Makes Language Models Better, ACL 2022.

Memory: about 50 bytes for each of at most `MOST_TOKENS` held-out tokens; of larger held-out splits, a sample of
documents by their ids.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shards.format import ShardError
from shards.ids import id_pairs, pair_hex, unique_pairs
from shards.order import Int64
from shards.overlap_kernel import build, scan, token_hashes, windows_of
from shards.pieces import piece_batches
from shards.read import ShardSet, Tokens, open_file

WINDOW: Final = 50
MOST_TOKENS: Final = 1 << 24
TRAIN: Final = "train"

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Passage:
    """A stretch of a held-out row each token of which lies in a shared window, and where its first window is in
    training. Rows are numbered in their split, positions in the row; ids in hex."""

    tokens: int
    split: str
    document: str
    row: int
    position: int
    train_document: str
    train_row: int
    train_position: int


@dataclass(frozen=True)
class SplitOverlap:
    """What a held-out split shares with training. `shared_windows` occur there, `shared_tokens` lie in one of them,
    `shared_documents` have one; the other counts are all that was compared."""

    windows: int
    shared_windows: int
    tokens: int
    shared_tokens: int
    documents: int
    shared_documents: int


@dataclass(frozen=True)
class Overlap:
    """The report. `one_in`: of how many held-out documents one was compared; `longest`: the longest shared passages."""

    window: int
    one_in: int
    splits: dict[str, SplitOverlap]
    train_documents: int = 0
    longest: list[Passage] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """All of it as a JSON object."""
        return asdict(self)


class _Pieces(NamedTuple):
    """Pieces [n] and the rows they lie in: tokens of rows on end; where each piece begins and ends in these, and
    `place`, where it begins in its split (row x width + position); its document as two halves, [n, 2]."""

    tokens: Tokens
    begin: Int64
    end: Int64
    place: Int64
    document: npt.NDArray[np.uint64]


def overlap(shards: ShardSet, window: int = WINDOW, most: int = 10, most_tokens: int = MOST_TOKENS) -> Overlap:
    """Passages of `window` tokens that training shares with the other splits; `most` of the longest are named.

    Raises ShardError for a damaged file.
    """
    totals = shards.manifest.splits
    names = [name for name in totals if name != TRAIN]
    one_in = max(1, -(-sum(totals[name].tokens for name in names) // most_tokens))
    special = np.zeros(shards.header.vocabulary_size, np.bool_)
    special[list(shards.header.special_ids.values())] = True
    hashes = token_hashes(special)
    by_split = [_sampled(shards, name, one_in) for name in names]
    held = _joined([_joined(parts, shards) for parts in by_split], shards)
    split = np.repeat(np.arange(len(names)), [sum(len(part.begin) for part in parts) for parts in by_split])
    keys, at, piece = windows_of(held.tokens, held.begin, held.end, hashes, window)
    table, same = build(keys, held.tokens, at, window)
    first, in_train = np.full(len(keys), -1, np.int64), []
    for part in _parts(shards, TRAIN) if len(keys) and TRAIN in totals else ():
        ranges = (part.tokens, part.begin, part.end, part.place)
        hit = scan(ranges, hashes, window, table, (keys, held.tokens, at), first)
        in_train.append(part.document[hit])
    first = np.where(same >= 0, first[same], -1)
    facts = {name: _facts(held, split == i, at, piece, first, window) for i, name in enumerate(names)}
    train_documents = len(unique_pairs(np.concatenate([np.empty((0, 2), np.uint64), *in_train])))
    longest = _longest(shards, names, held, split, _stretches(at, piece, first, window), at, piece, first, most)
    return Overlap(window, one_in, facts, train_documents, longest)


def _parts(shards: ShardSet, split: str) -> Iterator[_Pieces]:
    """The pieces of a split, one record batch at a time."""
    width, row = shards.header.width, 0
    for file in shards.split(split).files:
        try:
            reader, _ = open_file(file.directory, file.entry, file.shared)
            for batch, own, pieces in piece_batches(reader):
                begin = own * width + pieces["start"]
                end = np.minimum(begin + pieces["length"], (own + 1) * width)
                tokens = batch.column("tokens").flatten().to_numpy()
                yield _Pieces(tokens, begin, end, row * width + begin, id_pairs(pieces["document"]))
                row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise ShardError(file.entry.name, f"not readable: {error}") from None


def _sampled(shards: ShardSet, split: str, one_in: int) -> list[_Pieces]:
    """The pieces of one in `one_in` documents of a split, with their tokens alone."""
    return [_alone(part, part.document[:, 1] % np.uint64(one_in) == 0) for part in _parts(shards, split)]


def _alone(part: _Pieces, chosen: Bools) -> _Pieces:
    """Some of the pieces, their tokens on end."""
    begin, end = part.begin[chosen], part.end[chosen]
    length = end - begin
    ends = np.cumsum(length)
    tokens = part.tokens[np.arange(length.sum()) + np.repeat(begin - (ends - length), length)]
    return _Pieces(tokens, ends - length, ends, part.place[chosen], part.document[chosen])


def _joined(parts: list[_Pieces], shards: ShardSet) -> _Pieces:
    """Several of `_alone` as one."""
    empty = np.empty(0, np.int64)
    none = _Pieces(np.empty(0, shards.header.dtype), empty, empty, empty, np.empty((0, 2), np.uint64))
    shift = np.cumsum([0, *(len(part.tokens) for part in parts)])
    moved = [part._replace(begin=part.begin + by, end=part.end + by) for part, by in zip(parts, shift)]
    return _Pieces(*(np.concatenate(columns) for columns in zip(none, *moved)))


def _stretches(at: Int64, piece: Int64, first: Int64, window: int) -> tuple[Int64, Int64]:
    """Runs of shared windows that overlap or touch, [k] each: the first window, and how many tokens they cover."""
    hit = np.flatnonzero(first >= 0)
    new = np.ones(len(hit), np.bool_)
    new[1:] = (np.diff(piece[hit]) != 0) | (np.diff(at[hit]) > window)
    opening = np.flatnonzero(new)
    closing = np.append(opening[1:], len(hit))[: len(opening)] - 1
    return hit[opening], at[hit[closing]] + window - at[hit[opening]]


def _facts(held: _Pieces, own: Bools, at: Int64, piece: Int64, first: Int64, window: int) -> SplitOverlap:
    """The counts of one split; `own`: which pieces are of it."""
    mine = own[piece]
    shared = mine & (first >= 0)
    _, length = _stretches(at, piece, np.where(mine, first, -1), window)
    return SplitOverlap(
        windows=int(np.count_nonzero(mine)),
        shared_windows=int(np.count_nonzero(shared)),
        tokens=int((held.end - held.begin)[own].sum()),
        shared_tokens=int(length.sum()),
        documents=len(unique_pairs(held.document[own])),
        shared_documents=len(unique_pairs(held.document[np.unique(piece[shared])])),
    )


def _longest(
    shards: ShardSet,
    names: list[str],
    held: _Pieces,
    split: Int64,
    stretches: tuple[Int64, Int64],
    at: Int64,
    piece: Int64,
    first: Int64,
    most: int,
) -> list[Passage]:
    opening, length = stretches
    found, width = [], shards.header.width
    for i in np.argsort(-length, kind="stable")[:most].tolist():
        window = int(opening[i])
        own = int(piece[window])
        row, position = divmod(int(held.place[own] + at[window] - held.begin[own]), width)
        train_row, train_position = divmod(int(first[window]), width)
        found.append(
            Passage(
                tokens=int(length[i]),
                split=names[int(split[own])],
                document=pair_hex(held.document[own]),
                row=row,
                position=position,
                train_document=_document_at(shards, train_row, train_position),
                train_row=train_row,
                train_position=train_position,
            )
        )
    return found


def _document_at(shards: ShardSet, row: int, position: int) -> str:
    pieces = shards.split(TRAIN).pieces(row)
    inside = (pieces["start"] <= position) & (position < pieces["start"] + pieces["length"])
    document: bytes = pieces["document"][inside][0].tobytes()
    return document.hex()


def as_lines(found: Overlap) -> list[str]:
    """The report for a person to read."""
    lines = []
    for name, facts in found.splits.items():
        share = facts.shared_tokens / max(1, facts.tokens)
        sample = f" (one in {found.one_in} documents)" if found.one_in > 1 else ""
        lines.append(
            f"{name} and {TRAIN} share passages of {found.window} tokens: {facts.shared_tokens:,} of {facts.tokens:,} "
            f"tokens ({share:.3%}), in {facts.shared_documents:,} of {facts.documents:,} documents{sample}"
        )
    for one in found.longest:
        here = f"{one.split} {one.document} (row {one.row}, position {one.position})"
        there = f"{TRAIN} {one.train_document} (row {one.train_row}, position {one.train_position})"
        lines.append(f"  {one.tokens:,} tokens: {here}, {there}")
    return lines
