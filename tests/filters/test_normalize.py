import gzip
import itertools
import time
import unicodedata
from collections import Counter, defaultdict
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import DATA, MISSING

from filters import invisible, mojibake
from filters.glance import STABLE
from filters.normalize import Normalizer, normalize, normalize_code

ODD = "ae\u0301\u0323\u0345 \t\n\r\x00\x0b\x0c\x1c\x7f\x85\xa0\u1680\u1820\u200b\u200d\u2003\u2028\u202f\u3000"
ODD += "\ufeff\ufdd0\uffff\ud83d\ude00"
# What repairs and their conditions look at: leads and trails, C1 controls, joiners and their scripts, flags, fonts.
ODD += "ÃÂâ€©™\x80\x81\x92\xad\ufffd вЂРС√ π\u200c\u200e\u202b\u202e\u2060\u180e\uf701\ue000\U000e0067\U000e007f"
ODD += "\U0001f3f4❤\ufe0fکक្กاא‘…ﬁÉJ\u030cİΣ´\uff9e\uff9f"
hostile = st.text(st.characters() | st.sampled_from(ODD)) | st.text(st.sampled_from(ODD), max_size=200)
DEFAULT = Normalizer()
LINES = Normalizer(mojibake=False, private_use=False, directions=False, zero_width=False)
SENTENCES = DATA / "language/sentences.tsv.gz"
needs_sentences = pytest.mark.skipif(not SENTENCES.exists(), reason=MISSING)
SWITCHES = ("mojibake", "private_use", "directions", "zero_width", "punctuation", "accents", "lower")
options = st.builds(Normalizer, st.sampled_from(["NFC", "NFKC"]), **dict.fromkeys(SWITCHES, st.booleans()))


def read_sentences() -> list[tuple[str, str]]:
    """Language and sentence."""
    lines = gzip.decompress(SENTENCES.read_bytes()).decode().removesuffix("\n").split("\n")
    return [(language, sentence) for language, _, sentence in (line.partition("\t") for line in lines)]


def mistaken(text: str, encoding: str) -> str:
    """UTF-8 read in another encoding; the bytes that it has no character for are kept as C1 controls."""
    return "".join(bytes([b]).decode(encoding, "ignore") or chr(b) for b in text.encode(errors="replace"))


# Mojibake of up to three kinds in a row, with what splits and joins it.
nested = st.builds(
    lambda text, encodings: [text := mistaken(text, name) for name in encodings][-1],
    hostile,
    st.lists(st.sampled_from(["latin-1", "cp1252", "cp1251", "mac-roman", "cp437"]), min_size=1, max_size=3),
)


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
        ("tab\tstays, NUL\x00, bell\x07, DEL\x7f go", "tab\tstays, NUL, bell, DEL go"),
        ("\ufeffa\ufeffb", "ab"),
        ("a\ufdd0\ufdefb\ufffe\U0010ffffc\ufdf0", "abc\ufdf0"),
        ("5\xa0km\u2009\u205f\u1680x", "5 km   x"),
        ("中文\u3000中文\u3000\n中", "中文\u3000中文\n中"),
        ("\u1820\u202f\u1822 5\u202f000", "\u1820\u202f\u1822 5 000"),
        ("e\u0301 \u212b \uac00\u11a8", "é Å \uac01"),
        ("e\x01\u0301", "é"),
        ("e\u200b\u0301", "é"),
        ("\ud83d\ude00 \ud83d \ude00", "\U0001f600 \ufffd \ufffd"),
        ("\n \n  indented \t\n\n\n\nb\xa0\n\n", "  indented\n\nb"),
        ("a\n\nb\n \n\t\nc", "a\n\nb\n\nc"),
    ],
)
def test_each_step(text: str, expected: str) -> None:
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        # Joiners: spelling beside a letter of their scripts, nothing beside others.
        ("می\u200cخواهم", None),
        ("PDF\u200cها", None),
        ("۱۰\u200cساله", None),
        ("\u0915\u094d\u200d\u0937", None),
        ("\u0915\u094d\u200c\u0937", None),
        ("ఎక్స్\u200cప్రెస్", None),
        ("Auf\u200clage a\u200db", "Auflage ab"),
        ("ab\u200c\u200d\u200ccd", "abcd"),
        # Emoji that are put together keep what joins them.
        ("👨\u200d👩\u200d👧 🏳️\u200d🌈 👩🏽\u200d⚕️", None),
        ("👩\u200d x\u200d👩", "👩 x👩"),
        # U+200B separates words where there are no spaces.
        ("ភាសា\u200bខ្មែរ ภาษา\u200bไทย ພາສາ\u200bລາວ မြန်\u200bမာ", None),
        ("foo\u200bbar 中\u200b文 x\u200b", "foobar 中文 x"),
        # A Mongolian separator, and one that is not.
        ("\u182e\u1820\u180e\u1820 a\u180eb", "\u182e\u1820\u180e\u1820 ab"),
        # Flags of parts of countries; other tags are hidden text.
        (
            "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
            None,
        ),
        ("x\U000e0068\U000e0069\U000e007f 🏴\U000e0068", "x 🏴"),
        # Directions: in lines with right-to-left letters, overrides nowhere.
        ("שלום \u200fC++\u200e!", None),
        ("שלום \u202aC++\u202c \u2066x\u2069", None),
        ("Т\u200eэр\u200eэнд \u202ab\u202c", "Тэрэнд b"),
        ("שלום \u202eabc\u202c", "שלום abc\u202c"),
        ("a\u200fb\nא\u200fב\n\u061cc", "ab\nא\u200fב\nc"),
        # Never text.
        ("Donau\xaddampf\xad", "Donaudampf"),
        ("a\u2060b f\u2061(x) \u206fc \ufff9d\ufffae\ufffb \ufffc", "ab f(x) c de"),
        # What changes the look of a letter or stands for one.
        ("❤\ufe0f 葛\U000e0100 a\u034fb \u3164 \u115f\u1161", None),
    ],
)
def test_characters_that_show_nothing(text: str, kept: str | None) -> None:
    assert normalize(text) == (text if kept is None else kept)
    assert LINES(text)[0] == text


