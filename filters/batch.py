"""A batch of texts on Arrow's own buffers, segmented at most once for all families of signals."""

from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.segment import Spans, Words, segment_lines, segment_paragraphs, segment_words


class TextBatch:
    """Texts without nulls, and the words, lines and paragraphs in them.

    `texts`: the Arrow array, string or large_string, n texts. `data`: uint8[...], a read-only view on Arrow's value
    buffer (no copy, so it may hold bytes of neighbours that a slice left out). `offsets`: int64[n + 1]; text i is
    `data[offsets[i]:offsets[i + 1]]`, UTF-8. `uris` and `languages` (of source code: GitHub Linguist's names): string
    arrays of n, null where unknown; None where they were not given.
    """

    def __init__(
        self,
        texts: pa.StringArray | pa.LargeStringArray | pa.ChunkedArray,
        *,
        uris: pa.StringArray | None = None,
        languages: pa.StringArray | None = None,
    ) -> None:
        """Raises `TypeError` where `texts` is not a string array and `ValueError` where it has nulls."""
        self.uris, self.languages = uris, languages
        if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
            raise TypeError(f"a batch is made of strings, not of {texts.type}")
        if texts.null_count:
            raise ValueError(f"{texts.null_count} of {len(texts)} texts are null")
        if isinstance(texts, pa.ChunkedArray):
            # Only 64-bit offsets can address several chunks as one array.
            texts = texts.chunk(0) if texts.num_chunks == 1 else texts.cast(pa.large_string()).combine_chunks()
        self.texts = texts
        self.data, self.offsets = _buffers(texts)

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def words(self) -> Words:
        """The words of all texts."""
        return segment_words(self.data, self.offsets)

    @cached_property
    def lines(self) -> Spans:
        """The lines of all texts, blank ones included."""
        return segment_lines(self.data, self.offsets)

    @cached_property
    def paragraphs(self) -> Spans:
        """The paragraphs of all texts."""
        return segment_paragraphs(self.data, self.offsets)


def _buffers(texts: pa.StringArray | pa.LargeStringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    _, starts, values = texts.buffers()
    width = np.dtype(np.int64 if pa.types.is_large_string(texts.type) else np.int32)
    offsets = np.zeros(1, np.int64)
    if starts is not None and len(texts):
        at = texts.offset * width.itemsize
        offsets = np.frombuffer(starts, width, len(texts) + 1, at).astype(np.int64)
    data = np.frombuffer(values, np.uint8) if values is not None and values.size else np.empty(0, np.uint8)
    data.flags.writeable = False  # one type for the kernels, whoever owns the buffer
    return data, offsets
