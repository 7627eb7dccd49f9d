from functools import reduce
from operator import xor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_cases import make_header, make_id, make_table, make_tokens

from shards.fingerprint import fingerprints, shard_fingerprint
from shards.write import write_shard


def fingerprint(documents: dict[bytes, list[int]], dtype: type = np.uint16) -> int:
    """The fingerprint of a set of documents, by our own function."""
    lengths = np.array([len(tokens) for tokens in documents.values()], np.int64)
    ids = np.frombuffer(b"".join(documents), "V16")
    tokens = np.array([token for tokens in documents.values() for token in tokens], dtype)
    found = fingerprints(ids, np.cumsum(lengths) - lengths, lengths, tokens)
    assert found.dtype == np.int64
    return reduce(xor, found.tolist(), 0)


def mix_by_hand(key: int, counter: int) -> int:
    z = (key + 0x9E3779B97F4A7C15 * (counter + 1)) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def by_hand(documents: dict[bytes, list[int]]) -> int:
    """The definition, in plain Python: SplitMix64 from a key made of the id, at (position, token)."""
    found = 0
    for name, tokens in documents.items():
        key = mix_by_hand(int.from_bytes(name[:8]), int.from_bytes(name[8:]))
        for position, token in enumerate(tokens):
            found ^= mix_by_hand(key, (position << 32) + token)
    return found - 2**64 if found >= 2**63 else found


CORPORA = st.dictionaries(st.binary(min_size=16, max_size=16), st.lists(st.integers(0, 900), max_size=9), max_size=5)


@given(CORPORA, st.sampled_from([np.uint16, np.uint32, np.int64]))
def test_it_is_as_defined(documents: dict[bytes, list[int]], dtype: type) -> None:
    assert fingerprint(documents, dtype) == by_hand(documents)


@given(CORPORA, CORPORA)
def test_other_tokens_have_another(one: dict[bytes, list[int]], other: dict[bytes, list[int]]) -> None:
    one, other = ({name: tokens for name, tokens in documents.items() if tokens} for documents in (one, other))
    assert (fingerprint(one) == fingerprint(other)) == (one == other)


def test_tokens_in_another_place_have_another() -> None:
    first, second = make_id("first"), make_id("second")
    documents = [
        {first: [5, 6, 7], second: [8, 9]},
        {first: [6, 5, 7], second: [8, 9]},
        {first: [8, 9], second: [5, 6, 7]},
        {first: [5, 6, 7, 8], second: [9]},
        {first: [5, 6], second: [8, 9]},
    ]
    assert len(set(map(fingerprint, documents))) == len(documents)


@pytest.mark.parametrize("packing", ["concatenate", "best_fit", "one_per_row"])
@pytest.mark.parametrize("vocabulary", [1000, 70_000])
def test_a_shard_has_that_of_its_documents(tmp_path: Path, packing: str, vocabulary: int) -> None:
    tokens = make_tokens([5, 40, 2, 0, 200, 16, 17, 3], vocabulary=vocabulary)
    header = make_header(packing=packing, vocabulary_size=vocabulary)
    write_shard(tmp_path / "a.arrow", make_table(tokens), header, seed=1)
    limit = header.width if header.truncates else None
    documents = {make_id(i): document[:limit] for i, document in enumerate(tokens)}
    assert shard_fingerprint(tmp_path / "a.arrow") == fingerprint(documents, np.uint32)


def test_an_empty_shard(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.arrow", make_table([]), make_header(), seed=1)
    assert shard_fingerprint(tmp_path / "a.arrow") == 0 == fingerprint({})
