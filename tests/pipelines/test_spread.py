"""Documents are spread over any number of shards, evenly, by a hash of their ids alone."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import ipc

from pipelines.encode import ORDER, TOKENS
from pipelines.pack import slices
from pipelines.spread import BITS, keys, numbers

KEYS = st.lists(st.integers(0, 2**BITS - 1), min_size=1)


def ids(count: int) -> np.ndarray:
    return np.frombuffer(b"".join(hashlib.md5(str(n).encode()).digest() for n in range(count)), "V16")


@pytest.mark.parametrize("shards", [1, 2, 3, 1_024, 3_000, 100_000])
def test_evenly_over_any_number_of_shards(shards):
    """More than a thousand too, at which the product of a key and their number has more than 63 bits."""
    many = 20 * max(shards, 500)
    counts = np.bincount(numbers(keys(ids(many), 1), shards), minlength=shards)
    mean = many / shards
    assert len(counts) == shards
    assert abs(counts - mean).max() < 7 * mean**0.5  # of as many draws of a Poisson count


def test_another_seed_another_place_and_neighbours_are_apart():
    some = ids(10_000)
    first, second = (numbers(keys(some, seed), 10) for seed in (1, 2))
    assert (first == second).mean() == pytest.approx(0.1, abs=0.02)
    assert (first[1:] == first[:-1]).mean() == pytest.approx(0.1, abs=0.02)
    assert len(np.unique(keys(some, 1))) == len(some)
    np.testing.assert_array_equal(keys(some[17:19], 1), keys(some, 1)[17:19])


@given(KEYS, st.integers(1, 2**31))
def test_a_shard_is_a_range_of_keys(of, shards):
    of = np.sort(np.array(of, np.int64))
    found = numbers(of, shards)
    assert (np.diff(found) >= 0).all()
    assert found[0] >= 0
    assert found[-1] < shards
    exact = [int(key) * shards >> BITS for key in of]
    assert np.abs(found - exact).max() <= 1  # a product that was rounded, at a border


def test_the_last_key_is_in_the_last_shard():
    last = np.array([2**BITS - 1], np.int64)
    for shards in (1, 3, 1_000, 2**31):
        assert numbers(last, shards)[0] == shards - 1


def test_no_documents():
    assert len(numbers(keys(ids(0), 1), 3)) == 0


@pytest.mark.parametrize("shards", [1, 3, 40])
def test_the_slices_of_all_shards_are_all_documents(tmp_path, shards):
    """Of files of several batches, each sorted, in which a split or a bucket may be missing."""
    some = [each.tobytes() for each in ids(300)]
    key = keys(ids(300), 1)
    rows = [
        dict.fromkeys(TOKENS.names)
        | {"split": "train" if n % 3 else "test", "bucket": "ab"[n % 2], "document": some[n], "key": int(key[n])}
        for n in range(300)
    ]
    files, batches = [], [rows[:1], rows[1:120], [], rows[120:299], rows[299:]]
    for number, held in enumerate((batches[:2], batches[2:4], batches[4:], [])):
        files.append(str(tmp_path / f"{number}.arrow"))
        with ipc.new_file(files[-1], TOKENS) as writer:
            for batch in held:
                for part in pa.Table.from_pylist(batch, TOKENS).sort_by(ORDER).to_batches():
                    writer.write_batch(part)
    for split in ("train", "test", "validation"):
        for bucket in "ab":
            for number in range(shards):
                found = slices(files, split, bucket, number, shards)["document"].to_pylist()
                of = [row for row in rows if (row["split"], row["bucket"]) == (split, bucket)]
                expected = [row["document"] for row in of if row["key"] * shards >> BITS == number]
                assert sorted(found) == sorted(expected)
