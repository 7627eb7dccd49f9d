"""Each tie break against its own reference: Hugging Face's trainer itself, and a recount after every merge."""

import gzip
import json
import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.trainers import BpeTrainer

from tokenizer import pair_counts, pair_heap
from tokenizer.merges import train_merges
from tokenizer.patterns import pattern_by_name
from tokenizer.tally import count_texts
from tokenizer.train import untrained
from tokenizer.vocabulary import byte_alphabet


def learn(counts, vocab_size, **options):
    """`train_merges` on a mapping of pre-tokens (bytes) to counts."""
    weights = np.array(list(counts.values()), np.int64)
    return train_merges(pa.array(list(counts), pa.binary()), weights, vocab_size, **options)


def huggingface(tokenizer, texts, vocab_size, **options):
    """Tokens by id and merges by rank, as bytes, of Hugging Face's own trainer."""
    alphabet = sorted(ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False, **options)
    tokenizer.train_from_iterator(texts, trainer=trainer)
    model = json.loads(tokenizer.to_str())["model"]
    byte_of = byte_alphabet()
    spelt = {token: bytes(byte_of[letter] for letter in token) for token in model["vocab"]}
    ids = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return [spelt[token] for token in ids], [(spelt[left], spelt[right]) for left, right in model["merges"]]


