import json
import random

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import AddedToken
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from tokenizer.patterns import PATTERNS, pattern_by_name
from tokenizer.train import save, train, train_on_counts, untrained
from tokenizer.vocabulary import SPECIAL_TOKENS, byte_alphabet, sha256, special_ids, token_bytes, tokens


def saved(directory, texts):
    save(train(texts, 400), directory)
    return (directory / "tokenizer.json").read_bytes(), (directory / "tokenizer_config.json").read_bytes()


def test_same_texts_same_bytes_in_any_order_at_any_parallelism(texts, tmp_path, monkeypatch):
    first = saved(tmp_path / "first", texts)
    for seed, parallel in enumerate(["true", "false"]):
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", parallel)
        shuffled = random.Random(seed).sample(texts, len(texts))
        assert saved(tmp_path / parallel, iter(shuffled)) == first
    assert saved(tmp_path / "other", [*texts[:-1], "something else, something else"]) != first


def test_first_ids_are_special_tokens_then_bytes(texts, tmp_path):
    save(train(texts, 400), tmp_path)
    assert special_ids(tmp_path) == {token: index for index, token in enumerate(SPECIAL_TOKENS)}
    table = tokens(tmp_path)
    assert table[:3] == [None, None, None]
    assert sorted(token for token in table[3:259] if token is not None) == [bytes([byte]) for byte in range(256)]
    assert all(token is not None and len(token) >= 2 for token in table[259:])
    assert len(table) == 400
    assert token_bytes(tmp_path)[:4].tolist() == [0, 0, 0, 1]


def test_merges_are_the_frequent_pairs():
    tokenizer = train(["ab ab ab cd"], 262, "gpt2", min_frequency=2)
    assert tokenizer.token_to_id("ab") == 259
    assert tokenizer.token_to_id("Ġab") == 260
    assert tokenizer.get_vocab_size() == 261  # "cd" occurs once


def test_minimum_frequency():
    assert train(["xy"], 300, min_frequency=1).token_to_id("xy") == 259
    assert train(["xy"], 300, min_frequency=2).token_to_id("xy") is None


def test_wrong_arguments(texts):
    with pytest.raises(ValueError, match="no room"):
        train(texts, 258)
    with pytest.raises(ValueError, match="twice"):
        train(texts, 400, special_tokens=["<|a|>", "<|a|>"])
    with pytest.raises(ValueError, match="there are: gpt2"):
        train(texts, 400, "gpt5")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("gpt2", ["I", "'ll", " pay", " 1234567", "€", "\n\n ", " ok"]),
        ("cl100k", ["I", "'ll", " pay", " ", "123", "456", "7", "€\n\n", " ", " ok"]),
        ("llama3", ["I", "'ll", " pay", " ", "123", "456", "7", "€\n\n", " ", " ok"]),
        ("o200k", ["I'll", " pay", " ", "123", "456", "7", "€\n\n", " ", " ok"]),
        ("digits3", ["I", "'ll", " pay", " ", "123", "456", "7", "€\n\n", " ", " ok"]),
        ("digits2", ["I", "'ll", " pay", " ", "12", "34", "56", "7", "€\n\n", " ", " ok"]),
        ("digits1", ["I", "'ll", " pay", " ", *"1234567", "€\n\n", " ", " ok"]),
    ],
)
def test_patterns_split_as_published(name, parts):
    text = "I'll pay 1234567€\n\n  ok"
    alphabet = byte_alphabet()
    split = untrained(name).pre_tokenizer.pre_tokenize_str(text)
    assert [bytes(alphabet[letter] for letter in part).decode() for part, _ in split] == parts


def test_the_gpt2_pattern_is_the_one_inside_tokenizers(texts):
    inside = ByteLevel(add_prefix_space=False, use_regex=True)
    for text in texts:
        assert untrained("gpt2").pre_tokenizer.pre_tokenize_str(text) == inside.pre_tokenize_str(text)
    assert pattern_by_name("gpt2") == PATTERNS["gpt2"]


def test_byte_alphabet_is_that_of_tokenizers():
    alphabet = byte_alphabet()
    assert set(alphabet) == set(ByteLevel.alphabet())
    for letter, byte in alphabet.items():
        if byte < 128:
            assert ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(chr(byte))[0][0] == letter


def test_identity_is_the_files_digest(texts, tmp_path):
    import hashlib

    save(train(texts, 300), tmp_path)
    assert sha256(tmp_path) == hashlib.sha256((tmp_path / "tokenizer.json").read_bytes()).hexdigest()
    assert not list(tmp_path.glob("*.part"))


def test_only_byte_level_bpe_has_token_bytes(tmp_path):
    from tokenizers import Tokenizer
    from tokenizers.models import BPE, WordLevel

    Tokenizer(WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "words.json"))
    with pytest.raises(ValueError, match="not a byte-level BPE"):
        token_bytes(tmp_path / "words.json")
    Tokenizer(BPE({"▁a": 0}, [])).save(str(tmp_path / "metaspace.json"))
    with pytest.raises(ValueError, match="no letter of the byte alphabet"):
        token_bytes(tmp_path / "metaspace.json")


def test_the_tokenizer_is_that_of_hugging_faces_trainer(texts):
    for pattern in ("gpt2", "cl100k", "o200k"):
        reference = untrained(pattern)
        trainer = BpeTrainer(
            vocab_size=500,
            min_frequency=2,
            special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
            initial_alphabet=sorted(ByteLevel.alphabet()),
            show_progress=False,
        )
        reference.train_from_iterator(texts, trainer)
        assert json.loads(train(texts, 500, pattern).to_str()) == json.loads(reference.to_str())


def test_a_word_that_is_a_special_token():
    with pytest.raises(ValueError, match="special token 'PAD'"):
        train_on_counts(pa.array([b"PAD"]), np.array([9], np.int64), 300, special_tokens=["PAD"])
