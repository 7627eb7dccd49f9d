"""Which licences a text spells out, by the words that it shares with the texts of the SPDX License List.

The texts are package data (`licences.json.gz`, made by pipelines.ingest.code.tables). A text holds a licence where it
has ENOUGH of the licence's shingles of three words. Of several licences it holds the one with the most shingles found
less those missing goes first, BSD-3-Clause before the BSD-2-Clause that is a part of it; its shingles are then taken
out, and the others need some of their own. What varies between copies does not count: punctuation, list marks, comment
marks, and the lines that name holders of copyright. Containment of shingles is Broder's (1997), the texts are SPDX's
(CC0-1.0)."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

import xxhash

SHINGLE = 3  # words
ENOUGH = 0.82
"""Share of a licence's shingles. BSD-2-Clause has 0.8 of BSD-3-Clause's; copies that name another holder in the
disclaimer have 0.9 or more of their own. By this project's choice."""

MOST = 400_000  # characters that are looked at: the longest list of licences that distributions ship
OWN = 0.5
"""Share of a licence's shingles that no licence found before it has: all that BSD-2-Clause has is in BSD-3-Clause. By
this project's choice."""

RUN = 20  # shingles
SPACING = 15  # characters from one shingle to the next: a word and what was left out

_WORD = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_HOLDER = re.compile(
    r"^[^\w\n]*(?:(?:dnl|rem)\b)?[^\w\n]*(?:portions )?(?:copyright|©)\s*(?:\(c\)|©|\d|<|\[|:|by\b|,|$).*$"
    r"|\ball rights reserved\b",
    re.MULTILINE,
)
_MARKS = frozenset({"dnl", "rem", "br"})


class Found(NamedTuple):
    """A licence (an SPDX identifier) and the character at which its text begins."""

    licence: str
    start: int


class _Index(NamedTuple):
    names: list[str]
    sizes: list[int]  # shingles of each
    owners: dict[int, list[int]]  # of each shingle


@lru_cache(maxsize=256)
def recognise(text: str) -> tuple[Found, ...]:
    """The licences that a text spells out, each once, in the order in which they begin."""
    index = _index()
    where = _shingles(text[:MOST])
    left = where.keys() & index.owners.keys()
    counts = Counter(owner for shingle in left for owner in index.owners[shingle])
    whole = [owner for owner, count in counts.items() if count >= ENOUGH * index.sizes[owner]]
    found = []
    for owner in sorted(whole, key=lambda owner: (index.sizes[owner] - 2 * counts[owner], owner)):
        mine = {shingle for shingle in left if owner in index.owners[shingle]}
        if len(mine) >= OWN * index.sizes[owner]:
            found.append(Found(index.names[owner], _start([where[shingle] for shingle in mine])))
            left -= mine
    return tuple(sorted(found, key=lambda one: one.start))


def _start(places: list[int]) -> int:
    """Where RUN of a licence's shingles stand together for the first time: single ones occur anywhere."""
    places = sorted(places)
    run = min(RUN, len(places) // 4)
    dense = (at for at, later in zip(places, places[run:]) if later - at < SPACING * run)
    return next(dense, places[0])


@cache
def _index() -> _Index:
    packed = files("pipelines.ingest.code").joinpath("licences.json.gz").read_bytes()
    texts: dict[str, str] = json.loads(gzip.decompress(packed))
    owners: dict[int, list[int]] = {}
    sizes = []
    for number, text in enumerate(texts.values()):
        shingles = _shingles(text)
        sizes.append(len(shingles))
        for shingle in shingles:
            owners.setdefault(shingle, []).append(number)
    return _Index(list(texts), sizes, owners)


def _shingles(text: str) -> dict[int, int]:
    """Hashes of the shingles of a text, with the character at which each is first met."""
    lower = _HOLDER.sub(lambda match: " " * len(match[0]), text.lower())
    if len(lower) != len(text):  # a few letters have a longer lower case; positions are then of the lower text
        lower = lower[: len(text)]
    words = [(m[0], m.start()) for m in _WORD.finditer(lower) if len(m[0]) > 1 and m[0] not in _MARKS]
    shingles: dict[int, int] = {}
    for at in range(len(words) - SHINGLE + 1):
        joined = " ".join(word for word, _ in words[at : at + SHINGLE])
        shingles.setdefault(xxhash.xxh3_64_intdigest(joined.encode()), words[at][1])
    return shingles
