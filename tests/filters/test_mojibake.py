import gzip
import re
import subprocess
import sys

import ftfy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_data import DATA, MISSING

from filters.mojibake import LONGEST_LINE, repair
from filters.normalize import Normalizer

DEFAULT = Normalizer()
LINE_ENDS = "[\n\r\x0b\x0c\u2028\u2029]"
SENTENCES = DATA / "language/sentences.tsv.gz"
NOVELS = [*sorted(DATA.glob("books/eltec/*/*.txt.gz")), *sorted(DATA.glob("books/gutenberg/*-0.txt"))]
TEXTS = [
    "Für Menschen gefährlich: die Füße, die Straße",
    "Où l’auteur explique le cœur du problème…",
    "¿Qué pasó mañana? El niño corrió.",
    "Zażółć gęślą jaźń – „cytat”",
    "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "Съешь же ещё этих мягких французских булок",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
    "İstanbul’da çok güzel bir gün, değil mi?",
    "ភាសាខ្មែរ ภาษาไทย",
    "यह एक वाक्य है।",
    "هذا نص عربي قصير",
    "日本語のテキスト、漢字とかな",
    "“quotes” – dashes — and ™ signs…",
    "emoji 😀 and ❤",
]


def read_sentences() -> list[tuple[str, str]]:
    """Language and sentence."""
    lines = gzip.decompress(SENTENCES.read_bytes()).decode().removesuffix("\n").split("\n")
    return [(language, sentence) for language, _, sentence in (line.partition("\t") for line in lines)]


def mistaken(text: str, encoding: str) -> str:
    """UTF-8 read in another encoding; as in browsers, bytes without a character become C1 controls."""
    return "".join(bytes([b]).decode(encoding, "ignore") or chr(b) for b in text.encode())


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_utf_8_read_as_a_western_encoding(text: str, encoding: str) -> None:
    found, counts = DEFAULT(mistaken(text, encoding))
    assert found == DEFAULT(text)[0]
    assert counts["mojibake"] > 0


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Závěr dokumentu vyznívá v tom smyslu, že je obtížné", "cp1250"),
        ("Zażółć gęślą jaźń", "cp1250"),
        ("Привет, мир! Съешь ещё булок", "cp1251"),
        ("naïve “quotes” – élan", "mac-roman"),
        ("Füße und Straße", "cp437"),
        ("l’été – déjà vu", "cp1253"),
        ("İyi günler, çok güzel", "cp1254"),
    ],
)
def test_utf_8_read_as_another_encoding(text: str, encoding: str) -> None:
    assert DEFAULT(mistaken(text, encoding))[0] == text


def test_mistaken_twice() -> None:
    text = "Où est l’été ?"
    assert DEFAULT(mistaken(mistaken(text, "cp1252"), "cp1252"))[0] == text


def test_controls_are_what_windows_has_in_their_place() -> None:
    assert DEFAULT("l\x92id\xe9e, \x93quoted\x94 \x96 5 \x80 c\x9cur\x85") == (
        "l’idée, “quoted” – 5 € cœur…",
        {"mojibake": 7},
    )
    # A NEL alone is a line end, and what Windows has nothing for goes.
    assert DEFAULT("one\x85two")[0] == "one\ntwo"
    assert DEFAULT("a\x81b\x9d") == ("ab", {"controls": 2})


def test_lines_apart() -> None:
    """A line that is right stays as it is beside one that is not; a place stands for its line."""
    text = "FÃ¼r\nÃ©tÃ©\rpâté “Â” œuvre\x0bcafÃ©"
    assert repair(text, [1, 5, 8, 26]) == ("Für\nété\rpâté “Â” œuvre\x0bcafé", 8)
    assert repair(text, [26]) == ("FÃ¼r\nÃ©tÃ©\rpâté “Â” œuvre\x0bcafé", 2)
    assert repair(text, []) == (text, 0)


def test_what_lost_a_byte_is_marked() -> None:
    assert DEFAULT("a câ€� b “x” Ã©")[0].count("�") == 1


