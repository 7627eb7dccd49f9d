import itertools
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dedup.bands import BAND_BITS, band_keys, binary, buckets, candidates, fixed, probability


def ids_of(numbers):
    return binary(np.array([list(int(n).to_bytes(16, "big")) for n in numbers], np.uint8).reshape(-1, 16))


def found(rows, bucket, cuts):
    """The pairs of `candidates` over sorted rows (key, id) that come in batches cut at `cuts`."""
    rows = sorted(rows)
    edges = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    batches = [
        pa.RecordBatch.from_arrays(
            [pa.array([k for k, _ in rows[a:b]], pa.int64()), ids_of([i for _, i in rows[a:b]])], ["key", "id"]
        )
        for a, b in itertools.pairwise(edges)
    ]
    rows = [row for batch in candidates(bucket)(iter(batches)) for row in batch.to_pylist()]
    pairs = [(int.from_bytes(row["a"], "big"), int.from_bytes(row["b"], "big")) for row in rows if row["hub"] is None]
    hubs = [row["hub"] for row in rows if row["hub"] is not None]
    assert all(row["a"] is row["b"] is None for row in rows if row["hub"] is not None)
    return sorted(pairs), hubs


rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60)), unique=True, max_size=80)


@given(rows, st.integers(2, 20), st.lists(st.integers(0, 100), max_size=6))
def test_candidates_are_all_pairs_of_small_buckets_and_large_ones_are_named(rows, bucket, cuts):
    members = defaultdict(list)
    for key, number in sorted(rows):
        members[key].append(number)
    expected = [p for m in members.values() if len(m) <= bucket for p in itertools.combinations(m, 2)]
    hubs = [key for key, m in sorted(members.items()) if len(m) > bucket]
    assert found(rows, bucket, cuts) == (sorted(expected), hubs)


def test_a_hub_costs_one_row():
    assert found([(7, i) for i in range(5_000)], 64, range(0, 5_000, 100)) == ([], [7])


def test_keys_agree_where_a_band_agrees_and_differ_elsewhere():
    random = np.random.default_rng(0)
    signatures = random.integers(0, 2**32, (2, 128), dtype=np.uint32)
    signatures[1, 12:18] = signatures[0, 12:18]  # the third band of six rows
    keys = band_keys(signatures, 21, 6)
    assert (keys[0] == keys[1]).tolist() == [band == 2 for band in range(21)]
    assert (keys & ((1 << BAND_BITS) - 1) == np.arange(21)).all()
    # The same values in another band are another bucket.
    signatures[:, :6] = signatures[0, 12:18]
    assert band_keys(signatures, 21, 6)[0, 0] != keys[0, 2]


def test_the_share_of_candidates_follows_the_curve():
    random = np.random.default_rng(1)
    for similarity in (0.5, 0.7, 0.8):
        n = 4_000
        a = random.integers(0, 2**32, (n, 128), dtype=np.uint32)
        b = np.where(random.random((n, 128)) < similarity, a, random.integers(0, 2**32, (n, 128), dtype=np.uint32))
        met = (band_keys(a, 21, 6) == band_keys(b, 21, 6)).any(axis=1).mean()
        expected = probability(similarity, 21, 6)
        assert met == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n) + 1e-9)
    assert probability(0.8, 21, 6) > 0.99


def test_buckets_carry_every_document_through_every_band():
    random = np.random.default_rng(2)
    signatures = random.integers(0, 2**32, (3, 128), dtype=np.uint32)
    batch = pa.RecordBatch.from_arrays(
        [ids_of([1, 2, 3]), binary(signatures.view(np.uint8).reshape(3, -1))], ["id", "signature"]
    )
    (emitted,) = buckets(14, 8)(iter([batch]))
    assert emitted.num_rows == 3 * 14
    assert (emitted["key"].to_numpy().reshape(3, 14) == band_keys(signatures, 14, 8)).all()


def test_fixed_and_binary_are_inverse_also_for_slices():
    values = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
    column = binary(values)
    assert (fixed(column.slice(3, 5), np.uint8, 16) == values[3:8]).all()
    with pytest.raises(ValueError, match="not 32 each"):
        fixed(column, np.uint8, 32)
