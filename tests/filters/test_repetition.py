"""The repetition signals against slow versions of their definitions."""

import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import text_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.batch import TextBatch
from filters.repetition import SCHEMA, Repetition


def copies(spans: list[str]) -> tuple[int, int]:
    seen: set[str] = set()
    count = chars = 0
    for span in (span.strip() for span in spans):
        if span in seen:
            count += 1
            chars += len(span)
        seen.add(span)
    return count, chars


def top(words: list[str], n: int) -> int:
    grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    if not grams:
        return 0
    gram, count = grams.most_common(1)[0]  # of equals, the first that was seen
    return len(" ".join(gram)) * count


def duplicates(words: list[str], n: int) -> int:
    seen = set()
    chars = at = 0
    while at <= len(words) - n:
        gram = tuple(words[at : at + n])
        if gram in seen:
            chars += len("".join(gram))
            at += n
        else:
            seen.add(gram)
            at += 1
    return chars


def expected(text: str) -> dict[str, float]:
    words = [word.folded for word in reference.words(text)]
    lines, paragraphs = reference.lines(text), reference.paragraphs(text)
    (line_copies, line_chars), (paragraph_copies, paragraph_chars) = copies(lines), copies(paragraphs)
    characters = max(len(text), 1)
    return {
        "dup_lines": line_copies / max(len(lines), 1),
        "dup_paragraphs": paragraph_copies / max(len(paragraphs), 1),
        "dup_line_chars": line_chars / characters,
        "dup_paragraph_chars": paragraph_chars / characters,
        **{f"top_{n}gram": top(words, n) / characters for n in (2, 3, 4)},
        **{f"dup_{n}gram": duplicates(words, n) / characters for n in (5, 6, 7, 8, 9, 10)},
    }


def check(texts: list[str]) -> None:
    rows = Repetition()(TextBatch(pa.array(texts, pa.string())))
    assert rows.schema.equals(SCHEMA, check_metadata=True)
    assert rows.to_pylist() == [expected(text) for text in texts]


@settings(deadline=None, max_examples=300)
@given(st.lists(reference.texts, max_size=4))
def test_signals_are_those_of_the_reference(texts):
    check(texts)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.integers(0, 3), max_size=200), st.integers(1, 4))
def test_signals_of_few_words_in_many_orders_are_those_of_the_reference(picks, times):
    check([" ".join("abcd"[pick] * (pick + 1) for pick in picks * times)])


def test_signals_of_real_texts_are_those_of_the_reference(data: Path):
    check(reference.real_texts(data))


def test_later_copies_count_and_the_first_does_not():
    row = Repetition()(TextBatch(pa.array(["one\ntwo\n one \n\none"]))).to_pylist()[0]
    assert row["dup_lines"] == 0.5
    assert row["dup_line_chars"] == 6 / 18
    assert row["dup_paragraphs"] == 0


def test_one_word_repeated_takes_linear_time():
    call, seconds = Repetition(), []
    for count in (200_000, 2_000_000):
        batch = TextBatch(pa.array(["word " * count]))
        started = time.perf_counter()
        row = call(batch).to_pylist()[0]
        seconds.append(time.perf_counter() - started)
        # The first 5 words are new, a 5-gram one word on is its copy, and so is each that follows without overlap.
        assert row["dup_5gram"] == 4 * 5 * ((count - 1) // 5) / (5 * count)
    assert seconds[1] < 60 * seconds[0] + 1
