"""Passages against a brute-force comparison of words: every common span of enough words, and nothing else."""

import itertools
import random
import shutil
from collections import defaultdict

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from repeats_case import Doc, cluster_of, find, folded_words, paired

from pipelines.dedup import groups, passages
from pipelines.dedup.options import Passages, Repeats


def expected(docs, words):
    """The documented rows, from tuples of words."""
    where = defaultdict(list)
    bytes_of = {}
    for doc in docs:
        found = folded_words(doc.text)
        for at in range(len(found) - words + 1):
            gram = tuple(word for word, _, _ in found[at : at + words])
            where[gram].append((cluster_of(doc), doc.id, at))
            bytes_of[doc.id, at] = found[at][1], found[at + words - 1][2]
    repeated = []
    for places in where.values():
        count = len({cluster for cluster, _, _ in places})
        if count > 1:
            owners = tuple(sorted({doc_id for _, doc_id, _ in places}))
            for cluster, doc_id, at in places:
                others = [d for c, d, _ in sorted(places) if c != cluster]
                repeated.append((doc_id, owners, at, count, others[0]))
    spans = []
    for doc_id, owners, at, count, other in sorted(repeated):
        if spans and spans[-1][:2] == [doc_id, owners] and at <= spans[-1][3] + words:
            assert spans[-1][4:] == [count, other]
            spans[-1][3] = at
        else:
            spans.append([doc_id, owners, at, at, count, other])
    return sorted(
        (d, bytes_of[d, begin][0], bytes_of[d, last][1], "passage", count, other, owners, None)
        for d, owners, begin, last, count, other in spans
    )


def same(rows, wanted):
    """Whether rows are the wanted ones, whose key is the set of documents itself."""
    found = sorted(tuple(row.values()) for row in rows)
    paired([row[6] for row in found], [row[6] for row in wanted])
    return [(*row[:6], row[7]) for row in found] == [(*row[:6], row[7]) for row in wanted]


def corpus(generator):
    """Texts of words of their own with common spans just below, at and above 20 words, nested, repeated, touching."""

    def words(n):
        return [f"w{generator.randrange(100_000)}" for _ in range(n)]

    common = [words(n) for n in (19, 20, 21, 60, 200)]
    nested = words(50)
    docs = []
    for number in range(50):
        parts = [words(generator.randrange(0, 60))]
        for _ in range(generator.randrange(4)):
            piece = generator.choice(common)
            start = generator.choice([0, 0, generator.randrange(len(piece))])
            parts += [piece[start:], words(generator.choice([0, 1, 25]))]
        if number % 5 == 0:
            parts += [nested[: 30 + number % 20]]
        if number % 11 == 0:
            parts += [["boiler", "Plate"] * 30, words(2), ["a"] * (20 + number)]
        text = generator.choice([" ", ", ", "\n"]).join(word for part in parts for word in part)
        docs.append(Doc(number, generator.choice([text, text.upper()]), cluster=number // 2 if number < 10 else None))
    return docs


@pytest.mark.spark
def test_passages_are_those_of_a_brute_force_comparison(spark, tmp_path):
    docs = corpus(random.Random(2))
    docs += [Doc(100, ""), Doc(101, "short"), Doc(102, "世" * 25 + "。"), Doc(103, "前" + "世" * 25)]
    rows = find(spark, tmp_path, docs, Repeats(passages=Passages(words=20)), files=3)
    wanted = expected(docs, 20)
    assert same(rows, wanted)
    assert len(wanted) > 60
    assert len({row[6] for row in wanted}) > 10


@pytest.mark.spark
def test_layout_makes_no_difference(spark, tmp_path):
    docs, options = corpus(random.Random(5)), Repeats(passages=Passages(words=20))
    assert find(spark, tmp_path / "a", docs, options, files=1) == find(
        spark, tmp_path / "b", docs[::-1], options, files=4
    )


@pytest.mark.spark
def test_nothing_in_common_is_no_row_and_code_is_left_out_unless_asked(spark, tmp_path):
    same = " ".join(f"x{i}" for i in range(70))
    docs = [Doc(0, same, "code"), Doc(1, f"y {same}", "code"), Doc(2, "alone " * 3)]
    assert find(spark, tmp_path / "a", docs, Repeats(passages=Passages()), code=["code"]) == []
    rows = find(spark, tmp_path / "b", docs, Repeats(passages=Passages(code=True)), code=["code"])
    assert sorted((row["doc_id"], row["start"], row["end"]) for row in rows) == sorted(
        [(docs[0].id, 0, len(same)), (docs[1].id, 2, 2 + len(same))]
    )


@pytest.mark.spark
def test_what_an_earlier_run_left_in_the_workers_is_not_looked_at(spark, tmp_path):
    """Python workers are reused: the same paths with other contents are other documents."""
    options = Repeats(passages=Passages(words=20))
    for seed in (6, 7):
        docs = [doc._replace(number=doc.number + 1000 * seed) for doc in corpus(random.Random(seed))]
        docs = [doc._replace(cluster=None) for doc in docs]
        rows = find(spark, tmp_path / "same", docs, options)
        assert same(rows, expected(docs, 20))
        shutil.rmtree(tmp_path / "same")


hit = st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 30))


@given(st.lists(hit, unique=True, max_size=40), st.lists(st.integers(0, 40), max_size=5), st.integers(1, 5))
def test_spans_are_merged_wherever_batches_are_cut(hits, cuts, words):
    hits = sorted(hits)
    edges = sorted({0, len(hits), *(cut % (len(hits) + 1) for cut in cuts)})
    batches = [
        pa.RecordBatch.from_pylist(
            [
                {"kind": 0, "key": 0, "id": bytes(15) + bytes([d]), "file": 0, "at": at, "start": 10 * at,
                 "end": 10 * (at + words) - 1, "count": 2 + owners, "elsewhere": bytes([9 - d]) * 16, "owners": owners}
                for d, owners, at in hits[a:b]
            ],
            schema=groups.COUNTED,
        )
        for a, b in itertools.pairwise(edges)
    ]  # fmt: skip
    found = [row for batch in passages.merge(words)(iter(batches)) for row in batch.to_pylist()]
    covered = defaultdict(set)
    for d, owners, at in hits:
        covered[d, owners] |= {*range(at, at + words)}
    assert {(row["id"][-1], row["owners"], word) for row in found for word in range(row["at"], row["until"])} == {
        (*key, word) for key, words_of in covered.items() for word in words_of
    }
    for row in found:
        assert (row["count"], row["elsewhere"]) == (2 + row["owners"], bytes([9 - row["id"][-1]]) * 16)
        assert (row["start"], row["end"]) == (10 * row["at"], 10 * row["until"] - 1)
    for one, other in itertools.pairwise(found):
        assert (one["id"], one["owners"]) != (other["id"], other["owners"]) or one["until"] < other["at"]
