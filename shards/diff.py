"""Two shard sets compared: headers, splits, files, rows of files of one name, and which documents are in which set.

Rows are read of files whose digests differ only; whether a file is what its digest says is for `verify`. Memory: the
pieces of two files, and 25 bytes for each document of both sets, a few times that while they are sorted.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shards.ids import document_id
from shards.pieces import documents, pieces_by_row
from shards.read import ShardFile, ShardSet

BLOCK_BYTES: Final = 4 << 20  # of tokens compared at a time


@dataclass(frozen=True)
class FileDiff:
    """A file that both sets have, with another digest.

    `fields`: what the manifests say of it, where they differ, as (first, second). `compared`: rows that both have, 0
    where the sets' widths differ; `rows`: how many of these differ, in tokens or in pieces; `some`: the first of them.
    """

    name: str
    fields: dict[str, tuple[Any, Any]]
    compared: int
    rows: int
    token_rows: int
    piece_rows: int
    some: list[int]


@dataclass(frozen=True)
class DocumentDiff:
    """Documents by where they are; ids in hex. `resized`: in both with another number of tokens; `moved`: other split.

    Of `only_first`, `only_second`, `resized` and `moved` the first few are named, in the order of their ids.
    """

    both: int
    counts: dict[str, int]
    named: dict[str, list[str]]


@dataclass(frozen=True)
class SetDiff:
    """How two shard sets differ; pairs are (first, second), None for what one of them has not."""

    same: bool
    header: dict[str, tuple[Any, Any]]
    splits: dict[str, tuple[Any, Any]]
    only_first: list[str]
    only_second: list[str]
    same_files: int
    files: list[FileDiff]
    documents: DocumentDiff

    def as_json(self) -> dict[str, Any]:
        """All of it as a JSON object."""
        return asdict(self)


def diff(first: ShardSet, second: ShardSet, most: int = 10) -> SetDiff:
    """Compare two sets; of everything that can be many, at most `most` are named. Raises ShardError for damaged files.

    The sets are the same where their manifests are: header, names and digests of all files.
    """
    ours, theirs = ({entry.name: entry for entry in shards.manifest.files} for shards in (first, second))
    shared = sorted(ours.keys() & theirs.keys())
    changed = [name for name in shared if ours[name].digest != theirs[name].digest]
    return SetDiff(
        same=first.manifest.digest == second.manifest.digest,
        header=_unlike(first.header.model_dump(), second.header.model_dump()),
        splits=_unlike(*({k: v.model_dump() for k, v in shards.manifest.splits.items()} for shards in (first, second))),
        only_first=sorted(ours.keys() - theirs.keys()),
        only_second=sorted(theirs.keys() - ours.keys()),
        same_files=len(shared) - len(changed),
        files=[_diff_file(first.file(ours[name]), second.file(theirs[name]), most) for name in changed],
        documents=_diff_documents(first, second, most),
    )


def as_lines(found: SetDiff) -> list[str]:
    """The differences for a person to read."""
    if found.same:
        return [f"the same: {found.same_files} files, {found.documents.both:,} documents"]
    lines = [f"header: {key}: {a!r}, {b!r}" for key, (a, b) in found.header.items()]
    lines += [
        f"split {name}: " + _counts(*({} if side is None else side for side in pair))
        for name, pair in found.splits.items()
    ]
    lines.append(f"files: {found.same_files} the same, {len(found.files)} changed")
    lines += [f"only in the first: {name}" for name in found.only_first]
    lines += [f"only in the second: {name}" for name in found.only_second]
    for file in found.files:
        rows = f"{file.rows:,} of {file.compared:,} rows differ ({file.token_rows:,} in tokens)"
        lines.append(f"changed: {file.name}: {rows if file.compared else 'rows of other widths'}")
    lines.append(f"documents: {found.documents.both:,} in both")
    for what, count in found.documents.counts.items():
        named = found.documents.named[what]
        if count:
            more = ["..."] * (count > len(named))
            lines.append(f"documents, {what.replace('_', ' ')}: {count:,}: {', '.join([*named, *more])}")
    return lines


def _counts(first: dict[str, int], second: dict[str, int]) -> str:
    """The counts of a split that differ, as `name 1 -> 2`."""
    pairs = {key: (first.get(key, 0), second.get(key, 0)) for key in {**first, **second}}
    return ", ".join(f"{key} {a:,} -> {b:,}" for key, (a, b) in pairs.items() if a != b) or "only in one, and empty"


def _unlike(first: dict[str, Any], second: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys whose values differ, with both values."""
    keys = sorted({**first, **second})
    return {key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)}


