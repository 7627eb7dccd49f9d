import itertools
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dedup.bands import BAND_BITS, band_keys, binary, buckets, candidates, fixed
from pipelines.dedup.curve import RECALL, bands_and_rows, probability

NOWHERE = np.zeros(4_000, np.int64)


def ids_of(numbers):
    return binary(np.array([list(int(n).to_bytes(16, "big")) for n in numbers], np.uint8).reshape(-1, 16))


def found(rows, bucket, cuts):
    """The pairs of `candidates` over rows (key, id, old) that come sorted and in batches cut at `cuts`."""
    rows = sorted(rows, key=lambda row: (row[0], not row[2], row[1]))
    edges = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    batches = [
        pa.RecordBatch.from_arrays(
            [
                pa.array([key for key, _, _ in rows[a:b]], pa.int64()),
                ids_of([i for _, i, _ in rows[a:b]]),
                pa.array([old for _, _, old in rows[a:b]], pa.bool_()),
            ],
            ["key", "id", "old"],
        )
        for a, b in itertools.pairwise(edges)
    ]
    rows = [row for batch in candidates(bucket)(iter(batches)) for row in batch.to_pylist()]
    pairs = [(int.from_bytes(row["a"], "big"), int.from_bytes(row["b"], "big")) for row in rows if row["hub"] is None]
    hubs = [row["hub"] for row in rows if row["hub"] is not None]
    assert all(row["a"] is row["b"] is None for row in rows if row["hub"] is not None)
    return sorted(pairs), hubs


rows = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 60), st.booleans()), unique_by=lambda row: row[:2], max_size=80
)


@given(rows, st.integers(2, 20), st.lists(st.integers(0, 100), max_size=6))
def test_candidates_are_all_pairs_of_small_buckets_and_large_ones_are_named(rows, bucket, cuts):
    members = defaultdict(list)
    for key, number, old in sorted(rows, key=lambda row: (not row[2], row[1])):
        members[key].append((number, old))
    expected = [
        (a, b)
        for m in members.values()
        if len(m) <= bucket
        for (a, old_a), (b, old_b) in itertools.combinations(m, 2)
        if not (old_a and old_b)
    ]
    hubs = [key for key, m in sorted(members.items()) if len(m) > bucket]
    assert found(rows, bucket, cuts) == (sorted(expected), hubs)


def test_a_hub_costs_one_row():
    assert found([(7, i, False) for i in range(5_000)], 64, range(0, 5_000, 100)) == ([], [7])


def test_keys_agree_where_a_band_agrees_and_differ_elsewhere():
    random = np.random.default_rng(0)
    signatures = random.integers(0, 2**32, (2, 128), dtype=np.uint32)
    signatures[1, 12:18] = signatures[0, 12:18]  # the third band of six rows
    keys = band_keys(signatures, NOWHERE[:2], 21, 6)
    assert (keys[0] == keys[1]).tolist() == [band == 2 for band in range(21)]
    assert (keys & ((1 << BAND_BITS) - 1) == np.arange(21)).all()
    # The same values in another scope, or in another band, are another bucket.
    scopes = np.array([5, 6])
    assert not (band_keys(signatures, scopes, 21, 6)[0] == band_keys(signatures, scopes, 21, 6)[1]).any()
    signatures[:, :6] = signatures[0, 12:18]
    assert band_keys(signatures, NOWHERE[:2], 21, 6)[0, 0] != keys[0, 2]


def test_the_share_of_candidates_follows_the_curve():
    random = np.random.default_rng(1)
    for similarity in (0.5, 0.7, 0.8):
        n = 4_000
        a = random.integers(0, 2**32, (n, 128), dtype=np.uint32)
        b = np.where(random.random((n, 128)) < similarity, a, random.integers(0, 2**32, (n, 128), dtype=np.uint32))
        met = (band_keys(a, NOWHERE, 21, 6) == band_keys(b, NOWHERE, 21, 6)).any(axis=1).mean()
        expected = probability(similarity, 21, 6)
        assert met == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n) + 1e-9)
    assert probability(0.8, 21, 6) > 0.99


@given(st.floats(0.1, 1))
def test_derived_bands_reach_the_target_with_the_most_rows_that_do(target):
    bands, rows = bands_and_rows(target)
    assert bands * rows <= 128
    assert probability(target, bands, rows) >= RECALL
    assert rows == 128 or probability(target, 128 // (rows + 1), rows + 1) < RECALL
    assert bands_and_rows(0.8) == (21, 6)


def test_buckets_carry_every_document_through_every_band():
    random = np.random.default_rng(2)
    signatures = random.integers(0, 2**32, (3, 128), dtype=np.uint32)
    scopes = np.array([0, 0, 7])
    columns = [ids_of([1, 2, 3]), pa.array([False, True, False]), pa.array(scopes)]
    batch = pa.RecordBatch.from_arrays(
        [*columns, binary(signatures.view(np.uint8).reshape(3, -1))], ["id", "old", "scope", "signature"]
    )
    (emitted,) = buckets(14, 8)(iter([batch]))
    assert emitted.num_rows == 3 * 14
    assert (emitted["key"].to_numpy().reshape(3, 14) == band_keys(signatures, scopes, 14, 8)).all()
    assert emitted["old"].to_pylist() == [False] * 14 + [True] * 14 + [False] * 14


def test_fixed_and_binary_are_inverse_also_for_slices():
    values = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
    column = binary(values)
    assert (fixed(column.slice(3, 5), np.uint8, 16) == values[3:8]).all()
    with pytest.raises(ValueError, match="not 32 each"):
        fixed(column, np.uint8, 32)
