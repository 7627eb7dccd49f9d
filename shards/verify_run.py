"""All that `gristmill shards verify` proves: the set by itself, and what the run beside it knows besides.

That is: no group is on two sides, and nothing is there that was removed. What splits share is reported, not a problem.

A document's group (host, book, repository, conversation) is what the split hashes: `meta["group"]` in corpus/, and
where that is missing the document itself.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from shards import read
from shards.format import ShardError
from shards.ids import Keys, document_id, keys
from shards.manifest import MANIFEST, SUFFIX
from shards.overlap import Overlap, as_lines, overlap
from shards.pieces import documents
from shards.read import ShardSet
from shards.remove import holdings
from shards.tombstones import FOLDER, file_name, read_folder
from shards.verify import Problem, verify

NAMED: Final = 3  # examples


@dataclass
class Groups:
    """`checked` documents of the shards have their group in corpus/, under the same split; `unknown` ones have not, so
    nothing is known of theirs. `why`: where nothing could be checked. `two_sides`: groups of which documents are in two
    splits, [(group, one split, the other)], at most a few named; `count` of them in all."""

    checked: int = 0
    unknown: int = 0
    why: str | None = None
    two_sides: list[tuple[str, str, str]] = field(default_factory=list)
    count: int = 0


@dataclass(frozen=True)
class Proof:
    """`problems`: all that is wrong. `groups`, `overlap`: None where problems left no set to look into, the second also
    where it was not asked for."""

    directory: str
    problems: list[Problem]
    groups: Groups | None = None
    overlap: Overlap | None = None

    def as_lines(self) -> list[str]:
        """The outcome for a person to read; problems aside."""
        lines = [f"{self.directory}: {f'{len(self.problems)} problems' if self.problems else 'verified'}"]
        if self.groups is not None and self.groups.why:
            lines.append(f"groups: not checked: {self.groups.why}")
        elif self.groups is not None:
            unknown = f"; corpus/ does not hold {self.groups.unknown:,} others" if self.groups.unknown else ""
            lines.append(f"groups: those of {self.groups.checked:,} documents checked{unknown}")
        return lines + (as_lines(self.overlap) if self.overlap else [])


def prove(directory: Path, with_overlap: bool = True) -> Proof:
    """Verify the set in `directory`, and where a run's output directory is around it, what that knows of it."""
    problems = verify(directory) + strangers(directory)
    if problems:
        return Proof(str(directory), problems)
    shards = read.open(directory)
    try:
        errors = without_tombstone(shards) + still_there(shards)
        groups = check_groups(shards, directory.absolute().parent)
    except ShardError as error:
        return Proof(str(directory), [Problem(error.file, error.what)])
    problems = [Problem(error.file, error.what) for error in errors]
    problems += [
        Problem(MANIFEST, f"group {name!r}: in two splits: {one} and {other}") for name, one, other in groups.two_sides
    ]
    return Proof(str(directory), problems, groups, overlap(shards) if with_overlap else None)


def check_groups(shards: ShardSet, output: Path) -> Groups:
    """Whether documents of one group lie in two splits, by the corpus/ in `output`. Raises ShardError.

    Reads ids and `meta` of the corpus, not its text. Memory: 57 bytes a document.
    """
    corpus = output / "corpus"
    if not corpus.is_dir():
        return Groups(why=f"there is no {corpus}, which names the groups")
    found = Groups()
    groups: list[npt.NDArray[np.bytes_]] = []
    splits, held = list(shards.manifest.splits), documents(shards)
    try:
        for number, split in enumerate(splits):
            ids, hashes = _of_split(corpus, split)
            here = held.ids[held.split == number]
            known = np.isin(here, ids)
            found.checked += int(np.count_nonzero(known))
            found.unknown += int(np.count_nonzero(~known))
            groups.append(np.unique(hashes[np.isin(ids, here)]))
        for i, one in enumerate(groups):
            for j in range(i):
                both = np.intersect1d(one, groups[j])
                found.count += len(both)
                names = _named(corpus, splits[i], both[:NAMED]) if len(both) else []
                found.two_sides += [(name, splits[j], splits[i]) for name in names]
    except (pa.ArrowException, OSError) as error:
        return Groups(why=f"{corpus} cannot be read: {error}")
    return found