@pytest.mark.parametrize(
    "text",
    [
        *TEXTS,
        "SÃO PAULO, NÃO, AÇÃO, ÂNGULO, Â é uma letra",
        "ÉCOLE À ÎLE, Ô TOI — «ÇA», 20 °C, 1 £, n° 5, ½ ®",
        "Đây là tiếng Việt, Â Ă Ê Ô Ơ Ư",
        "В России. Р. С. – Её «ёж», Ві Гі Її єї",
        "ΆΝΘΡΩΠΟΣ· «ά» Ώ!",
        "Åland, Ærø, Ødegård, blåbærsyltetøy",
        "√2 ≈ 1.414, ∂f/∂x ≠ 0, ∑ ∫ ∞",
        "╔══╗ ║ ░▒▓ ║ ╚══╝",
        "(ノಠ益ಠ)ノ彡┻━┻ ಠ_ಠ ʕ•ᴥ•ʔ ¯\\_(ツ)_/¯",
        "© 2020 «Firma»® – §5 ¶2, 10 µm ± 1",
    ],
)
def test_right_text_stays(text: str) -> None:
    assert "mojibake" not in DEFAULT(text)[1]


@pytest.mark.skipif(not NOVELS, reason=MISSING)
@pytest.mark.parametrize("path", NOVELS, ids=lambda path: path.name)
def test_no_novel_is_repaired(path) -> None:  # type: ignore[no-untyped-def]
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    assert "mojibake" not in DEFAULT(text)[1]


@pytest.mark.skipif(not SENTENCES.exists(), reason=MISSING)
def test_repaired_sentences_are_those_that_are_broken() -> None:
    """Of 37,076 sentences in 75 languages those are repaired that hold what no language writes."""
    by_language: dict[str, int] = {}
    for language, sentence in read_sentences():
        if "mojibake" in DEFAULT(sentence)[1]:
            by_language[language] = by_language.get(language, 0) + 1
            signs = ("Ã", "Â", "â€", "Ä", "Ĺ", "Ă", "ďż˝", "ï¿½", *map(chr, range(0x80, 0xA0)))
            assert any(sign in sentence for sign in signs), sentence
    expected = {"af": 1, "ca": 1, "cs": 1, "de": 3, "fi": 8, "fr": 81, "hr": 1, "lg": 20, "nb": 4, "pl": 2, "ro": 28}
    assert by_language == expected | {"sv": 2}


@pytest.mark.skipif(not SENTENCES.exists(), reason=MISSING)
def test_the_cheap_test_misses_little_that_ftfy_repairs() -> None:
    for encoding in ("latin-1", "cp1252", "cp1251", "mac-roman"):
        repairable = missed = 0
        for number, (_, sentence) in enumerate(read_sentences()):
            if number % 23 or sentence.isascii():
                continue
            broken = mistaken(sentence, encoding)
            if ftfy.fix_encoding(broken) != broken:
                repairable += 1
                missed += "mojibake" not in DEFAULT(broken)[1]
        assert repairable > 500
        assert missed <= 0.002 * repairable, (encoding, missed, repairable)


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("ÃÂâ€™©\x92\xad \n\rвЂ")), st.lists(st.integers(0, 99)))
def test_any_places_may_be_named(text: str, places: list[int]) -> None:
    """Wherever one looks, a line is repaired or stays, and one that is given up is ASCII."""
    places = sorted({place for place in places if place < len(text)})
    found, replaced = repair(text, places)
    assert (found == text) == (replaced == 0)
    given_up, _ = repair(text, places, give_up=True)
    lines = re.split(LINE_ENDS, text)
    assert len(re.split(LINE_ENDS, given_up)) == len(lines)
    assert all(line.isascii() or line == before for line, before in zip(re.split(LINE_ENDS, given_up), lines))


def test_a_text_made_to_be_repaired_for_ever_ends() -> None:
    # Each turn makes a zero-width space of the middle, and without it the next sequence of three.
    deep = "Ã" + "â" * 40 + "€‹" * 40 + "© x"
    found, counts = DEFAULT(deep)
    assert found == " x"
    assert counts["mojibake"] > 40
    assert DEFAULT("Ã" + "â" * 3 + "€‹" * 3 + "© x")[0] == "é x"


def test_endless_lines_stay() -> None:
    line = "FÃ¼r " * (LONGEST_LINE // 5 + 1)
    assert "mojibake" not in DEFAULT(line)[1]
    assert DEFAULT(f"{line}\nFÃ¼r")[0].endswith("\nFür")


def test_ftfy_is_loaded_only_where_a_text_is_suspicious() -> None:
    code = (
        "import sys; from filters.normalize import normalize;"
        "normalize('clean, “quoted”, naïve, русский 中文'); assert 'ftfy' not in sys.modules;"
        "normalize('FÃ¼r'); assert 'ftfy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
