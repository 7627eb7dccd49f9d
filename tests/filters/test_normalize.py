import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.normalize import normalize, normalize_code

ODD = "ae\u0301\u0323\u0345 \t\n\r\x00\x0b\x0c\x1c\x7f\x85\xa0\u1680\u1820\u200b\u200d\u2003\u2028\u202f\u3000"
ODD += "\ufeff\ufdd0\uffff\ud83d\ude00"
hostile = st.text(st.characters() | st.sampled_from(ODD)) | st.text(st.sampled_from(ODD), max_size=200)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("\r\n \r\n", ""),
        ("plain text, kept", "plain text, kept"),
        ("a\r\nb\rc\x0bd\x0ce", "a\nb\nc\nd\ne"),
        ("é\r\nb\rc\x85d\u2028e\u2029f", "é\nb\nc\nd\ne\nf"),
        ("a\r\x00\nb", "a\nb"),
        ("é\r\x00\nb", "é\nb"),
        ("tab\tstays, NUL\x00, bell\x07, DEL\x7f and C1 \x9f go", "tab\tstays, NUL, bell, DEL and C1  go"),
        ("\ufeffa\ufeffb", "ab"),
        ("a\ufdd0\ufdefb\ufffe\U0010ffffc\ufdf0", "abc\ufdf0"),
        ("5\xa0km\u2009\u205f\u1680x", "5 km   x"),
        ("中文\u3000中文\u3000\n中", "中文\u3000中文\n中"),
        ("\u1820\u202f\u1822 5\u202f000", "\u1820\u202f\u1822 5 000"),
        ("e\u0301 \u212b \uac00\u11a8", "é Å \uac01"),
        ("e\x01\u0301", "é"),
        ("\ud83d\ude00 \ud83d \ude00", "\U0001f600 \ufffd \ufffd"),
        (
            "می\u200cخواهم \u0915\u094d\u200d\u0937 ភាសា\u200bខ្មែរ",
            "می\u200cخواهم \u0915\u094d\u200d\u0937 ភាសា\u200bខ្មែរ",
        ),
        ("\n \n  indented \t\n\n\n\nb\xa0\n\n", "  indented\n\nb"),
        ("a\n\nb\n \n\t\nc", "a\n\nb\n\nc"),
    ],
)
def test_each_step(text: str, expected: str) -> None:
    assert normalize(text) == expected


@given(hostile)
def test_idempotent_and_clean(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert unicodedata.is_normalized("NFC", once)
    once.encode()
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in once)
    assert all(c in " \u3000\u202f" for c in once if unicodedata.category(c) == "Zs")
    assert not {"\ufeff", "\u2028", "\u2029", "\ufdd0", "\uffff"} & set(once)
    assert "\n\n\n" not in once
    assert once == once.strip("\n")
    assert all(line == line.rstrip() for line in once.split("\n"))


@given(hostile)
def test_letters_survive(text: str) -> None:
    """Nothing but white space, controls, noncharacters, surrogates and byte order marks may change, NFC apart."""

    def letters(s: str) -> str:
        return "".join(c for c in unicodedata.normalize("NFD", s) if unicodedata.category(c)[0] in "LNPS")

    kept = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert letters(normalize(text)) == letters(kept)


@given(st.text(st.characters(codec="utf-8")))
def test_code_stays_as_it_is(text: str) -> None:
    assert normalize_code(text) == text


def test_code_loses_only_its_unpaired_surrogates() -> None:
    assert normalize_code("\x0c\ta\r\n\ud800\xa0\ud83d\ude00\n\n\n\n") == "\x0c\ta\r\n\ufffd\xa0\U0001f600\n\n\n\n"


@pytest.mark.parametrize(
    "flood",
    ["a", " ", "\n", " \n", "\xa0é", "e\u0301", "\u0315\u0316\u0301\u0323", "\r", "\ufeff", "\ud800", "\u3000\u202f"],
)
def test_time_is_linear(flood: str) -> None:
    def seconds(size: int) -> float:
        text = "x" + flood * (size // len(flood)) + "x"
        start = time.perf_counter()
        normalize(text)
        return time.perf_counter() - start

    seconds(1000)
    # Quadratic time would make it 400 times as long, and with these sizes minutes.
    assert min(seconds(1_000_000) for _ in range(2)) < 80 * max(min(seconds(50_000) for _ in range(5)), 1e-3)


def test_mark_floods_are_set_apart_and_short_runs_are_not() -> None:
    zalgo = "x" + "\u0315\u0316" * 30
    assert normalize(zalgo).count("\u034f") == 1
    short = "x" + "\u0315\u0316" * 15
    assert normalize(short) == unicodedata.normalize("NFC", short)