def test_private_use() -> None:
    assert DEFAULT("\uf0b7 a\ue000b\U000f0000\U0010fffd \uf8ff\U00100000c") == (" ab c", {"private_use": 6})
    assert DEFAULT("ต\uf70aอไป ผู\uf70bที่ ก\uf701\uf70a") == ("ต่อไป ผู้ที่ กิ่", {"private_use": 4})
    assert DEFAULT("x\uf70a") == ("x", {"private_use": 1})
    assert Normalizer(private_use=False)("a\ue000") == ("a\ue000", {})


@pytest.mark.parametrize(
    ("options", "text", "expected", "counts"),
    [
        ({"form": "NFKC"}, "ﬁne ｆｕｌｌ x² ①\u3000Ⅷ", "fine full x2 1 VIII", {"form": 9}),
        ({"form": "NFKC"}, "ﬁ\xa0", "fi", {"form": 1, "spaces": 1, "lines": 1}),
        (
            {"punctuation": True},
            "“it’s” «so» – no… ‚x‘ don´t",
            "\"it's\" \"so\" - no... 'x' don't",
            {"punctuation": 10},
        ),
        ({"accents": True}, "é ñ ü Å ø ł ß ệ ώ", "e n u A ø ł ß e ω", {"accents": 6}),
        ({"accents": True}, "й ё ї が க் हिन्दी กิ อิ שָׁ", "й ё ї が க் हिन्दी กิ อิ שָׁ", {}),
        ({"lower": True}, "ÉÀ Straße ΑΣ İ Дом", "éà straße ας i\u0307 дом", {"lower": 7}),
        ({"lower": True}, "J\u030c", "ǰ", {"lower": 1, "form": 2}),
        (
            {"form": "NFKC", "punctuation": True, "accents": True, "lower": True},
            "“Ｅ́ﬁn”",
            '"efin"',
            {"punctuation": 2, "form": 3, "accents": 1, "lower": 1},
        ),
    ],
)
def test_options(options: dict[str, object], text: str, expected: str, counts: dict[str, int]) -> None:
    assert Normalizer(**options)(text) == (expected, counts)  # type: ignore[arg-type]


def test_counts() -> None:
    assert DEFAULT("clean, “quoted” text — naïve, русский, 中文") == ("clean, “quoted” text — naïve, русский, 中文", {})
    text = "\ud83d\ude00\ud800 FÃ¼r\r\nx\x00\ufeff\xa0\u2009y\ue000\u200b\xad \n\n\n\nא\u200f\nb\u200fe\u0301\x0c"
    expected = {
        "surrogates": 3,
        "mojibake": 2,
        "controls": 2,
        "line_ends": 2,
        "spaces": 2,
        "private_use": 1,
        "directions": 1,
        "zero_width": 2,
        "form": 2,
        "lines": 4,  # a space, two of four line ends, one at the end
    }
    assert DEFAULT(text) == ("😀\ufffd Für\nx  y\n\nא\u200f\nbé", expected)


@given(hostile | nested, options)
@settings(max_examples=500)
def test_idempotent_under_all_options(text: str, normalizer: Normalizer) -> None:
    once, _ = normalizer(text)
    assert normalizer(once) == (once, {})
    assert unicodedata.is_normalized("NFC", once)
    assert normalizer.form == "NFC" or unicodedata.is_normalized("NFKC", once)
    once.encode()
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in once)
    assert all(c in " \u3000\u202f" for c in once if unicodedata.category(c) == "Zs")
    assert not {"\ufeff", "\u2028", "\u2029", "\ufdd0", "\uffff"} & set(once)
    assert "\n\n\n" not in once
    assert once == once.strip("\n")
    assert all(line == line.rstrip() for line in once.split("\n"))
    if normalizer.private_use:
        assert not any(unicodedata.category(c) == "Co" for c in once)
    if normalizer.lower:
        assert once == once.lower()
    if normalizer.punctuation:
        assert not set("‘’‚‛´′‹›“”„‟″«»‐‑‒–—―−…") & set(once)


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_idempotent_under_each_combination_of_options(form: Literal["NFC", "NFKC"]) -> None:
    pairs = [f"x{a}{b}y" for a, b in itertools.product(ODD, repeat=2)]
    for number, switches in enumerate(itertools.product([False, True], repeat=len(SWITCHES))):
        normalizer = Normalizer(form, *switches)
        once, _ = normalizer("\n".join(pairs[number % 16 :: 16]))
        assert normalizer(once) == (once, {}), normalizer


