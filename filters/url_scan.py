"""One walk over each URL: its host's suffixes, its words, and what its letters and digits spell when joined."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from filters.segment import HASH_PRIME, HASH_SEED, Bytes, Ints

Hashes = NDArray[np.uint64]

_kernel = numba.njit(cache=True, nogil=True)


@_kernel
def scan(
    data: Bytes,
    offsets: Ints,
    odd: Ints,
    hosts: Bytes,
    host_offsets: Ints,
    domains: Hashes,
    words: tuple[Hashes, Ints, Hashes, Hashes],
) -> Ints:
    """Per URL: suffixes of its host that are listed, different strict, hard and soft words: int64[n, 4].

    The URLs are `data[offsets[i]:offsets[i + 1]]`. `odd` int64[n] numbers those whose host is given, in the same form,
    by `hosts` and `host_offsets`; for the others, -1, it is read from the URL. `domains` and `words` (strict, the
    ascending lengths of strict words in bytes, hard, soft) are made by `table`.
    """
    strict, strict_sizes, hard, soft = words
    found = np.zeros((len(odd), 4), np.int64)
    strict_seen, hard_seen, soft_seen = np.full(len(strict), -1), np.full(len(hard), -1), np.full(len(soft), -1)
    for url in range(len(odd)):
        begin, end = offsets[url], offsets[url + 1]
        if odd[url] < 0:
            start, stop = host_span(data, begin, end)
            found[url, 0] = _listed(data, start, stop, domains)
        else:
            found[url, 0] = _listed(hosts, host_offsets[odd[url]], host_offsets[odd[url] + 1], domains)
        joined, size = np.empty(end - begin, np.uint8), 0
        at = begin
        while at < end:
            hashed, start = HASH_SEED, size
            while at < end and _lower(data[at]) != 0:
                joined[size] = _lower(data[at])
                hashed = _mix(hashed, joined[size])
                size += 1
                at += 1
            if size > start:
                found[url, 2] += _is_new(hard, hashed, hard_seen, url)
                found[url, 3] += _is_new(soft, hashed, soft_seen, url)
            at += 1
        if len(strict_sizes) == 0:
            continue
        for start in range(size):
            hashed, known = HASH_SEED, 0
            for at in range(start, min(size, start + strict_sizes[-1])):
                hashed = _mix(hashed, joined[at])
                if at - start + 1 == strict_sizes[known]:
                    known += 1
                    found[url, 1] += _is_new(strict, hashed, strict_seen, url)
    return found


@_kernel
def host_span(data: Bytes, at: int, end: int) -> tuple[int, int]:
    r"""Where the host of a URL stands, without user, port and trailing dots. A backslash counts as a slash."""
    colon = at
    while colon < end and (
        _lower(data[colon]) != 0 or data[colon] == 0x2B or data[colon] == 0x2D or data[colon] == 0x2E
    ):
        colon += 1
    if colon + 1 < end and data[colon] == 0x3A and _is_slash(data[colon + 1]):
        at = colon + 1
    if at + 1 < end and _is_slash(data[at]) and _is_slash(data[at + 1]):
        while at < end and _is_slash(data[at]):
            at += 1
    start = stop = at
    while stop < end and not _is_slash(data[stop]) and data[stop] != 0x3F and data[stop] != 0x23:
        if data[stop] == 0x40:
            start = stop + 1
        stop += 1
    if start < stop and data[start] == 0x5B:
        close = start
        while close < stop and data[close] != 0x5D:
            close += 1
        return start, min(close + 1, stop)
    port = stop
    while port > start and 0x30 <= data[port - 1] <= 0x39:
        port -= 1
    if port > start and data[port - 1] == 0x3A:
        stop = port - 1
    while stop > start and data[stop - 1] == 0x2E:
        stop -= 1
    return start, stop


@_kernel
def _listed(data: Bytes, start: int, stop: int, domains: Hashes) -> int:
    """How many of a host's suffixes are in the table; of an address, only the whole counts."""
    hashed, found, is_name = HASH_SEED, 0, False
    last_label = True
    for at in range(stop - 1, start - 1, -1):
        byte = data[at]
        if byte == 0x2E:
            if is_name and _slot(domains, hashed) >= 0:
                found += 1
            last_label = False
        elif last_label and not 0x30 <= byte <= 0x39:
            is_name = True
        hashed = _mix(hashed, byte + 0x20 if 0x41 <= byte <= 0x5A else byte)
    return found + (stop > start and _slot(domains, hashed) >= 0)


@_kernel
def hash_backwards(data: Bytes, offsets: Ints) -> Hashes:
    """Hashes of texts from the last byte to the first, as `scan` hashes hosts: uint64[n]."""
    hashes = np.full(len(offsets) - 1, HASH_SEED)
    for text in range(len(hashes)):
        for at in range(offsets[text + 1] - 1, offsets[text] - 1, -1):
            hashes[text] = _mix(hashes[text], data[at])
    return hashes


@_kernel
def hash_forwards(data: Bytes, offsets: Ints) -> Hashes:
    """Hashes of texts from the first byte to the last, as `scan` hashes words: uint64[n]."""
    hashes = np.full(len(offsets) - 1, HASH_SEED)
    for text in range(len(hashes)):
        for at in range(offsets[text], offsets[text + 1]):
            hashes[text] = _mix(hashes[text], data[at])
    return hashes


@_kernel
def table(hashes: Hashes) -> Hashes:
    """A set of hashes: open addressing, at most half full, 0 for an empty slot."""
    size = 2
    while size < 2 * len(hashes):
        size *= 2
    table = np.zeros(size, np.uint64)
    for hashed in hashes:
        slot = np.int64(hashed >> np.uint64(8)) & (size - 1)
        while table[slot] != 0 and table[slot] != hashed:
            slot = (slot + 1) & (size - 1)
        table[slot] = hashed
    return table


@_kernel
def _slot(table: Hashes, hashed: np.uint64) -> int:
    """Where a hash lies in a table; -1 where it is not in it."""
    slot: Any = np.int64(hashed >> np.uint64(8)) & (len(table) - 1)
    while table[slot] != 0:
        if table[slot] == hashed:
            return slot
        slot = (slot + 1) & (len(table) - 1)
    return -1


@_kernel
def _is_new(table: Hashes, hashed: np.uint64, seen: Ints, url: int) -> bool:
    """Whether a hash is in a table and was not asked for before in this URL."""
    slot = _slot(table, hashed)
    if slot < 0 or seen[slot] == url:
        return False
    seen[slot] = url
    return True


@_kernel
def _mix(hashed: np.uint64, byte: int) -> np.uint64:
    hashed = (hashed ^ np.uint64(byte)) * HASH_PRIME
    return hashed ^ (hashed >> np.uint64(32))


@_kernel
def _lower(byte: int) -> int:
    """A byte of a word in lower case, 0 for any other."""
    if 0x41 <= byte <= 0x5A:
        return byte + 0x20
    return byte + 0 if 0x61 <= byte <= 0x7A or 0x30 <= byte <= 0x39 or byte >= 0x80 else 0


@_kernel
def _is_slash(byte: int) -> bool:
    return byte == 0x2F or byte == 0x5C
