"""Ids of documents and clusters as arrays: as two halves, which are quick to sort, and as keys, which can be looked up.

In a file an id is 16 bytes, V16 in NumPy; for a person it is 32 hex digits. All three sort alike.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from shards.order import Int64

Pairs = npt.NDArray[np.uint64]
Keys = npt.NDArray[np.bytes_]


def id_pairs(ids: npt.NDArray[np.void]) -> Pairs:
    """16-byte ids as two big-endian halves, uint64 [n, 2], which sort as the bytes (and their hex digits) do."""
    return np.ascontiguousarray(ids).view(">u8").reshape(-1, 2).astype(np.uint64)


def unique_pairs(pairs: Pairs) -> Pairs:
    """The different ids among `pairs` [n, 2], sorted."""
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    new = np.ones(len(pairs), np.bool_)
    new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[new]


def pair_hex(pair: Pairs) -> str:
    """The 32 hex digits of an id given as its two halves."""
    return f"{int(pair[0]):016x}{int(pair[1]):016x}"


def number_documents(ids: npt.NDArray[np.void]) -> tuple[Int64, Int64]:
    """Documents numbered in the order of their ids: where each first stands in `ids` [n], and the number of each id."""
    halves = id_pairs(ids)
    by_id = np.lexsort((halves[:, 1], halves[:, 0]))  # stable
    new = np.append(True, (halves[by_id][1:] != halves[by_id][:-1]).any(axis=1))[: len(ids)]
    document = np.empty(len(ids), np.int64)
    document[by_id] = np.cumsum(new) - 1
    return by_id[new], document


def keys(documents: Iterable[str]) -> Keys:
    """Ids of 32 hex digits as 16 bytes, sorted: S16 [n]. NumPy drops zeros at the end, which loses nothing here."""
    return np.sort(np.frombuffer(b"".join(map(bytes.fromhex, documents)), "S16"))


def as_keys(ids: npt.NDArray[np.void]) -> Keys:
    """16-byte ids as keys, S16 [n], in the given order."""
    return np.ascontiguousarray(ids).view("S16")


def among(some: Keys, documents: Keys) -> npt.NDArray[np.bool_]:
    """Which of `some` [n] are among the sorted `documents`, bool [n]."""
    if not len(documents):
        return np.zeros(len(some), np.bool_)
    at = np.minimum(np.searchsorted(documents, some), len(documents) - 1)
    return documents[at] == some


def document_id(key: bytes) -> str:
    """The id of one of `keys`, in hex."""
    return key.ljust(16, b"\0").hex()
