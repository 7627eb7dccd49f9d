"""FineWeb's rules, which are predicates over quality and repetition signals, against their definition on a text."""

from pathlib import Path

import pyarrow as pa
import pytest
import text_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_reading import fired, measure, rules

from filters import codepoints
from filters.batch import TextBatch
from filters.quality import Quality
from filters.repetition import Repetition

CUT_OFFS = {"fineweb": 0.01, "fineweb_paper": 0.1}


def terminal(char: str) -> bool:
    return bool(codepoints.table()[ord(char)] & codepoints.TERMINAL)


def expected(text: str, cut_off: float) -> set[str]:
    lines = reference.lines(text)
    if not lines:
        return {"empty"}
    seen: set[str] = set()
    copied = 0
    for line in map(str.strip, lines):
        copied += len(line) if line in seen else 0
        seen.add(line)
    ended = sum(terminal(line.strip()[-1]) for line in lines)
    found = {
        "few_terminal_punct_lines": ended / len(lines) < 0.12,
        "dup_line_chars": copied / len(text.replace("\n", "")) > cut_off,
        "short_lines": sum(len(line) <= 30 for line in lines) / len(lines) > 0.67,
        "many_newlines": text.count("\n") / len(reference.words(text)) > 0.3,
    }
    return {rule for rule, fires in found.items() if fires}


def check(texts: list[str]) -> None:
    rows = measure(TextBatch(pa.array(texts, pa.string())), [Quality(), Repetition()])
    for text, row in zip(texts, rows):
        for name, cut_off in CUT_OFFS.items():
            assert fired(name, row) == expected(text, cut_off)


lines = st.lists(st.sampled_from(["a line", "a line.", "x" * 31, "yes!", "", " ", "好。", "again and again " * 3]))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(lines.map(lambda some: "\n".join(["word", *some])), st.just("")), max_size=3))
def test_rules_fire_as_published(texts):
    check(texts)


def test_rules_fire_as_published_on_real_texts(data: Path):
    texts = reference.real_texts(data)
    check(texts + ["\n".join([*text.split("\n"), *text.split("\n")[:2]]) for text in texts])


@pytest.mark.parametrize(("copied", "release", "paper"), [(0, False, False), (5, True, False), (50, True, True)])
def test_the_two_cut_offs_for_duplicated_lines(copied, release, paper):
    text = "\n".join([f"This is sentence number {i} of a page that goes on and on." for i in range(200)])
    (row,) = measure(
        TextBatch(pa.array([text + "\nIt is said once, it is said twice." * copied])), [Quality(), Repetition()]
    )
    assert ("dup_line_chars" in fired("fineweb", row)) is release
    assert ("dup_line_chars" in fired("fineweb_paper", row)) is paper


def test_the_paper_differs_in_one_cut_off():
    release, paper = rules("fineweb"), rules("fineweb_paper")
    assert {name for name in release if release[name] != paper[name]} == {"dup_line_chars"}
    assert release["dup_line_chars"].replace("0.01", "0.1") == paper["dup_line_chars"]