def _diff_file(first: ShardFile, second: ShardFile, most: int) -> FileDiff:
    entries = (file.entry.model_dump(exclude={"name", "digest"}) for file in (first, second))
    comparable = first.shared.width == second.shared.width
    compared = min(first.entry.rows, second.entry.rows) if comparable else 0
    in_tokens, in_pieces = np.zeros((2, compared), np.bool_)
    if compared:
        in_tokens = _unlike_tokens(first, second, compared)
        in_pieces = _unlike_pieces(first, second, compared)
    rows = np.flatnonzero(in_tokens | in_pieces)
    return FileDiff(
        name=first.entry.name,
        fields=_unlike(*entries),
        compared=compared,
        rows=len(rows),
        token_rows=int(np.count_nonzero(in_tokens)),
        piece_rows=int(np.count_nonzero(in_pieces)),
        some=rows[:most].tolist(),
    )


def _unlike_tokens(first: ShardFile, second: ShardFile, rows: int) -> npt.NDArray[np.bool_]:
    """Which of the first rows differ in their tokens, bool [rows]."""
    unlike = np.empty(rows, np.bool_)
    block = max(1, BLOCK_BYTES // first.shared.row_bytes)
    for begin in range(0, rows, block):
        wanted = range(begin, min(begin + block, rows))
        ours, theirs = (np.stack([file.row(i) for i in wanted]) for file in (first, second))
        unlike[begin : begin + len(wanted)] = (ours != theirs).any(axis=1)
    return unlike


def _unlike_pieces(first: ShardFile, second: ShardFile, rows: int) -> npt.NDArray[np.bool_]:
    """Which of the first rows differ in their pieces, bool [rows]."""
    sides = [pieces_by_row(file) for file in (first, second)]
    begins = [np.searchsorted(row, np.arange(rows + 1)) for row, _ in sides]
    counts = [np.diff(begin) for begin in begins]
    unlike = counts[0] != counts[1]
    count = np.where(unlike, 0, counts[0])
    row = np.repeat(np.arange(rows), count)  # of each piece in the rows that have as many pieces in both
    nth = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    bytes_of = [_as_bytes(pieces[begin[row] + nth]) for begin, (_, pieces) in zip(begins, sides)]
    unlike[row[(bytes_of[0] != bytes_of[1]).any(axis=1)]] = True
    return unlike


def _as_bytes(pieces: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
    """Pieces as rows of bytes, uint8 [n, bytes of a piece], which NumPy compares fast."""
    return np.ascontiguousarray(pieces).view(np.uint8).reshape(len(pieces), pieces.dtype.itemsize)


def _diff_documents(first: ShardSet, second: ShardSet, most: int) -> DocumentDiff:
    names = sorted({*first.manifest.splits, *second.manifest.splits})
    a, b = documents(first), documents(second)
    _, in_a, in_b = np.intersect1d(a.ids, b.ids, assume_unique=True, return_indices=True)
    split_a, split_b = (
        np.array([names.index(name) for name in shards.manifest.splits], np.int64)[found.split[shared]]
        for shards, found, shared in ((first, a, in_a), (second, b, in_b))
    )
    found = {
        "only_first": np.delete(a.ids, in_a),
        "only_second": np.delete(b.ids, in_b),
        "resized": a.ids[in_a[a.tokens[in_a] != b.tokens[in_b]]],
        "moved": a.ids[in_a[split_a != split_b]],
    }
    return DocumentDiff(
        both=len(in_a),
        counts={what: len(ids) for what, ids in found.items()},
        named={what: list(map(document_id, ids[:most].tolist())) for what, ids in found.items()},
    )
