"""Mixing by weights: exact to one row over any prefix, the same from any position, capped, changed."""

from fractions import Fraction
from math import lcm
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_cases import make_set

from shards import mixing, read
from shards.mixing import MixedOrder, Mixture


def mixture(weights: list[float], *changes: tuple[int, list[float]], sizes: int = 100, **caps: float) -> Mixture:
    stages = [(p, {f"b{i:02}": w for i, w in enumerate(ws)}) for p, ws in [(0, weights), *changes]]
    return Mixture({f"b{i:02}": sizes for i in range(len(weights))}, stages, caps)


def rows_had(mixed: Mixture, count: int) -> np.ndarray:
    """Rows that each bucket has had after 1, 2, ..., `count` rows; and that its rows came in order."""
    buckets, rows = mixed.at(np.arange(count))
    for bucket in range(len(mixed.names)):
        assert (rows[buckets == bucket] == np.arange(np.count_nonzero(buckets == bucket))).all()
    return np.cumsum(buckets[:, None] == np.arange(len(mixed.names)), axis=0)


def off_due(had: np.ndarray, stages: list[tuple[int, list[Fraction]]]) -> list[Fraction]:
    """Over the prefixes, the greatest distance of any bucket from its due; weights are shares from a position on."""
    denominator = lcm(*(w.denominator for _, shares in stages for w in shares))
    found = []
    ends = [*(p for p, _ in stages[1:]), len(had)]
    due = [0] * had.shape[1]
    for (begin, shares), end in zip(stages, ends):
        for n in range(begin, end):
            due = [d + int(w * denominator) for d, w in zip(due, shares)]
            found.append(Fraction(max(abs(int(h) * denominator - d) for h, d in zip(had[n], due)), denominator))
    return found


def shares_of(weights: list[float]) -> list[Fraction]:
    exact = [Fraction(str(w)) for w in weights]
    return [w / sum(exact) for w in exact]


decimals = st.integers(1, 10**4).map(lambda n: n / 10**4)
any_weights = st.one_of(
    st.lists(decimals, min_size=1, max_size=50),
    st.lists(st.sampled_from([0.01, 1, 3]), min_size=1, max_size=50),
    st.lists(st.sampled_from([0, 1, 97.5]), min_size=1, max_size=12).filter(any),
)


@settings(max_examples=60, deadline=None)
@given(any_weights)
def test_every_prefix_is_within_one_row_of_its_due(weights: list[float]) -> None:
    had = rows_had(mixture(weights), 700)
    assert max(off_due(had, [(0, shares_of(weights))])) < 1


def test_fifty_buckets_over_a_long_run() -> None:
    rng = np.random.default_rng(3)
    weights = np.round(rng.dirichlet(np.full(50, 0.3)) + 1e-3, 4).tolist()
    had = rows_had(mixture(weights), 20_000)
    assert max(off_due(had, [(0, shares_of(weights))])) < 1


def test_shares_that_no_64_bits_hold() -> None:
    """Fifty primes as weights: dues are rounded to 2^-50 rows, and the bound is still that of the exact due."""
    primes = [n for n in range(10**6, 10**6 + 2000) if all(n % d for d in range(2, 1001))][:50]
    weights = [prime / 10**7 for prime in primes]
    had = rows_had(mixture(weights), 3000)
    assert max(off_due(had, [(0, shares_of(weights))])) < 1 + Fraction(1, 10**9)


@settings(max_examples=40, deadline=None)
@given(any_weights, st.integers(0, 10**15), st.integers(1, 50))
def test_far_rows_are_what_scheduling_to_them_gives(weights: list[float], position: int, count: int) -> None:
    """By the forgetting argument in a short run, and by shifting a whole number of periods in a long one."""
    mixed = mixture(weights)
    buckets, rows = mixed.at(np.arange(3000))
    segment = mixed._segments[0]
    begin = position % 2900
    near = segment.schedule(begin, count)
    assert near[0].tolist() == buckets[begin : begin + count].tolist()
    assert near[1].tolist() == rows[begin : begin + count].tolist()
    period = lcm(*(share.denominator for share in shares_of(weights)))
    if period < 10**6:
        far = mixed.at(position // period * period + np.arange(count))
        assert far[0].tolist() == buckets[:count].tolist()
        started = [int(share * (position // period * period)) for share in shares_of(weights)]
        assert far[1].tolist() == [rows[i] + started[buckets[i]] for i in range(count)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([0, 0.02, 0.1, 1, 3]), min_size=6, max_size=6).filter(any), min_size=2, max_size=5
    ),
    st.lists(st.integers(1, 90), min_size=4, max_size=4),
    st.floats(0, 1),
)
def test_any_place_of_a_changing_run_is_what_reading_to_it_gives(
    table: list[list[float]], gaps: list[int], where: float
) -> None:
    """Also while buckets are more than a row from their due, after changes that leave few of them."""
    positions = np.cumsum(gaps)[: len(table) - 1].tolist()
    mixed = mixture(table[0], *zip(positions, table[1:]), sizes=40, b00=1.5, b01=0.5)
    for segment in mixed._segments:
        length = min(segment.length, 1500)
        buckets, rows, _ = segment.schedule(0, length)
        offset = int(where * (length - 1))
        near = segment.schedule(offset, length - offset)
        assert near[0].tolist() == buckets[offset:].tolist()
        assert near[1].tolist() == rows[offset:].tolist()
        assert sum(segment.start.lead) == 0


def test_forgetting_is_used_and_not_only_a_start_from_the_beginning() -> None:
    mixed = mixture([5, 3, 2.5, 0.1])
    begin, state = mixed._segments[0].before(10**9)
    assert begin == 10**9 - 106
    assert sum(state.had) == begin
    assert sum(state.lead) == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(decimals, decimals, decimals), min_size=1, max_size=4), st.integers(1, 60))