def whole_words():
    """A tokenizer to which every text is one pre-token."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    return tokenizer


def recounted(counts, vocab_size, min_frequency):
    """The obvious way: count all pairs, merge the greatest of the most frequent, count again."""
    words = {word: [bytes([byte]) for byte in word] for word in counts}
    tokens = {bytes([byte]) for byte in range(256)}
    merges = []
    while len(tokens) < vocab_size:
        pairs = Counter()
        for word, parts in words.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        if pairs[best] < min_frequency:
            break
        merges.append(best)
        tokens.add(best[0] + best[1])
        for word, parts in words.items():
            merged, at = [], 0
            while at < len(parts):
                width = 2 if tuple(parts[at : at + 2]) == best else 1
                merged.append(b"".join(parts[at : at + width]))
                at += width
            words[word] = merged
    return merges


def counted(texts, pattern):
    split = Split(Regex(pattern_by_name(pattern)), behavior="isolated")
    return Counter(part.encode() for text in texts for part, _ in split.pre_tokenize_str(text))


@pytest.fixture(scope="module")
def corpora(data):
    """Texts by kind: a novel, web pages in many languages, programs."""
    with gzip.open(data / "web" / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        pages = [text for _, line in zip(range(250), lines, strict=False) if (text := json.loads(line)["text"])]
    with gzip.open(data / "benchmarks" / "humaneval.jsonl.gz", "rt", encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in lines]
    return {
        "books": (data / "books" / "gutenberg" / "1342-0.txt").read_text(encoding="utf-8").splitlines(keepends=True),
        "pages": pages,
        "code": [task["prompt"] + task["canonical_solution"] + task["test"] for task in tasks],
    }


@pytest.mark.parametrize("vocab_size", [500, 8_000, 50_000])
@pytest.mark.parametrize(("kind", "pattern"), [("books", "gpt2"), ("pages", "o200k"), ("code", "digits1")])
def test_merges_are_those_of_hugging_faces_trainer(corpora, kind, pattern, vocab_size):
    tokens, merges = huggingface(untrained(pattern), corpora[kind], vocab_size, min_frequency=2)
    found = count_texts(corpora[kind], pattern)
    learnt = train_merges(found.pretokens, found.counts, vocab_size)
    assert learnt.tokens == tokens
    assert learnt.merges == merges


few_letters = st.dictionaries(st.text("ab", max_size=12) | st.text("abc", max_size=9), st.integers(1, 4), max_size=15)
any_letters = st.dictionaries(st.text(max_size=8), st.integers(1, 4))
lengths = st.none() | st.integers(1, 7)


@given(few_letters | any_letters, st.integers(256, 300), st.integers(1, 4), lengths)
def test_ties_are_broken_as_in_hugging_faces_trainer(words, vocab_size, least, longest):
    repeated = [word for word, count in words.items() for _ in range(count)]
    options = {"min_frequency": least, "max_token_length": longest}
    tokens, merges = huggingface(whole_words(), repeated, vocab_size, **options)
    learnt = learn({word.encode(): count for word, count in words.items()}, vocab_size, **options)
    assert learnt.tokens == tokens
    assert learnt.merges == merges


byte_words = st.binary(max_size=8) | st.text("ab", max_size=12).map(str.encode) | st.text("abc").map(str.encode)


@given(st.dictionaries(byte_words, st.integers(0, 4), max_size=12), st.integers(256, 290), st.integers(1, 4))
def test_greater_bytes_are_those_of_a_recount(counts, vocab_size, least):
    learnt = learn(counts, vocab_size, tie_break="greater_bytes", min_frequency=least)
    assert learnt.merges == recounted({word: count for word, count in counts.items() if count}, vocab_size, least)
    assert len(set(learnt.tokens)) == len(learnt.tokens) == 256 + len(learnt.merges)


@pytest.mark.parametrize("kind", ["books", "pages", "code"])
def test_greater_bytes_on_real_texts(corpora, kind):
    counts = dict(counted(corpora[kind], "gpt2").most_common(1_000))
    learnt = learn(counts, 400, tie_break="greater_bytes")
    assert learnt.merges == recounted(counts, 400, 2)


def test_the_published_example_of_greater_bytes():
    # The words of Sennrich, Haddow and Birch 2016, section 3.2, as Stanford's CS336 (2025, assignment 1) repeats them.
    counts = {b"low": 5, b"lower": 2, b"widest": 3, b"newest": 6}
    learnt = learn(counts, 262, tie_break="greater_bytes")
    assert [left + b" " + right for left, right in learnt.merges] == [
        b"s t", b"e st", b"o w", b"l ow", b"w est", b"n e",
    ]  # fmt: skip


@pytest.mark.parametrize("tie_break", ["huggingface", "greater_bytes"])
def test_pairs_more_frequent_than_32_bits_can_say(tie_break):
    counts = {b"ab": 2**33, b"cd": 2**33 + 1, b"ef": 2**32, b"gh": 2**31, b"ij": 7}
    learnt = learn(counts, 300, tie_break=tie_break)
    assert [left + right for left, right in learnt.merges] == [b"cd", b"ab", b"ef", b"gh", b"ij"]
    # Counts near the limit do not overflow; counts beyond it are refused.
    learnt = learn({b"aaa": 2**58, b"bb": 2**60}, 300, tie_break=tie_break)
    assert learnt.merges == [(b"b", b"b"), (b"a", b"a"), (b"aa", b"a")]
    with pytest.raises(ValueError, match="64 bits"):
        learn({b"ab": 2**60, b"cd": 2**60}, 300, tie_break=tie_break)


@given(few_letters, st.sampled_from(["huggingface", "greater_bytes"]))
def test_only_proportions_matter(words, tie_break):
    counts = {word.encode(): count for word, count in words.items()}
    many = {word: count << 33 for word, count in counts.items()}
    assert learn(many, 300, tie_break=tie_break) == learn(counts, 300, tie_break=tie_break, min_frequency=1)


@pytest.mark.parametrize("tie_break", ["huggingface", "greater_bytes"])
def test_any_order_any_chunks_and_any_growth_give_the_same(corpora, tie_break, monkeypatch):
    counts = list(counted(corpora["code"], "cl100k").items())
    expected = learn(dict(counts), 2_000, tie_break=tie_break)
    random.Random(5).shuffle(counts)
    halves = [(word, count // 2) for word, count in counts] + [(word, count - count // 2) for word, count in counts]
    words, weights = zip(*halves, strict=True)
    cut = len(words) // 3
    chunks = pa.chunked_array([pa.array(words[:cut], pa.binary()), pa.array(words[cut:], pa.binary())])
    monkeypatch.setattr(pair_counts, "_LEAST", 4)
    monkeypatch.setattr(pair_heap, "_LEAST", 4)
    assert train_merges(chunks, pa.array(weights, pa.int64()), 2_000, tie_break=tie_break) == expected


@pytest.mark.parametrize("tie_break", ["huggingface", "greater_bytes"])
@pytest.mark.parametrize("counts", [{}, {b"": 9}, {b"a": 9, b"b": 9}, {b"abc": 0}, {b"abc": 1}])
def test_nothing_to_merge(counts, tie_break):
    learnt = learn(counts, 300, tie_break=tie_break)
    assert learnt.merges == []
    assert sorted(learnt.tokens) == [bytes([byte]) for byte in range(256)]


def test_strings_and_slices_of_arrow():
    weights = np.array([5, 5], np.int64)
    expected = learn({"öl".encode(): 5, b"bc": 5}, 300)
    assert expected.merges
    for kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()):
        words = pa.array(["xyxy", "öl", "bc", "xyxy"]).cast(kind)
        assert train_merges(words.slice(1, 2), weights, 300) == expected


def test_wrong_arguments():
    words, counts = pa.array([b"ab", b"c"]), np.array([1, 2], np.int64)
    for error, match, arguments in (
        (ValueError, "there are: huggingface", (words, counts, 300, "random")),
        (ValueError, "no room", (words, counts, 255, "huggingface")),
        (ValueError, "1 of 2 pre-tokens are null", (pa.array([b"ab", None]), counts, 300, "huggingface")),
        (ValueError, "2 pre-tokens, but 1 counts", (words, counts[:1], 300, "huggingface")),
        (ValueError, "the count -2", (words, -counts, 300, "huggingface")),
        (TypeError, "int64, not float64", (words, counts * 0.5, 300, "huggingface")),
        (TypeError, "not int64", (pa.array([1, 2]), counts, 300, "huggingface")),
    ):
        with pytest.raises(error, match=match):
            train_merges(*arguments[:3], tie_break=arguments[3])
