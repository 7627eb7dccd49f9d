"""Benchmark items planted into texts: whole, cut, paraphrased, common; and real ones into real texts."""

import gzip
import itertools
import json
import random
import re

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from repeats_case import Doc, find, folded_words

from filters import fingerprints
from filters.batch import TextBatch
from pipelines import datasets
from pipelines.dedup import benchmark_items, contamination, groups
from pipelines.dedup.options import Benchmark, Contamination, Repeats
from pipelines.errors import ConfigError


def prose(seed, n=200):
    generator = random.Random(seed)
    return " ".join(f"p{generator.randrange(10**9)}" for _ in range(n))


def write_items(path, items, **fields):
    path.write_text("".join(json.dumps({"question": item, **fields}) + "\n" for item in items))
    return Benchmark(path=str(path), fields=["question", *fields])


def settings_of(*benchmarks, **changes):
    return Repeats(contamination=Contamination(benchmarks=list(benchmarks), **changes))


@pytest.mark.spark
def test_planted_items_are_found_with_their_share_and_span(spark, tmp_path):
    items = [prose(f"item{i}", n) for i, n in enumerate([40, 26, 13, 12, 8, 7, 40, 60])]
    benchmark = write_items(tmp_path / "items.jsonl", items)
    words = items[0].split()
    half = " ".join(items[1].split()[:13])
    broken = " ".join([*items[7].split()[:25], "other", *items[7].split()[26:]])  # one word changed
    far = " ".join(items[6].split()[:14]) + " " + prose("gap", 50) + " " + " ".join(items[6].split()[20:])
    planted = {
        1: items[0].upper().replace(" ", ",  "),
        2: half,
        3: items[2],
        4: items[3],
        5: items[4],
        6: items[5],  # seven words: too short to be looked for
        7: " ".join(words[:12]),  # fewer than 13 words of it
        8: " ".join(items[3].split()[:11]),  # a short item, not whole
        9: broken,
        10: far,
    }
    docs = [Doc(n, f"{prose(n)}\n{planted.get(n, '')} {prose(n + 100)} éé") for n in range(12)]
    found = {}
    for row in find(spark, tmp_path / "run", docs, settings_of(benchmark)):
        assert (row["kind"], row["count"], row["key"]) == ("contamination", 1, None)
        number = next(doc.number for doc in docs if doc.id == row["doc_id"])
        text = docs[number].text.encode()[row["start"] : row["end"]].decode()
        found.setdefault(number, []).append((row["elsewhere"].split(":")[1], row["share"], text))
    assert found == {
        1: [("1", 1.0, planted[1])],
        2: [("2", round(1 / 14, 4), half)],
        3: [("3", 1.0, items[2])],
        4: [("4", 1.0, items[3])],
        5: [("5", 1.0, items[4])],
        9: [("8", round((13 + 22) / 48, 4), broken)],
        10: [("7", round((2 + 8) / 28, 4), part) for part in sorted(far.split(" " + prose("gap", 50) + " "),
                                                                    key=far.index)],
    }  # fmt: skip
    assert datasets.scan(tmp_path / "run", "benchmarks").to_pylist() == [
        {"item": f"items.jsonl:{line}:question", "grams": grams, "seen": seen, "common": 0}
        for line, grams, seen in [(1, 28, 28), (2, 14, 1), (3, 1, 1), (4, 1, 1), (5, 1, 1), (6, 0, 0), (7, 28, 10),
                                  (8, 48, 35)]
    ]  # fmt: skip


@pytest.mark.spark
def test_common_grams_are_no_evidence_but_belong_to_the_item(spark, tmp_path):
    shared, own = prose("shared", 20), prose("own", 20)
    benchmark = write_items(tmp_path / "items.jsonl", [f"{shared} {own}", prose("other")], name=shared)
    docs = [Doc(n, f"{prose(n)} {shared}") for n in range(6)] + [Doc(6, f"{shared} {own} {prose(9)}")]
    rows = find(spark, tmp_path / "run", docs, settings_of(benchmark, common=5))
    assert [(row["doc_id"], row["elsewhere"], row["share"], row["start"]) for row in rows] == [
        (docs[6].id, "items.jsonl:1:question", 1.0, 0)
    ]
    coverage = [tuple(row.values())[1:] for row in datasets.scan(tmp_path / "run", "benchmarks").to_pylist()]
    assert coverage == [(28, 28, 8), (8, 8, 8), (188, 0, 0), (8, 8, 8)]
    copies = [doc._replace(cluster=0) for doc in docs[:6]] + docs[6:]  # copies of one document count once
    names = {row["elsewhere"] for row in find(spark, tmp_path / "copies", copies, settings_of(benchmark, common=5))}
    assert names == {"items.jsonl:1:question", "items.jsonl:1:name", "items.jsonl:2:name"}


