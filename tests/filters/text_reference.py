"""Slow, obvious versions of the segmentation, and texts to try them on."""

import gzip
import json
import re
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

from filters import codepoints

CLASSES = {
    codepoints.LETTER: "L",
    codepoints.NUMBER: "N",
    codepoints.CONNECTOR: "C",
    codepoints.EXTEND: "E",
    codepoints.SINGLE: "S",
    codepoints.APOSTROPHE: "A",
    codepoints.POINT: "P",
}
WORD = re.compile("SE*|(?:LE*(?:A(?=L))?|NE*(?:P(?=N))?|CE*)+")


class Word(NamedTuple):
    text: str
    folded: str
    start: int  # in bytes


def words(text: str) -> list[Word]:
    table = codepoints.table()
    kinds = "".join(CLASSES.get(int(table[ord(char)]) & codepoints.CLASS_MASK, " ") for char in text)
    found = []
    at = start = 0
    for match in WORD.finditer(kinds):
        start += len(text[at : match.start()].encode())
        at = match.start()
        word = text[match.start() : match.end()]
        found.append(Word(word, fold(word), start))
    return found


def fold(word: str) -> str:
    table = codepoints.table()
    return "".join(chr(ord(char) + (int(table[ord(char)]) >> codepoints.FOLD_SHIFT)) for char in word)


def letter(char: str) -> bool:
    return int(codepoints.table()[ord(char)]) & codepoints.CLASS_MASK in (codepoints.LETTER, codepoints.SINGLE)


def number(char: str) -> bool:
    return int(codepoints.table()[ord(char)]) & codepoints.CLASS_MASK == codepoints.NUMBER


def lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def paragraphs(text: str) -> list[str]:
    return [paragraph for paragraph in re.split("\n{2,}", text) if paragraph.strip()]


PIECES = [
    *(
        "\n",
        "\n\n",
        "\n \n",
        " ",
        "  ",
        "\t",
        "\r\n",
        "\u3000",
        "\u2028",
        "\0",
        "\u200b",
        "\u200c",
        "\ufeff",
        "\U0001f600",
    ),
    *("the", "The", "of", "and", "To", "have", "a", "b", "c", "a b c d e f ", "one two three four five six seven "),
    *(
        "don't",
        "l’été",
        "O'",
        "'",
        "3.14",
        "1,000",
        "3.",
        ".5",
        ".",
        ",",
        "...",
        "…",
        "....",
        "#",
        "•",
        "-",
        "* ",
        "!",
        "”",
    ),
    *("你好", "世界。", "コーヒー", "สวัสดี", "ភាសាខ្មែរ", "می‌خواهم", "हिन्दी", "a\u0301", "\u0301", "ß", "İ", "ΣΑΣ", "ας"),
    *("snake_case", "__", "x2", "½", "٣٫١٤", "𝒜", "ⅷ", "한국어"),
]
texts = st.one_of(
    st.text(max_size=40),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=60).map("".join),
    st.lists(st.sampled_from(["a", "b", "A", " ", " ", "\n"]), max_size=120).map("".join),
)


def real_texts(data: Path) -> list[str]:
    """Every 25th gold page, the beginnings of novels in nine languages, and sentences in 75."""
    with gzip.open(data / "web" / "gold.jsonl.gz", "rt", encoding="utf-8") as pages:
        found = [json.loads(page)["text"] for number, page in enumerate(pages) if number % 25 == 0]
    for path in sorted((data / "books" / "eltec").glob("*/*.txt.gz"))[::3]:
        with gzip.open(path, "rt", encoding="utf-8") as book:
            found.append(book.read(60_000))
    by_language: dict[str, list[str]] = {}
    with gzip.open(data / "language" / "sentences.tsv.gz", "rt", encoding="utf-8") as rows:
        for row in rows:
            language, sentence = row.rstrip("\n").split("\t", 1)
            by_language.setdefault(language, []).append(sentence)
    return found + ["\n".join(sentences[:60]) for sentences in by_language.values()]
