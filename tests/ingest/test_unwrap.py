"""Lines broken to a width are joined; lines that their author broke are not."""

import re
import textwrap

import pytest
from ingest_cases import read_all, texts

from pipelines.ingest.books.unwrap import unwrap

PROSE = [
    "The miller weighs every sack of grain before the stones begin to turn, and writes its weight in a book that his "
    "grandfather began. Nobody has ever read it from the beginning, although the baker once tried, on a wet Sunday.",
    "When the river is low, as it was in that summer, he walks up to the weir each morning and looks at the marks that "
    "are cut into the post. They go back two hundred years, and the lowest of them has a name beside it.",
    "“You will not grind before Friday,” said the baker, who had come for his flour and stood in the door with his hat "
    "in his hand, “and on Friday it will rain, because it always does when I have sheets upon the line.”",
] * 4
VERSE = """When forty winters shall besiege thy brow,
And dig deep trenches in thy beauty's field,
Thy youth's proud livery so gazed on now,
Will be a tattered weed of small worth held:
Then being asked, where all thy beauty lies,
Where all the treasure of thy lusty days;
To say, within thine own deep sunken eyes,
Were an all-eating shame, and thriftless praise."""
GERMAN = (
    "Der Müller wiegt jeden Sack Getreide, bevor die Steine sich drehen, und schreibt das Gewicht in ein Buch, das "
    "sein Großvater begonnen hat. Niemand hat es je von Anfang an gelesen, obwohl der Bäcker es an einem nassen "
    "Sonntag versucht hat, als Schnee und Regen die Straße in einen Bach und den Bach in einen Fluss verwandelten."
)
CHINESE = (
    "磨坊主人在石磨开始转动之前称量每一袋谷物，并把重量写在一本书里。这本书是他祖父开始写的，从来没有人从头读过。" * 3
)


def wrapped(paragraphs: list[str], width: int = 72, gap: str = "\n\n", **options: object) -> str:
    return gap.join(textwrap.fill(p, width, break_on_hyphens=False, **options) for p in paragraphs)


@pytest.mark.parametrize("width", [45, 65, 72, 80, 120])
def test_prose_is_joined_at_any_width(width: int):
    text, counts = unwrap(wrapped(PROSE, width))
    assert text == "\n\n".join(PROSE)
    assert counts == {"lines": sum(len(textwrap.wrap(p, width, break_on_hyphens=False)) - 1 for p in PROSE)}


def test_paragraphs_told_by_indented_first_lines():
    text = wrapped(PROSE, gap="\n", initial_indent="    ")
    assert unwrap(text)[0] == "\n".join(PROSE)


def test_german_capitals_are_no_verse():
    assert unwrap(wrapped([GERMAN] * 4))[0] == "\n\n".join([GERMAN] * 4)


def test_writing_without_spaces_is_joined_without_them():
    lines = [CHINESE[i : i + 40] for i in range(0, len(CHINESE), 40)]
    assert unwrap("\n\n".join(["\n".join(lines)] * 4))[0] == "\n\n".join([CHINESE] * 4)


def test_lines_of_a_printed_page_differ_in_length():
    generator = iter([58, 62, 55, 60, 63, 57, 61] * 100)
    lines, line = [], ""
    width = next(generator)
    for word in " ".join(PROSE).split():
        if len(line) + 1 + len(word) > width:
            lines.append(line)
            line, width = word, next(generator)
        else:
            line = f"{line} {word}".strip()
    assert unwrap("\n".join([*lines, line]))[0] == " ".join(PROSE)


@pytest.mark.parametrize(
    "text",
    [
        VERSE,
        "\n\n".join([VERSE] * 10),
        "\n".join(VERSE.lower().splitlines() * 5),
        "\n".join(f"{i:<10}{i * 7:>20}{i * 13:>20}" for i in range(100)),
        "\n".join("ACGT" * 15 for _ in range(100)),
        "\n".join(
            f"2024-01-{i % 28 + 1:02} 12:00:00 INFO the miller weighs sack number {i:04} of the day" for i in range(99)
        ),
        "\n".join(sorted(set(" ".join(PROSE).lower().split()))),
        "\n".join(f"mill/stones/upper/{'abcdefgh'[i % 8]}/weights-{i:03}.py" for i in range(99)),
        "\n".join(PROSE),
        "\n".join(sentence for p in PROSE for sentence in re.split(r"(?<=[.,]) ", p)),
        "def mill(grain):\n    for sack in grain:\n        weigh(sack)\n        write(sack)\n    return grain\n" * 20,
        "- weigh the sack\n- write its weight\n- open the sluice\n- turn the stones\n" * 10,
        "| sack | weight |\n|------|--------|\n" + "| one  | twenty |\n" * 40,
        "short\n\nlines\n\nonly",
        "",
    ],
)
def test_what_is_not_wrapped_stays(text: str):
    assert unwrap(text) == (text, {})