def test_up_to_four_buckets_stay_within_one_row_over_changes(table: list[tuple[float, ...]], first: int) -> None:
    """More buckets can be further off for a while, whatever the schedule: see `shards.mixing`."""
    columns = [list(column) for column in zip(*table)]
    mixed = mixture(columns[0], (first, columns[1]), (2 * first + 7, columns[2]))
    stages = list(zip((0, first, 2 * first + 7), map(shares_of, columns)))
    assert max(off_due(rows_had(mixed, 300), stages)) <= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 50), st.integers(0, 2**32 - 1))
def test_after_a_change_every_bucket_returns_to_within_one_row(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = [np.round(rng.uniform(0.2, 1, size), 3).tolist() for _ in range(2)]
    mixed = mixture(columns[0], (301, columns[1]))
    stages = [(0, shares_of(columns[0])), (301, shares_of(columns[1]))]
    off = off_due(rows_had(mixed, 301 + 2 * 5 * size + 300), stages)
    settled = 301 + -(-1 // min(stages[1][1])) + 1
    assert max(off[:301]) < 1
    assert max(off[301:settled]) < 1 + size * max(stages[1][1])
    assert max(off[settled:]) < 1 + Fraction(1, 10**9)


def test_a_change_to_come_does_not_change_what_was_read() -> None:
    weights, others = [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]
    plain, changed = mixture(weights), mixture(weights, (400, others))
    assert np.array_equal(np.array(plain.at(np.arange(400))), np.array(changed.at(np.arange(400))))
    assert not np.array_equal(plain.at(np.arange(400, 450))[0], changed.at(np.arange(400, 450))[0])


def test_a_bucket_without_weight_is_not_read_and_comes_back_with_its_next_row() -> None:
    mixed = mixture([1, 1, 1], (10, [0, 1, 1]), (30, [1, 0, 0]))
    buckets, rows = mixed.at(np.arange(50))
    assert 0 not in buckets[10:30]
    assert set(buckets[30:]) == {0}
    first = np.count_nonzero(buckets[:10] == 0)
    assert rows[30:].tolist() == list(range(first, first + 20))
    assert abs(np.count_nonzero(buckets[10:30] == 1) - 10) <= 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.01, 0.2, 1, 7]), st.integers(1, 40)), min_size=1, max_size=8),
    st.integers(1, 80),
)
def test_caps_are_kept_and_read_to_the_end(table: list[tuple[float, int]], change: int) -> None:
    sizes = {f"b{i}": size for i, (_, size) in enumerate(table)}
    weights = {f"b{i}": weight for i, (weight, _) in enumerate(table)}
    caps = {name: 1.5 if i % 2 else 2 for i, name in enumerate(weights)}
    limits = [int(Fraction(str(caps[name])) * sizes[name]) for name in weights]
    turned = dict(zip(weights, reversed(weights.values())))
    for stages in ([(0, weights)], [(0, weights), (change, turned)]):
        mixed = Mixture(sizes, stages, caps)
        assert mixed.rows is not None
        assert mixed.rows <= sum(limits)
        had = rows_had(mixed, mixed.rows)
        assert (had.max(axis=0) <= limits).all()
        assert had[-1].sum() >= sum(limits) - (len(stages) - 1) * len(table)
        if len(stages) == 1:
            assert had[-1].tolist() == limits
        with pytest.raises(ValueError, match="the caps leave"):
            mixed.at([mixed.rows])


def test_the_others_share_what_a_capped_bucket_leaves() -> None:
    mixed = mixture([0.5, 0.4, 0.1], sizes=100, b00=0.5)
    had = rows_had(mixed, 1100)
    assert had[99].tolist() == [50, 40, 10]
    later = off_due(had[100:] - had[99], [(0, [Fraction(0), Fraction(4, 5), Fraction(1, 5)])])
    assert max(later) < 1
    assert mixed.rows is None


