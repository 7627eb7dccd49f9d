"""A toy tokenizer, and documents with their middle last, to test with."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
from shard_cases import make_header, make_id

from shards.fill_in_the_middle import Ids, Units, units
from shards.format import FillInTheMiddle, Header

SPECIAL = {"<bos>": 0, "<eos>": 1, "<padding>": 2, "<prefix>": 3, "<middle>": 4, "<suffix>": 5}
FIRST = 6  # 256 ids of single bytes, then 256 of doubled ones
BYTE_LENGTHS = np.repeat([0, 1, 2], [FIRST, 256, 256])


def encode(texts: Sequence[str]) -> list[Ids]:
    """Bytes, two equal ones in a row as one token: so encoding a text in pieces gives more tokens, as BPE does."""
    return [np.array(_encode(text.encode()), np.uint16) for text in texts]


def _encode(data: bytes) -> list[int]:
    ids, i = [], 0
    while i < len(data):
        twice = data[i : i + 2] == data[i : i + 1] * 2
        ids.append(FIRST + data[i] + 256 * twice)
        i += 1 + twice
    return ids


def decode(ids: Sequence[int]) -> str:
    """The text, special tokens left out."""
    kept = [i - FIRST for i in ids if i >= FIRST]
    return b"".join(bytes([i % 256]) * (1 + i // 256) for i in kept).decode()


def fill_header(**changes: object) -> Header:
    policy = FillInTheMiddle(rate=1.0, spm_rate=0.5, prefix="<prefix>", middle="<middle>", suffix="<suffix>")
    values = {"vocabulary_size": FIRST + 512, "packing": "best_fit", "special_ids": SPECIAL, "context_length": 19}
    return make_header(**{**values, "fill_in_the_middle": policy, **changes})


def as_units(name: object, text: str, header: Header, seed: int = 0) -> Units:
    return units(make_id(name), text, encode([text])[0], BYTE_LENGTHS, encode, header, seed)


def plain(text: str, header: Header) -> Units:
    body = [*[0] * header.adds_bos, *encode([text])[0].tolist(), *[1] * header.adds_eos]
    return Units(np.array(body, header.dtype), [], False)


def fill_table(documents: Sequence[Units]) -> pa.Table:
    """The documents as `write_shard` wants them, named 0, 1, 2, ..."""
    ids = pa.array([make_id(i) for i in range(len(documents))], pa.binary(16))
    return pa.table(
        {
            "document": ids,
            "cluster": ids,
            "tokens": pa.array([document.tokens for document in documents], pa.list_(pa.uint32())),
            "pieces": pa.array([document.pieces for document in documents], pa.list_(pa.int64())),
            "suffix_first": pa.array([document.suffix_first for document in documents], pa.bool_()),
        }
    )


def cut(document: Units) -> list[list[list[int]]]:
    """The units of a document, each as its prefix, middle and suffix."""
    ends = np.cumsum([0, *document.pieces])
    pieces = [document.tokens[a:b].tolist() for a, b in pairwise(ends.tolist())]
    return [pieces[i : i + 3] for i in range(0, len(pieces), 3)]
