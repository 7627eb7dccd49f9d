"""Counting and adding up, against a Counter over what the regular expressions split."""

import gzip
import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from tokenizer import count as counting
from tokenizer import pieces, tally
from tokenizer.count import COUNTS, count
from tokenizer.patterns import pattern_by_name
from tokenizer.split_kernel import split
from tokenizer.tally import count_texts, keep, summed


def obvious(texts, pattern, weights=None):
    counts = Counter()
    for text, weight in zip(texts, weights or [1] * len(texts), strict=True):
        for part in split(text, pattern):
            counts[part.encode()] += weight
    return counts


def as_dict(counts):
    return dict(zip(counts["pretoken"].to_pylist(), counts["count"].to_pylist(), strict=True))


def kept(found):
    return dict(zip(found.pretokens.to_pylist(), found.counts.to_pylist(), strict=True))


def batch(texts, weights=None):
    return pa.array(texts, pa.string()), np.array(weights or [1] * len(texts), np.int64)


def table(counts):
    rows = [pa.array(list(counts), pa.large_binary()), pa.array(list(counts.values()), pa.int64())]
    return pa.record_batch(rows, schema=COUNTS)


@pytest.fixture(scope="module")
def pages(data):
    with gzip.open(data / "web" / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for _, line in zip(range(120), lines, strict=False)]


@pytest.mark.parametrize("pattern", ["gpt2", "cl100k", "o200k"])
def test_counts_of_real_pages_are_those_of_a_counter_over_the_regular_expression(pages, pattern):
    regex = Split(Regex(pattern_by_name(pattern)), behavior="isolated")
    expected = Counter(part.encode() for text in pages for part, _ in regex.pre_tokenize_str(text))
    (counts,) = count([batch(pages[:50]), batch([]), batch(pages[50:])], pattern)
    assert as_dict(counts) == expected
    assert kept(count_texts(pages, pattern)) == expected


texts_and_weights = st.lists(st.tuples(st.text("ab cA1\n中", max_size=20), st.integers(0, 2**40)), max_size=8)


@given(texts_and_weights, st.sampled_from(["gpt2", "digits2", "o200k"]))
def test_weights(pairs, pattern):
    texts, weights = [text for text, _ in pairs], [weight for _, weight in pairs]
    (counts,) = list(count([batch(texts, weights)], pattern)) or [COUNTS.empty_table()]
    assert as_dict(counts) == obvious(texts, pattern, weights)


@pytest.mark.parametrize("size", [60_000, 300_000])
def test_partial_counts_add_up_in_bounded_memory(pages, size, tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "_LEAST", 4)
    monkeypatch.setattr(tally, "_RANGE", 2_000)
    largest = 0

    def partials():
        nonlocal largest
        for partial in count((batch([text]) for text in pages), "cl100k", size):
            assert len(partial) == len(set(partial["pretoken"].to_pylist()))
            largest = max(largest, partial.nbytes)
            yield partial

    parts = list(summed(partials(), tmp_path))
    assert len(list(tmp_path.iterdir())) > 1
    assert largest < 2 * size
    words = [word for part in parts for word in part["pretoken"].to_pylist()]
    assert len(words) == len(set(words))
    assert max(map(len, parts)) <= 2_000
    assert kept(keep(parts)) == obvious(pages, "cl100k")


@given(st.lists(st.dictionaries(st.binary(max_size=2), st.integers(1, 2**61), min_size=1, max_size=20), max_size=3))
def test_sums_are_64_bits(tmp_path_factory, partials):
    folder = tmp_path_factory.mktemp("sums")
    expected = Counter()
    for partial in partials:
        expected.update(partial)
    found = Counter()
    for part in summed(map(table, partials), folder):
        found.update(as_dict(part))
    assert found == expected


counted = st.dictionaries(st.binary(max_size=3), st.integers(1, 30), max_size=25)


@given(
    counted,
    st.none() | st.integers(1, 12),
    st.integers(1, 3),
    st.integers(0, 10),
    st.integers(0, 40),
    st.integers(1, 9),
)
def test_the_least_count_that_fits(counts, min_count, scale, most, most_bytes, size):
    rows = table(counts)
    parts = [rows.slice(start, size) for start in range(0, len(rows), size)]
    found = keep(parts, min_count, scale, most, most_bytes)

    def those(least):
        return {word: count for word, count in counts.items() if count >= least * scale}

    def fits(chosen):
        return len(chosen) <= most and sum(map(len, chosen)) <= most_bytes

    least = min_count or next(least for least in range(32) if fits(those(least)))
    assert found.min_count == least
    assert kept(found) == those(least)
    assert found.unique == len(counts)
    assert found.bytes == sum(len(word) * count for word, count in counts.items())
    assert found.bytes - found.bytes_left_out == sum(len(word) * count for word, count in those(least).items())


def test_long_texts_are_counted_as_they_are_encoded(monkeypatch):
    # Where no border is in reach, a text is cut anyway: in the same place for counting and for encoding.
    monkeypatch.setattr(pieces.pieces, "__defaults__", (50, 60))
    monkeypatch.setattr(counting, "PIECE", 50)
    text = "a" * 130 + " " + "word. " * 30
    (counts,) = count([batch(["x", text, ""], [1, 2, 3])], "cl100k")
    expected = obvious(["x", *pieces.pieces(text)], "cl100k", [1, *[2] * len(list(pieces.pieces(text)))])
    assert as_dict(counts) == expected
    assert b"a" * 60 in expected


def test_a_pretoken_beyond_the_size_of_the_table(monkeypatch):
    monkeypatch.setattr(counting, "_LEAST", 4)
    text = "b" * 100_000 + " c"
    found = Counter()
    for partial in count([batch([text, text])], "gpt2", 1000):
        found.update(as_dict(partial))
    assert found == {b"b" * 100_000: 2, b" c": 2}


def test_nothing_to_count():
    assert list(count([], "gpt2")) == list(count([batch(["", ""])], "gpt2")) == []
    found = count_texts([], "gpt2")
    assert (len(found.pretokens), found.unique, found.bytes, found.facts()["share_left_out"]) == (0, 0, 0, 0)


def test_wrong_arguments():
    for match, texts, weights, pattern in (
        ("there are: gpt2", ["a"], [1], "gpt5"),
        ("1 of 2 texts are null", ["a", None], [1, 1], "gpt2"),
        ("the weight -1", ["a"], [-1], "gpt2"),
        ("64 bits", ["abcd"], [2**60], "gpt2"),
    ):
        with pytest.raises(ValueError, match=match):
            list(count([batch(texts, weights)], pattern))
