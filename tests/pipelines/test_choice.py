import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.datasets import PAIRS
from pipelines.dedup.choice import choose


@st.composite
def matched_documents(draw):
    """Documents in a keep order, the exact classes and near pairs among them, in the form of pairs/."""
    count = draw(st.integers(1, 12))
    ids = [f"{i:032x}" for i in draw(st.permutations(range(count)))]
    content = {doc_id: draw(st.integers(0, count)) for doc_id in ids}
    takes_part = [draw(st.booleans()) for _ in ids]
    smallest = {c: min(d for d in ids if content[d] == c) for c in content.values()}
    pairs = [(smallest[content[d]], d, 1.0, "exact") for d in ids if smallest[content[d]] != d]
    for a, b in itertools.combinations(sorted(smallest.values()), 2):
        if draw(st.booleans()):
            pairs.append((a, b, draw(st.sampled_from([0.8, 0.9, 0.95])), "near"))
    return ids, takes_part, content, smallest, pairs


def brute_force(ids, takes_part, content, smallest, pairs):
    """The definition, word by word."""
    near = {frozenset(p[:2]): p[2] for p in pairs if p[3] == "near"}

    def similarity(a, b):
        if content[a] == content[b]:
            return 1.0
        return near.get(frozenset((smallest[content[a]], smallest[content[b]])))

    staying, originals = [], {}
    for doc_id, takes in zip(ids, takes_part):
        if takes:
            found = [s for s in staying if similarity(doc_id, s) is not None]
            if found:
                originals[doc_id] = (found[0], similarity(doc_id, found[0]))
            else:
                staying.append(doc_id)
    return originals


def clusters(ids, pairs):
    parent = {d: d for d in ids}

    def find(d):
        while parent[d] != d:
            d = parent[d]
        return d

    for a, b, *_ in pairs:
        low, high = sorted((find(a), find(b)))
        parent[high] = low
    return {d: find(d) for d in ids}


@given(matched_documents())
def test_the_choice_is_the_definition(case):
    ids, takes_part, _, _, pairs = case
    nodes = pa.table({"doc_id": ids, "takes_part": takes_part})
    table = pa.Table.from_pylist([dict(zip(PAIRS.names, pair)) for pair in pairs], schema=PAIRS)
    chosen = {row["doc_id"]: row for row in choose(nodes, table).to_pylist()}
    expected, components = brute_force(*case), clusters(ids, pairs)
    for doc_id in ids:
        original = (chosen[doc_id]["duplicate_of"], chosen[doc_id]["similarity"])
        assert original == expected.get(doc_id, (None, None))
        assert chosen[doc_id]["cluster"] == components[doc_id]


def test_without_pairs_nothing_is_dropped():
    nodes = pa.table({"doc_id": pa.array([], pa.string()), "takes_part": pa.array([], pa.bool_())})
    assert choose(nodes, PAIRS.empty_table()).num_rows == 0


def test_a_long_chain_and_a_large_cluster_are_no_trouble():
    n = 200_000
    ids = [f"{i:032x}" for i in range(n)]
    nodes = pa.table({"doc_id": ids, "takes_part": np.ones(n, bool)})
    chain = pa.table([ids[:-1], ids[1:], np.full(n - 1, 0.8), ["near"] * (n - 1)], schema=PAIRS)
    chosen = choose(nodes, chain)
    # Every second document stays: the one between two of them is similar to the first.
    assert [value is None for value in chosen["duplicate_of"].to_pylist()[:6]] == [True, False] * 3
    assert set(chosen["cluster"].to_pylist()) == {ids[0]}
