"""Counting by key, and repeated lines and paragraphs against a brute-force count."""

import itertools
import random
import re
from collections import defaultdict

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from repeats_case import Doc, cluster_of, find, paired

from pipelines.dedup import groups
from pipelines.dedup.options import Contamination, Repeats, Units

row = st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 6), st.integers(0, 2), st.integers(0, 3))


def id_of(*numbers):
    return bytes(14) + bytes(numbers)


@given(st.lists(row, max_size=60), st.lists(st.integers(0, 60), max_size=5), st.integers(1, 3), st.integers(1, 3))
def test_groups_are_counted_wherever_batches_are_cut(rows, cuts, least, other_least):
    rows = sorted((k, key, id_of(c, 0), id_of(c, d), at) for k, key, c, d, at in rows)
    edges = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    columns = ["kind", "key", "cluster", "id", "at"]
    whole = [dict(zip(columns, r), file=7, start=r[4], end=r[4] + 1) for r in rows]
    batches = [pa.RecordBatch.from_pylist(whole[a:b], schema=groups.ROWS) for a, b in itertools.pairwise(edges)]
    clusters = defaultdict(list)
    for kind, key, cluster, id, _ in rows:
        clusters[kind, key].append((cluster, id))
    expected = []
    for kind, key, cluster, id, at in rows:
        count = len({c for c, _ in clusters[kind, key]})
        others = [i for c, i in sorted(clusters[kind, key]) if c != cluster]
        if count >= (least, other_least)[kind]:
            expected.append((kind, key, id, 7, at, at, at + 1, count, others[0] if others else None))
    for open_bytes in (1, 1_000_000):
        out = groups.stream({0: least, 1: other_least}, open_bytes)(iter(batches))
        found = [tuple(found.values()) for batch in out for found in batch.to_pylist()]
        assert [row[:-1] for row in found] == expected
        paired([row[-1] for row in found], [frozenset(id for _, id in clusters[row[:2]]) for row in found])


LINES = [f"this is the line number {i} of them" for i in range(40)]
COMMON = ["Subscribe to our NEWSLETTER now", "  all rights reserved here ", "©", "Read more"]


def texts():
    generator = random.Random(4)
    docs = []
    for number in range(60):
        lines = generator.sample(LINES, 3)
        lines += [generator.choice([line, line.upper(), f"\t{line}"]) for line in COMMON if generator.random() < 0.5]
        lines += generator.sample(["", f"ünïque {number} words", f"ÉCOLE publique {number % 2}"], 2)
        generator.shuffle(lines)
        text = generator.choice(["\n", "\n\n"]).join(lines) + generator.choice(["", "\n"])
        source = generator.choice(["web", "web", "code"])
        docs.append(Doc(number, text, source, generator.choice([None, None, number // 3]), f"site{number % 4}"))
    return docs


def units(text, kind):
    """(first byte, end, stripped and folded text) of lines or paragraphs."""
    found, begin = [], 0
    for match in re.finditer({"line": r"\n|\Z", "paragraph": r"\n{2,}|\Z"}[kind], text):
        body = text[begin : match.start()]
        start = begin + len(body) - len(body.lstrip("\n"))
        if body.strip():
            borders = (len(text[:at].encode()) for at in (start, match.end()))
            found.append((*borders, body.strip().casefold()))
        begin = match.end()
    return found


def expected(docs, kind, options, code=("code",)):
    where = defaultdict(list)
    for doc in docs:
        if doc.source in code and not options.code:
            continue
        for start, end, key in units(doc.text, kind):
            if len(key.split()) >= options.words:
                scope = doc.group if options.scope == "site" else ""
                where[scope, key].append((cluster_of(doc), doc.id, start, end))
    rows = []
    for key, places in where.items():
        count = len({cluster for cluster, *_ in places})
        if count < options.documents:
            continue
        for cluster, doc_id, start, end in places:
            elsewhere = min((c, d) for c, d, *_ in places if c != cluster)[1]
            rows.append((doc_id, start, end, kind, count, elsewhere, key, None))
    return rows


def same(found, wanted):
    """Whether rows are the wanted ones, whose key is the unit itself."""
    found, wanted = (sorted(rows, key=lambda row: (row[3], *row[:3])) for rows in (found, wanted))
    paired([row[6] for row in found], [row[6] for row in wanted])
    return [(*row[:6], row[7]) for row in found] == [(*row[:6], row[7]) for row in wanted]


@pytest.mark.spark
@pytest.mark.parametrize(
    ("line", "paragraph"),
    [
        (Units(documents=7, words=2), Units(documents=3, words=0, code=True)),
        (Units(documents=2, words=4, scope="site"), None),
    ],
)
def test_repeated_lines_and_paragraphs_are_those_of_a_plain_count(spark, tmp_path, line, paragraph):
    docs = texts()
    rows = find(spark, tmp_path, docs, Repeats(lines=line, paragraphs=paragraph), files=3, code=["code"])
    for kind, options in (("line", line), ("paragraph", paragraph)):
        found = [tuple(found.values()) for found in rows if found["kind"] == kind]
        assert same(found, expected(docs, kind, options) if options else [])
        assert bool(found) == bool(options)


@pytest.mark.spark
def test_layout_makes_no_difference_and_who_is_left_out_does_not_count(spark, tmp_path):
    docs, options = texts(), Repeats(lines=Units(documents=4, words=2))
    rows = find(spark, tmp_path / "a", docs, options, files=3, left_out=range(0, 60, 2))
    assert rows == find(spark, tmp_path / "b", docs[::-1], options, files=1, left_out=range(0, 60, 2))
    kept = [doc for doc in docs if doc.number % 2]
    assert same([tuple(found.values()) for found in rows], expected(kept, "line", options.lines, ()))


def test_everything_is_off_by_default_and_wrong_settings_are_refused():
    assert set(Repeats().model_dump().values()) == {None}
    with pytest.raises(ValueError, match="shortest is 20, more than an n-gram's 13 words"):
        Contamination(benchmarks=[{"path": "x", "fields": ["y"]}], shortest=20)
    with pytest.raises(ValueError, match="extra"):
        Repeats(line={})
