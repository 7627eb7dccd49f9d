"""Mean and standard deviation of the words' log-frequencies against a slow version of their definition."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import text_reference as reference
from hypothesis import given
from hypothesis import strategies as st
from test_importance import hashed

from filters import learned_tables, unigram
from filters.assets import AssetError
from filters.batch import TextBatch
from filters.unigram import SCHEMA, Unigram

CORPUS = [
    "The mill and the river. The bread of the mill",
    "to have 3.14 and don't",
    "你好 世界 สวัสดี, one two three one",
] * 3


def counted(texts: list[str]) -> Counter[str]:
    return Counter(word.folded for text in texts for word in reference.words(text))


def expected(text: str, counts: Counter[str], tokens: int) -> dict[str, float]:
    values = [float(np.log(np.int64(counts[w.folded] + 1) / (tokens + len(counts) + 1))) for w in reference.words(text)]
    if not values:
        return {"mean": round(math.log(1 / (tokens + len(counts) + 1)), 4), "std": 0.0}
    mean = total(values) / len(values)
    deviation = math.sqrt(total((value - mean) * (value - mean) for value in values) / len(values))
    return {"mean": float(np.round(mean, 4)), "std": float(np.round(deviation, 4))}


def total(values) -> float:
    added = 0.0  # not sum(), which since Python 3.12 makes up for rounding
    for value in values:
        added += value
    return added


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("unigram") / "frequencies.arrow"
    return path, unigram.make(CORPUS, path)


def check(path, counts: Counter[str], tokens: int, texts: list[str]) -> None:
    rows = Unigram(frequencies=path)(TextBatch(pa.array(texts, pa.string())))
    assert rows.schema.equals(Unigram.schema, check_metadata=True)
    assert rows.to_pylist() == [expected(text, counts, tokens) for text in texts]


@given(st.lists(reference.texts, max_size=4))
def test_signals_are_those_of_the_reference(small, texts):
    check(small[0], counted(CORPUS), small[1]["tokens"], texts)


def test_signals_of_real_texts_are_those_of_the_reference(tmp_path, data):
    texts = reference.real_texts(data)
    facts = unigram.make(texts[::2], tmp_path / "f.arrow")
    counts = counted(texts[::2])
    assert facts["tokens"] == sum(counts.values())
    assert facts["words"] == len(counts)
    check(tmp_path / "f.arrow", counts, facts["tokens"], texts)


def test_texts_without_words_and_endless_ones(small):
    check(
        small[0], counted(CORPUS), small[1]["tokens"], ["", "\0", "a" * 200_000, "the " * 50_000, "...", "語" * 9_000]
    )


def test_the_most_frequent_words_are_kept(tmp_path, data):
    texts = reference.real_texts(data)[:40]
    facts = unigram.make(texts, tmp_path / "f.arrow", words=500)
    by_hash = Counter({hashed(word): count for word, count in counted(texts).items()})
    top = sorted(by_hash.items(), key=lambda item: (-item[1], item[0]))[:500]
    table = learned_tables.load("x", tmp_path / "f.arrow", facts["sha256"], unigram.KIND, SCHEMA)
    assert list(zip(*table.to_pydict().values())) == sorted(top)
    assert facts["words"] == 500
    assert facts["tokens"] == sum(by_hash.values())


def test_tables_are_repeatable_whatever_the_batches(tmp_path, data, monkeypatch):
    texts = reference.real_texts(data)[:40]
    whole = unigram.make(texts, tmp_path / "a.arrow")
    monkeypatch.setattr("filters.learned_texts.BATCH_BYTES", 10_000)
    assert unigram.make(reversed(texts), tmp_path / "b.arrow") == whole
    assert (tmp_path / "a.arrow").read_bytes() == (tmp_path / "b.arrow").read_bytes()


def test_rare_words_are_forgotten_where_too_many_are_held(tmp_path, monkeypatch):
    monkeypatch.setattr(unigram, "MOST_HELD", 100)
    monkeypatch.setattr("filters.learned_texts.BATCH_BYTES", 100)
    rare = [" ".join(f"w{chr(97 + i)}{chr(97 + j)}" for j in range(26)) + " the the" for i in range(26)]
    facts = unigram.make(rare, tmp_path / "f.arrow")
    assert facts["tokens"] == 26 * 28
    assert facts["words"] <= 101
    found = learned_tables.load("x", tmp_path / "f.arrow", None, unigram.KIND, SCHEMA)
    assert dict(zip(*found.to_pydict().values()))[hashed("the")] == 52


def test_prose_is_more_frequent_than_a_list_of_names(small):
    rows = Unigram(frequencies=small[0])(TextBatch(pa.array(["the bread and the river", "Xu Qi Zzyzx Blorp"])))
    assert rows["mean"][0].as_py() > rows["mean"][1].as_py()
    assert rows["std"][1].as_py() == 0


def test_what_is_no_table_is_refused(small, tmp_path):
    with pytest.raises(AssetError, match=r"unigram\.frequencies is not set; .*gristmill quality frequencies"):
        Unigram()
    with pytest.raises(AssetError, match=r"unigram\.frequencies: no readable model file"):
        Unigram(frequencies=tmp_path / "absent")
    with pytest.raises(AssetError, match=r"unigram\.frequencies: .* has SHA-256"):
        Unigram(frequencies=small[0], sha256="0" * 64)
    for hashes, counts, tokens in (
        ([], [], 9),
        ([2, 1], [1, 1], 9),
        ([1, 1], [1, 1], 9),
        ([1], [0], 9),
        ([1], [9], 8),
        ([1], [1], "x"),
    ):
        columns = {"hash": pa.array(hashes, pa.uint64()), "count": pa.array(counts, pa.int64())}
        learned_tables.save(tmp_path / "bad", unigram.KIND, columns, SCHEMA, {"tokens": str(tokens)})
        with pytest.raises(AssetError, match="is no table of word counts"):
            Unigram(frequencies=tmp_path / "bad")
    columns = {"hash": pa.array([1, None], pa.uint64()), "count": pa.array([1, 1])}
    learned_tables.save(tmp_path / "bad", unigram.KIND, columns, SCHEMA, {"tokens": "9"})
    with pytest.raises(AssetError, match="is no file of `gristmill quality frequencies`"):
        Unigram(frequencies=tmp_path / "bad")
    with pytest.raises(ValueError, match="no word"):
        unigram.make(["", "..."], tmp_path / "f.arrow")