@pytest.mark.spark
def test_real_items_in_real_texts(spark, tmp_path, data):
    """Whole items and halves of 13 words are found, in the right document; anything else is a listed false alarm."""
    benchmarks = [
        Benchmark(path=str(data / "benchmarks" / "gsm8k-test.jsonl"), fields=["question"]),
        Benchmark(path=str(data / "benchmarks" / "humaneval.jsonl.gz"), fields=["prompt", "canonical_solution"]),
    ]
    items = [item for benchmark in benchmarks for item in benchmark_items.parts_of(benchmark)]
    generator = random.Random(1)
    planted = generator.sample([item for item in items if len(folded_words(item[1])) >= 8], 120)
    with gzip.open(data / "web" / "gold.jsonl.gz", "rt", encoding="utf-8") as pages:
        texts = [json.loads(page)["text"] for page in pages][:400]
    whole, half, docs = {}, {}, []
    for number, text in enumerate(texts):
        at = text.find(" ", len(text) // 2)
        if number < 120:
            name, item = planted[number]
            words = folded_words(item)
            if number % 3 == 0:
                whole[number] = name
            elif number % 3 == 1:
                item = item.encode()[: words[len(words) // 2 - 1][2]].decode()
                if len(words) // 2 >= 13:
                    half[number] = name
            else:
                item = paraphrased(item)
            text = f"{text[:at]}\n{item}\n{text[at:]}"
        docs.append(Doc(number, text))
    rows = find(spark, tmp_path / "run", docs, settings_of(*benchmarks), files=3)
    number_of = {doc.id: doc.number for doc in docs}
    found = {(number_of[row["doc_id"]], row["elsewhere"]): row["share"] for row in rows}
    assert all(found.get(item) == 1.0 for item in whole.items())
    assert all(0 < found.get(item, 0) <= 1 for item in half.items())
    assert len(whole) == 40
    assert len(half) > 20
    # The rest: items that share text with the planted ones, and paraphrases that kept 13 words in a row.
    false_alarms = [(number, name) for number, name in found if number >= 120]
    assert false_alarms == []
    columns = {name: [row[name] for row in rows] for name in ("doc_id", "kind", "share", "elsewhere")}
    signals = contamination.signals(spark.createDataFrame(pa.table(columns))).collect()
    share = {row["doc_id"]: row["contamination"]["share"] for row in signals}
    assert all(share[docs[number].id] == 1.0 for number in whole)
    assert set(share) == set(columns["doc_id"])


def paraphrased(text):
    """Every fifth word another one."""
    count = iter(range(10**6))
    return re.sub(r"\w+", lambda word: "rather" if next(count) % 5 == 0 else word[0], text)


run = st.tuples(st.integers(0, 40), st.integers(0, 2), st.integers(1, 12))


@given(
    st.lists(st.lists(run, max_size=5), min_size=1, max_size=5), st.lists(st.integers(0, 99), max_size=5),
    st.integers(0, 4), st.integers(0, 3),
)  # fmt: skip
def test_spans_are_those_of_plain_sets_wherever_batches_are_cut(texts, cuts, gap, common):
    """Items are windows of one sequence of words; hits are counted as if by a corpus."""
    sequence = [f"w{i}" for i in range(52)]
    names, words = ["a", "b", "c"], 3
    of_item = {"a": sequence[:30], "b": sequence[20:50], "c": sequence[:3] * 3}
    wanted = benchmark_items.items([(name, " ".join(of_item[name])) for name in names], words, words)
    grams_of = {
        name: {tuple(of_item[name][at : at + words]) for at in range(len(of_item[name]) - words + 1)} for name in names
    }
    documents = [
        [word for first, own, length in runs for word in ["own"] * own + sequence[first : first + length]]
        for runs in texts
    ]
    batch = TextBatch(pa.array([" ".join(document) for document in documents], pa.large_string()))
    (index,) = wanted.indexes
    found = fingerprints.find(batch.words, index)
    rows = []
    expected = []
    for number, document in enumerate(documents):
        id = bytes(15) + bytes([number])
        first = batch.words.offsets[number]
        starts = batch.words.starts[first:] - batch.offsets[number]
        ends = starts + batch.words.lengths[first:]
        mine = slice(found.offsets[number], found.offsets[number + 1])
        count_of = {}
        for at, key in zip(found.at[mine].tolist(), found.hashes[mine].tolist()):
            count = count_of[tuple(document[at : at + words])] = int(key) % 5
            rows.append({"kind": 0, "key": key, "id": id, "file": 0, "at": at, "start": starts[at],
                         "end": ends[at + words - 1], "count": count, "elsewhere": None, "owners": 0})  # fmt: skip
        windows = [tuple(document[at : at + words]) for at in range(len(document) - words + 1)]
        for name in names:
            places = [at for at, gram in enumerate(windows) if gram in grams_of[name]]
            if not any(count_of[windows[at]] <= common for at in places):
                continue
            share = round(len({windows[at] for at in places}) / len(grams_of[name]), 4)
            edges = [i for i in range(1, len(places)) if places[i] - places[i - 1] - words > gap]
            for begin, end in itertools.pairwise([0, *edges, len(places)]):
                span = (int(starts[places[begin]]), int(ends[places[end - 1] + words - 1]))
                expected.append((id, name, *span, share, begin == 0))
    edges = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    batches = [pa.RecordBatch.from_pylist(rows[a:b], schema=groups.COUNTED) for a, b in itertools.pairwise(edges)]
    settings = Contamination(benchmarks=[Benchmark(path="x", fields=["y"])], words=13, gap=gap, common=max(common, 1))
    settings = settings.model_copy(update={"common": common})
    emitted = contamination.spans(lambda: wanted, settings)(iter(batches))
    assert [tuple(row.values()) for batch in emitted for row in batch.to_pylist()] == expected


def test_an_item_that_a_document_repeats_without_end_takes_no_more_memory(monkeypatch):
    monkeypatch.setattr(contamination, "MAX_SPANS", 3)
    wanted = benchmark_items.items([("a", "one two three")], 3, 3)
    rows = [{"kind": 0, "key": 0, "id": bytes(16), "file": 0, "at": at, "start": at, "end": at + 3, "count": 1,
             "elsewhere": None, "owners": 0} for at in range(0, 1000, 100)]  # fmt: skip
    batches = [pa.RecordBatch.from_pylist([row], schema=groups.COUNTED) for row in rows]
    settings = Contamination(benchmarks=[Benchmark(path="x", fields=["y"])])
    found = [row for batch in contamination.spans(lambda: wanted, settings)(iter(batches)) for row in batch.to_pylist()]
    assert [(row["start"], row["end"]) for row in found] == [(0, 3), (100, 103), (200, 903)]


fields = st.lists(st.lists(st.sampled_from("abcdef"), max_size=9).map(" ".join), max_size=6)


@given(fields, st.integers(1, 5), st.integers(1, 5))
def test_items_know_their_grams(texts, words, shortest):
    shortest = min(words, shortest)
    names = [f"item{i}" for i in range(len(texts))]
    wanted = benchmark_items.items(zip(names, texts), words, shortest)
    hashes = TextBatch(pa.array(texts, pa.large_string())).words
    for item, text in enumerate(texts):
        mine = text.split()
        n = len(mine) if shortest <= len(mine) < words else words
        grams = {tuple(mine[at : at + n]) for at in range(len(mine) - n + 1)}
        assert wanted.totals[item] == len(grams)
        numbers = [
            g for g in range(len(wanted.starts) - 1) if item in wanted.items[wanted.starts[g] : wanted.starts[g + 1]]
        ]
        assert len(numbers) == len(grams)
        assert set(wanted.words(np.array(numbers, np.int64)).tolist()) <= {n}
    assert wanted.firsts[-1] == sum(len(index.hashes) for index in wanted.indexes) == len(wanted.starts) - 1
    assert len(hashes.hashes) == sum(len(text.split()) for text in texts)


def test_benchmarks_that_cannot_be_read_say_where(tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_text('{"a": ["one", "two"], "b": 3}\n\nnonsense\n')
    parts = benchmark_items.parts_of(Benchmark(path=str(path), fields=["a", "b"]))
    assert [next(parts), next(parts)] == [("items.jsonl:1:a", "one\ntwo"), ("items.jsonl:1:b", "3")]
    with pytest.raises(ConfigError, match=r"items.jsonl, line 3: no JSON"):
        next(parts)
    for path_of_fields in ("c", "a.b", "b.c"):
        with pytest.raises(ConfigError, match=rf"items.jsonl, line 1: no field '{path_of_fields}'"):
            list(benchmark_items.parts_of(Benchmark(path=str(path), fields=[path_of_fields])))
    with pytest.raises(ConfigError, match=r"items.jsonl, line 1: no field 'c'"):
        list(benchmark_items.parts_of(Benchmark(path=str(path), fields=["c"])))
    with pytest.raises(ConfigError, match="absent"):
        list(benchmark_items.parts_of(Benchmark(path=str(tmp_path / "absent.jsonl"), fields=["a"])))
    broken = tmp_path / "broken.jsonl.gz"
    for compress in (gzip.compress, zstandard.compress):
        broken.write_bytes(compress(b'{"a": "x"}\n' * 9999)[:-9])
        with pytest.raises(ConfigError, match=r"broken\.jsonl\.gz: "):
            list(benchmark_items.parts_of(Benchmark(path=str(broken), fields=["a"])))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "items.jsonl").write_text('{"a": "x"}\n')
    path.write_text('{"a": "x"}\n')
    both = [Benchmark(path=str(p), fields=["a"]) for p in (path, tmp_path / "other" / "items.jsonl")]
    with pytest.raises(ConfigError, match=r"two items are named 'items\.jsonl:1:a'"):
        benchmark_items.read(Contamination(benchmarks=both))


def test_benchmarks_may_be_packed_and_nested(tmp_path):
    lines = b'{"a": {"b": ["one", {"c": 1}]}, "a.b": "two"}\n{"a": {"b": "three\\ud800"}}'
    for name, packed in (
        ("x.jsonl", lines),
        ("x.jsonl.gz", gzip.compress(lines[:50]) + gzip.compress(lines[50:])),
        ("x.jsonl.zst", zstandard.compress(lines[:50]) + zstandard.compress(lines[50:])),
    ):
        (tmp_path / name).write_bytes(packed)
        parts = benchmark_items.parts_of(Benchmark(path=str(tmp_path / name), fields=["a.b"]))
        assert list(parts) == [(f"{name}:1:a.b", "two"), (f"{name}:2:a.b", "three?")]
    (tmp_path / "deep.jsonl").write_bytes(b'{"a": {"b": ["one", {"c": 1}]}}')
    (part,) = benchmark_items.parts_of(Benchmark(path=str(tmp_path / "deep.jsonl"), fields=["a.b"]))
    assert part[1] == 'one\n{"c": 1}'


def test_items_are_read_in_pieces_and_bounded(monkeypatch):
    parts = [(f"item{i}", " ".join(f"w{i % 7}{j}" for j in range(i % 20))) for i in range(50)]
    whole = benchmark_items.items(parts, 13, 8)
    monkeypatch.setattr(benchmark_items, "CHUNK_BYTES", 100)
    pieces = benchmark_items.items(parts, 13, 8)
    assert whole.names == pieces.names == [name for name, _ in parts]
    for name in ("firsts", "totals", "starts", "items"):
        assert getattr(whole, name).tolist() == getattr(pieces, name).tolist()
    assert whole.count(np.array([0, 3], np.int64)).sum() == whole.starts[1] + whole.starts[4] - whole.starts[3]
    monkeypatch.setattr(benchmark_items, "MAX_BYTES", 1_000)
    with pytest.raises(ConfigError, match=r"more than 1,000 bytes"):
        benchmark_items.items(parts, 13, 8)
