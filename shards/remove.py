"""Taking documents out of a shard set: their pieces become padding. Rows keep their numbers, the order its digest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import ipc

from shards import read
from shards.atomic import Together, finish_replacing, replacing_together
from shards.format import SetHeader
from shards.ids import Keys, among, as_keys, document_id, keys
from shards.manifest import MANIFEST, FileEntry, Manifest, Removal, file_digest, write_manifest
from shards.order import Int64
from shards.pieces import piece_batches, pieces_by_row
from shards.read import ShardFile, ShardSet, Tokens, open_file
from shards.tombstones import Request, as_json, file_name, read_folder, tombstone


@dataclass(frozen=True)
class Holding:
    """The documents to remove that one file holds: ids S16 [n], sorted, and their tokens in it, int64 [n]."""

    file: ShardFile
    documents: Keys
    tokens: Int64


def holdings(shards: ShardSet, documents: Keys) -> list[Holding]:
    """The files that hold any of `documents` [n], in the manifest's order. Reads pieces, not tokens; raises ShardError.

    Memory: the pieces of one file, and what is found.
    """
    found = []
    for entry in shards.manifest.files:
        file = shards.file(entry)
        _, pieces = pieces_by_row(file)
        own = as_keys(pieces["document"])
        hit = among(own, documents)
        if hit.any():
            held, which = np.unique(own[hit], return_inverse=True)
            tokens = np.zeros(len(held), np.int64)
            np.add.at(tokens, which, pieces["length"][hit].astype(np.int64))
            found.append(Holding(file, held, tokens))
    return found


def take_out(shards: ShardSet, found: list[Holding], together: Together, tombstones: str) -> Manifest:
    """Write the changed files and the manifest of the set's next version into `together`; changes nothing itself.

    `tombstones`: the digest of all ids of the removal. Raises ShardError for a file that is damaged.
    """
    manifest = shards.manifest
    new = {held.file.entry.name: _rewrite(held, together) for held in found}
    entries = [new.get(entry.name, entry) for entry in manifest.files]
    removal = Removal(
        version=manifest.version + 1,
        documents=sum(len(held.documents) for held in found),
        tokens=sum(int(held.tokens.sum()) for held in found),
        tombstones=tombstones,
    )
    folder = together.path(shards.directory / MANIFEST).parent
    return write_manifest(folder, manifest.header, entries, manifest.splits, [*manifest.removals, removal])


def remove(directory: Path, request: Request, dry_run: bool = False) -> dict[str, Any]:
    """Remove documents by id from a shard set that stands alone; its tombstones are in `directory`/removed.

    Returns removal (its number, None where all is out already), documents, already_removed, and shards (documents,
    tokens, files, version). Raises ValueError for an id that the set does not hold and for what only a run's output
    directory can tell, ShardError for a damaged set.
    """
    finish_replacing(directory)
    if request.uris or request.domains:
        raise ValueError(f"{directory} is a shard set alone: it knows ids, but no URI and no domain")
    shards = read.open(directory)
    known = read_folder(directory)
    earlier = {document for tombstone in known for document in tombstone.documents}
    new = set(request.ids) - earlier
    found = holdings(shards, keys(new))
    missing = sorted(new - _hex(found))
    if missing:
        raise ValueError(f"--id: {directory} has no document {missing[0]} ({len(missing):,} are missing)")
    if request.with_duplicates:
        new |= _same_clusters(shards, keys(new))
        found = holdings(shards, keys(new))
    if new and not dry_run:
        entry = tombstone(len(known) + 1, new, request)
        with replacing_together(directory) as together:
            together.path(directory / file_name(entry.number)).write_text(as_json(entry), "utf-8")
            take_out(shards, found, together, entry.digest)
    return {
        "removal": len(known) + 1 if new else None,
        "documents": len(new),
        "already_removed": len(set(request.ids) & earlier),
        "shards": summary(found, shards.manifest.version + bool(found)),
    }


def summary(found: list[Holding], version: int) -> dict[str, int]:
    """What is removed from a set, and the version that it has then."""
    return {
        "documents": sum(len(held.documents) for held in found),
        "tokens": sum(int(held.tokens.sum()) for held in found),
        "files": len(found),
        "version": version,
    }


def _hex(found: list[Holding]) -> set[str]:
    return {document_id(key) for held in found for key in held.documents.tolist()}


def _same_clusters(shards: ShardSet, documents: Keys) -> set[str]:
    """The documents of the set that share a cluster with one of `documents`."""
    pieces = [pieces_by_row(shards.file(entry))[1] for entry in shards.manifest.files]
    ids, clusters = (
        np.concatenate([np.empty(0, "S16"), *(as_keys(table[name]) for table in pieces)])
        for name in ("document", "cluster")
    )
    shared = np.unique(clusters[among(ids, documents)])
    return {document_id(key) for key in np.unique(ids[among(clusters, shared)]).tolist()}


def _rewrite(held: Holding, together: Together) -> FileEntry:
    """Write a file without the documents. Returns its new entry."""
    entry, shared = held.file.entry, held.file.shared
    reader, _ = open_file(held.file.directory, entry, shared)
    path = together.path(held.file.directory / entry.name)
    with pa.OSFile(str(path), "wb") as sink, ipc.new_file(sink, reader.schema) as writer:
        for batch, row, pieces in piece_batches(reader):
            out = among(as_keys(pieces["document"]), held.documents)
            writer.write_batch(_without(batch, row, pieces, out, shared) if out.any() else batch)
    tokens = int(held.tokens.sum())
    changes = {
        "tokens": entry.tokens - tokens,
        "padding": entry.padding + tokens,
        "documents": entry.documents - len(held.documents),
        "bytes": path.stat().st_size,
        "digest": file_digest(path),
    }
    return entry.model_copy(update=changes)


def _without(
    batch: pa.RecordBatch, row: Int64, pieces: npt.NDArray[np.void], out: npt.NDArray[np.bool_], shared: SetHeader
) -> pa.RecordBatch:
    """A record batch of as many rows, without the pieces `out` [n] of `pieces` [n]: their tokens become padding."""
    tokens = batch.column("tokens").flatten().to_numpy().copy()
    start, length = (pieces[name][out].astype(np.int64) for name in ("start", "length"))
    _pad(tokens, row[out] * shared.width + start, length, shared.padding_id)
    left = np.bincount(row[~out], minlength=batch.num_rows)
    schema = batch.schema
    columns = [
        pa.FixedSizeListArray.from_arrays(pa.array(tokens), type=schema.field("tokens").type),
        pa.ListArray.from_arrays(
            pa.array(np.concatenate([[0], np.cumsum(left)]).astype(np.int32)),
            batch.column("pieces").flatten().filter(pa.array(~out)),
            type=schema.field("pieces").type,
        ),
    ]
    return pa.record_batch(columns, schema=schema)


@numba.njit(cache=True, nogil=True)
def _pad(tokens: Tokens, begin: Int64, length: Int64, padding: int) -> None:
    """Overwrite each stretch of `tokens` with padding."""
    for i in range(len(begin)):
        tokens[begin[i] : begin[i] + length[i]] = padding
