import numpy as np
import pyarrow as pa
import pytest
import text_reference as reference
from hypothesis import given
from hypothesis import strategies as st

from filters.batch import TextBatch
from filters.borders import snap


def cut(text, start, end, border):
    """What snap takes of the span from the first word of `start` to the end of `end`."""
    data = text.encode()
    span = data.index(start.encode()), data.index(end.encode()) + len(end.encode())
    a, b = snap(data, np.array([span[0]]), np.array([span[1]]), border)[0]
    return data[a:b].decode()


@pytest.mark.parametrize(
    ("text", "start", "end", "border", "taken"),
    [
        ("One two three. Four five.", "two", "three", "word", "two three"),
        ("One two three\nfour", "two", "three", "word", "two three"),
        ("One two  three", "One", "two", "word", "One two  "),
        ("One two. Three four! Five six.", "two", "Five", "sentence", "Three four! "),
        ("One two. (Three four!) Five six.", "Three", "six", "sentence", "(Three four!) Five six."),
        ("He said “go now.” She went. Gone", "She", "went", "sentence", "She went. "),
        ("It is 3.14 today. Yes", "14", "today", "sentence", ""),
        ("一二。三四！？五六。", "三", "四", "sentence", "三四！？"),
        ("No end here\nnext line. More", "next", "line", "sentence", "next line. "),
        ("- one two\n* three\n\nfour", "one", "three", "line", "- one two\n* three\n\n"),
        ("zero one\ntwo three\nfour five", "one", "four", "line", "two three\n"),
        ("zero one two", "one", "two", "line", ""),
        ("only this line", "only", "line", "line", "only this line"),
    ],
)
def test_spans_shrink_to_whole_units(text, start, end, border, taken):
    assert cut(text, start, end, border) == taken


@given(reference.texts, st.sampled_from(["word", "sentence", "line"]), st.data())
def test_what_is_cut_holds_no_other_words(text, border, data):
    words = TextBatch(pa.array([text])).words
    if not len(words.starts):
        return
    first = data.draw(st.integers(0, len(words.starts) - 1))
    last = data.draw(st.integers(first, len(words.starts) - 1))
    encoded = text.encode()
    start, end = words.starts[first], words.starts[last] + words.lengths[last]
    a, b = snap(encoded, np.array([start]), np.array([end]), border)[0]
    encoded[:a].decode(), encoded[a:b].decode(), encoded[b:].decode()  # no character is cut in two
    inside = [i for i, at in enumerate(words.starts) if a <= at < b]
    assert a == b or set(inside) <= set(range(first, last + 1))
    if border == "line":
        assert a == b or ((a == 0 or encoded[a - 1] == 10) and (b == len(encoded) or encoded[b - 1] == 10))
    if border == "word":
        assert (a, inside) == (start, list(range(first, last + 1)))


def test_other_borders_are_refused():
    with pytest.raises(ValueError, match="no border 'page'"):
        snap(b"a", np.array([0]), np.array([1]), "page")
