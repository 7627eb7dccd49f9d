import itertools
import textwrap

import numpy as np
import pyarrow as pa
import pytest
import text_reference as reference
from hypothesis import given
from hypothesis import strategies as st

from filters.batch import TextBatch
from filters.borders import closed, whole


def marks(text, *spans):
    """Marks from the first word of `start` to the end of `end` of each (start, end)."""
    data = text.encode()
    marked = np.zeros(len(data), bool)
    for start, end in spans:
        at = data.index(start.encode())
        marked[at : data.index(end.encode(), at) + len(end.encode())] = True
    return marked


def left(text, border, *spans):
    data = text.encode()
    found = whole(data, marks(text, *spans), border)
    for a, b in reversed(found.tolist()):
        data = data[:a] + data[b:]
    return data.decode()


@pytest.mark.parametrize(
    ("text", "span", "border", "rest"),
    [
        ("One two three. Four five.", ("two", "three"), "word", "One Four five."),
        ("One two three\nfour", ("two", "three"), "word", "One\nfour"),
        ("One two  three", ("One", "two"), "word", "three"),
        ("- One two!\nthree", ("One", "two"), "word", "three"),
        ("前世界后", ("世", "界"), "word", "前后"),
        ("One two. Three four! Five six.", ("two", "Five"), "sentence", "One two. Five six."),
        ("One two. (Three four!) Five six.", ("Three", "six"), "sentence", "One two."),
        ("He said “go now.” She went. Gone", ("She", "went"), "sentence", "He said “go now.” Gone"),
        ("It is 3.14 today. Yes", ("14", "today"), "sentence", "It is 3.14 today. Yes"),
        ("一二。三四！？五六。", ("三", "四"), "sentence", "一二。五六。"),
        ("No end here\nNext line. More", ("Next", "line"), "sentence", "No end here\nMore"),
        ("Ours. Theirs is\nwrapped at a\nwidth. Ours", ("Theirs", "width"), "sentence", "Ours. Ours"),
        ("Ours. Theirs ends.\n\nOurs", ("Theirs", "ends"), "sentence", "Ours.\n\nOurs"),
        ("Ours. Theirs is\nwrapped.", ("Theirs", "wrapped"), "sentence", "Ours."),
        ("- One two\n* three\n\nFour", ("One", "three"), "line", "\nFour"),
        ("Zero one\nTwo three\nFour five", ("one", "Four"), "line", "Zero one\nFour five"),
        ("Zero one\ntwo three\nFour five", ("two", "three"), "line", "Zero one\ntwo three\nFour five"),
        ("Zero one.\ntwo three\nFour five", ("two", "three"), "line", "Zero one.\nFour five"),
        ("Zero\n\none two\nThree", ("one", "two"), "line", "Zero\n\nThree"),
        ("Zero one two", ("one", "two"), "line", "Zero one two"),
        ("only this line", ("only", "line"), "line", ""),
        ("One\n----\nTwo\n----\nThree", ("One", "Two"), "line", "----\nThree"),
    ],
)
def test_whole_units_go_and_the_rest_reads_as_text(text, span, border, rest):
    assert left(text, border, span) == rest


SENTENCES = [
    "In 1888 Sherlock Holmes and Doctor Watson, late of Baker Street, saw the Study in Scarlet in Covent Garden.",
    "The “Speckled Band” was 12 inches (30 cm) long, said 3 men from Stoke Moran to Miss Helen Stoner on 2 April.",
    "“Beryl Coronet” is what Alexander Holder of Threadneedle Street called 39 stones set in Gold and Silver!",
    "I, John Watson, and he, Sherlock Holmes, went to Copper Beeches, 5 miles from Winchester, in March 1890.",
]
VERSE = "The Rose is red\nViolets are blue\nSugar is sweet\nAnd so are you\n"


@pytest.mark.parametrize("width", range(45, 111, 5))
def test_wrapped_lines_are_one_whatever_the_next_begins_with(width):
    text = textwrap.fill(" ".join(SENTENCES), width)
    rest = left(text, "sentence", ("Watson", "Gold"), ("Copper", "1890"))
    assert rest.split() == " ".join([SENTENCES[0], *SENTENCES[2:]]).split()
    if not any(line.endswith((".", "!")) for line in text.split("\n")[:-1]):
        assert left(text, "line", ("Sherlock", "1890")) == text
    assert left(text, "line", ("In", "1890")) == ""


