"""Each engine gives the reference's ids, or is found out; neither ever makes a special token of text."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer import engines
from tokenizer.encode import load
from tokenizer.hostile import hostile_texts
from tokenizer.patterns import PATTERNS
from tokenizer.train import save, train
from tokenizer.vocabulary import SPECIAL_TOKENS, read_tokenizer

INSTALLED = [
    pytest.param(name, marks=pytest.mark.skipif(not engines.installed(name), reason=f"{name} is not installed"))
    for name in engines.ENGINES
]
WORDS = [
    "the",
    " the",
    ".com",
    "-b",
    "(s",
    "'s",
    "'\u017fs",
    "\u180e'll",
    "  \u180e",
    "\U000323b0-b",
    "12345",
    "\0",
    "\r\n",
]
ANY_TEXT = st.text() | st.lists(st.sampled_from([*WORDS, *SPECIAL_TOKENS, " ", "\n"]) | st.text(max_size=3)).map(
    "".join
)


@pytest.fixture(scope="module", params=PATTERNS)
def trained(request, texts, tmp_path_factory):
    """A tokenizer whose merges reach across every border that a wrong split would open."""
    directory = tmp_path_factory.mktemp(request.param)
    mixed = [*texts, *[f"see example.com -b (s .the {word} {word}" for word in WORDS] * 4]
    save(train(mixed, 700, request.param), directory)
    return directory


def ids_of(encoder, texts):
    values, offsets = encoder.encode_batch(texts)
    return [part.tolist() for part in np.split(values, offsets[1:-1])] if texts else []


@pytest.mark.parametrize("name", INSTALLED)
def test_an_engine_gives_the_ids_of_the_reference(trained, name):
    encoder, reference = load(trained, name), load(trained)

    @settings(deadline=None, max_examples=60)
    @given(st.lists(ANY_TEXT, max_size=4))
    def same(texts):
        values, offsets = encoder.encode_batch(texts)
        expected, borders = reference.encode_batch(texts)
        assert values.dtype == expected.dtype
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(offsets, borders)

    same()
    hostile = hostile_texts(read_tokenizer(trained))
    assert ids_of(encoder, hostile) == ids_of(reference, hostile)
    assert encoder.engine.differed == 0
    # gigatoken knows the published patterns alone.
    expected = "reference" if (name, trained.name[:-1]) == ("gigatoken", "digits2") else name
    assert encoder.engine.engine == expected


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("pattern", ["gpt2", "cl100k"])
def test_an_engine_is_used_and_says_what_was_compared(texts, tmp_path, name, pattern):
    save(train(texts, 500, pattern), tmp_path)
    encoder = load(tmp_path, name)
    encoder.encode_batch([f"{text} {number}" for number, text in enumerate(texts)])
    assert (encoder.engine.engine, encoder.engine.differed, encoder.engine.reasons) == (name, 0, [])
    assert encoder.engine.compared >= 1
    assert load(tmp_path, "auto").engine.engine in engines.ENGINES


@pytest.mark.parametrize("name", INSTALLED)
def test_special_tokens_in_text_stay_ordinary(texts, tmp_path, name):
    # One is a word of its own to every pattern; it must not be looked up either, after whatever saves.
    save(train(texts, 400, special_tokens=[*SPECIAL_TOKENS, "PAD", "<s>"]), tmp_path / "a")
    from tokenizers import Tokenizer

    save(Tokenizer.from_file(str(tmp_path / "a" / "tokenizer.json")), tmp_path / "b")
    for directory in (tmp_path / "a", tmp_path / "b"):
        encoder = load(directory, name)
        assert encoder.engine.engine == name
        for token in encoder.special_ids:
            for text in (token, f"a{token}b", f" {token} {token}\n"):
                ids = encoder.encode(text)
                assert not set(ids.tolist()) & set(encoder.special_ids.values())
                assert encoder.decode(ids) == text


@pytest.mark.parametrize("name", INSTALLED)
def test_a_forked_worker_encodes_too(texts, tmp_path, name):
    save(train(texts, 400), tmp_path)
    encoder = load(tmp_path, name)
    encoder.encode_batch(texts * 40)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = int(ids_of(load(tmp_path, name), texts * 40) != ids_of(load(tmp_path), texts * 40))
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def engine_that(texts, tmp_path, monkeypatch):
    """Put an engine in the place of all others: the reference, but for what `change` does to a text's ids."""
    save(train(texts, 400), tmp_path)
    reference = load(tmp_path)

    def replace(change):
        def encode(texts):
            ids = [np.array(change(text, part), np.uint32) for text, part in zip(texts, ids_of(reference, texts))]
            return np.concatenate(ids), np.array([len(part) for part in ids], np.int64)

        monkeypatch.setattr(engines, "ENGINES", {"other": engines.Engine(lambda content: encode, ((0x17F, 0x17F),))})
        monkeypatch.setattr(engines, "CHOICES", ("auto", "reference", "other"))
        monkeypatch.setattr(engines, "installed", lambda name: True)
        return load(tmp_path, "auto"), reference

    return replace