def strangers(directory: Path) -> list[Problem]:
    """Files beside the manifest that are no shards: readers pass over them, but a proven set has none. Hidden ones are
    what unfinished writes left."""
    files = sorted(path.name for path in directory.glob("[!.]*") if path.is_file()) if directory.is_dir() else []
    return [
        Problem(name, f"extra: {MANIFEST} does not list it")
        for name in files
        if name != MANIFEST and not name.endswith(SUFFIX)
    ]


def without_tombstone(shards: ShardSet) -> list[ShardError]:
    """Removals in the manifest of which no tombstone tells: made up, or their tombstones are lost, and with them what
    keeps the text from coming back. Of a set without tombstones and without a run around it nothing is known."""
    places = (shards.directory, shards.directory.absolute().parent)
    told = {tombstone.digest for place in places for tombstone in read_folder(place)}
    if not told and not (places[1] / "stages.json").is_file():
        return []
    return [
        ShardError(MANIFEST, f"removals: no tombstone in {FOLDER}/ tells of that of version {removal.version}")
        for removal in shards.manifest.removals
        if removal.tombstones not in told
    ]


def still_there(shards: ShardSet) -> list[ShardError]:
    """Documents that tombstones, of the set or of the run beside it, name and rows still hold; by file."""
    wanted: dict[str, int] = {}
    for place in (shards.directory, shards.directory.absolute().parent):
        for tombstone in read_folder(place):
            wanted.update(dict.fromkeys(tombstone.documents, tombstone.number))
    errors = []
    for held in holdings(shards, keys(wanted)) if wanted else ():
        document = document_id(held.documents[0])
        count = f" and {len(held.documents) - 1:,} more" if len(held.documents) > 1 else ""
        what = f"document {document}{count}: {file_name(wanted[document])} says it was removed"
        errors.append(ShardError(held.file.entry.name, what))
    return errors


def _of_split(corpus: Path, split: str) -> tuple[Keys, npt.NDArray[np.bytes_]]:
    """The documents of a split and a hash of each one's group, S16 [n] both."""
    ids, hashes = [np.empty(0, "S16")], [np.empty(0, "S16")]
    for doc_ids, groups in _batches(corpus, split):
        raw = b"".join(map(bytes.fromhex, doc_ids.to_pylist()))
        ids.append(np.frombuffer(raw, "S16"))
        encoded = groups.dictionary_encode()
        known = [xxhash.xxh3_128_digest(name.encode()) for name in encoded.dictionary.to_pylist()]
        hashes.append(np.array(known, "S16")[encoded.indices.to_numpy()])
    return np.concatenate(ids), np.concatenate(hashes)


def _named(corpus: Path, split: str, wanted: npt.NDArray[np.bytes_]) -> list[str]:
    """The groups of a split whose hashes are wanted, by name."""
    found: Counter[str] = Counter()
    for _, groups in _batches(corpus, split):
        names = pc.unique(groups).to_pylist()
        hashes = np.array([xxhash.xxh3_128_digest(name.encode()) for name in names], "S16")
        found.update(name for name, hit in zip(names, np.isin(hashes, wanted)) if hit)
    return sorted(found)


def _batches(corpus: Path, split: str) -> Iterator[tuple[pa.StringArray, pa.StringArray]]:
    """Documents of a split and their groups."""
    for file in sorted((corpus / f"split={split}").rglob("*.parquet")):
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=65_536, columns=["doc_id", "meta"]):
                groups = pc.map_lookup(batch["meta"], "group", "first")
                yield batch["doc_id"], pc.coalesce(groups, batch["doc_id"])