def test_verse_headings_letters_and_tables_within_wrapped_prose_stay():
    special = [
        VERSE,
        "CHAPTER I.\nThe Weir",
        "                              Your servant,\n                                THE MILLER",
        "  sack          weight\n"
        "  one           twenty stone and a half, as weighed on Monday\n  two           nineteen",
        "The Mill\nNear Brambleford\n3 May 1801",
        "\n".join("    " + line for line in VERSE.splitlines()[:4]),
    ]
    text = "\n\n".join([wrapped(PROSE), *special, wrapped(PROSE)])
    assert unwrap(text)[0] == "\n\n".join([*PROSE, *special, *PROSE])


def test_a_quotation_set_narrower_is_joined():
    quotation = wrapped(PROSE[:1], 50, initial_indent="      ", subsequent_indent="      ")
    text = "\n\n".join([wrapped(PROSE), quotation])
    assert unwrap(text)[0] == "\n\n".join([*PROSE, PROSE[0]])


@pytest.mark.parametrize(
    ("elsewhere", "expected"),
    [("The watermill stood still.", "watermill"), ("The water-mill stood still.", "water-mill"), ("", "water-mill")],
)
def test_hyphens_at_line_ends_follow_the_text_itself(elsewhere: str, expected: str):
    line = "There was nobody at all in the village who remembered when the water-"
    book = "\n\n".join([wrapped(PROSE, 70), f"{line}\nmill had been built, or by whom, or what for.", elsewhere])
    text, counts = unwrap(book)
    assert f"remembered when the {expected} had been built" in text
    assert counts.get("words", 0) == (expected == "watermill")


def test_where_the_text_hyphenates_unknown_words_are_joined_too():
    known = "\n\n".join(
        f"There was nobody at all in the whole village who remembered the {word[:4]}-\n{word[4:]} of the last "
        f"summer, and {word} was what they said."
        for word in ("harvests", "thunderstorm", "blossoming")
    )
    line = "There was nobody at all in the village who now remembered when the ever-"
    text, _ = unwrap("\n\n".join([wrapped(PROSE), known, f"{line}\ngreens had been planted."]))
    assert "remembered when the evergreens had" in text


def test_without_wrapping_only_words_that_the_text_knows_are_joined():
    text = "a village of the water-\n  mill and all\n\na watermill\n\nthe ever-\ngreens"
    assert unwrap(text) == (text.replace("water-\n  mill and", "watermill\n  and"), {"words": 1})
    assert unwrap(text, dehyphenate=False) == (text, {})


def test_a_dash_at_a_line_end_takes_no_space():
    book = wrapped(PROSE) + "\n\nThe miller looked for a long time at what the baker had brought him--\nhis hat."
    assert unwrap(book)[0].endswith("brought him--his hat.")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("1342-0.txt", "a single man in possession of a good fortune, must be in want of a wife."),
        ("1661-8.txt", "In his eyes she eclipses and predominates the whole of her sex. It was not that he felt any"),
        ("1661-8.txt", "My own complete happiness, and the home-centred interests which rise up around the man"),
        ("2701-0.txt", "It is a way I have of driving off the spleen and regulating the circulation."),
        ("2701-0.txt", "It was the devious-cruising Rachel, that in her retracing search after her missing children"),
    ],
)
def test_real_novels_are_joined(data, name: str, sentence: str):
    (text,) = texts(read_all("text", data / "books/gutenberg" / name))
    assert sentence in text


def test_real_novels_keep_letterheads_and_tables(data):
    (holmes,) = texts(read_all("text", data / "books/gutenberg/1661-8.txt"))
    assert '"Very truly yours,\n' in holmes
    (whale,) = texts(read_all("text", data / "books/gutenberg/2701-0.txt"))
    assert "  WHALE,              _Icelandic_.\n  WHALE,              _English_.\n" in whale


def test_novels_that_are_not_wrapped_come_back_as_they_are(data):
    for path in sorted((data / "books/eltec").rglob("*.txt.gz")):
        (row,) = read_all("text", path)
        assert "joined_lines" not in row.record.meta, path.name