def test_a_difference_on_hostile_strings_is_found_before_any_text(engine_that):
    encoder, _ = engine_that(lambda text, ids: [0] if text == SPECIAL_TOKENS[0] else ids)
    assert encoder.engine.engine == "reference"
    assert "gives other ids than tokenizers, for one on '<|endoftext|>'" in encoder.engine.reasons[0]


def test_a_difference_on_a_sample_makes_the_reference_take_over(engine_that):
    encoder, reference = engine_that(lambda text, ids: ids[::-1] if "wrong" in text else ids)
    fine, wrong = ["one text", "another text"], ["so wrong", "as wrong", ""]
    assert ids_of(encoder, fine) == ids_of(reference, fine)
    assert encoder.engine.engine == "other"
    assert ids_of(encoder, wrong) == ids_of(reference, wrong)
    assert (encoder.engine.engine, encoder.engine.differed) == ("reference", 2)
    assert ids_of(encoder, fine) == ids_of(reference, fine)


def test_an_engine_that_fails_or_knows_a_character_otherwise(engine_that):
    def fails(text, ids):
        if "now" in text:
            raise OverflowError("no room")
        return ids[::-1] if "\u017f" in text else ids

    encoder, reference = engine_that(fails)
    doubtful = ["wa\u017fs", "plain", "al\u017fo"]
    assert ids_of(encoder, doubtful) == ids_of(reference, doubtful)
    assert encoder.engine.engine == "other"
    assert ids_of(encoder, ["now", "a"]) == ids_of(reference, ["now", "a"])
    assert encoder.engine.reasons == ["other failed: no room"]


def test_the_sample_is_bounded_and_the_same_each_time(engine_that, monkeypatch):
    monkeypatch.setattr(engines, "ALLOWANCE", 100)
    texts = [f"{number:03} " * 10 for number in range(1_000)]
    counts = []
    for _ in range(2):
        encoder, _ = engine_that(lambda text, ids: ids)
        for start in range(0, len(texts), 50):
            encoder.encode_batch(texts[start : start + 50])
        counts.append(encoder.engine.compared)
    assert counts[0] == counts[1]
    characters = sum(map(len, texts))
    assert 0 < counts[0] * 40 <= 100 + characters / 64


def test_tokenizers_that_no_engine_reads_keep_the_reference(tmp_path):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = Tokenizer(WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    encoder = load(tmp_path, "auto")
    assert encoder.encode("a b").tolist() == [1, 0]
    assert encoder.engine.engine == "reference"
    assert len(encoder.engine.reasons) == len(engines.ENGINES)


def test_what_is_asked_for_by_name_must_be_there(tmp_path, texts, monkeypatch):
    save(train(texts, 300), tmp_path)
    with pytest.raises(ValueError, match="there are: auto, reference, fastokens, gigatoken"):
        load(tmp_path, "fastest")
    monkeypatch.setattr(engines, "installed", lambda name: False)
    with pytest.raises(ValueError, match="fastokens is not installed"):
        load(tmp_path, "fastokens")
    assert load(tmp_path, "auto").engine.reasons == ["fastokens is not installed", "gigatoken is not installed"]
    json.dumps(load(tmp_path, "auto").engine.reasons)
