"""Page numbers and running heads go; chapters' numbers and headings stay."""

import random
import re
import textwrap

import pytest

from pipelines.ingest.books.page_furniture import without_furniture
from pipelines.ingest.books.unwrap import unwrap

PARAGRAPH = (
    "The miller weighs every sack of grain before the stones begin to turn, and writes its weight in a book that his "
    "grandfather began and nobody has ever read from the beginning, although the baker once tried on a wet Sunday when "
    "there was nothing else to do and the river had come up as far as the second mark on the post beside the weir."
)
VERSE = """Only with speeches fair
She woo's the gentle Air
To hide her guilty front with innocent Snow,                  40
And on her naked shame,
Pollute with sinfull blame,
The Saintly Vail of Maiden white to throw"""


def shuffled(seed: int) -> str:
    words = PARAGRAPH.split()
    random.Random(seed).shuffle(words)
    return " ".join(words).replace(".", "").replace(",", "") + "."


TEXT = "\n\n".join(shuffled(seed) for seed in range(20))


def pages(number: str = "{}", head: str = "", feed: str = "", first: int = 7) -> str:
    """20 paragraphs, wrapped, with a page's border after every 9 lines of text."""
    lines: list[str] = []
    page = first
    for paragraph in TEXT.split("\n\n"):
        for line in [*textwrap.wrap(paragraph, 60), ""]:
            lines.append(line)
            if len(lines) % 9 == 0 and line:
                border = [number.format(page)] if number else []
                lines += ["", *border, "", f"{feed}{head.format(page)}", ""] if head or feed else ["", *border, ""]
                page += 1
    return "\n".join(lines)


@pytest.mark.parametrize("number", ["{}", "- {} -", "[{}]", "Page {}", "          {}", "{} / 300", "p. {}"])
@pytest.mark.parametrize("head", ["", "THE MILL AT BRAMBLEFORD"])
@pytest.mark.parametrize("feed", ["", "\f"])
def test_page_numbers_and_running_heads(number: str, head: str, feed: str):
    text, removed = without_furniture(pages(number, head, feed))
    assert removed > 5
    assert "BRAMBLEFORD" not in text
    assert not any(char.isdigit() for char in text)
    assert " ".join(text.split()) == " ".join(TEXT.split())
    assert re.sub("\n{3,}", "\n\n", unwrap(text)[0]).strip() == TEXT


def test_heads_with_the_number_on_their_line():
    text, _ = without_furniture(pages("", "THE MILL        {}", "\f"))
    assert " ".join(text.split()) == " ".join(TEXT.split())


def test_marks_within_lines():
    text = " ".join(f"{PARAGRAPH} [Pg {i}]" for i in range(1, 20))
    assert without_furniture(text) == (" ".join([PARAGRAPH] * 19), 19)


@pytest.mark.parametrize(
    "text",
    [
        "\n\n".join(f"{i}\n\n{PARAGRAPH}" for i in range(1, 30)),
        "\n\n".join(f"{number}\n\n{PARAGRAPH}" for number in ("I", "II", "III", "IV", "V", "VI", "VII", "VIII")),
        "\n\n".join(f"{number}\n\n{VERSE}" for number in ("I", "II", "III", "IV", "V", "VI", "VII", "VIII")),
        "\n\n".join(f"CHAPTER {i}\n\n{PARAGRAPH}" for i in range(1, 30)),
        "\n".join(str(i) for i in range(1, 200)),
        "\n".join(f"{i}   sacks" for i in range(1, 200)),
        "\n\n".join([PARAGRAPH, "12", PARAGRAPH, "1801", PARAGRAPH]),
        f"{PARAGRAPH} [Pg 3]",
        "",
    ],
)
def test_numbers_that_are_no_pages_stay(text: str):
    assert without_furniture(text) == (text, 0)


def test_headings_behind_form_feeds_stay():
    text = "\n\f".join(f"Chapter {i}\n\n{PARAGRAPH}\n" for i in range(1, 30))
    assert without_furniture(text)[0].count("Chapter") == 29