@given(hostile)
def test_letters_survive(text: str) -> None:
    """Nothing but what the steps name may change, NFC apart."""

    def letters(s: str) -> str:
        return "".join(c for c in unicodedata.normalize("NFD", s) if unicodedata.category(c)[0] in "LNPS")

    kept = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    found, counts = Normalizer(mojibake=False, private_use=False)(text)
    assert letters(found) == letters(kept.replace("\ufffc", ""))
    assert counts.keys() <= {
        "surrogates",
        "controls",
        "line_ends",
        "spaces",
        "directions",
        "zero_width",
        "form",
        "lines",
    }


@given(st.text(st.characters(codec="utf-8")))
def test_code_stays_as_it_is(text: str) -> None:
    assert normalize_code(text) == text


def test_code_loses_only_its_unpaired_surrogates() -> None:
    assert normalize_code("\x0c\ta\r\n\ud800\xa0\ud83d\ude00\n\n\n\n") == "\x0c\ta\r\n\ufffd\xa0\U0001f600\n\n\n\n"


@pytest.mark.parametrize(
    "flood",
    [
        *("a", " ", "\n", " \n", "\xa0é", "e\u0301", "\u0315\u0316\u0301\u0323", "\r", "\ufeff", "\ud800"),
        *("\u3000\u202f", "Ã©", "Ã", "Ã\x82Â©\n", "â€‹", "à", "в", "\x92", "ا\u200c", "\xad", "\u200f\n"),
        *("\U000e0041", "\ue000", "🏴\U000e0041", "\u0315\uff9e", "‘", "É"),
    ],
)
@pytest.mark.parametrize(
    "normalizer", [DEFAULT, Normalizer("NFKC", punctuation=True, accents=True, lower=True)], ids=["default", "all"]
)
def test_time_is_linear(flood: str, normalizer: Normalizer) -> None:
    def seconds(size: int) -> float:
        text = "x" + flood * (size // len(flood)) + "x"
        start = time.process_time()
        normalizer(text)
        return time.process_time() - start

    seconds(1000)
    # Quadratic time would make it 400 times as long, and with these sizes minutes.
    assert seconds(1_000_000) < 80 * max(min(seconds(50_000) for _ in range(3)), 5e-3)


def test_mark_floods_are_set_apart_and_short_runs_are_not() -> None:
    zalgo = "x" + "\u0315\u0316" * 30
    assert normalize(zalgo).count("\u034f") == 1
    short = "x" + "\u0315\u0316" * 15
    assert normalize(short) == unicodedata.normalize("NFC", short)


def test_stable_characters_are_stable() -> None:
    """What is not looked at for NFC neither changes nor composes with anything before it."""
    joins = set()
    for code in range(0x110000):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            joins.add(int(parts[1], 16))
    for first, last in STABLE:
        for code in range(first, last + 1):
            char = chr(code)
            assert unicodedata.normalize("NFC", char) == char
            assert not unicodedata.combining(char)
            assert code not in joins


@needs_sentences
def test_no_word_of_clean_text_changes() -> None:
    """Sentences in 75 languages: what changes is white space, and what is listed here."""
    changed: dict[str, Counter[str]] = defaultdict(Counter)
    lost: Counter[str] = Counter()
    for language, sentence in read_sentences():
        found, counts = DEFAULT(sentence)
        # Under NFC alone, the same letters: the rest showed nothing.
        if "mojibake" not in counts and language not in ("yo", "kk", "th"):
            assert visible(found) == visible(sentence), (language, sentence)
        changed[language].update(counts)
        for char in "\u200b\u200c\u200d":
            lost[language] += sentence.count(char) - found.count(char)
    # Of 774 joiners and separators, those go that stand between spaces (Persian) or beside Latin letters.
    assert +lost == Counter(fa=2, st=2, vi=1, zu=3)
    assert {language for language in changed if changed[language]["private_use"]} == {"yo", "kk", "th"}  # old fonts
    assert changed["th"]["private_use"] == 2


def visible(text: str) -> str:
    hidden = invisible.DIRECTIONS | invisible.ZERO_WIDTH
    text = "".join(char for char in text if char not in hidden and unicodedata.category(char) not in ("Cc", "Zs"))
    return unicodedata.normalize("NFC", text).replace("\ufeff", "")


def test_tables_hold_what_their_modules_name() -> None:
    """Each character alone, and with a neighbour: only what is named is ever looked at."""
    for char in mojibake.HIT | invisible.ZERO_WIDTH | invisible.DIRECTIONS:
        assert normalize(f"a{char}a") != f"a{char}a" or char in "ÃÂ"
    assert np.all([normalize(f"a{chr(code)}a") == f"a{chr(code)}a" for code in range(0xA1, 0x300) if code != 0xAD])
