"""The quality signals against slow versions of their definitions."""

import math
from pathlib import Path

import pyarrow as pa
import text_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import codepoints
from filters.batch import TextBatch
from filters.quality import SCHEMA, STOP_WORDS, Quality


def share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0


def is_terminal(char: str) -> bool:
    return bool(codepoints.table()[ord(char)] & codepoints.TERMINAL)


def expected(text: str) -> dict[str, float]:
    words = reference.words(text)
    lines = reference.lines(text)
    stripped = [line.strip() for line in lines]
    all_lines = text.removesuffix("\n").split("\n") if text else []
    return {
        "words": len(words),
        "characters": len(text),
        "mean_word_length": share(sum(len(word.text) for word in words), len(words)),
        "hash_ratio": share(text.count("#"), len(words)),
        "ellipsis_ratio": share(text.count("...") + text.count("…"), len(words)),
        "lines": len(lines),
        "bullet_lines": share(sum(line.startswith(("•", "-")) for line in stripped), len(lines)),
        "ellipsis_lines": share(sum(line.endswith(("...", "…")) for line in stripped), len(lines)),
        "alpha_words": share(sum(any(map(reference.letter, word.text)) for word in words), len(words)),
        "stop_words": len({word.folded for word in words} & set(STOP_WORDS)),
        "paragraphs": len(reference.paragraphs(text)),
        "terminal_punct_lines": share(sum(is_terminal(line[-1]) for line in stripped), len(lines)),
        "short_lines": share(sum(len(line) <= 30 for line in lines), len(lines)),
        "newline_ratio": share(text.count("\n"), len(words)),
        "max_line_length": max(map(len, lines), default=0),
        "mean_line_length": share(sum(map(len, all_lines)), len(all_lines)),
        "alphanumeric": share(sum(reference.letter(char) or reference.number(char) for char in text), len(text)),
    }


def check(texts: list[str]) -> None:
    rows = Quality()(TextBatch(pa.array(texts, pa.string())))
    assert rows.schema.equals(SCHEMA, check_metadata=True)
    assert rows.to_pylist() == [expected(text) for text in texts]


@settings(deadline=None, max_examples=300)
@given(st.lists(reference.texts, max_size=4))
def test_signals_are_those_of_the_reference(texts):
    check(texts)


def test_signals_of_real_texts_are_those_of_the_reference(data: Path):
    check(reference.real_texts(data))


def test_texts_without_words_or_lines_are_zero_and_never_nan():
    for row in Quality()(TextBatch(pa.array(["", " \n\t", "\u3000"]))).to_pylist():
        assert all(not math.isnan(value) for value in row.values())
        assert not any(value for name, value in row.items() if name not in ("characters", "mean_line_length"))


def test_sentence_ends_of_other_scripts_and_closing_quotes_end_a_line():
    ends = ["Yes.", "Yes!”", "はい。", "हाँ।", "نعم؟", '"Yes"', "Yes…", "Yes,", "Yes", "Yes:"]
    rows = Quality()(TextBatch(pa.array(ends))).to_pydict()
    assert rows["terminal_punct_lines"] == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]


def test_every_signal_says_what_it_is():
    assert all(len(field.metadata[b"doc"]) > 20 and not field.nullable for field in SCHEMA)
