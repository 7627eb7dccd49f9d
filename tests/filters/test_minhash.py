"""Signatures against datasketch, sketches and similarities against sets."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import text_reference as reference
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import minhash
from filters.batch import TextBatch


def shingles(batch: TextBatch, n: int) -> list[list[bytes]]:
    hashes, offsets = batch.words.hashes.astype("<u8"), batch.words.offsets
    return [
        [hashes[at : at + n].tobytes() for at in range(offsets[i], offsets[i + 1] - n + 1)] for i in range(len(batch))
    ]


def check_signatures(batch: TextBatch, n: int, num_perm: int = 128, seed: int = 1) -> None:
    found = minhash.signatures(batch, num_perm, seed, n)
    assert found.shape == (len(batch), num_perm)
    assert found.dtype == np.uint32
    for row, grams in zip(found, shingles(batch, n)):
        oracle = MinHash(num_perm, seed, scheme="affine32", hashfunc=minhash.shingle_hash)
        oracle.update_batch(grams)
        assert np.array_equal(row, oracle.hashvalues)
        assert (row == minhash.EMPTY).all() == oracle.is_empty() == (not grams)


def check_sketches(batch: TextBatch, n: int, k: int) -> None:
    expected = [sorted({minhash.shingle_hash(gram) for gram in grams})[:k] for grams in shingles(batch, n)]
    found = minhash.sketches(batch, k, n)
    assert found.type == pa.list_(pa.uint32())
    assert found.to_pylist() == expected


@settings(deadline=None, max_examples=100)
@given(st.lists(reference.texts, max_size=4), st.integers(1, 6), st.integers(1, 10))
def test_signatures_are_datasketchs_and_sketches_the_smallest_hashes(texts, n, k):
    batch = TextBatch(pa.array(texts, pa.string()))
    check_signatures(batch, n)
    check_sketches(batch, n, k)


def test_signatures_and_sketches_of_real_texts(data: Path):
    batch = TextBatch(pa.array(reference.real_texts(data)))
    check_signatures(batch, 5)
    check_sketches(batch, 5, 4096)
    check_sketches(batch, 3, 100)


def test_other_permutations_are_datasketchs_too():
    check_signatures(TextBatch(pa.array(["a b c d e f g h " * 300])), 5, num_perm=64, seed=7)


def test_a_text_shorter_than_a_shingle_has_none():
    batch = TextBatch(pa.array(["one two three four", "", "one two three four five"]))
    assert (minhash.signatures(batch) == minhash.EMPTY).all(axis=1).tolist() == [True, True, False]
    assert [len(sketch) for sketch in minhash.sketches(batch).to_pylist()] == [0, 0, 1]


def test_case_and_punctuation_make_no_difference():
    one, other = minhash.signatures(TextBatch(pa.array(["It was the best of times,", "it WAS -- the best; of times"])))
    assert np.array_equal(one, other)


def similarity(a: list[list[int]], b: list[list[int]], k: int) -> list[float]:
    lists = [pa.array(side, pa.list_(pa.uint32())) for side in (a, b)]
    buffers = [(side.values.to_numpy(), side.offsets.to_numpy()) for side in lists]
    return minhash.jaccard(*buffers[0], *buffers[1], k).tolist()


sets = st.sets(st.integers(0, 60) | st.integers(0, 2**32 - 1), max_size=40)


@settings(deadline=None)
@given(st.lists(st.tuples(sets, sets), max_size=4))
def test_whole_sketches_give_the_exact_similarity(pairs):
    exact = [len(a & b) / len(a | b) if a | b else 0.0 for a, b in pairs]
    assert similarity([sorted(a) for a, _ in pairs], [sorted(b) for _, b in pairs], 100) == exact


@settings(deadline=None)
@given(sets, sets, st.integers(1, 20))
def test_cut_sketches_give_the_bottom_k_estimate(a, b, k):
    if len(a) < k and len(b) < k:
        k = max(len(a), len(b), 1)
    lowest = sorted(a | b)[:k]
    estimate = len([value for value in lowest if value in a & b]) / len(lowest) if lowest else 0.0
    if len(a) >= k or len(b) >= k:
        assert similarity([sorted(a)[:k]], [sorted(b)[:k]], k) == [estimate]


def test_the_estimate_keeps_its_standard_error():
    rng = np.random.default_rng(5)
    k, errors = 1024, []
    for _ in range(200):
        values = rng.choice(2**32, 9000, replace=False)
        a, b = np.sort(values[:8500])[:k], np.sort(values[500:])[:k]
        errors.append(similarity([a.tolist()], [b.tolist()], k)[0] - 8000 / 9000)
    expected = (8 / 9 * (1 / 9) / k) ** 0.5
    assert abs(np.mean(errors)) < 4 * expected / 200**0.5
    assert 0.8 < np.std(errors) / expected < 1.2


def test_sides_of_different_length_are_refused():
    with pytest.raises(ValueError, match="2 sketches on one side, 1 on the other"):
        similarity([[1], [2]], [[1]], 4)
