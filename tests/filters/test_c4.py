"""C4's signals against slow versions of their definitions, and its rules."""

import re
import sys
import time
from functools import cache
from pathlib import Path

import line_reference as lines
import pyarrow as pa
import pytest
import text_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_reading import fired, measure

from filters import codepoints
from filters.batch import TextBatch
from filters.c4 import C4, SCHEMA
from filters.edits import EditedBatch, LineEdits
from filters.quality import Quality

PAGE = """It was late in the afternoon when the ferry came in. Nobody knew who would be on board.
Home
"They said that she would write," Anna told her brother. "But you know her!"
He nodded."""


def role(char: str) -> str:
    """What a character is to sentences: . the full stop, ! other ends in ASCII, 。 those beyond, ) what closes."""
    if char in ".!":
        return char
    if char == "?":
        return "!"
    if char in "\"'’”)]}»›〉》」』】）":
        return ")"
    if int(codepoints.table()[ord(char)]) & codepoints.TERMINAL:
        return "。"
    return " " if char.isspace() else "x"


@cache
def lower() -> set[str]:
    return {reference.fold(char) for char in map(chr, range(sys.maxunicode + 1)) if lines.upper(char)} | {"ς"}


def sentences(line: str) -> int:
    words, at = [], 0
    for word in reference.words(line):
        at = line.index(word.text, max(at, len(line.encode()[: word.start].decode())))
        words.append((at, word.text))
    count = begin = 0
    for end in re.finditer(r"[.!。][.!。)]*", "".join(map(role, line))):
        before = [(at, word) for at, word in words if begin <= at < end.start()]
        after = line[end.end() :]
        if not before:
            continue
        if after and not after[0].isspace():
            if "。" not in end[0]:
                continue
        elif after and not set(end[0]) & {"!", "。"}:
            at, word = before[-1]
            initial = at + 1 == end.start() and len(word) == 1 and lines.kind(word) == codepoints.LETTER
            if initial or after.lstrip()[0] in lower():
                continue
        count, begin = count + 1, end.end()
    return count + any(at >= begin for at, _ in words)


def expected(text: str) -> dict[str, object]:
    found = reference.lines(text)
    return {
        "sentences": sum(sentences(line.strip()) for line in found),
        "lorem_ipsum": "lorem ipsum" in lines.ascii_lower(text),
        "curly_bracket": "{" in text,
        "longest_word": lines.longest_word(text),
        "long_lines": sum(len(line) >= 200 for line in found),
    }


def check(texts: list[str]) -> None:
    rows = C4()(TextBatch(pa.array(texts, pa.string())))
    assert rows.schema.equals(SCHEMA, check_metadata=True)
    assert rows.to_pylist() == [expected(text) for text in texts]


@settings(deadline=None, max_examples=500)
@given(st.lists(lines.texts, max_size=4))
def test_signals_are_those_of_the_reference(texts):
    check(texts)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from("aAbB1я中.!?。'\")  \n"), max_size=40).map("".join))
def test_sentences_of_few_signs_in_many_orders_are_those_of_the_reference(text):
    check([text])


def test_signals_of_real_texts_are_those_of_the_reference(data: Path):
    texts = reference.real_texts(data)
    check(texts + [lines.dirty(text) for text in texts[::5]])


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("Yes. No! Why? Because", 4),
        ("It cost 3.14 at example.com, e.g. here, i.e. there.", 1),
        ("J. K. Rowling met George W. Bush.", 1),
        ("He left... and came back. Then ... he left", 2),
        ("“Stop!” She stopped. (He did not.) He asked: 'Why?'", 4),
        ("他来了。她走了！为什么？", 3),
        ("वह आया। वह गया।", 2),
        ("هل جاء؟ نعم", 2),
        ("В 2010 г. он уехал. Потом вернулся.", 2),
        ("... !!! ???", 0),
        ("A line without an end", 1),
    ],
)
def test_sentences_are_counted_as_a_reader_counts(line, count):
    assert C4()(TextBatch(pa.array([line]))).to_pydict()["sentences"] == [count]


def test_empty_texts_hold_nothing():
    assert not any(any(row.values()) for row in C4()(TextBatch(pa.array(["", " \n\t", "\u3000"]))).to_pylist())
    assert C4()(TextBatch(pa.array([], pa.string()))).num_rows == 0


def drops(rules: str, recipe: str, text: str) -> set[str]:
    batch = TextBatch(pa.array([text]))
    edited = EditedBatch(batch, LineEdits(lines.RECIPES[recipe]).cuts(batch))
    (signals,) = measure(edited, [Quality(), C4()])
    return fired(rules, signals)


@pytest.mark.parametrize(
    ("text", "code", "paper"),
    [
        (PAGE, set(), {"few_sentences"}),
        (PAGE.replace("nodded.", "nodded at that. He did. She did."), set(), set()),
        (PAGE.replace(". Nobody", ", nobody"), set(), {"few_sentences"}),
        ("Home page\nHe nodded.\nShe did, too.\nIt was very late. It was dark.", {"few_sentences"}, {"few_sentences"}),
        (PAGE * 2 + " lorem Ipsum dolor sit amet.", {"lorem_ipsum"}, {"lorem_ipsum"}),
        (PAGE * 2 + "\nThis is { code }, as they say here.", {"curly_bracket"}, {"curly_bracket"}),
        (PAGE * 2 + "\n" + "{" * 1001 + " is what they say here.", set(), set()),
        ("", {"few_sentences"}, {"few_sentences"}),
    ],
)
def test_the_two_readings_of_c4(text, code, paper):
    assert drops("c4", "c4", text) == code
    assert drops("c4_paper", "c4_paper", text) == paper


def test_pages_without_line_edits_have_rules_for_long_words_and_long_pages():
    batch = TextBatch(pa.array([PAGE + "\n" + "x" * 1001, (PAGE + "\n") * 2000]))
    rows = measure(batch, [Quality(), C4()])
    assert [fired("c4", row) for row in rows] == [{"long_word"}, {"too_long"}]


def test_mc4_wants_three_long_lines():
    batch = TextBatch(pa.array(["\n".join(["x " * 100] * 3), "\n".join(["x " * 100] * 2 + ["x" * 199])]))
    assert [fired("mc4", row) for row in measure(batch, [C4()])] == [set(), {"few_long_lines"}]


@pytest.mark.parametrize("piece", [". ", ".", "a. ", ".' ", "。", "! ", "x", "中", "{", ".          "])
def test_endless_lines_take_linear_time(piece):
    call, seconds = C4(), []
    for size in (200_000, 2_000_000):
        batch = TextBatch(pa.array([piece * (size // len(piece))]))
        started = time.perf_counter()
        call(batch)
        seconds.append(time.perf_counter() - started)
    assert seconds[1] < 60 * seconds[0] + 1


def test_every_signal_says_what_it_is():
    assert all(len(field.metadata[b"doc"]) > 20 and not field.nullable for field in SCHEMA)
