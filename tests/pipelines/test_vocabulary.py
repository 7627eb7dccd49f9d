"""What the tokenizer is learnt from, over a small corpus written by hand: counts, weights, samples, held-out texts."""

import hashlib
import json
from collections import Counter
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import datasets, texts, vocabulary
from pipelines.config import Config
from pipelines.errors import GristmillError
from pipelines.ledger import Ledger
from pipelines.run import Run
from pipelines.tokenizer_config import Weights
from pipelines.tokenizer_stage import tokenizer
from tokenizer.split_kernel import split
from tokenizer.train import save, train_on_counts
from tokenizer.vocabulary import tokens

SAMPLES = {
    "eng": "It was the best of times, it was the worst of times; the mill of the river turned 1234 times.\n",
    "deu": "Es war die beste und die schlimmste Zeit, und die Mühle am Fluß drehte sich ohne Unterlaß.\n\n",
    None: "def turn(mill, times):\n    return [mill for _ in range(times)]  # 0x1F\n",
}


def documents(number):
    """(split, source, language, doc_id, text) of so many documents; held-out ones repeat a word of their own."""
    for i in range(number):
        language = list(SAMPLES)[i % 3]
        side = ("train", "train", "validation", "train", "test")[i % 5]
        text = SAMPLES[language][i % 7 :] * (1 + i % 4) + f"word{i} " * (i % 3)
        if side != "train":
            text += " zyxzyxzyx" * 50
        source = "code" if language is None else ("web", "books")[i % 2]
        yield side, source, language, hashlib.md5(f"{i}".encode()).hexdigest(), text


def write_corpus(output, number=60, files=1):
    """corpus/ and signals/language/ of `documents`, each split and source in so many files."""
    rows = list(documents(number))
    parts = {}
    for i, row in enumerate(rows):
        parts.setdefault((*row[:2], i % files), []).append(row)
    for (side, source, part), members in parts.items():
        folder = output / "corpus" / f"split={side}" / f"source={source}"
        folder.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(
            [{"doc_id": m[3], "text": m[4], "stands_for": 1, "copies": 1} for m in members], datasets.CORPUS
        )
        pq.write_table(table, folder / f"{part}.parquet", row_group_size=4)
    (output / "signals" / "language").mkdir(parents=True)
    codes = [{"doc_id": row[3], "code": row[2]} for row in rows if row[2]]
    schema = pa.schema([("doc_id", pa.string()), ("code", pa.string())])
    pq.write_table(pa.Table.from_pylist(codes, schema), output / "signals" / "language" / "a.parquet")


def expected(weigh=lambda source, language: 1):
    counts = Counter()
    for side, source, language, _, text in documents(60):
        if side == "train":
            for part in split(text, "cl100k"):
                counts[part.encode()] += weigh(source, language)
    return counts


def config(**settings):
    sources = [{"name": name, "format": "text", "paths": ["x"]} for name in ("web", "books", "code")]
    return Config(name="x", sources=sources, seed=7, tokenizer={"vocab_size": 400, **settings})


def counted(spark, output, work, task_bytes=vocabulary.TASK_BYTES, bound=1 << 64, weights=None):
    """The tally and the groups of the training split, and the names of the partial counts."""
    weights = weights or Weights()
    files = datasets.files(output, "corpus/split=train")
    languages = work / "languages"
    arguments = {
        "pattern": "cl100k",
        "weights": weights.model_dump(),
        "languages": str(languages) if vocabulary.write_languages(spark, output, languages) else None,
        "bound": bound,
        "seed": 7,
    }
    texts.write(spark, files, work, "x", "pipelines.vocabulary:counter", arguments, task_bytes)
    partial = datasets.files(work, "pretokens")
    scale = vocabulary.scaled(weights).scale
    found = vocabulary.tally(spark, partial, work / "sums", None, scale)
    return found, vocabulary.groups(work / "counted"), partial


def as_dict(found):
    return dict(zip(found.pretokens.to_pylist(), found.counts.to_pylist(), strict=True))


factors = st.dictionaries(st.sampled_from("abc"), st.integers(1, 10**7).map(lambda n: n / 10**4))


@given(factors, factors)
def test_scaled_weights_have_the_proportions_of_the_factors(sources, languages):
    scaled = vocabulary.scaled(Weights.model_construct(sources=sources, languages=languages))
    for source in "abcd":
        for language in "abcd":
            exact = Fraction(1)
            for factor in (sources.get(source, 1), languages.get(language, 1)):
                exact *= Fraction(str(factor))
            assert Fraction(scaled.weight(source, language), scaled.scale) == exact


def test_weights_that_are_one_change_nothing():
    assert vocabulary.scaled(Weights(sources={"a": 1.0}, languages={"deu": 3})).scale == 1
    assert vocabulary.scaled(Weights(sources={"a": 0.25}, languages={"deu": 0.3})).scale == 40


@pytest.mark.spark
@pytest.mark.parametrize(("files", "task_bytes"), [(1, vocabulary.TASK_BYTES), (2, 4_000), (7, 1)])
def test_counts_are_those_of_the_training_split_at_any_number_of_tasks(spark, tmp_path, files, task_bytes):
    write_corpus(tmp_path / "run", files=files)
    found, groups, partial = counted(spark, tmp_path / "run", tmp_path / "work", task_bytes)
    assert as_dict(found) == expected()
    assert not any(b"zyx" in pretoken for pretoken in found.pretokens.to_pylist())
    assert (len(partial) > 3) == (files > 1)
    by_group = Counter()
    for side, source, language, _, text in documents(60):
        if side == "train":
            by_group[source, language or "und"] += len(text.encode())
    assert {group: size for group, (_, size) in groups.items()} == by_group


