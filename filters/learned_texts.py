"""Texts from an iterator in batches: what learned families are made from."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from filters.batch import TextBatch

BATCH_BYTES = 4_000_000  # a longer text is a batch of its own


def batches(texts: Iterable[str]) -> Iterator[TextBatch]:
    """All texts in their order, in batches of about 4 MB; surrogates, which UTF-8 cannot hold, become `?`."""
    waiting: list[bytes] = []
    size = 0
    for text in texts:
        waiting.append(text.encode("utf-8", "replace"))
        size += len(waiting[-1])
        if size >= BATCH_BYTES:
            yield _batch(waiting)
            waiting, size = [], 0
    if waiting:
        yield _batch(waiting)


def _batch(texts: list[bytes]) -> TextBatch:
    return TextBatch(pa.array(texts, pa.large_binary()).cast(pa.large_string()))
