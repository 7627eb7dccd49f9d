"""Pages with passages that a person marked as main text or as none, and which blocks of the pages those are."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
from fastwarc.warc import ArchiveIterator
from numpy.typing import NDArray

from pipelines.ingest.extraction.blocks import Blocks

LEAST = 0.5
"""Share of a block that lies in a passage, or of a passage in a block, for the block to have its label."""


class Labelled(NamedTuple):
    """A page: its bytes, and passages that its main text must and must not hold."""

    uri: str
    body: bytes
    inside: list[str]
    outside: list[str]

    @property
    def site(self) -> str:
        """The last two labels of the host: what folds of cross-validation keep together."""
        uri = re.sub(r"\Ahttps?://web\.archive\.org/web/\w+/", "", self.uri)
        host = urlsplit(uri).hostname or uri.partition("::")[2].rpartition("-")[0]
        return ".".join(host.split(".")[-2:])


def pages(archives: list[Path]) -> Iterator[tuple[str, bytes]]:
    """URI and body of every page."""
    for archive in archives:
        for record in ArchiveIterator(str(archive), fsspec_args=False):
            yield record.headers["WARC-Target-URI"], record.reader.read()


def labelled(data: Path) -> list[Labelled]:
    """The pages of labelled-*.warc.gz with the passages of labelled.jsonl.gz, in `data`, sorted by URI."""
    with gzip.open(data / "labelled.jsonl.gz", "rt", encoding="utf-8") as file:
        passages = {row["uri"]: row for row in map(json.loads, file)}
    found = (
        Labelled(uri, body, passages[uri]["with"], passages[uri]["without"])
        for uri, body in pages(sorted(data.glob("labelled-*.warc.gz")))
        if uri in passages
    )
    return sorted(found, key=lambda page: page.uri)


def block_labels(
    blocks: Blocks, inside: list[str], outside: list[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """float32[blocks] twice: 1 for main text, 0 for none, NaN for unknown; and weights, 0 where unknown.

    White space does not count. A block that holds passages of both kinds stays unknown.
    """
    whole, borders = _squeezed(blocks)
    votes = np.zeros((len(blocks.begin), 2), np.float32)
    for kind, passages in enumerate((outside, inside)):
        for passage in passages:
            wanted = "".join(passage.split())
            for begin in _occurrences(whole, wanted) if wanted else ():
                _vote(votes[:, kind], borders, begin, begin + len(wanted))
    labels = np.full(len(blocks.begin), np.nan, np.float32)
    labels[(votes[:, 1] > 0) & (votes[:, 0] == 0)] = 1
    labels[(votes[:, 0] > 0) & (votes[:, 1] == 0)] = 0
    return labels, np.where(np.isnan(labels), 0, 1).astype(np.float32)


def _squeezed(blocks: Blocks) -> tuple[str, NDArray[np.int64]]:
    """All text without white space, and where each block begins in it (and the last one ends)."""
    buffer = blocks.text.tobytes()
    parts = ["".join(buffer[b:e].decode("utf-8", "replace").split()) for b, e in zip(blocks.begin, blocks.end)]
    return "".join(parts), np.cumsum([0, *map(len, parts)])


def _occurrences(whole: str, part: str) -> Iterator[int]:
    at = whole.find(part)
    while at >= 0:
        yield at
        at = whole.find(part, at + 1)


def _vote(votes: NDArray[np.float32], borders: NDArray[np.int64], begin: int, end: int) -> None:
    first = int(np.searchsorted(borders, begin, "right")) - 1
    for block in range(first, len(votes)):
        low, high = borders[block], borders[block + 1]
        if low >= end:
            break
        overlap = min(high, end) - max(low, begin)
        if overlap >= LEAST * (high - low) or overlap >= LEAST * (end - begin):
            votes[block] += 1
