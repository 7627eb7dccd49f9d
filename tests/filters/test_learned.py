"""Learned quality: what the model sees, what training makes of two sides, and what the family says."""

import json
import random
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import text_reference as reference
from hypothesis import given
from hypothesis import strategies as st

from filters import codepoints, learned_card, learned_training
from filters.assets import AssetError
from filters.batch import TextBatch
from filters.fasttext_model import FastTextModel
from filters.language import MODEL as LANGUAGE_MODEL
from filters.language import SAMPLE
from filters.learned import BAD, GOOD, Learned, normalized_words, scores
from filters.learned_texts import batches
from filters.learned_training import LEAST, THRESHOLDS, TooFewError, train
from filters.ranking import average_precision, roc_auc

GOOD_WORDS = ["river", "mill", "stone", "grain", "winter", "bread", "road", "market", "bridge", "garden", "school"]
BAD_WORDS = ["login", "cart", "share", "tweet", "menu", "subscribe", "cookies", "privacy", "contact", "archive", "tags"]


def prose(words: list[str], seed: int) -> str:
    generator = random.Random(seed)
    return " ".join(generator.choice([*words, "the", "of", "and", "to"]) for _ in range(40)).capitalize() + "."


GOOD_TEXTS = [prose(GOOD_WORDS, i) for i in range(300)]
BAD_TEXTS = [prose(BAD_WORDS, i) for i in range(200)]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> tuple[Path, dict]:
    path = tmp_path_factory.mktemp("learned") / "model.bin"
    return path, train(GOOD_TEXTS, BAD_TEXTS, path)


def measure(family: Learned, texts: list[str]) -> list[float]:
    batch = family(TextBatch(pa.array(texts, pa.string())))
    assert batch.schema.equals(family.schema, check_metadata=True)
    return batch["score"].to_pylist()


def expected_words(text: str) -> bytes:
    size = len(text.encode())
    middle = (size - SAMPLE) // 2
    windows = [(0, SAMPLE), (middle, middle + SAMPLE), (size - SAMPLE, size)] if size > 3 * SAMPLE else [(0, size)]
    written = b""
    for word in reference.words(text):
        end = word.start + len(word.text.encode())
        if not any(left <= word.start and end <= right for left, right in windows):
            continue
        for char in word.text:
            kind = int(codepoints.table()[ord(char)]) & codepoints.CLASS_MASK
            plain = {codepoints.NUMBER: "0", codepoints.CONNECTOR: "-"}.get(kind, reference.fold(char))
            written += plain.encode()
        written += b" "
    return written


@given(st.lists(reference.texts, max_size=4), st.integers(1, 400))
def test_words_are_those_of_the_reference(texts, times):
    texts = [*texts, *(text * times for text in texts[:1])]
    assert normalized_words(TextBatch(pa.array(texts, pa.string()))) == [expected_words(text) for text in texts]


def test_words_of_real_texts_are_those_of_the_reference(data):
    texts = reference.real_texts(data)
    assert max(len(text) for text in texts) > 3 * SAMPLE
    assert normalized_words(TextBatch(pa.array(texts, pa.string()))) == [expected_words(text) for text in texts]


def test_letters_whose_folding_is_longer_fit():
    grows = "\u023a\u023e"  # two bytes each, three when folded
    assert normalized_words(TextBatch(pa.array([grows * 500, "x"]))) == [("\u2c65\u2c66" * 500 + " ").encode(), b"x "]


def test_no_word_is_a_label():
    assert normalized_words(TextBatch(pa.array(["__label__good </s> 12.5"]))) == [b"--label--good s 00.0 "]


def test_words_of_a_slice(data):
    texts = pa.array(reference.real_texts(data)[:20], pa.large_string())
    assert normalized_words(TextBatch(texts.slice(5, 7))) == normalized_words(TextBatch(texts))[5:12]


def test_scores_tell_the_sides_apart(model):
    path, facts = model
    family = Learned(model=path, sha256=facts["sha256"])
    good, bad = measure(family, GOOD_TEXTS), measure(family, BAD_TEXTS)
    assert min(good) > max(bad)
    assert all(value == round(value, 4) for value in good + bad)


def test_texts_without_words_score_zero(model):
    family = Learned(model=model[0])
    assert measure(family, ["", "\n\0 ...", "☃☃☃", "\u200d"]) == [0, 0, 0, 0]
    assert measure(family, []) == []


def test_the_score_does_not_depend_on_the_batch(model):
    family = Learned(model=model[0])
    texts = [*GOOD_TEXTS[:5], "", *BAD_TEXTS[:5]]
    assert measure(family, texts) == [measure(family, [text])[0] for text in texts]


def test_what_is_no_model_is_refused(model, tmp_path):
    with pytest.raises(AssetError, match=r"learned\.model is not set"):
        Learned()
    with pytest.raises(AssetError, match=r"learned\.model: no readable model file"):
        Learned(model=tmp_path / "absent.bin")
    with pytest.raises(AssetError, match=r"learned\.model: .* has SHA-256"):
        Learned(model=model[0], sha256="0" * 64)
    (tmp_path / "text.bin").write_text("no model")
    with pytest.raises(AssetError, match=r"learned\.model"):
        Learned(model=tmp_path / "text.bin")
    with pytest.raises(AssetError, match="not good and bad"):
        Learned(model=LANGUAGE_MODEL)


