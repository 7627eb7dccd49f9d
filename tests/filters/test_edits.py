"""What edits cut, against slow versions of their definitions."""

import time
from itertools import pairwise
from pathlib import Path

import line_reference as reference
import numpy as np
import pyarrow as pa
import pytest
import text_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_reading import fired, measure

from filters.batch import TextBatch
from filters.edits import EDITS, Edit, EditedBatch, LineEdits, apply, merge
from filters.removed import Removed


def expected(text: str, names: list[str]) -> list[Edit]:
    spans = reference.edits(text, names)
    return [Edit(len(text[:start].encode()), len(text[:end].encode()), reason) for start, end, reason in spans]


def check(texts: list[str], names: list[str]) -> None:
    cutter, array = LineEdits(names), pa.array(texts, pa.string())
    wanted = {i: edits for i, text in enumerate(texts) if (edits := expected(text, names))}
    assert cutter.find(array) == wanted
    before = TextBatch(array)
    after = EditedBatch(before, cutter.cuts(before))
    assert after.texts.to_pylist() == [apply(text, wanted[i]) if i in wanted else text for i, text in enumerate(texts)]
    left = zip(map(text_reference.words, texts), map(text_reference.words, after.texts.to_pylist()))
    shares = [(len(words) - len(rest)) / max(len(words), 1) for words, rest in left]
    assert Removed()(after).to_pydict() == {"removed_words": shares}
    assert all(0 <= share <= 1 for share in shares)


@settings(deadline=None, max_examples=500)
@given(st.lists(reference.texts, max_size=4), st.lists(st.sampled_from(EDITS), unique=True))
def test_edits_are_those_of_the_reference(texts, names):
    check(texts, names)


@pytest.mark.parametrize("recipe", reference.RECIPES)
def test_edits_of_real_texts_are_those_of_the_reference(data: Path, recipe):
    check([reference.dirty(text) for text in text_reference.real_texts(data)[::4]], reference.RECIPES[recipe])


def test_spans_are_bytes_and_name_the_first_reason():
    text = "größe\n  Please enable JavaScript \nend"
    spans = {"javascript": Edit(8, 36, "javascript"), "no_end_mark": Edit(8, 36, "no_end_mark")}
    for first, second in (("javascript", "no_end_mark"), ("no_end_mark", "javascript")):
        (found,) = LineEdits([first, second]).find(pa.array([text])).values()
        assert found == [Edit(0, 8, "no_end_mark"), spans[first], Edit(36, 39, "no_end_mark")]


@pytest.mark.parametrize(
    ("text", "names", "left"),
    [
        ("Rome[12] is old.[citation needed]\nHistory[edit]", ["citation"], "Rome is old.\nHistory"),
        ("Yes, that is so.[1]\n[2]\n[3] [4]", ["citation", "no_end_mark"], "Yes, that is so."),
        ("Sign-in\nThe news Read more...\n3 items in cart", reference.RECIPES["refinedweb"][4:], "The news\n3"),
        ("Sign-in items in cart", reference.RECIPES["refinedweb"][4:], ""),
        ("a b c d e f g h i\nsign-in b c d e f g h i j k", reference.RECIPES["refinedweb"][4:], None),
        ("\n\nmenu\n\nA line of text.\n\nmenu\n", ["no_end_mark"], "A line of text."),
        ("\n\nA line of text.\n", ["no_end_mark"], None),
    ],
)
def test_what_is_left(text, names, left):
    batch = TextBatch(pa.array([text]))
    assert EditedBatch(batch, LineEdits(names).cuts(batch)).texts.to_pylist() == [text if left is None else left]


def test_cuts_of_some_texts_leave_the_others_as_they_are():
    array = pa.array(["first", "menu\nA line of text.", "menu\nA line of text.", "\n"], pa.large_string()).slice(1)
    batch = TextBatch(array)
    cuts = LineEdits(["under_2_words"]).cuts(batch)
    assert cuts.texts.tolist() == [0, 1]
    after = EditedBatch(batch, cuts.of(np.array([False, True, True])))
    assert after.texts.equals(pa.array(["menu\nA line of text.", "A line of text.", "\n"], pa.large_string()))
    assert after.before is batch
    one, other = (cuts.of(np.array(texts)) for texts in ([True, False, False], [False, True, True]))
    assert all(np.array_equal(a, b) for a, b in zip(merge([other, one]), cuts))


def test_unknown_edits_are_refused():
    with pytest.raises(KeyError, match="javascrip"):
        LineEdits(["javascrip"])


def test_a_page_goes_when_more_than_a_twentieth_of_its_words_went():
    page = "word " * 94 + "\n" + "HOME PAGE\n" * 3
    for text, drops in ((page, True), (page[:-20], False), ("", False)):
        batch = TextBatch(pa.array([text]))
        (signals,) = measure(EditedBatch(batch, LineEdits(reference.RECIPES["refinedweb"]).cuts(batch)), [Removed()])
        assert fired("refinedweb", signals) == ({"removed_words"} if drops else set())
    assert Removed()(TextBatch(pa.array([page]))).to_pydict() == {"removed_words": [0]}


@pytest.mark.parametrize("piece", ["]", "[1]", "[", "x[1] ", "javascript ", "\n", " \n", "3", "items in cart\n", "[ed"])
def test_hostile_texts_take_linear_time(piece):
    cutter, seconds = LineEdits(list(EDITS)), []
    for size in (200_000, 2_000_000):
        batch = TextBatch(pa.array([piece * (size // len(piece)) + "views"]))
        started = time.perf_counter()
        EditedBatch(batch, cutter.cuts(batch))
        seconds.append(time.perf_counter() - started)
    assert seconds[1] < 60 * seconds[0] + 1


@settings(deadline=None, max_examples=200)
@given(st.lists(reference.texts, max_size=3))
def test_spans_are_in_order_and_apart(texts):
    batch = TextBatch(pa.array(texts, pa.string()))
    spans = np.stack(LineEdits(list(EDITS)).cuts(batch), axis=1).tolist()
    assert all(a[0] < b[0] or a[2] <= b[1] for a, b in pairwise(spans))
    assert all(start < end for _, start, end, _ in spans)
