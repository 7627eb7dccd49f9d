"""The tests of lines against slow versions of their definitions."""

from pathlib import Path

import line_reference as reference
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_reference import real_texts

from filters.batch import TextBatch
from filters.lines import LINES, PHRASES, LineView
from filters.phrases import Phrases


def check(texts: list[str]) -> None:
    view = LineView(TextBatch(pa.array(texts, pa.string())))
    lines = [line.strip() for text in texts for line in text.split("\n") if line.strip()]
    assert [view[i].decode() for i in range(len(view))] == lines
    for name, test in LINES.items():
        assert dict(enumerate(test(view).tolist())) == dict(enumerate(map(reference.LINES[name], lines))), name


@settings(deadline=None, max_examples=500)
@given(st.lists(reference.texts, max_size=4))
def test_lines_pass_as_the_reference_says(texts):
    check(texts)


def test_lines_of_real_texts_pass_as_the_reference_says(data: Path):
    check([reference.dirty(text) for text in real_texts(data)[::2]])


@pytest.mark.parametrize(
    ("name", "cut", "kept"),
    [
        (
            "no_end_mark",
            ["Home", "He said so...", "Well…", "a line,", "[1]"],
            ["Yes.", "'Yes.'", "Yes.[1]", "So.[2] [edit]"],
        ),
        ("under_5_words", ["Just the four words.", "你好吗？"], ["Here are the five words.", "我是一个人。"]),
        ("under_3_words", ["Read on", "@ # $ % ^"], ["Now read on", "2 + 3 = 5"]),
        ("under_2_words", ["Home", "...", "don't"], ["Home page", "你好"]),
        ("no_words", ["* * *", "———", "•"], ["a", "1", "___"]),
        ("long_word", ["a" * 1001, "x " + "a/" * 501], ["a" * 1000, "中" * 1001, "a " * 1001]),
        ("javascript", ["Please enable JavaScript."], ["A script from Java."]),
        ("policy", ["We use Cookies", "Terms Of Use", "our cookie policy"], ["She uses a cookie jar."]),
        ("uppercase", ["BREAKING NEWS", "ΝΈΑ", "НОВОСТИ дня"], ["Breaking News", "AB cd", "άς"]),
        ("numeric", ["12", "٣٤", "½"], ["1 2", "3.14", "2nd"]),
        (
            "counter",
            ["3 likes", "» 1,204 Views «", "1.2K followers"],
            ["3 people", "He likes 3 likes", "likes", "3 likes it"],
        ),
    ],
)
def test_lines_that_go_and_lines_that_stay(name, cut, kept):
    test = LINES[name]
    assert test(LineView(TextBatch(pa.array(["\n".join(cut)])))).all()
    assert not test(LineView(TextBatch(pa.array(["\n".join(kept)])))).any()


@settings(deadline=None, max_examples=300)
@given(
    st.lists(reference.texts, min_size=1, max_size=3),
    st.lists(st.sampled_from(["a", "ab", "ba b", "{", *PHRASES]), max_size=5),
)
def test_phrases_are_found_where_they_stand(texts, phrases):
    batch = TextBatch(pa.array(texts))
    found = Phrases(phrases).within(batch.data, batch.offsets[:-1], batch.offsets[1:])
    low = [reference.ascii_lower(text) for text in texts]
    assert found.tolist() == [sum((phrase in text) << i for i, phrase in enumerate(phrases)) for text in low]


@pytest.mark.parametrize("phrases", [[""], ["A"], ["é"], ["a"] * 65])
def test_phrases_that_cannot_be_looked_for_are_refused(phrases):
    with pytest.raises(ValueError, match="lower-case ASCII"):
        Phrases(phrases)


def test_bytes_that_are_no_text_stop_nothing():
    data = np.frombuffer(b"\xed\xa0\x80 3 likes\n\xff\xfe JAVASCRIPT [1]\n\xf5 \x80\x80.", np.uint8)
    texts = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, len(data)], np.int32)), pa.py_buffer(data)]
    )
    view = LineView(TextBatch(texts))
    assert [len(test(view)) for test in LINES.values()] == [3] * len(LINES)
    assert LINES["javascript"](view).tolist() == [False, True, False]
