"""DSIR's importance weights against a slow version of their definition."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import text_reference as reference
from hypothesis import given
from hypothesis import strategies as st

from filters import importance, learned_tables, segment
from filters.assets import AssetError
from filters.batch import TextBatch
from filters.importance import BUCKETS, SCHEMA, Importance
from filters.segment import HASH_PRIME, HASH_SEED

MASK = 2**64 - 1


def hashed(folded: str) -> int:
    value = int(HASH_SEED)
    for char in folded:
        value = (value ^ ord(char)) * int(HASH_PRIME) & MASK
        value ^= value >> 32
    return value


def buckets(text: str) -> list[int]:
    hashes = [hashed(word.folded) for word in reference.words(text)]
    found = []
    for i, value in enumerate(hashes):
        found.append(value % BUCKETS)
        if i:
            mixed = (hashes[i - 1] * int(HASH_PRIME) & MASK ^ value) * int(HASH_PRIME) & MASK
            found.append((mixed ^ mixed >> 32) % BUCKETS)
    return found


def expected(text: str, weights: list[float]) -> dict[str, float]:
    grams = buckets(text)
    total = 0.0
    for gram in grams:
        total += weights[gram]
    return {"log_weight": float(np.round(total, 4)), "mean": float(np.round(total / len(grams), 4)) if grams else 0.0}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("importance") / "weights.arrow"
    values = np.random.default_rng(1).normal(size=BUCKETS)
    learned_tables.save(path, importance.KIND, {"log_weight": pa.array(values)}, SCHEMA, {})
    return path, values.tolist()


def check(weights, texts: list[str]) -> None:
    path, values = weights
    rows = Importance(weights=path)(TextBatch(pa.array(texts, pa.string())))
    assert rows.schema.equals(Importance.schema, check_metadata=True)
    assert rows.to_pylist() == [expected(text, values) for text in texts]


@given(st.lists(reference.texts, max_size=4))
def test_signals_are_those_of_the_reference(weights, texts):
    check(weights, texts)


def test_signals_of_real_texts_are_those_of_the_reference(weights, data):
    check(weights, reference.real_texts(data))


def test_texts_without_words_and_endless_ones(weights):
    check(weights, ["", "\0", "a" * 200_000, "a " * 50_000, "...", "語" * 20_000])


def test_weights_are_the_logarithms_of_what_is_likelier(tmp_path, data):
    texts = reference.real_texts(data)
    sides = {"target": texts[:30], "raw": texts[20:]}
    facts = importance.make(sides["target"], iter(sides["raw"]), tmp_path / "w.arrow")
    counts = {side: Counter(b for text in part for b in buckets(text)) for side, part in sides.items()}
    totals = {side: sum(count.values()) for side, count in counts.items()}
    assert {side: facts[side] for side in totals} == totals
    found = learned_tables.load("x", tmp_path / "w.arrow", facts["sha256"], importance.KIND, SCHEMA)["log_weight"]
    for bucket, value in enumerate(found.to_pylist()):
        target, raw = (math.log(counts[side][bucket] / totals[side] + 1e-8) for side in ("target", "raw"))
        assert value == pytest.approx(target - raw, abs=1e-12)
    again = importance.make(sides["target"], sides["raw"], tmp_path / "again.arrow")
    assert again == facts
    assert (tmp_path / "again.arrow").read_bytes() == (tmp_path / "w.arrow").read_bytes()


def test_texts_like_the_target_weigh_more(tmp_path, data):
    texts = reference.real_texts(data)
    pages, sentences = texts[:60], texts[-75:]
    importance.make(pages[::2], sentences[::2], tmp_path / "w.arrow")
    family = Importance(weights=tmp_path / "w.arrow")
    unseen = [family(TextBatch(pa.array(part)))["mean"].to_numpy() for part in (pages[1::2], sentences[1::2])]
    assert np.quantile(unseen[0], 0.1) > np.quantile(unseen[1], 0.9)


def test_too_few_words_are_refused(tmp_path):
    plenty = ["one two three " * 3000]
    for target, raw, side in (([], plenty, "target"), (plenty, ["a b c"], "raw")):
        with pytest.raises(ValueError, match=f"{side}: \\d words and pairs of words are too few; 10,000 are needed"):
            importance.make(target, raw, tmp_path / "w.arrow")
    assert not (tmp_path / "w.arrow").exists()


def test_what_are_no_weights_is_refused(weights, tmp_path, monkeypatch):
    with pytest.raises(AssetError, match=r"importance\.weights is not set; .*gristmill quality weights"):
        Importance()
    with pytest.raises(AssetError, match=r"importance\.weights: no readable model file"):
        Importance(weights=tmp_path / "absent")
    with pytest.raises(AssetError, match=r"importance\.weights: .* has SHA-256"):
        Importance(weights=weights[0], sha256="0" * 64)
    content = weights[0].read_bytes()
    for bad in (b"", b"no Arrow", content[: len(content) // 2]):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(AssetError, match=r"importance\.weights"):
            Importance(weights=tmp_path / "bad")
    for values in ([1.0], [math.nan] * BUCKETS):
        learned_tables.save(tmp_path / "bad", importance.KIND, {"log_weight": pa.array(values)}, SCHEMA, {})
        with pytest.raises(AssetError, match="does not hold 10,000 numbers"):
            Importance(weights=tmp_path / "bad")
    other = pa.schema([pa.field("hash", pa.uint64(), nullable=False)])
    learned_tables.save(tmp_path / "bad", "frequencies", {"hash": pa.array([1], pa.uint64())}, other, {})
    with pytest.raises(AssetError, match="is no file of `gristmill quality weights`"):
        Importance(weights=tmp_path / "bad")
    monkeypatch.setattr(segment, "VERSION", "another")
    with pytest.raises(AssetError, match="make it again"):
        Importance(weights=weights[0])
