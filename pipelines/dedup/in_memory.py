"""Match in one process: the pairs of `dedup.match`, found by NumPy and Numba in arrays of all documents.

A document costs 8 bytes a band and some 100 besides. The sketches of candidates are written to a file and mapped from
it. Spark moves every document through a shuffle once per band, which takes far longer for what fits here.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines import datasets
from pipelines.config import Dedup
from pipelines.dedup.bands import BAND_BITS, band_keys, binary, fixed, frozen
from pipelines.dedup.evidence import Evidence, Lists
from pipelines.dedup.hubs import PASSES, ROOM, Hubs, turn_after
from pipelines.dedup.leaders import Leaders
from pipelines.dedup.places import Place, hexed, load, nodes_of

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Documents:
    """n documents, those of earlier runs first, then by node."""

    nodes: NDArray[np.uint8]  # [n, 16]
    doc_ids: NDArray[np.uint8]  # [n, 16]
    place: NDArray[np.int16]  # [n]: which of the places
    scope: Ints  # [n]
    content: NDArray[np.uint64]  # [n, 2]
    keys: Ints  # [n, bands]
    signed: Bools  # [n]: long enough for a shingle

    @property
    def old(self) -> Bools:
        """[n]: of an earlier run. The first place is this run's."""
        return self.place > 0


def write_pairs(
    places: list[Place], eligible: pa.Table | None, settings: Dedup, output: Path, folder: Path
) -> dict[str, Any]:
    """What `match.write_pairs` does with the documents of `places`, the first of which is this run's.

    `eligible`: (id: the node, scope) of the documents that are compared; without it all are, in one scope.
    """
    documents = read(places, eligible, settings)
    head = heads(documents)
    exact = np.flatnonzero((head != np.arange(len(head))) & ~documents.old)
    single = np.flatnonzero((head == np.arange(len(head))) & documents.signed)
    left, right, keys, members = meetings(documents.keys, single, documents.old, settings.bucket)
    evidence = Evidence(settings.verify, settings.threshold)
    involved = np.unique(np.concatenate([left, right, members]))
    lists = load(places, documents.nodes[involved], evidence.column, folder / "evidence")
    a, b, similarity = verify(left, right, involved, lists, evidence)
    rows = [(head[exact], exact, np.ones(len(exact)), "exact"), (a, b, similarity, "near")]
    done = Hubs()
    if len(keys):
        lists_of_members = lists.take(np.searchsorted(involved, members))
        names = members.astype(">i8").view(np.uint8).reshape(-1, 8)
        led, unsettled, done = follow(keys, names, documents.old[members], lists_of_members, evidence)
        rows.append((*_unknown(led, a, b), "near"))
        _write(_members(documents, places, keys, members, unsettled), output / "hubs")
    _write(pa.concat_tables([_pairs(documents, places, *part) for part in rows]), output / "pairs" / "first")
    return {"hubs": len(np.unique(keys)), **asdict(done)}


def read(places: list[Place], eligible: pa.Table | None, settings: Dedup) -> Documents:
    """The documents that are compared."""
    wanted = None if eligible is None else eligible["id"].combine_chunks().cast(pa.binary())
    parts = [_no_documents(settings.bands)]  # a run may have none with a text
    for number, place in enumerate(places):
        for nodes, batch in place.batches(["content_hash", "signature"]):
            scope = np.zeros(len(nodes), np.int64)
            if wanted is not None and eligible is not None:
                at = pc.index_in(binary(nodes), value_set=wanted)
                nodes, batch = nodes[at.is_valid().to_numpy(zero_copy_only=False)], batch.filter(at.is_valid())
                scope = eligible["scope"].take(at.drop_null()).to_numpy()
            signed = batch["signature"].is_valid().to_numpy(zero_copy_only=False)
            keys = np.zeros((len(nodes), settings.bands), np.int64)
            if signed.any():
                signatures = fixed(batch["signature"].drop_null(), np.uint32, 128)
                keys[signed] = band_keys(frozen(signatures), frozen(scope[signed]), settings.bands, settings.rows)
            doc_ids = nodes if place.index is None else nodes_of(batch["doc_id"], None)
            content = fixed(batch["content_hash"], np.uint64, 2) if len(nodes) else np.empty((0, 2), np.uint64)
            parts.append([nodes, doc_ids, np.full(len(nodes), number, np.int16), scope, content, keys, signed])
    columns = [np.concatenate(column) for column in zip(*parts)]
    high, low = columns[0].view(">u8").astype(np.uint64).T
    order = np.lexsort((low, high, columns[2] == 0))
    return Documents(*(column[order] for column in columns))


