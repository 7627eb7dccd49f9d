"""Deduplication by brute force, in plain Python: what a run of the product must equal, document for document.

Shingles are tuples of words, and the similarity is that of Python's sets: no hash decides it. Candidates are all pairs
that share a band of their signatures, however many documents a bucket holds. datasketch makes the signatures.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from datasketch import MinHash
from dedup_case import Doc, Words

from filters import minhash, segment

Similar = dict[str, dict[str, float]]  # of each document those that are similar to it, and how similar they are


@dataclass(frozen=True)
class Verdict:
    """What is decided about a document."""

    failed: tuple[str, ...]
    duplicate_of: str | None
    similarity: float | None
    cluster: str
    stands_for: int
    kept: bool


def shingles(words: Words, n: int = 5) -> set[Words]:
    return {words[i : i + n] for i in range(len(words) - n + 1)}


def jaccard(a: set[Any], b: set[Any]) -> float:
    return len(a & b) / len(a | b)


def word_hash(word: str) -> int:
    """The hash of a word that `filters.segment.Words` documents."""
    hashed = int(segment.HASH_SEED)
    for char in word:
        hashed = (hashed ^ ord(char)) * int(segment.HASH_PRIME) % 2**64
        hashed ^= hashed >> 32
    return hashed


def as_bytes(shingle: Words) -> bytes:
    return b"".join(word_hash(word).to_bytes(8, "little") for word in shingle)


def signatures(docs: Iterable[Words]) -> Iterable[np.ndarray]:
    """datasketch's signature of each document's shingles."""
    hashed = ([as_bytes(shingle) for shingle in shingles(words)] for words in docs)
    for found in MinHash.generator(hashed, num_perm=128, scheme="affine32", hashfunc=minhash.shingle_hash):
        yield found.hashvalues


class Compared(NamedTuple):
    """The similar documents among those that met in a bucket, and those that met in one of more than a given size."""

    similar: Similar
    in_hubs: set[str]


def compare(
    docs: dict[str, Doc], bands: int = 21, rows: int = 6, threshold: float = 0.8, folded: bool = True, bucket: int = 64
) -> Compared:
    """All pairs of documents (by doc_id) of the same content, or that share a band and are similar enough."""
    numbers: dict[Words, int] = {}  # a shingle's number: sets of numbers are compared faster, and to the same effect
    sets = {
        doc_id: {numbers.setdefault(shingle, len(numbers)) for shingle in shingles(doc.words)}
        for doc_id, doc in docs.items()
    }
    content = {doc_id: (doc.words if folded else ()) or doc.text for doc_id, doc in docs.items()}
    buckets: dict[Any, list[str]] = defaultdict(list)
    for doc_id, signature in zip(docs, signatures(doc.words for doc in docs.values())):
        buckets["content", content[doc_id]].append(doc_id)
        for band in range(bands if sets[doc_id] else 0):
            buckets[band, signature[band * rows : (band + 1) * rows].tobytes()].append(doc_id)
    met: dict[str, set[str]] = defaultdict(set)
    for members in buckets.values():
        for doc_id in members if len(members) > 1 else ():
            met[doc_id].update(members)
    similar: Similar = defaultdict(dict)
    for a, others in met.items():
        for b in others:
            if a < b:
                similarity = 1.0 if content[a] == content[b] else jaccard(sets[a], sets[b])
                if similarity >= threshold:
                    similar[a][b] = similar[b][a] = similarity
    hubs = (members for members in buckets.values() if len({content[doc_id] for doc_id in members}) > bucket)
    return Compared(similar, {doc_id for members in hubs for doc_id in members})


def clusters(doc_ids: Iterable[str], similar: Similar) -> dict[str, str]:
    """The smallest doc_id of each document's connected component, by union-find."""
    parent = {doc_id: doc_id for doc_id in doc_ids}

    def root(doc_id: str) -> str:
        while parent[doc_id] != doc_id:
            parent[doc_id] = parent[parent[doc_id]]
            doc_id = parent[doc_id]
        return doc_id

    for a, others in similar.items():
        for b in others:
            one, other = sorted((root(a), root(b)))
            parent[other] = one
    return {doc_id: root(doc_id) for doc_id in parent}


def choose(order: list[str], similar: Similar, transitive: bool = False) -> dict[str, str]:
    """The staying document of which each other is a duplicate, among documents in the keep order `order`."""
    rank = {doc_id: i for i, doc_id in enumerate(order)}
    original: dict[str, str] = {}
    stays: set[str] = set()
    for doc_id in order:
        before = min(stays & similar.get(doc_id, {}).keys(), key=rank.__getitem__, default=None)
        if before is None:
            stays.add(doc_id)
        else:
            original[doc_id] = before
    return original


def first_of_cluster(order: list[str], cluster: dict[str, str]) -> dict[str, str]:
    """As `choose`, where of each cluster the first document alone stays."""
    first: dict[str, str] = {}
    for doc_id in order:
        first.setdefault(cluster[doc_id], doc_id)
    return {doc_id: first[cluster[doc_id]] for doc_id in order if first[cluster[doc_id]] != doc_id}


def verdicts(
    docs: dict[str, Doc],
    similar: Similar,
    keep_order: Callable[[Doc], Any],
    transitive: bool = False,
    duplicates_first: bool = False,
) -> dict[str, Verdict]:
    """The verdict on each document (by doc_id): blank ones meet a gate, spam meets a rule, before or after the choice.

    Clusters do not depend on rules; `stands_for` counts the documents that take part in the choice.
    """
    failed = {d: ("gate.no_text",) * (not doc.text.strip()) + ("unwanted.spam",) * doc.spam for d, doc in docs.items()}
    takes_part = [d for d in docs if docs[d].text.strip() and (duplicates_first or not failed[d])]
    order = sorted(takes_part, key=lambda doc_id: (keep_order(docs[doc_id]), doc_id))
    cluster = clusters(docs, similar)
    original = first_of_cluster(order, cluster) if transitive else choose(order, similar)
    stands_for = Counter(original.get(doc_id, doc_id) for doc_id in takes_part)
    found = {}
    for doc_id in docs:
        other = original.get(doc_id)
        kept = not failed[doc_id] and other is None
        similarity = similar.get(doc_id, {}).get(other) if other else None
        number = stands_for[doc_id] if kept else 0
        found[doc_id] = Verdict(failed[doc_id], other, similarity, cluster[doc_id], number, kept)
    return found
