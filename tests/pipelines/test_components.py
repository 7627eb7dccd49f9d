"""Components: both paths against union-find, the two star operations however batches are cut, and skew."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dedup.bands import binary
from pipelines.dedup.components import components, components_in_memory, star


def union_find(edges):
    parent = {x: x for edge in edges for x in edge}

    def find(x):
        while parent[x] != x:
            parent[x] = x = parent[parent[x]]
        return x

    for a, b in edges:
        low, high = sorted((find(a), find(b)))
        parent[high] = low
    return {x: find(x) for x in parent}


def table(edges):
    return pa.table([[f"{a:032x}" for a, _ in edges], [f"{b:032x}" for _, b in edges]], ["a", "b"])


def numbers(rows):
    return {int(row["doc_id"], 16): int(row["cluster"], 16) for row in rows}


numbered = st.integers(0, 15) | st.integers(2**64 - 2, 2**64 + 2) | st.integers(2**128 - 3, 2**128 - 1)
graphs = st.lists(st.tuples(numbered, numbered).filter(lambda e: e[0] != e[1]), min_size=1, max_size=40)


@given(graphs)
def test_in_memory_they_are_union_find_s(edges):
    assert numbers(components_in_memory(table(edges)).to_pylist()) == union_find(edges)


def operate(edges, large, cut):
    """A star operation on rows sorted as Spark sorts them, in batches of `cut`."""
    rows = sorted(edges)
    ids = [
        binary(np.array([list(row[side].to_bytes(16, "big")) for row in rows], np.uint8).reshape(-1, 16))
        for side in (0, 1)
    ]
    batches = [
        pa.RecordBatch.from_arrays([x.slice(at, cut) for x in ids], ["u", "v"]) for at in range(0, len(rows), cut)
    ]
    found = [row for batch in star(large)(iter(batches)) for row in batch.to_pylist()]
    pairs = [(int.from_bytes(row["u"], "big"), int.from_bytes(row["v"], "big")) for row in found]
    return pairs, any(row["moved"] for row in found)


def by_definition(edges, large):
    """Kiveris et al., section 3."""
    nodes = {x for edge in edges for x in edge}
    found = set()
    for u in nodes:
        around = {b for a, b in edges if a == u} | {a for a, b in edges if b == u}
        least = min(around | {u})
        hooked = {v for v in around if v > u} if large else {v for v in around if v < u} | {u}
        found |= {(v, least) for v in hooked if v != least and (large or any(w < u for w in around))}
    return found


@given(graphs, st.integers(1, 9))
def test_the_operations_are_the_paper_s_and_end_in_stars(edges, cut):
    kept, moved, rounds = [(max(e), min(e)) for e in edges], True, 0
    while moved:
        rounds += 1
        large, by_large = operate(kept + [(b, a) for a, b in kept], True, cut)
        assert set(large) == by_definition(kept, True)
        assert len(large) == len(set(kept))
        small, by_small = operate(large, False, cut)
        assert set(small) == by_definition(large, False)
        kept, moved = small, by_large or by_small
    assert rounds <= 9
    assert dict(kept) == {x: root for x, root in union_find(edges).items() if x != root}


@pytest.fixture(scope="module")
def shapes():
    """A chain, a star, a clique, a grid and random graphs, their documents numbered at random."""
    generator = random.Random(0)
    edges = [(i, i + 1) for i in range(60)]
    edges += [(1_000, 1_001 + i) for i in range(3_000)]
    edges += [(5_000 + i, 5_000 + j) for i in range(20) for j in range(i)]
    edges += [(6_000 + 20 * i + j, 6_000 + 20 * i + j + step) for i in range(20) for j in range(19) for step in (1, 20)]
    edges += [(generator.randrange(7_000, 8_000), generator.randrange(7_000, 8_000)) for _ in range(700)]
    name = [generator.getrandbits(128) for _ in range(10_000)]
    return [(name[a], name[b]) for a, b in edges]


@pytest.mark.spark
def test_on_spark_they_are_union_find_s(spark, shapes, tmp_path):
    edges = spark.createDataFrame(table(shapes)).repartition(5)
    expected = union_find([edge for edge in shapes if edge[0] != edge[1]])
    found, rounds = components(edges, tmp_path, 0)
    rows = found.collect()
    assert len(rows) == len(expected)  # nobody twice
    assert numbers(rows) == expected
    assert 2 <= rounds <= 12
    assert [path.name for path in tmp_path.iterdir()] == [f"round-{rounds}"]
    below, none = components(edges, tmp_path, len(shapes))
    assert (numbers(below.collect()), none) == (expected, 0)


@pytest.mark.spark
def test_nothing_in_nothing_out(spark, tmp_path):
    found, rounds = components(spark.createDataFrame([], "a string, b string"), tmp_path, 0)
    assert (found.count(), rounds) == (0, 0)