def test_lists_and_verse_are_not_wrapped():
    assert left(VERSE, "line", ("Violets", "blue")) == VERSE.replace("Violets are blue\n", "")
    assert left(VERSE, "sentence", ("Violets", "Sugar")) == VERSE.replace("Violets are blue\n", "")
    text = textwrap.fill(" ".join(SENTENCES), 70)
    assert left(f"A heading\n{text}", "line", ("A", "heading")) == text


def test_what_is_marked_in_pieces_is_taken_whole():
    text = "Ours.\nA long line. Of two pieces.\nOurs."
    assert left(text, "line", ("A", "line"), ("Of", "pieces")) == "Ours.\nOurs."
    assert left(text, "line", ("A", "line"), ("two", "pieces")) == text


@given(reference.texts, st.sampled_from(["word", "sentence", "line"]), st.data())
def test_what_is_cut_holds_marked_words_only(text, border, data):
    words = TextBatch(pa.array([text])).words
    encoded, marked = text.encode(), np.zeros(len(text.encode()), bool)
    chosen = data.draw(st.sets(st.integers(0, max(0, len(words.starts) - 1)), max_size=len(words.starts)))
    bytes_of = [slice(at, at + length) for at, length in zip(words.starts, words.lengths)]
    for word in chosen:
        marked[bytes_of[word]] = True
    found = whole(encoded, marked, border).tolist()
    for (_, end), (start, _) in itertools.pairwise(found):
        assert end < start
    gone = np.zeros(len(encoded), bool)
    for start, end in found:
        assert 0 <= start < end
        encoded[:start].decode(), encoded[start:end].decode()  # no character is cut in two
        gone[start:end] = True
    cut = {word for word, span in enumerate(bytes_of) if gone[span].any()}
    assert cut <= chosen
    assert all(gone[bytes_of[word]].all() for word in cut)
    if border == "word":
        assert cut == chosen
    if border == "line":
        for start, end in found:
            assert start == 0 or encoded[start - 1] == 10
            assert end == len(encoded) or encoded[end - 1] == 10


@pytest.mark.parametrize(
    ("text", "lines", "rest"),
    [
        ("A\n\nX\n\nB", "X", "A\n\nB"),
        ("A\n\nX\nB", "X", "A\n\nB"),
        ("A\nX\n\nB", "X", "A\n\nB"),
        ("A\nX\nB", "X", "A\nB"),
        ("A\n\n\n\nB\n\nX\n \t\n\nC", "X", "A\n\n\n\nB\n\nC"),
        ("A\n\nX\n\nY\n\nB", "XY", "A\n\nB"),
        ("A\nX\n\nY\n\nB", "XY", "A\n\nB"),
        ("X\n\n\nA\n\nY", "XY", "A\n\n"),
        ("X\n\n", "X", ""),
        ("A\n\nX\n\n  B", "X", "A\n\n  B"),
    ],
)
def test_cuts_leave_no_heaps_of_blank_lines(text, lines, rest):
    data = text.encode()
    spans = [(text.index(line), min(len(text), text.index(line) + 2)) for line in reversed(lines)]
    for start, end in reversed(closed(data, np.array(spans)).tolist()):
        data = data[:start] + data[end:]
    assert data.decode() == rest


@given(st.text("a \n", max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6))
def test_closed_spans_cover_the_given_ones_and_else_only_white_space(text, pairs):
    spans = [sorted(min(at, len(text)) for at in pair) for pair in pairs]
    found = closed(text.encode(), np.array(spans, np.int64).reshape(-1, 2)).tolist()
    for (_, end), (start, _) in itertools.pairwise(found):
        assert end < start
    given_bytes = {at for start, end in spans for at in range(start, end)}
    covered = {at for start, end in found for at in range(start, end)}
    assert given_bytes <= covered
    assert all(text[at].isspace() for at in covered - given_bytes)


def test_what_is_no_border_is_refused():
    with pytest.raises(ValueError, match="no border 'page'"):
        whole(b"a", np.ones(1, bool), "page")
    with pytest.raises(ValueError, match="2 marks for 1 bytes"):
        whole(b"a", np.ones(2, bool), "line")
