"""The content hash: what it tells apart and what it does not."""

import pyarrow as pa
import pytest
import text_reference as reference
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.batch import TextBatch
from filters.content import content_hash


def hashes(texts: list[str], canonical: str) -> list[bytes]:
    found = content_hash(TextBatch(pa.array(texts, pa.string())), canonical)
    assert found.type == pa.binary(16)
    return found.to_pylist()


@settings(deadline=None)
@given(st.lists(reference.texts, max_size=6))
def test_as_is_is_the_hash_of_the_bytes(texts):
    assert hashes(texts, "as_is") == [xxhash.xxh3_128_digest(text.encode()) for text in texts]


@settings(deadline=None)
@given(st.lists(reference.texts, max_size=6))
def test_folded_is_equal_exactly_where_the_words_are(texts):
    found = hashes(texts, "folded")
    keys = [tuple(word.folded for word in reference.words(text)) or text for text in texts]
    for one, key in zip(found, keys):
        for other, other_key in zip(found, keys):
            assert (one == other) == (key == other_key)


def test_case_white_space_and_punctuation_fold_and_words_do_not():
    same = ["It's late, said Bob.", "it’s  LATE -- said\nbob", "\u3000It's late (said) Bob!"]
    assert len(set(hashes(same, "folded"))) == 1
    assert len(set(hashes([*same, "its late said bob", "It's late said", "Bob it's late said"], "folded"))) == 4


def test_texts_without_words_are_told_apart_by_their_symbols():
    assert len(set(hashes(["", " ", "***", "---", "…"], "folded"))) == 5


def test_a_slice_is_hashed_as_its_texts_alone():
    texts = pa.array(["left out", "kept one", "!", "left out"]).slice(1, 2)
    for canonical in ("as_is", "folded"):
        assert content_hash(TextBatch(texts), canonical).to_pylist() == hashes(["kept one", "!"], canonical)


def test_an_unknown_form_is_refused_by_name():
    with pytest.raises(ValueError, match="'lower'"):
        hashes(["a"], "lower")
