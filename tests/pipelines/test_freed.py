"""The choice with hubs, of whose pairs none is known beforehand, against its definition."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.datasets import PAIRS
from pipelines.dedup.bands import frozen
from pipelines.dedup.choice import HubMembers, choose
from pipelines.dedup.evidence import Evidence, Lists

# A document: whether it is settled, its hubs, and its letters, few enough that many are similar.
documents = st.lists(
    st.tuples(
        st.booleans(),
        st.sets(st.integers(0, 4), min_size=1, max_size=3),
        st.sets(st.integers(0, 9), min_size=1, max_size=4),
    ),
    max_size=40,
)


def by_definition(documents, least):
    """(follower, leader, similarity), and the components of these pairs by their smallest member."""
    followed = {}
    for i, (settled, hubs, letters) in enumerate(documents):
        for j, (other_settled, other_hubs, other_letters) in enumerate(documents[:i]):
            if j in followed or not hubs & other_hubs or (settled and other_settled):
                continue
            close = len(letters & other_letters) / len(letters | other_letters)
            if close >= least:
                followed[i] = (j, close)
                break
    cluster = [followed.get(i, (i,))[0] for i in range(len(documents))]
    return [(i, j, close) for i, (j, close) in sorted(followed.items())], cluster


@given(documents)
def test_each_follows_the_first_similar_one_of_its_hubs_that_follows_none(documents):
    hubs = [sorted(hubs) for _, hubs, _ in documents]
    letters = [np.array(sorted(letters), np.uint32) for *_, letters in documents]
    borders = np.cumsum([0, *map(len, letters)])
    values = frozen(np.concatenate([np.empty(0, np.uint32), *letters]))
    members = HubMembers(
        np.cumsum([0, *map(len, hubs)]),
        np.array([hub for own in hubs for hub in own], np.int64),
        np.array([settled for settled, *_ in documents], np.bool_),
        Lists(values, borders[:-1], borders[1:]),
        Evidence("sketch", 0.5),
    )
    ids = pa.array([f"{i:032x}" for i in range(len(documents))], pa.string())
    nodes = pa.table({"doc_id": ids, "takes_part": np.ones(len(ids), np.bool_)})
    chosen = choose(nodes, PAIRS.empty_table(), hubs=members).to_pylist()
    expected, cluster = by_definition(documents, 0.5)
    found = [
        (i, int(row["duplicate_of"], 16), row["similarity"]) for i, row in enumerate(chosen) if row["duplicate_of"]
    ]
    assert found == expected
    assert [int(row["cluster"], 16) for row in chosen] == cluster
