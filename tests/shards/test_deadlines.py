"""Earliest deadline first forgets where it started, however far from its due a bucket was."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.deadlines import Segment, State


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(-300, 300)), min_size=2, max_size=7), st.integers(0, 120))
def test_any_place_is_what_reading_to_it_gives(table: list[tuple[int, int]], offset: int) -> None:
    """`lead` in hundredths of a row: from three rows behind to three ahead."""
    weights = [weight for weight, _ in table]
    unit = 100 * sum(weights)
    lead = [ahead * sum(weights) for _, ahead in table]
    lead[0] -= sum(lead)
    had = [50] * len(table)
    segment = Segment(0, 500, [100 * weight for weight in weights], unit, State(had, lead))
    buckets, rows, state = segment.schedule(0, 200)
    near = segment.schedule(offset, 200 - offset)
    assert near[0].tolist() == buckets[offset:].tolist()
    assert near[1].tolist() == rows[offset:].tolist()
    assert near[2] == state
    assert state.had == (had + np.bincount(buckets, minlength=len(had))).tolist()
    assert sum(state.lead) == 0
    assert state.lead == [h * unit - segment.due(i, 200) for i, h in enumerate(state.had)]
    settled = max(-(-max(ahead, unit) // weight) for ahead, weight in zip(lead, segment.weights))
    if settled <= 200:
        assert max(map(abs, state.lead)) < unit
