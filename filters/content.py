"""The content hash: what makes two texts exact duplicates."""

from typing import Literal

import numpy as np
import pyarrow as pa
import xxhash

from filters.batch import TextBatch

VERSION = 1
"""Goes up when a canonical form changes."""

Canonical = Literal["as_is", "folded"]


def content_hash(batch: TextBatch, canonical: Canonical = "as_is") -> pa.FixedSizeBinaryArray:
    """128-bit xxh3 (seed 0, big-endian digest) of each text's canonical form: fixed_size_binary(16), no nulls.

    `as_is` hashes the UTF-8 bytes. `folded` hashes the words alone, so that case, white space and punctuation make no
    difference: the hashes of the case-folded words (`filters.segment`) in order, eight little-endian bytes each. A text
    without words is hashed as it is, so that two texts of different symbols differ.
    """
    if canonical == "as_is":
        units, borders = batch.data, batch.offsets
    elif canonical == "folded":
        units, borders = batch.words.hashes.astype("<u8", copy=False).view(np.uint8), batch.words.offsets * 8
    else:
        raise ValueError(f"no canonical form {canonical!r}: it is 'as_is' or 'folded'")
    digests = bytearray()
    for text in range(len(batch)):
        content = units[borders[text] : borders[text + 1]]
        if not len(content):
            content = batch.data[batch.offsets[text] : batch.offsets[text + 1]]
        digests += xxhash.xxh3_128_digest(content.tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(batch), [None, pa.py_buffer(bytes(digests))])
