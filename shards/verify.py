"""Proving a shard set whole: that it is what its manifest says, and that every token stands where its pieces say.

Memory is bounded by one file's pieces, one record batch, and 16-byte ids of documents and clusters (plus the number of
their file) over the set.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shards.format import PIECE_DTYPE, SetHeader, ShardError
from shards.ids import Pairs, id_pairs, unique_pairs
from shards.manifest import MANIFEST, FileEntry, check_files, file_digest, read_manifest
from shards.order import Int64
from shards.read import Tokens, batch_pieces, open_file
from shards.verify_documents import Borders, check_documents, named


@dataclass(frozen=True)
class Problem:
    """Something wrong with one file of a set."""

    file: str
    what: str


@dataclass
class _Ids:
    """Ids seen so far, as halves, uint64 [n, 2], and the number of the file or split in which each was seen."""

    halves: list[Pairs] = field(default_factory=list)
    where: list[npt.NDArray[np.int32]] = field(default_factory=list)

    def add(self, halves: Pairs, where: int) -> None:
        halves = unique_pairs(halves)
        self.halves.append(halves)
        self.where.append(np.full(len(halves), where, np.int32))

    def shared(self) -> list[tuple[str, int, int]]:
        """Ids seen in two places: some of them in hex, the one place, the other; one entry for each two places."""
        if not self.halves:
            return []
        halves, where = np.concatenate(self.halves), np.concatenate(self.where)
        by_id = np.lexsort((where, halves[:, 1], halves[:, 0]))
        halves, where = halves[by_id], where[by_id]
        twice = np.flatnonzero((halves[1:] == halves[:-1]).all(axis=1) & (where[1:] != where[:-1]))
        found: dict[tuple[int, int], list[Pairs]] = {}
        for i in twice:
            found.setdefault((int(where[i]), int(where[i + 1])), []).append(halves[i])
        return [(named(np.array(ids)), *places) for places, ids in sorted(found.items())]


def verify(directory: str | Path) -> list[Problem]:
    """All that is wrong with the shard set in `directory`; an empty list is the proof that it is whole.

    Checks the manifest, that exactly its files are there, their digests, schemas and headers, sums, ids against the
    vocabulary, that pieces do not overlap and everything else is padding, that special tokens stand only where a
    document begins or ends or where a fill-in-the-middle piece begins, that the pieces of every document cover it, and
    that no document lies in two files and no cluster in two splits.
    """
    directory = Path(directory)
    try:
        manifest = read_manifest(directory)
    except ShardError as error:
        return [Problem(error.file, error.what)]
    problems = [Problem(error.file, error.what) for error in check_files(directory, manifest)]
    unreadable = {problem.file for problem in problems if problem.what.startswith("missing")}
    splits = list(manifest.splits)
    documents, clusters = _Ids(), _Ids()
    for number, entry in enumerate(manifest.files):
        if entry.name in unreadable:
            continue
        found, pieces = _verify_file(directory, entry, manifest.header)
        problems += [Problem(entry.name, what) for what in found]
        if pieces is not None:
            documents.add(id_pairs(pieces["document"]), number)
            clusters.add(id_pairs(pieces["cluster"]), splits.index(entry.split))
    for name, first, second in documents.shared():
        other = manifest.files[first]
        what = "split" if other.split != manifest.files[second].split else "file"
        problems.append(Problem(manifest.files[second].name, f"document {name}: in another {what} too: {other.name}"))
    for name, first, second in clusters.shared():
        problems.append(Problem(MANIFEST, f"cluster {name}: in two splits: {splits[first]} and {splits[second]}"))
    return problems


def _verify_file(directory: Path, entry: FileEntry, shared: SetHeader) -> tuple[list[str], npt.NDArray[np.void] | None]:
    """What is wrong with one file, and its pieces, None where they cannot be read."""
    problems = []
    try:
        digest = file_digest(directory / entry.name)
        if digest != entry.digest:
            problems = [f"digest: {digest}, {MANIFEST} says {entry.digest}"]
        reader, _ = open_file(directory, entry, shared)
        if problems:
            return problems, None  # damaged: the header says enough, and nothing else in it would mean anything
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate(full=True)
    except ShardError as error:
        return [*problems, error.what], None
    except (pa.ArrowException, OSError) as error:
        return [*problems, f"not readable: {error}"], None
    if any(_has_nulls(batch) for batch in batches):
        return ["nulls, which the format has not"], None
    tables = [batch_pieces(batch) for batch in batches]
    pieces = np.concatenate([np.empty(0, PIECE_DTYPE), *(table for _, table in tables)])
    counts = np.concatenate([np.empty(0, np.int64), *(np.diff(begins) for begins, _ in tables)])
    found, borders = check_documents(pieces, np.repeat(np.arange(len(counts)), counts), shared)
    problems += found
    done = 0
    tally = np.zeros(len(_FAULTS), np.int64)
    for batch, (begins, table) in zip(batches, tables):
        tally += _count_faults(batch, begins, table, borders.part(done, done + len(table)), shared)
        done += len(table)
    problems += [f"{fault} ({count} times)" for fault, count in zip(_FAULTS, tally) if count]
    problems += _check_sums(entry, sum(batch.num_rows for batch in batches), pieces, shared)
    return problems, pieces


def _has_nulls(batch: pa.RecordBatch) -> bool:
    """Whether anything in a batch of shard columns is null."""
    tokens, pieces = batch.column("tokens"), batch.column("pieces")
    arrays = [tokens, tokens.flatten(), pieces, pieces.flatten(), *pieces.flatten().flatten()]
    return any(array.null_count for array in arrays)


def _check_sums(entry: FileEntry, rows: int, pieces: npt.NDArray[np.void], shared: SetHeader) -> list[str]:
    tokens = int(pieces["length"].sum(dtype=np.int64))
    counted = {
        "rows": rows,
        "tokens": tokens,
        "padding": rows * shared.width - tokens,
        "documents": len(unique_pairs(id_pairs(pieces["document"]))),
    }
    return [
        f"{key}: {count}, {MANIFEST} says {getattr(entry, key)}"
        for key, count in counted.items()
        if count != getattr(entry, key)
    ]


_FAULTS: Final = (
    "a piece that lies outside its row, overlaps another or is empty",
    "something else than padding outside the pieces",
    "padding inside a piece",
    "a token id outside the vocabulary",
    "a special token that is not at a document's border",
    "a document that does not begin with the bos token",
    "a document that does not end with the eos token",
    "a fill-in-the-middle piece that does not begin with its sentinel",
)
_PLACE, _OUTSIDE, _INSIDE, _RANGE, _SPECIAL, _BOS, _EOS, _SENTINEL = range(8)


def _count_faults(
    batch: pa.RecordBatch,
    begins: Int64,
    pieces: npt.NDArray[np.void],
    borders: Borders,
    shared: SetHeader,
) -> Int64:
    """How often each of `_FAULTS` occurs in the rows of a batch."""
    tokens = batch.column("tokens").flatten().to_numpy().reshape(-1, shared.width)
    special = np.zeros(shared.vocabulary_size, np.bool_)
    special[list(shared.special_ids.values())] = True
    bos, eos = (-1 if token is None else token for token in (shared.bos_id, shared.eos_id))
    tally = np.zeros(len(_FAULTS), np.int64)
    start, length = (pieces[name].astype(np.int64) for name in ("start", "length"))
    mark = start + (borders.opens & shared.adds_bos)  # where a sentinel stands
    marks = (borders.opens, borders.closes, borders.sentinel, mark)
    _scan(tokens, begins, start, length, *marks, special, shared.padding_id, bos, eos, tally)
    tally[_BOS] *= shared.adds_bos
    tally[_EOS] *= shared.adds_eos
    return tally


@numba.njit(cache=True, nogil=True)
def _scan(
    tokens: Tokens,
    begins: Int64,
    start: Int64,
    length: Int64,
    opens: npt.NDArray[np.bool_],
    closes: npt.NDArray[np.bool_],
    sentinel: Int64,
    mark: Int64,
    special: npt.NDArray[np.bool_],
    padding: int,
    bos: int,
    eos: int,
    tally: Int64,
) -> None:
    """Walk every row piece by piece and add what is wrong to `tally`."""
    rows, width = tokens.shape
    for row in range(rows):
        line = tokens[row]
        done = 0
        for piece in range(begins[row], begins[row + 1]):
            begin, end = start[piece], start[piece] + length[piece]
            if begin < done or end <= begin or end > width:
                tally[_PLACE] += 1
                continue
            for i in range(done, begin):
                tally[_OUTSIDE] += line[i] != padding
            for i in range(begin, end):
                token = np.int64(line[i])
                if token >= len(special):
                    tally[_RANGE] += 1
                elif token == padding:
                    tally[_INSIDE] += 1
                elif special[token]:
                    begins_it = token == bos and opens[piece] and i == begin
                    ends_it = token == eos and closes[piece] and i == end - 1
                    marks_it = token == sentinel[piece] and i == mark[piece]
                    tally[_SPECIAL] += not (begins_it or ends_it or marks_it)
            tally[_BOS] += opens[piece] and line[begin] != bos
            tally[_EOS] += closes[piece] and line[end - 1] != eos
            if sentinel[piece] >= 0:
                tally[_SENTINEL] += mark[piece] >= end or line[mark[piece]] != sentinel[piece]
            done = end
        for i in range(done, width):
            tally[_OUTSIDE] += line[i] != padding