def _no_documents(bands: int) -> list[NDArray[Any]]:
    """The columns of `Documents` without a row."""
    ids, one = np.empty((0, 16), np.uint8), np.empty(0, np.int64)
    return [ids, ids, one.astype(np.int16), one, np.empty((0, 2), np.uint64), np.empty((0, bands), np.int64), one > 0]


def heads(documents: Documents) -> Ints:
    """For each document the first one of its scope and content."""
    n = len(documents.nodes)
    order = np.lexsort((np.arange(n), documents.content[:, 1], documents.content[:, 0], documents.scope))
    content, scope = documents.content[order], documents.scope[order]
    new = np.r_[True, (content[1:] != content[:-1]).any(axis=1) | (scope[1:] != scope[:-1])] if n else np.empty(0, bool)
    first = np.empty(n, np.int64)
    first[order] = order[np.flatnonzero(new)[np.cumsum(new) - 1]]
    return first


def meetings(keys: Ints, single: Ints, old: Bools, bucket: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Who of the documents `single` meets in a bucket of at most `bucket`: (left, right), all different.

    And the members of larger ones, hubs, as (key, document). Pairs of two old documents are left out, and hubs of old
    ones alone.
    """
    own, old = np.ascontiguousarray(keys[single]), old[single]
    in_hub = np.zeros(own.shape, np.bool_)
    pairs: list[tuple[Ints, Ints]] = []
    for band in range(own.shape[1]):
        order = np.argsort(own[:, band], kind="stable")
        pairs.append(_meet(order, own[order, band], own, in_hub, old, band, bucket))
    left, right = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    by_pair = np.lexsort((right, left))
    row, column = np.nonzero(in_hub)
    by_key = np.lexsort((row, own[row, column]))
    return single[left[by_pair]], single[right[by_pair]], own[row, column][by_key], single[row[by_key]]


@numba.njit(cache=True, nogil=True)
def _meet(
    order: Ints, sorted_keys: Ints, keys: Ints, in_hub: Bools, old: Bools, band: int, bucket: int
) -> tuple[Ints, Ints]:
    """The pairs that meet in this band and in no band before it. Marks the band's hubs in `in_hub`."""
    left, right = np.empty(1024, np.int64), np.empty(1024, np.int64)
    n = at = 0
    while at < len(order):
        end = at + 1
        while end < len(order) and sorted_keys[end] == sorted_keys[at]:
            end += 1
        members = order[at:end]
        at = end
        if len(members) == 1 or old[members[-1]]:  # the old ones come first
            continue
        if len(members) > bucket:
            in_hub[members, band] = True
            continue
        for i in range(len(members) - 1):
            for j in range(i + 1, len(members)):
                a, b = members[i], members[j]
                if old[b] or _met_before(keys, in_hub, a, b, band):
                    continue
                if n == len(left):
                    left, right = np.concatenate((left, left)), np.concatenate((right, right))
                left[n], right[n] = a, b
                n += 1
    return left[:n].copy(), right[:n].copy()


@numba.njit(cache=True, nogil=True)
def _met_before(keys: Ints, in_hub: Bools, a: int, b: int, band: int) -> bool:
    for before in range(band):  # noqa: SIM110, Numba compiles no generator
        if keys[a, before] == keys[b, before] and not in_hub[a, before]:
            return True
    return False


def verify(
    left: Ints, right: Ints, involved: Ints, lists: Lists, evidence: Evidence
) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """The pairs that are similar, with their similarity. `lists`: of the documents `involved`, in rising order."""

    def similarities(part: slice) -> NDArray[np.float64]:
        sides = (lists.take(np.searchsorted(involved, side[part])) for side in (left, right))
        return evidence.similarities(*sides)

    parts = [slice(at, at + 100_000) for at in range(0, len(left), 100_000)]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = np.concatenate([np.empty(0), *threads.map(similarities, parts)])
    similar = found >= evidence.least
    return left[similar], right[similar], found[similar]


def follow(
    keys: Ints, names: NDArray[np.uint8], settled: Bools, lists: Lists, evidence: Evidence
) -> tuple[tuple[Ints, Ints, NDArray[np.float64]], Bools, Hubs]:
    """The pairs found in hubs, as `hubs.hub_pairs` finds them.

    m members, sorted by key and name: `names` [m, 8] are documents' positions as big-endian numbers. Returns (leader's
    position, follower's position, similarity) of all different pairs, which members' documents are not settled now, and
    what was done.
    """
    bands = keys & ((1 << BAND_BITS) - 1)
    position = names.view(">i8").astype(np.int64).ravel()
    followed, over = np.zeros(position.max() + 1, np.bool_), np.zeros(position.max() + 1, np.bool_)
    found: list[tuple[Ints, Ints, NDArray[np.float64]]] = []
    until = passes = left_over = 0
    while True:
        rest = np.flatnonzero((bands >= until) & ~followed[position])
        open_bands = bands[rest[~settled[rest]]]
        if not len(open_bands):
            break
        until = turn_after(int(open_bands.min()))
        rows = rest[bands[rest] < until]
        rows = rows[np.lexsort((position[rows], ~settled[rows], keys[rows]))]
        for again in reversed(range(PASSES)):
            passes += 1
            done = Leaders(ROOM, evidence, 8).follow(keys[rows], names[rows], settled[rows], lists.take(rows))
            leader = done.leaders.view(">i8").astype(np.int64).ravel()
            found.append((leader, position[rows[done.rows]], done.similarities))
            rows = rows[done.left_over]
            unlike = int(np.count_nonzero(~settled[rows]))
            if not unlike:
                break
            if not again:
                over[position[rows]] = True
                left_over += unlike
        for _, follower, _ in found:
            followed[follower] = True
    leaders, followers, similarity = (np.concatenate(side) for side in zip(*found)) if found else _NOTHING
    _, first = np.unique(np.stack([leaders, followers]), axis=1, return_index=True)
    unsettled = (followed[position] | over[position]) & ~settled
    return (leaders[first], followers[first], similarity[first]), unsettled, Hubs(passes, left_over)


_NOTHING = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def _unknown(led: tuple[Ints, Ints, NDArray[np.float64]], a: Ints, b: Ints) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """The pairs of hubs that were not found in small buckets too."""
    known = pa.array(a << 32 | b)
    new = pc.invert(pc.is_in(pa.array(led[0] << 32 | led[1]), value_set=known)).to_numpy(zero_copy_only=False)
    return led[0][new], led[1][new], led[2][new]


def _pairs(documents: Documents, places: list[Place], a: Ints, b: Ints, similarity: Any, kind: str) -> pa.Table:
    kinds = pa.repeat(pa.scalar(kind), len(a))
    columns = [hexed(documents.doc_ids[a]), hexed(documents.nodes[b]), pa.array(similarity), kinds]
    return pa.table([*columns, _index_of(documents, places, a)], schema=datasets.PAIRS)


def _members(documents: Documents, places: list[Place], keys: Ints, members: Ints, unsettled: Bools) -> pa.Table:
    columns = [pa.array(keys), hexed(documents.doc_ids[members]), _index_of(documents, places, members)]
    return pa.table([*columns, pa.array(~unsettled)], schema=datasets.HUBS)


def _index_of(documents: Documents, places: list[Place], rows: Ints) -> pa.Array:
    return pa.array([place.index for place in places], pa.string()).take(pa.array(documents.place[rows]))


def _write(rows: pa.Table, folder: Path) -> None:
    folder.mkdir(parents=True)
    pq.write_table(rows, folder / "part-00000-.parquet")