@pytest.mark.parametrize(
    ("stages", "caps", "message"),
    [
        ([(0, {"wbe": 1})], {}, "weights: no bucket is named 'wbe'; did you mean 'web'"),
        ([(0, {"zzzz": 1})], {}, "no bucket is named 'zzzz'; there are: code, empty, web"),
        ([(0, {"web": 1})], {"cod": 1}, "caps: no bucket is named 'cod'; did you mean 'code'"),
        ([(0, {"empty": 1})], {}, "weights: bucket 'empty' has no rows"),
        ([(0, {"web": -1, "code": 2})], {}, "weights: bucket 'web': -1 is neither"),
        ([(0, {"web": 1e-12, "code": 2})], {}, "weights: bucket 'web': 1e-12 is neither"),
        ([(0, {"web": 0})], {}, "weights: no bucket has one"),
        ([(1, {"web": 1})], {}, "must begin at row 0"),
        ([(0, {"web": 1}), (5, {"web": 1}), (5, {"code": 1})], {}, "must begin at row 0"),
        ([], {}, "must begin at row 0"),
    ],
)
def test_what_makes_no_mixture_is_refused_by_name(stages: list, caps: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mixture({"web": 5, "code": 7, "empty": 0}, stages, caps)


def test_no_position_before_the_first() -> None:
    with pytest.raises(ValueError, match="not \\[-1\\]"):
        mixture([1, 2]).at([-1])


def test_mixtures_are_what_they_were() -> None:
    """Runs resume under later versions: these rows may not change."""
    mixed = mixture([0.55, 0.3, 0.15], (12, [0.1, 0.1, 0.8]), b02=0.05)
    assert mixed.at(np.arange(24))[0].tolist() == PINNED


PINNED = [0, 0, 1, 0, 1, 2, 0, 0, 1, 0, 0, 1, 2, 2, 2, 2, 0, 1, 0, 1, 0, 1, 0, 1]


class TestMixedOrder:
    def test_each_epoch_of_a_bucket_holds_its_rows_once(self, shard_set: Path) -> None:
        split = read.open(shard_set).split("train")
        order = MixedOrder(split, 7, [(0, {"web": 0.75, "code": 0.25})], {})
        sizes = {"web": 0, "code": 0}
        for file in split.files:
            sizes[file.entry.bucket] += file.entry.rows
        epochs, rows = order.at(np.arange(400))
        buckets = np.array([split.locate(int(row))[0].entry.bucket for row in rows])
        for name, size in sizes.items():
            own, own_epochs = rows[buckets == name], epochs[buckets == name]
            assert abs(len(own) - 400 * {"web": 0.75, "code": 0.25}[name]) < 1
            for epoch in range(own_epochs.max()):
                assert len(set(own[own_epochs == epoch].tolist())) == size == np.count_nonzero(own_epochs == epoch)

    def test_files_of_a_bucket_need_not_be_neighbours(self, tmp_path: Path) -> None:
        from shard_cases import LENGTHS

        extra = {"train-00002.arrow": [16, 40], **LENGTHS}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("shard_cases.LENGTHS", extra)
            make_set(tmp_path / "shards")
        split = read.open(tmp_path / "shards").split("train")
        assert [file.entry.bucket for file in split.files] == ["web", "code", "web"]
        rows = MixedOrder(split, 7, [(0, {"web": 1})], {}).at(np.arange(len(split) - split.files[1].entry.rows))[1]
        own = [r for r in range(len(split)) if split.locate(r)[0].entry.bucket == "web"]
        assert sorted(rows.tolist()) == own

    def test_a_bucket_is_permuted_by_its_own_key_and_the_seed(self, shard_set: Path) -> None:
        split = read.open(shard_set).split("train")
        one, other = (MixedOrder(split, seed, [(0, {"web": 1})], {}).at(np.arange(60))[1].tolist() for seed in (1, 2))
        assert one != other
        heavier = MixedOrder(split, 1, [(0, {"web": 9, "code": 1})], {}).at(np.arange(60))[1].tolist()
        assert [row for row in heavier if split.locate(row)[0].entry.bucket == "web"] == one[:54]


def test_kernel_is_the_rule_as_written() -> None:
    """Earliest deadline among the rows that are available, counted in exact fractions."""
    weights = [0.41, 0.27, 0.2, 0.12]
    shares, had, expected = shares_of(weights), [0] * 4, []
    for place in range(1, 500):
        open_rows = [(-(-(had[i] + 1) // w), i) for i, w in enumerate(shares) if had[i] // w + 1 <= place]
        chosen = min(open_rows)[1]
        had[chosen] += 1
        expected.append(chosen)
    assert mixture(weights).at(np.arange(499))[0].tolist() == expected


def test_blocks_join(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = mixture([0.5, 0.3, 0.2], (70, [0.1, 0.1, 0.8]), (71, [1, 1, 0]), b02=0.3)
    whole = mixed.at(np.arange(400))
    monkeypatch.setattr(mixing, "BLOCK", 16)
    parts = mixture([0.5, 0.3, 0.2], (70, [0.1, 0.1, 0.8]), (71, [1, 1, 0]), b02=0.3)
    shuffled = np.random.default_rng(0).permutation(400)
    found = parts.at(shuffled)
    assert np.array_equal(found[0], whole[0][shuffled])
    assert np.array_equal(found[1], whole[1][shuffled])