@pytest.mark.spark
def test_weights_are_exact(spark, tmp_path):
    write_corpus(tmp_path / "run", files=3)
    weights = Weights(sources={"web": 2.5, "code": 0.2}, languages={"deu": 0.0003, "und": 4})
    found, _, _ = counted(spark, tmp_path / "run", tmp_path / "work", 2_000, weights=weights)

    def weigh(source, language):
        return {"web": 25, "code": 2}.get(source, 10) * {"deu": 3, None: 40_000}.get(language, 10_000)

    # In the least whole numbers: of 1/10 and 1/10,000.
    assert as_dict(found) == expected(weigh)


@pytest.mark.spark
def test_a_sample_is_made_by_ids_and_seed_alone(spark, tmp_path):
    found = []
    for files in (1, 4):
        output = tmp_path / f"run{files}"
        write_corpus(output, files=files)
        train = datasets.files(output, "corpus/split=train")
        size = sum(len(text.encode()) for side, *_, text in documents(60) if side == "train")
        bound = vocabulary.sample_bound(spark, output, train, size // 2)
        assert bound == (size // 2 << 64) // size
        sample, groups, _ = counted(spark, output, tmp_path / f"work{files}", bound=bound)
        assert size * 0.25 < sum(bytes_ for _, bytes_ in groups.values()) < size * 0.75
        found.append(as_dict(sample))
        assert vocabulary.sample_bound(spark, output, train, size + 1) == 1 << 64
    assert found[0] == found[1]


@pytest.mark.spark
def test_the_stage_learns_from_the_counts_and_says_of_what(spark, tmp_path):
    write_corpus(tmp_path, files=2)
    with Ledger(tmp_path) as ledger:
        settings = config(weights={"sources": {"web": 0.5}}, min_count=2)
        tokenizer(Run(settings, ledger, None, lambda line: None))
    counts = {word: count for word, count in expected(lambda s, _: 1 if s == "web" else 2).items() if count >= 4}
    words, weights = pa.array(list(counts), pa.binary()), np.array(list(counts.values()), np.int64)
    save(train_on_counts(words, weights, 400, min_frequency=4), tmp_path / "reference")
    learnt = (tmp_path / "tokenizer" / "tokenizer.json").read_bytes()
    assert learnt == (tmp_path / "reference" / "tokenizer.json").read_bytes()
    assert not any(b"zyx" in token for token in tokens(tmp_path / "tokenizer") if token)
    assert not (tmp_path / "pretokens").exists()
    facts = json.loads((tmp_path / "stages.json").read_text())["stages"]["tokenizer"]["facts"]["counted"]
    everything = expected(lambda s, _: 0.5 if s == "web" else 1)
    total = sum(len(word) * count for word, count in everything.items())
    assert facts["bytes"] == total
    assert facts["pretokens"] == len(everything)
    assert facts["pretokens_kept"] == len(counts)
    assert facts["min_count"] == 2
    kept = sum(len(word) * count / 2 for word, count in counts.items())
    assert facts["share_left_out"] == pytest.approx(1 - kept / total)
    train = [row for row in documents(60) if row[0] == "train"]
    assert facts["texts"] == len(train)
    assert facts["text_bytes"] == sum(len(row[4].encode()) for row in train)
    assert set(facts["sources"]) == {"web", "books", "code"}
    assert set(facts["sources"]["code"]) == {"und"}


@pytest.mark.spark
def test_a_killed_stage_counts_only_what_is_missing(spark, tmp_path):
    def run(output, say):
        page = config().model_copy(update={"chunk_bytes": 1})  # each file is a chunk
        with Ledger(output) as ledger:
            tokenizer(Run(page, ledger, None, say))
        return (output / "tokenizer" / "tokenizer.json").read_bytes()

    def killed_after_two(line):
        said.append(line)
        if len([line for line in said if "documents counted" in line]) == 2:
            raise KeyboardInterrupt

    said = []
    for name in ("whole", "killed"):
        write_corpus(tmp_path / name, files=2)
    expected = run(tmp_path / "whole", said.append)
    chunks = len([line for line in said if "documents counted" in line])
    assert chunks == len(datasets.files(tmp_path / "whole", "corpus/split=train")) > 3
    said.clear()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", killed_after_two)
    said.clear()
    assert run(tmp_path / "killed", said.append) == expected
    assert len([line for line in said if "documents counted" in line]) == chunks - 2
    said.clear()
    run(tmp_path / "killed", said.append)
    assert said == ["tokenizer: up to date"]


@pytest.mark.spark
def test_nothing_to_learn_from(spark, tmp_path):
    for name, number, changes, message in (
        ("none", 0, {}, "training split is empty"),
        ("rare", 60, {"min_count": 10**9}, "no pre-token counts 1000000000"),
        ("sampled", 60, {"sample_bytes": 1}, "no text"),
    ):
        write_corpus(tmp_path / name, number)
        with Ledger(tmp_path / name) as ledger, pytest.raises(GristmillError, match=message):
            tokenizer(Run(config(**changes), ledger, None, lambda line: None))
