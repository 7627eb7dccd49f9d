"""Broken files for every reader: real ones with bytes flipped, cut, doubled, moved, or replaced by noise.

A run tries FILES of them for each reader; set GRISTMILL_FUZZ for more (10,000 takes a while).
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from pipelines.ingest.records import Document, Failure

FILES = int(os.environ.get("GRISTMILL_FUZZ", "60"))
SECONDS = 30  # for one file; a reader that takes longer hangs


def mutated(data: bytes, seed: int) -> bytes:
    """`data` with one to four mutations, a function of `seed` alone."""
    generator = random.Random(seed)
    for _ in range(generator.randint(1, 4)):
        begin = generator.randrange(len(data) + 1)
        end = min(len(data), begin + int(2 ** generator.uniform(0, 12)))
        data = generator.choice(_MUTATIONS)(data, begin, end, generator)
    return data


def survives(read: Callable[[bytes], Iterable[Document | Failure]], data: bytes, seed: int) -> list[Document | Failure]:
    """What `read` makes of a mutation of `data`: it must come to an end, and throw nothing but what a row explains.

    `rows` turns an exception that ends a file into that file's failure; those are OSError, ValueError and their kind,
    never a KeyError or an IndexError, which say that the reader did not expect what it met.
    """
    with _time_limit(seed):
        found = []
        try:
            found.extend(read(mutated(data, seed)))
        except (OSError, ValueError, EOFError, MemoryError) as error:
            found.append(Failure("file", "", "unreadable", str(error)))
    positions = [record.position for record in found if isinstance(record, Document)]
    assert len(positions) == len(set(positions)), f"seed {seed}: two documents at one position"
    return found


def _flip(data: bytes, begin: int, end: int, generator: random.Random) -> bytes:
    if begin == len(data):
        return data
    return data[:begin] + bytes([data[begin] ^ 1 << generator.randrange(8)]) + data[begin + 1 :]


def _noise(data: bytes, begin: int, end: int, generator: random.Random) -> bytes:
    return data[:begin] + generator.randbytes(end - begin) + data[end:]


def _zeros(data: bytes, begin: int, end: int, generator: random.Random) -> bytes:
    return data[:begin] + bytes(end - begin) + data[end:]


def _cut(data: bytes, begin: int, end: int, generator: random.Random) -> bytes:
    return data[:begin] + data[end:]


def _truncate(data: bytes, begin: int, end: int, generator: random.Random) -> bytes:
    return data[:begin]


def _double(data: bytes, begin: int, end: int, generator: random.Random) -> bytes:
    return data[:end] + data[begin:]


def _move(data: bytes, begin: int, end: int, generator: random.Random) -> bytes:
    rest = data[:begin] + data[end:]
    at = generator.randrange(len(rest) + 1)
    return rest[:at] + data[begin:end] + rest[at:]


_MUTATIONS = (_flip, _noise, _zeros, _cut, _truncate, _double, _move)


@contextmanager
def _time_limit(seed: int) -> Iterator[None]:
    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"seed {seed}: no end within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
