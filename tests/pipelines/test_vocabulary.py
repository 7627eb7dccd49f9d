import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.vocabulary import shares

sizes = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 10**9), min_size=1)


@given(sizes, st.integers(1, 10**9))
def test_without_weights_every_source_gives_the_same_share(available, budget):
    found = shares(available, {}, budget)
    assert set(found) == set(available)
    assert len({round(share, 9) for share in found.values()}) == 1
    assert sum(found[s] * available[s] for s in available) == pytest.approx(min(budget, sum(available.values())))


@given(sizes, st.integers(1, 10**9), st.data())
def test_with_weights_each_source_gives_its_part_or_all_it_has(available, budget, data):
    weights = {s: data.draw(st.floats(0, 10)) for s in available}
    found = shares(available, weights, budget)
    total = sum(weights.values())
    for source, size in available.items():
        wanted = budget * weights[source] / total if total else 0
        assert found[source] * size == pytest.approx(min(size, wanted), rel=1e-6)


def test_a_source_without_a_weight_is_left_out_when_others_have_one():
    assert shares({"a": 100, "b": 100}, {"a": 1.0}, 50) == {"a": 0.5, "b": 0.0}
