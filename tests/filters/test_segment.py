"""Words, lines and paragraphs against a slow reference, and against what a reader would say."""

import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import text_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import codepoints
from filters.batch import TextBatch
from filters.quality import Quality
from filters.repetition import Repetition
from filters.segment import HASH_PRIME, HASH_SEED, Spans


def hash_units(units) -> int:
    hashed = int(HASH_SEED)
    for unit in units:
        hashed = (hashed ^ unit) * int(HASH_PRIME) % 2**64
        hashed ^= hashed >> 32
    return hashed


def check_words(texts: list[str], batch: TextBatch) -> None:
    found = batch.words
    expected = [reference.words(text) for text in texts]
    assert np.diff(found.offsets).tolist() == [len(words) for words in expected]
    rows = zip(*(column.tolist() for column in found[1:6]), strict=True)
    for text, words in enumerate(expected):
        for word in words:
            start = int(batch.offsets[text]) + word.start
            assert next(rows) == (
                start,
                len(word.text.encode()),
                len(word.text),
                hash_units(map(ord, word.folded)),
                any(map(reference.letter, word.text)),
            )
    assert found.characters.tolist() == [len(text) for text in texts]


def check_spans(expected: list[list[str]], batch: TextBatch, found: Spans) -> None:
    assert np.diff(found.offsets).tolist() == [len(spans) for spans in expected]
    raw = [span for spans in expected for span in spans]
    data = batch.data.tobytes()
    stripped = [data[s : s + n].decode() for s, n in zip(found.starts, found.lengths)]
    assert stripped == [span.strip() for span in raw]
    assert found.chars.tolist() == [len(span) for span in stripped]
    assert found.widths.tolist() == [len(span) for span in raw]
    assert found.hashes.tolist() == [hash_units(span.encode()) for span in stripped]


def check(texts: list[str], batch: TextBatch) -> None:
    check_words(texts, batch)
    check_spans([reference.lines(text) for text in texts], batch, batch.lines)
    check_spans([reference.paragraphs(text) for text in texts], batch, batch.paragraphs)


@settings(deadline=None, max_examples=300)
@given(st.lists(reference.texts, max_size=4))
def test_segments_are_those_of_the_reference(texts):
    check(texts, TextBatch(pa.array(texts, pa.string())))


def test_segments_of_real_texts_are_those_of_the_reference(data: Path):
    texts = reference.real_texts(data)
    check(texts, TextBatch(pa.array(texts, pa.large_string())))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, l’été!", ["Don't", "stop", "l’été"]),
        ("'quoted' O' 'n", ["quoted", "O", "n"]),
        ("3.14 is 1,000.50, v1.2.", ["3.14", "is", "1,000.50", "v1.2"]),
        ("snake_case __init__ x-y", ["snake_case", "__init__", "x", "y"]),
        ("你好 world世界", ["你", "好", "world", "世", "界"]),
        ("コーヒー", ["コ", "ー", "ヒ", "ー"]),
        ("กำ", ["กำ"]) if unicodedata.category("ำ")[0] == "M" else ("กา", ["ก", "า"]),
        ("ភា", ["ភា"]),
        ("می‌خواهم हिन्दी", ["می‌خواهم", "हिन्दी"]),
        ("2024年", ["2024", "年"]),
        ("한국어 단어", ["한국어", "단어"]),
        ("\u0301 ❤\ufe0f # … • --", []),
        ("e\u0301a\0b", ["e\u0301a", "b"]),
    ],
)
def test_words_are_what_a_reader_expects(text, words):
    batch = TextBatch(pa.array([text]))
    data = batch.data.tobytes()
    assert [data[s : s + n].decode() for s, n in zip(batch.words.starts, batch.words.lengths)] == words


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("STRASSE", "strasse", True),
        ("ΣΑΣ", "σας", True),
        ("don’t", "DON'T", True),
        ("Ärger", "Arger", False),
        ("ab", "ba", False),
    ],
)
def test_words_that_differ_in_case_alone_have_one_hash(one, other, same):
    first, second = TextBatch(pa.array([f"{one} {other}"])).words.hashes
    assert (first == second) == same


@pytest.mark.skipif(unicodedata.unidata_version != codepoints.UNICODE, reason="the table is of another Unicode version")
def test_the_shipped_table_is_what_its_source_makes():
    pytest.importorskip("regex")
    assert np.array_equal(codepoints.build(), np.load(codepoints._FILE))


def test_code_points_assigned_in_every_supported_unicode_are_what_unicodedata_says():
    table = codepoints.table() & codepoints.CLASS_MASK
    for code in range(0x250):  # Latin: the same since Unicode 5
        char = chr(code)
        assert (table[code] in (codepoints.LETTER, codepoints.SINGLE)) == char.isalpha()
        assert (table[code] == codepoints.NUMBER) == (unicodedata.category(char)[0] == "N")
        assert (table[code] == codepoints.SPACE) == char.isspace()


def test_a_slice_and_chunks_give_what_the_texts_alone_give():
    texts = ["left out", "Grüße, 世界", "", "a\n\nb", "tail"]
    whole = pa.array(texts)
    for array in (whole.slice(1, 3), whole.cast(pa.large_string()).slice(1, 3)):
        batch = TextBatch(array)
        assert np.shares_memory(batch.data, np.frombuffer(array.buffers()[2], np.uint8))
        check(texts[1:4], batch)
    check(texts, TextBatch(pa.chunked_array([texts[:2], texts[2:]], pa.string())))
    check([], TextBatch(pa.array([], pa.string())))
    check([], TextBatch(pa.chunked_array([], pa.string())))


def test_a_batch_is_made_of_strings_without_nulls():
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        TextBatch(pa.array(["a", None]))
    with pytest.raises(TypeError, match="not of binary"):
        TextBatch(pa.array([b"a"]))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200), st.integers(1, 3))
def test_bytes_that_are_no_utf8_stay_within_bounds(data, parts):
    borders = np.linspace(0, len(data), parts + 1).astype(np.int64)
    array = pa.LargeStringArray.from_buffers(parts, pa.py_buffer(borders), pa.py_buffer(data))
    batch = TextBatch(array)
    for spans in (batch.words, batch.lines, batch.paragraphs):
        for text in range(parts):
            part = slice(spans.offsets[text], spans.offsets[text + 1])
            assert (spans.starts[part] >= borders[text]).all()
            assert (spans.starts[part] + spans.lengths[part] <= borders[text + 1]).all()
            assert (spans.lengths[part] > 0).all()
    assert Quality()(batch).num_rows == Repetition()(batch).num_rows == parts
