"""N-gram hashes, fingerprints and lines against slow, obvious versions over the words' own hashes."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
import text_reference as reference
from hypothesis import given
from hypothesis import strategies as st

from filters import fingerprints
from filters.batch import TextBatch

MASK = 2**64 - 1
few_words = st.lists(st.sampled_from("abcdefg"), max_size=60).map(" ".join)
texts = st.lists(few_words | reference.texts, max_size=4)


def gram_hash(hashes):
    """The documented hash of an n-gram, in Python's integers."""
    value = 0
    for word in hashes:
        value = (value * 0xD1342543DE82EF95 + int(word)) & MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def hashes_of(batch):
    borders = batch.words.offsets
    return [batch.words.hashes[a:b].tolist() for a, b in itertools.pairwise(borders)]


def all_grams(words, n):
    return [gram_hash(words[at : at + n]) for at in range(len(words) - n + 1)]


def listed(found):
    """(at, hash) of each text."""
    return [
        list(zip(found.at[a:b].tolist(), found.hashes[a:b].tolist()))
        for a, b in zip(found.offsets[:-1], found.offsets[1:])
    ]


def batch_of(texts):
    return TextBatch(pa.array(texts, pa.string()))


@given(texts, st.integers(1, 14))
def test_grams_are_the_documented_hashes(texts, n):
    batch = batch_of(texts)
    assert listed(fingerprints.grams(batch.words, n)) == [
        list(enumerate(all_grams(words, n))) for words in hashes_of(batch)
    ]


@given(texts, st.integers(1, 8), st.integers(0, 8))
def test_every_window_has_a_fingerprint_and_it_is_the_smallest(texts, gram, more):
    batch, window = batch_of(texts), more + 1
    for words, chosen in zip(hashes_of(batch), listed(fingerprints.winnow(batch.words, gram + more, gram))):
        values = all_grams(words, gram)
        places = {at for at, _ in chosen}
        assert [values[at] for at, _ in chosen] == [hashed for _, hashed in chosen]
        assert [at for at, _ in chosen] == sorted(places)
        starts = range(len(values) - window + 1)
        for start in starts:
            inside = [at for at in places if start <= at < start + window]
            assert min(values[at] for at in inside) == min(values[start : start + window])
        # Nothing is chosen that no window needs.
        for at in places:
            assert any(values[at] == min(values[s : s + window]) for s in starts if s <= at < s + window)


@given(few_words, few_words, few_words, st.integers(1, 6), st.integers(0, 6))
def test_two_texts_share_a_fingerprint_within_every_common_span(one, common, other, gram, more):
    span = gram + more
    batch = batch_of([f"{one} x {common} y", f"{other} z {common} {one}"])
    first, second = hashes_of(batch)
    prints = listed(fingerprints.winnow(batch.words, span, gram))
    for a in range(len(first) - span + 1):
        for b in range(len(second) - span + 1):
            if first[a : a + span] == second[b : b + span]:
                mine = {hashed for at, hashed in prints[0] if a <= at <= a + more}
                others = {hashed for at, hashed in prints[1] if b <= at <= b + more}
                assert mine & others


def test_a_run_of_one_word_leaves_few_fingerprints_and_random_words_the_expected_share():
    random = np.random.default_rng(0)
    batch = batch_of(["a " * 10_000, " ".join(f"w{i}" for i in random.integers(0, 5_000, 50_000))])
    offsets = fingerprints.winnow(batch.words, 50, 25).offsets
    assert offsets[1] == (10_000 - 24) // 26
    assert (offsets[2] - offsets[1]) / 50_000 == pytest.approx(2 / 27, rel=0.05)


@given(texts, st.integers(1, 6), st.integers(0, 6), st.randoms(use_true_random=False))
def test_around_is_every_span_that_holds_an_anchor(texts, gram, more, random):
    batch, span = batch_of(texts), gram + more
    anchors, expected = [], []
    for words in hashes_of(batch):
        places = [at for at in range(len(words) - gram + 1) if random.random() < 0.2]
        anchors.append(places)
        starts = {at - back for at in places for back in range(more + 1) if 0 <= at - back <= len(words) - span}
        expected.append([(at, gram_hash(words[at : at + span])) for at in sorted(starts)])
    borders = np.cumsum([0, *map(len, anchors)])
    flat = np.array([at for places in anchors for at in places], np.int32)
    given_anchors = fingerprints.Grams(borders, flat, np.empty(0, np.uint64))
    assert listed(fingerprints.around(batch.words, given_anchors, span, gram)) == expected


@given(texts, texts, st.integers(1, 5))
def test_find_is_a_look_up_of_every_gram(texts, others, n):
    batch, wanted = batch_of(texts), batch_of(others + texts[:1])
    index = fingerprints.index(fingerprints.grams(wanted.words, n).hashes, n)
    known = {hashed for words in hashes_of(wanted) for hashed in all_grams(words, n)}
    assert index.hashes.tolist() == sorted(known)
    expected = [
        [(at, hashed) for at, hashed in enumerate(all_grams(words, n)) if hashed in known] for words in hashes_of(batch)
    ]
    found = [
        [(at, int(index.hashes[i])) for at, i in of_text] for of_text in listed(fingerprints.find(batch.words, index))
    ]
    assert found == expected


@given(st.lists(reference.texts, max_size=4))
def test_lines_and_paragraphs_are_whole_and_compared_without_case(texts):
    batch = batch_of(texts)
    data = [text.encode() for text in texts]
    for spans, breaks in ((batch.lines, 1), (batch.paragraphs, 1 << 40)):
        starts, ends = fingerprints.whole(batch, spans, breaks)
        hashes = fingerprints.folded(batch.data, spans)
        keys = {}
        for text in range(len(batch)):
            for span in range(spans.offsets[text], spans.offsets[text + 1]):
                unit = data[text][starts[span] : ends[span]].decode()
                assert starts[span] == 0 or data[text][starts[span] - 1 : starts[span]] == b"\n"
                assert unit.endswith("\n") or ends[span] == len(data[text])
                keys.setdefault(reference.fold(unit.strip()), set()).add(int(hashes[span]))
                assert fingerprints.words_in(batch.words, spans)[span] >= 0
        assert all(len(of_key) == 1 for of_key in keys.values())
        assert len({hashed for of_key in keys.values() for hashed in of_key}) == len(keys)


def test_cutting_a_line_or_paragraph_leaves_the_others():
    text = "  One line\n\n\n  two\nthree  \n\n\nfour"
    batch = batch_of([text])
    starts, ends = fingerprints.whole(batch, batch.lines, 1)
    assert [text[a:b] for a, b in zip(starts, ends)] == ["  One line\n", "  two\n", "three  \n", "four"]
    starts, ends = fingerprints.whole(batch, batch.paragraphs, 1 << 40)
    assert [text[a:b] for a, b in zip(starts, ends)] == ["  One line\n\n\n", "  two\nthree  \n\n\n", "four"]
    assert fingerprints.words_in(batch.words, batch.lines).tolist() == [2, 1, 1, 1]


def test_impossible_lengths_are_refused():
    words = batch_of(["a b"]).words
    with pytest.raises(ValueError, match="an n-gram of 0 words"):
        fingerprints.grams(words, 0)
    with pytest.raises(ValueError, match="fingerprints of 5 words for spans of 4"):
        fingerprints.winnow(words, 4, 5)
