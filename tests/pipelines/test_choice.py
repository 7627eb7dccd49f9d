import itertools
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F

from pipelines.datasets import PAIRS
from pipelines.dedup.choice import CHOSEN_SCHEMA, choose
from pipelines.dedup.choice_spark import chosen, first_staying


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


def similar(content, smallest, pairs):
    """How similar two documents are, or None."""
    near = {frozenset(p[:2]): p[2] for p in pairs if p[3] == "near"}

    def similarity(a, b):
        if content[a] == content[b]:
            return 1.0
        return near.get(frozenset((smallest[content[a]], smallest[content[b]])))

    return similarity


def brute_force(ids, takes_part, content, smallest, pairs):
    """The definition, word by word."""
    similarity = similar(content, smallest, pairs)
    staying, originals = [], {}
    for doc_id, takes in zip(ids, takes_part):
        if takes:
            found = [s for s in staying if similarity(doc_id, s) is not None]
            if found:
                originals[doc_id] = (found[0], similarity(doc_id, found[0]))
            else:
                staying.append(doc_id)
    return originals


def one_per_cluster(ids, takes_part, content, smallest, pairs):
    """The definition of `transitive`."""
    similarity, components = similar(content, smallest, pairs), clusters(ids, pairs)
    first, originals = {}, {}
    for doc_id, takes in zip(ids, takes_part):
        if takes:
            original = first.setdefault(components[doc_id], doc_id)
            if original != doc_id:
                originals[doc_id] = (original, similarity(doc_id, original))
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


def expected_rows(case, transitive):
    ids, takes_part, _, _, pairs = case
    originals = (one_per_cluster if transitive else brute_force)(*case)
    components = clusters(ids, pairs)
    dropped = [original for original, _ in originals.values()]
    rows = {}
    for doc_id, takes in zip(ids, takes_part):
        stands_for = 1 + dropped.count(doc_id) if takes and doc_id not in originals else 0
        rows[doc_id] = (*originals.get(doc_id, (None, None)), components[doc_id], stands_for)
    assert sum(row[-1] for row in rows.values()) == sum(takes_part)
    return rows


def table_of(pairs):
    return pa.Table.from_pylist([dict(zip(PAIRS.names, pair)) for pair in pairs], schema=PAIRS)


def by_doc_id(rows):
    return {row["doc_id"]: tuple(row[name] for name in CHOSEN_SCHEMA.names[1:]) for row in rows}


@given(matched_documents(), st.booleans())
def test_the_choice_is_the_definition(case, transitive):
    ids, takes_part, _, _, pairs = case
    nodes = pa.table({"doc_id": ids, "takes_part": takes_part})
    found = choose(nodes, table_of(pairs), transitive)
    assert found["doc_id"].to_pylist() == ids
    assert by_doc_id(found.to_pylist()) == expected_rows(case, transitive)


def test_without_pairs_nothing_is_dropped():
    nodes = pa.table({"doc_id": pa.array([], pa.string()), "takes_part": pa.array([], pa.bool_())})
    assert choose(nodes, PAIRS.empty_table()).num_rows == 0


def test_a_long_chain_and_a_large_cluster_are_no_trouble():
    n = 200_000
    ids = [f"{i:032x}" for i in range(n)]
    nodes = pa.table({"doc_id": ids, "takes_part": np.ones(n, bool)})
    chain = pa.table([ids[:-1], ids[1:], np.full(n - 1, 0.8), ["near"] * (n - 1), [None] * (n - 1)], schema=PAIRS)
    chosen = choose(nodes, chain)
    # Every second document stays: the one between two of them is similar to the first.
    assert [value is None for value in chosen["duplicate_of"].to_pylist()[:6]] == [True, False] * 3
    assert set(chosen["cluster"].to_pylist()) == {ids[0]}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 40), st.integers(0, 39)), max_size=120), st.integers(1, 9))
def test_pairs_that_stream_by_are_decided_as_pairs_in_memory(rows, cut):
    rows = sorted({(cluster, later, earlier % later) for cluster, later, earlier in rows})
    columns = [
        pa.array([f"{cluster}" for cluster, *_ in rows], pa.string()),
        *(pa.array([row[i] for row in rows], pa.int64()) for i in (1, 2)),
        *(pa.array([f"{row[0]} {row[i]}" for row in rows], pa.string()) for i in (1, 2)),
        pa.array([0.9] * len(rows), pa.float64()),
    ]
    names = ["cluster", "later", "earlier", "class", "original", "similarity"]
    whole = pa.RecordBatch.from_arrays(columns, names)
    batches = (whole.slice(at, cut) for at in range(0, len(rows), cut))
    found = [row for batch in first_staying()(batches) for row in batch.to_pylist()]
    originals = {}
    for cluster, later, earlier in rows:
        if (cluster, later) not in originals and (cluster, earlier) not in originals:
            originals[cluster, later] = earlier
    assert [(row["class"], row["original"]) for row in found] == [
        (f"{cluster} {later}", f"{cluster} {earlier}") for (cluster, later), earlier in originals.items()
    ]


def many_cases(count=150):
    """Disjoint cases as one: (documents with a shared keep order, pairs, the cases)."""
    generator = random.Random(5)
    documents, all_pairs, cases = [], [], []
    for _ in range(count):
        size = generator.randint(2, 12)
        ids = [f"{generator.getrandbits(128):032x}" for _ in range(size)]
        content = {doc_id: generator.randint(0, size) for doc_id in ids}
        smallest = {c: min(d for d in ids if content[d] == c) for c in content.values()}
        pairs = [(smallest[content[d]], d, 1.0, "exact") for d in ids if smallest[content[d]] != d]
        for a, b in itertools.combinations(sorted(smallest.values()), 2):
            if generator.random() < 0.4:
                pairs.append((a, b, generator.choice([0.8, 0.9, 0.95]), "near"))
        paired = {d for pair in pairs for d in pair[:2]}
        ids = [d for d in ids if d in paired]  # `chosen` says nothing of documents without a pair
        takes_part = [generator.random() < 0.7 for _ in ids]
        for i, (doc_id, takes) in enumerate(zip(ids, takes_part)):
            documents.append((doc_id, takes, float(i) if i % 3 else None, i))  # nulls come first, by the second key
        order = sorted(range(len(ids)), key=lambda i: (i % 3 != 0, i))
        cases.append(([ids[i] for i in order], [takes_part[i] for i in order], content, smallest, pairs))
        all_pairs += pairs
    return documents, all_pairs, cases


@pytest.mark.spark
@pytest.mark.parametrize("transitive", [False, True])
def test_on_spark_the_choice_is_the_definition_too(spark, tmp_path, transitive):
    documents, pairs, cases = many_cases()
    expected = {doc_id: row for case in cases for doc_id, row in expected_rows(case, transitive).items()}
    frame = spark.createDataFrame(documents, "doc_id string, takes_part boolean, first double, second long")
    order = [F.col("first").asc_nulls_first(), F.col("second").asc()]
    table = spark.createDataFrame(table_of(pairs))
    for limit, most in ((len(pairs), 0), (0, 9)):
        found, rounds = chosen(frame.repartition(4), order, table, limit, tmp_path / str(limit), transitive)
        rows = found.collect()
        assert found.columns == CHOSEN_SCHEMA.names
        assert len(rows) == len(expected)
        assert by_doc_id(rows) == expected
        assert (rounds > 0) == (most > 0)
        assert rounds <= most
