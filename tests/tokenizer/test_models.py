"""WordPiece and Unigram over bytes; special tokens of a user's own, reserved ones, and padding, under every model."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.encode import load
from tokenizer.models import LONGEST_WORD, train_unigram, train_wordpiece
from tokenizer.patterns import PATTERNS
from tokenizer.train import padded, save, train
from tokenizer.vocabulary import (
    CONTINUES,
    FILL_IN_THE_MIDDLE,
    SPECIAL_TOKENS,
    read_tokenizer,
    reserved,
    token_bytes,
    tokens,
)

MODELS = {"bpe": train, "wordpiece": train_wordpiece, "unigram": train_unigram}
SPECIAL = [*SPECIAL_TOKENS, *FILL_IN_THE_MIDDLE, "PAD", "<s>", *reserved(range(4))]
FRAGMENTS = [
    *SPECIAL,
    CONTINUES,
    "##",
    "▁",
    "[UNK]",
    "\0",
    "\r\n",
    "  ",
    "word",
    "é",
    "e\u0301",
    "👩‍👩‍👧",
    "中文",
    "12345",
]
ANY_TEXT = st.text() | st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3)).map("".join)


@pytest.fixture(scope="module", params=[(model, "cl100k") for model in MODELS] + [("unigram", p) for p in PATTERNS])
def trained(request, texts, tmp_path_factory):
    model, pattern = request.param
    directory = tmp_path_factory.mktemp(model)
    save(padded(MODELS[model](texts, 700, pattern, special_tokens=SPECIAL), 64), directory)
    return directory


def test_every_text_comes_back_without_a_special_token(trained):
    encoder, lengths = load(trained), token_bytes(trained)

    @settings(deadline=None)
    @given(ANY_TEXT)
    def whole(text):
        ids = encoder.encode(text)
        assert encoder.decode(ids) == text
        assert int(lengths[ids].sum()) == len(text.encode())
        assert not set(ids.tolist()) & set(encoder.special_ids.values())

    whole()
    long = "a" * (10 * LONGEST_WORD) + " " + "\0" * 1_000
    assert encoder.decode(encoder.encode(long)) == long
    assert max(len(encoder.encode(text)) for text in ("the", " times")) <= 4


def test_vocabularies_are_padded_with_reserved_tokens(trained):
    encoder = load(trained)
    assert encoder.vocabulary_size % 64 == 0
    names = list(encoder.special_ids)
    assert set(SPECIAL) <= set(names)
    assert all(name.startswith("<|reserved_") for name in set(names) - set(SPECIAL))
    table = tokens(trained)
    assert len(table) == encoder.vocabulary_size
    assert [number for number, token in enumerate(table) if token is None] == sorted(encoder.special_ids.values())
    assert {bytes([byte]) for byte in range(256)} <= set(table)


def test_transformers_gives_the_same_ids(trained):
    transformers = pytest.importorskip("transformers")
    theirs, ours = transformers.AutoTokenizer.from_pretrained(trained), load(trained)
    assert len(theirs) == ours.vocabulary_size
    roles = (theirs.eos_token_id, theirs.bos_token_id, theirs.pad_token_id)
    assert roles == tuple(ours.special_ids[token] for token in SPECIAL_TOKENS)
    for text in [
        "It was the age.",
        " 1234567\n\n  def f(x):\r\n",
        "été 👩‍👩‍👧 名前 \0",
        "",
        "a <|endoftext|>PAD b<|bos|> ‿##",
    ]:
        ids = ours.encode(text).tolist()
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids
        assert theirs.decode(ids) == text


def test_all_stays_the_same_after_save_and_reload(trained, tmp_path, texts):
    from tokenizers import Tokenizer

    save(Tokenizer.from_file(str(trained / "tokenizer.json")), tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == (trained / "tokenizer.json").read_bytes()
    again, before = load(tmp_path).encode_batch([*texts, *SPECIAL]), load(trained).encode_batch([*texts, *SPECIAL])
    for a, b in zip(again, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_models_are_what_they_are_called(texts, tmp_path):
    for model, kind in (("wordpiece", "WordPiece"), ("unigram", "Unigram"), ("bpe", "BPE")):
        save(MODELS[model](texts, 700), tmp_path / model)
        assert read_tokenizer(tmp_path / model)["model"]["type"] == kind
        assert load(tmp_path / model, "auto").engine.engine == "reference" or model == "bpe"
    inside = [token for token in read_tokenizer(tmp_path / "wordpiece")["model"]["vocab"] if token[0] == CONTINUES]
    assert len(inside) > 256


def test_wordpiece_of_the_same_texts_is_the_same_in_other_processes(texts, tmp_path):
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    code = (
        "import json, sys; from pathlib import Path\n"
        "from tokenizer.models import train_wordpiece; from tokenizer.train import save\n"
        "folder = Path(sys.argv[1])\n"
        "save(train_wordpiece(json.loads((folder / 'texts.json').read_text()), 700), folder / sys.argv[2])"
    )
    for out in "ab":
        subprocess.run([sys.executable, "-c", code, str(tmp_path), out], check=True)
    assert (tmp_path / "a/tokenizer.json").read_bytes() == (tmp_path / "b/tokenizer.json").read_bytes()


@pytest.mark.parametrize("model", ["wordpiece", "unigram"])
def test_wrong_arguments(texts, model, monkeypatch):
    with pytest.raises(ValueError, match="has no room for"):
        MODELS[model](texts, 200)
    with pytest.raises(ValueError, match="named twice"):
        MODELS[model](texts, 700, special_tokens=["<|a|>", "<|a|>"])
    with pytest.raises(ValueError, match="there are: gpt2"):
        MODELS[model](texts, 700, "gpt5")
    with pytest.raises(ValueError, match="learnt as one"):
        MODELS[model](texts, 700, special_tokens=["A"])
    monkeypatch.setattr("tokenizer.models.MOST_BYTES", 100)
    with pytest.raises(ValueError, match="more than"):
        MODELS[model](["é" * 51], 700)
