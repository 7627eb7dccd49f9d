"""Steps to rows and back, under changing batch sizes and weights."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shards import read
from shards.mixing import MixedOrder
from shards.order import Order
from shards.reading import Reading, reading_of

batches = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), min_size=1, max_size=5)


def make(stages: list[tuple[int, int]]) -> Reading:
    """Batch sizes, each after so many steps of the one before."""
    first = np.cumsum([0, *(gap for gap, _ in stages[1:])]) + 1
    return Reading(seed=0, batches=tuple(zip(first.tolist(), (rows for _, rows in stages))))


@given(batches)
def test_steps_follow_on_each_other(stages: list[tuple[int, int]]) -> None:
    reading, position, owner = make(stages), 0, []
    sizes = dict(reading.batches)
    size = 0
    for step in range(1, 60):
        size = sizes.get(step, size)
        assert reading.at(step) == (position, size)
        owner += [step] * size
        position += size
        assert reading.steps(position) == step
        assert reading.steps(position + 1) == step + 1
    assert reading.step_of(np.arange(len(owner))).tolist() == owner
    assert reading.steps(0) == 1


jumps = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 40)), max_size=4)


@given(batches, jumps)
def test_jumps_pass_over_rows(stages: list[tuple[int, int]], gaps: list[tuple[int, int]]) -> None:
    plain = make(stages)
    steps = np.cumsum([gap for gap, _ in gaps]) + 1
    given = dict(zip(steps.tolist(), (rows for _, rows in gaps)))
    reading = Reading.model_validate({**plain.model_dump(), "jumps": list(given.items())})
    position, owner, read = 0, [], 0
    for step in range(1, 70):
        passed = given.get(step, 0)
        rows = plain.at(step)[1]
        assert reading.at(step) == (position + passed, rows)
        owner += [0] * passed + [step] * rows
        position += passed + rows
        read += rows
        assert reading.rows(step) == read
    assert reading.rows(0) == 0
    assert reading.step_of(np.arange(len(owner))).tolist() == owner
    assert reading.steps(read) == plain.steps(read) == 69


def test_going_on_after_a_step_forgets_what_came_later() -> None:
    reading = make([(1, 4)]).after(10, 8).after(20, 6)
    assert reading.jumps == ((11, 8), (21, 6))
    assert reading.after(10, 30).jumps == ((11, 30),)
    assert reading.after(15, 5).jumps == ((11, 8), (16, 5))
    assert reading.at(11) == (48, 4)


def test_there_is_no_step_0() -> None:
    with pytest.raises(ValueError, match="no step 0: steps count from 1"):
        make([(1, 4)]).at(0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batches": []}, "batches: must begin at step 1"),
        ({"batches": [(2, 4)]}, "batches: must begin at step 1"),
        ({"batches": [(1, 4), (9, 5), (9, 6)]}, "batches: must begin at step 1"),
        ({"batches": [(1, 0)]}, "greater than or equal to 1"),
        ({"batches": [(1, 4)], "weights": [(3, {"web": 1})]}, "weights: must begin at step 1"),
        ({"batches": [(1, 4)], "caps": {"web": 2}}, "caps: need weights"),
        ({"batches": [(1, 4)], "jumps": [(9, 4), (9, 5)]}, "jumps: steps must rise"),
        ({"batches": [(1, 4)], "jumps": [(1, 4)]}, "greater than or equal to 2"),
    ],
)
def test_what_is_no_reading_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Reading.model_validate({"seed": 0, **fields})


def test_a_config_says_how_it_is_read() -> None:
    config = {
        "seed": 3,
        "batch_tokens": 100,
        "batch_changes": [{"step": 5, "tokens": 1000}],
        "data": {"weights": {"web": 1}, "caps": {"web": 2.5}, "changes": [{"step": 7, "weights": {"code": 1}}]},
        "model": {"layers": 4},
    }
    assert reading_of(config, 16) == Reading(
        seed=3, batches=((1, 6), (5, 62)), weights=((1, {"web": 1}), (7, {"code": 1})), caps={"web": 2.5}
    )
    assert reading_of({"seed": 3, "batch_tokens": 10}, 16) == Reading(seed=3, batches=((1, 1),))
    jumped = reading_of({"seed": 3, "batch_tokens": 10}, 16, [[4, 7]])
    assert jumped == Reading(seed=3, batches=((1, 1),), jumps=((4, 7),))


def test_without_weights_the_order_is_that_of_all_rows(shard_set: Path) -> None:
    split = read.open(shard_set).split("train")
    plain = Reading(seed=4, batches=((1, 3),)).order(split)
    assert isinstance(plain, Order)
    assert plain == split.order(4)


def test_weights_change_at_the_first_row_of_their_step(shard_set: Path) -> None:
    split = read.open(shard_set).split("train")
    reading = Reading(seed=4, batches=((1, 3), (4, 5)), weights=((1, {"web": 1}), (6, {"code": 1})))
    order = reading.order(split)
    assert isinstance(order, MixedOrder)
    buckets = [split.locate(int(row))[0].entry.bucket for row in order.at(np.arange(30))[1]]
    assert buckets == ["web"] * 19 + ["code"] * 11


def test_a_run_beyond_its_caps_is_refused_before_it_begins(shard_set: Path) -> None:
    split = read.open(shard_set).split("train")
    web = sum(file.entry.rows for file in split.files if file.entry.bucket == "web")
    reading = Reading(seed=4, batches=((1, 3),), weights=((1, {"web": 1}),), caps={"web": 2})
    fits = 2 * web // 3
    reading.check(split, fits)
    with pytest.raises(ValueError, match=rf"caps: .* the caps allow {2 * web}, which is step {-(-2 * web // 3)}"):
        reading.check(split, fits + 1)
    Reading(seed=4, batches=((1, 3),)).check(split, 10**6)
    with pytest.raises(ValueError, match="no bucket is named 'wbe'; did you mean 'web'"):
        Reading(seed=4, batches=((1, 3),), weights=((1, {"wbe": 1}),)).check(split, 1)