def test_training_is_repeatable_in_any_order(model, tmp_path):
    path, facts = model
    again = train(reversed(GOOD_TEXTS), iter(BAD_TEXTS), tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == path.read_bytes()
    assert again == facts
    assert facts["sha256"] == sha256(path.read_bytes()).hexdigest()


def test_measures_are_those_of_the_held_back_texts(model):
    path, facts = model
    loaded = FastTextModel(path)
    truth, found = [], []
    for side, texts in ((GOOD, GOOD_TEXTS), (BAD, BAD_TEXTS)):
        words = [words for batch in batches(texts) for words in normalized_words(batch)]
        held_back = [w for w in words if learned_training.example_of(w, side).held_back]
        assert facts[side]["held_back"] == len(held_back)
        assert len(texts) / 10 < len(held_back) < len(texts) * 3 / 10
        truth += [side == GOOD] * len(held_back)
        found += scores(loaded, held_back).round(4).tolist()
    truth, found = np.array(truth), np.array(found)
    assert facts["roc_auc"] == round(roc_auc(truth, found), 4) > 0.99
    assert facts["average_precision"] == round(average_precision(truth, found), 4)
    assert [row["threshold"] for row in facts["thresholds"]] == list(THRESHOLDS)
    for row in facts["thresholds"]:
        kept = found >= row["threshold"]
        assert row["precision"] == round((kept & truth).sum() / kept.sum(), 4)
        assert row["recall"] == round((kept & truth).sum() / truth.sum(), 4)
        assert row["bad_dropped"] == round((~kept & ~truth).sum() / (~truth).sum(), 4)


def test_copies_count_once_and_what_is_on_both_sides_is_dropped(model, tmp_path):
    copies = [text.upper() + " !" for text in GOOD_TEXTS[:50]]  # the same normalized words
    both = [prose(GOOD_WORDS + BAD_WORDS, i) for i in range(30)]
    good = [*GOOD_TEXTS, *copies, *both, "", "..."]
    facts = train(good, [*BAD_TEXTS, *both, both[0]], tmp_path / "model.bin")
    assert (tmp_path / "model.bin").read_bytes() == model[0].read_bytes()
    assert facts["good"] == {
        **model[1]["good"],
        "texts": 382,
        "without_words": 2,
        "copies": 50,
        "on_both_sides": 30,
    }
    assert facts["bad"] == {**model[1]["bad"], "texts": 231, "copies": 1, "on_both_sides": 30}


def test_sides_are_trained_on_in_equal_numbers(model):
    good, bad = model[1]["good"], model[1]["bad"]
    assert bad["trained"] + bad["held_back"] == 200
    assert abs(good["trained"] - bad["trained"]) < 30 < 300 - good["held_back"] - bad["trained"]


@pytest.mark.parametrize("few", [[], [""], ["one text"] * 1000, GOOD_TEXTS[: LEAST - 1], BAD_TEXTS])
def test_too_few_texts_are_refused(few, tmp_path):
    for good, bad in ((few, BAD_TEXTS), (BAD_TEXTS, few)):
        with pytest.raises(TooFewError, match=r"(good|bad): [\d,]+ different texts are left .* 100 are needed"):
            train(good, bad, tmp_path / "model.bin")
    assert not (tmp_path / "model.bin").exists()


def test_hostile_texts_are_trained_on(tmp_path):
    hostile = [
        "\ud800 __label__bad </s> \0",
        "x" * 300_000,
        "a\n" * 50_000,
        "\r\x0b\x0c word\u2028word",
        "__label__good",
    ]
    facts = train([*GOOD_TEXTS, *hostile], BAD_TEXTS, tmp_path / "model.bin")
    assert facts["good"]["texts"] == len(GOOD_TEXTS) + len(hostile)
    assert facts["good"]["without_words"] == 1  # the word that is longer than a sample
    assert facts["good"]["copies"] == facts["good"]["on_both_sides"] == 0
    assert sorted(FastTextModel(tmp_path / "model.bin").labels) == [BAD, GOOD]


def test_batches_are_all_texts_in_order(monkeypatch):
    monkeypatch.setattr("filters.learned_texts.BATCH_BYTES", 10)
    texts = ["aaaa", "bbbb", "c" * 30, "", "d", "\udfff"]
    found = list(batches(iter(texts)))
    assert [batch.texts.to_pylist() for batch in found] == [["aaaa", "bbbb", "c" * 30], ["", "d", "?"]]
    assert list(batches([])) == []


def test_the_card_says_what_the_model_is(model, tmp_path):
    _, facts = model
    path = learned_card.write(tmp_path / "m.bin", facts, {"good": "mills | mines", "bad": "menus\nand {more}"})
    card = path.read_text()
    assert path == tmp_path / "m.md"
    assert facts["sha256"] in card
    assert "| good | mills \\| mines | 300 | 0 | 0 | 0 |" in card
    assert "| bad | menus and {more} | 200 |" in card
    assert f"ROC AUC {facts['roc_auc']}" in card
    assert sum(line.startswith("| 0.") for line in card.splitlines()) == len(THRESHOLDS)
    assert json.dumps(facts)
