import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.encode import load
from tokenizer.pieces import pieces
from tokenizer.train import save, train
from tokenizer.vocabulary import SPECIAL_TOKENS, token_bytes

FRAGMENTS = [
    *SPECIAL_TOKENS,
    "<|",
    "|>",
    "\0",
    "\r\n",
    "\n\n",
    "  ",
    "\t",
    "'ll",
    "'S",
    "é",
    "e\u0301",
    "👩‍👩‍👧",
    "\u180e",
    "\x85",
    "\ufeff",
]
ANY_TEXT = st.one_of(
    st.text(), st.lists(st.sampled_from([*FRAGMENTS, "word", "12345"]) | st.text(max_size=3)).map("".join)
)


@settings(deadline=None)
@given(ANY_TEXT)
def test_every_text_comes_back_and_its_tokens_have_its_bytes(encoder, tokenizer_dir, text):
    ids = encoder.encode(text)
    assert encoder.decode(ids) == text
    assert int(token_bytes(tokenizer_dir)[ids].sum()) == len(text.encode())
    assert not set(ids.tolist()) & set(encoder.special_ids.values())


@settings(deadline=None)
@given(st.lists(ANY_TEXT, max_size=5))
def test_batches_are_their_texts(encoder, texts):
    values, offsets = encoder.encode_batch(texts)
    assert offsets.dtype == np.int64
    assert len(offsets) == len(texts) + 1
    assert [values[a:b].tolist() for a, b in itertools.pairwise(offsets)] == [
        encoder.encode(text).tolist() for text in texts
    ]
    assert encoder.encode_arrow(pa.array(texts, pa.string())).to_pylist() == [encoder.encode(t).tolist() for t in texts]


def test_offsets_stay_right_across_internal_batches(encoder, monkeypatch):
    texts = ["", "a word", "", "another, longer " * 10, "中文" * 20, ""]
    whole = encoder.encode_batch(texts)
    monkeypatch.setattr("tokenizer.encode.BATCH_CHARACTERS", 7)
    monkeypatch.setattr("tokenizer.encode.pieces", lambda text: pieces(text, piece=5))
    for a, b in zip(whole, encoder.encode_batch(pa.chunked_array([texts])), strict=True):
        np.testing.assert_array_equal(a, b)


# Texts dense in what could tie the two sides of a cut together.
DENSE = st.lists(
    st.sampled_from([*FRAGMENTS, " ", "\n", "a", "Z", "1", "٣", "-", "'", "。", "中", "の", "\u2028", "\u00a0"])
).map("".join)


@settings(deadline=None)
@given(DENSE, st.integers(1, 9))
def test_pieces_encode_like_the_whole(encoder, text, piece):
    parts = list(pieces(text, piece))
    assert "".join(parts) == text
    reference = encoder._tokenizer.encode(text, add_special_tokens=False).ids
    assert list(itertools.chain.from_iterable(encoder.encode(part).tolist() for part in parts)) == reference


@pytest.mark.parametrize("letter", [" ", "a", "\n", "1", "\0", "."])
def test_a_text_without_a_border_is_cut_at_last(letter):
    text = letter * 1_000
    assert [len(part) for part in pieces(text, piece=10, longest=300)] == [300, 300, 300, 100]
    assert list(pieces(text, piece=10, longest=1_000)) == [text]


def test_endless_white_space_is_encoded(tmp_path):
    # 12 million spaces are more than Oniguruma's retry limit: in one piece they end in a Rust panic.
    text = " " * 12_000_000 + "x"
    save(train(["    a"], 261), tmp_path)
    ids = load(tmp_path).encode(text)
    assert int(token_bytes(tmp_path)[ids].sum()) == len(text)


def test_special_tokens_in_text_stay_ordinary_after_another_save(encoder, tokenizer_dir, tmp_path):
    from tokenizers import Tokenizer

    raw = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
    assert raw.encode("<|endoftext|>").ids == [0]  # the trap: the library forgets the setting
    save(raw, tmp_path)
    for token in SPECIAL_TOKENS:
        ids = load(tmp_path).encode(f"a{token}b")
        assert min(ids) >= len(SPECIAL_TOKENS)
        assert load(tmp_path).decode(ids) == f"a{token}b"


def test_ids_are_those_of_transformers(encoder, tokenizer_dir):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(tokenizer_dir)
    assert (theirs.eos_token_id, theirs.bos_token_id, theirs.pad_token_id) == (0, 1, 2)
    texts = ["It was the age.", " 1234567\n\n  def f(x):\r\n", "été 👩‍👩‍👧 名前 \0", "", "a <|endoftext|> b<|bos|>"]
    for text in texts:
        ids = encoder.encode(text).tolist()
        assert theirs.encode(text, add_special_tokens=False) == ids
        assert theirs(text)["input_ids"] == ids
        assert theirs.decode(ids) == text


def test_what_is_no_text_is_refused(encoder):
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        encoder.encode_batch(pa.array(["a", None]))
    with pytest.raises(UnicodeEncodeError):
        encoder.encode("\ud800")


def test_large_vocabularies_need_32_bits(tmp_path):
    save(train(["a b"], 259), tmp_path / "small")
    assert load(tmp_path / "small").dtype == np.uint16
    words = {chr(0x4E00 + i) + chr(0x4E00 + j): 0 for i in range(300) for j in range(220)}
    large = train(["a b"], 259)
    large.add_tokens(list(words))
    save(large, tmp_path / "large")
    encoder = load(tmp_path / "large")
    assert encoder.dtype == np.uint32
    text = list(words)[-1]
    assert encoder.encode(text).tolist() == [encoder.vocabulary_size - 1]


def test_missing_and_broken_tokenizers_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no tokenizer at"):
        load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(ValueError, match=r"is not a tokenizer\.json"):
        load(tmp_path)
