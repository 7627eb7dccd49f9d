"""The shipped rule sets: what they name exists, what they should catch they catch, and novels are no spam."""

import gzip
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

import filters.rules
from filters.batch import TextBatch
from filters.quality import Quality
from filters.repetition import Repetition

FAMILIES = (Quality(), Repetition())
SETS = ("gopher_quality", "gopher_repetition", "fineweb", "book", "code")
PAGE = """It was late in the afternoon when the ferry came in, and the people of the town had gone down to meet it.
Nobody knew who would be on board. "They said that she would write," Anna told her brother, "but you know her."
He nodded and looked at the water. A gull with a torn wing walked along the pier; three boys threw bread at it.
When the ropes were fast, a single passenger stepped out, with a box that seemed far too heavy to have come alone."""
CODE = """def area(width: float, height: float) -> float:
    if width < 0 or height < 0:
        raise ValueError("a side is not negative")

    return width * height
"""


def rules(name: str) -> dict[str, str]:
    path = Path(filters.rules.__file__).with_name(f"{name}.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def fired(name: str, text: str, language: str = "eng") -> set[str]:
    """The rules of a set that drop a text, its predicates read as Python."""
    batch = TextBatch(pa.array([text]))
    signals = {"language.code": language}
    for family in FAMILIES:
        signals |= {f"{family.name}.{name}": value for name, value in family(batch).to_pylist()[0].items()}
    found = set()
    for rule, predicate in rules(name).items():
        python = re.sub(r"\b[a-z]+\.[a-z]\w+", lambda match: repr(signals[match[0]]), predicate)
        python = re.sub(r"(?<![<>!])=", "==", python).replace(" AND ", " and ").replace(" NOT IN ", " not in ")
        if eval(python):
            found.add(rule)
    return found


@pytest.mark.parametrize("name", ["gopher_quality", "gopher_repetition", "fineweb"])
def test_a_sound_page_passes(name):
    assert fired(name, PAGE) == set()


def test_sound_code_passes():
    assert fired("code", CODE) == set()


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("gopher_quality", "Just the few words that we have.", "too_few_words"),
        ("gopher_quality", "the of and " * 40_000, "too_many_words"),
        ("gopher_quality", "a to of be it is in on " * 20, "short_words"),
        ("gopher_quality", "incomprehensibilities antidisestablishmentarianism " * 40, "long_words"),
        ("gopher_quality", PAGE + " #tag" * 20, "too_many_hashes"),
        ("gopher_quality", PAGE + " so... well…" * 10, "too_many_ellipses"),
        ("gopher_quality", re.sub("^", "• ", PAGE, flags=re.M), "bullet_lines"),
        ("gopher_quality", PAGE.replace("\n", "...\n"), "ellipsis_lines"),
        ("gopher_quality", PAGE + " 12 34" * 20, "few_alphabetic_words"),
        ("gopher_quality", "buy cheap shoes online now " * 20, "few_stop_words"),
        ("gopher_repetition", PAGE + "\nread more" * 4, "dup_lines"),
        ("gopher_repetition", PAGE + "\n\nread more" * 4, "dup_paragraphs"),
        ("gopher_repetition", f"{PAGE}\n{PAGE}", "dup_line_chars"),
        ("gopher_repetition", f"{PAGE}\n\n{PAGE}", "dup_paragraph_chars"),
        ("gopher_repetition", PAGE + " buy shoes" * 20, "top_2gram"),
        ("gopher_repetition", PAGE + " buy cheap shoes" * 20, "top_3gram"),
        ("gopher_repetition", PAGE + " buy cheap shoes now" * 20, "top_4gram"),
        *[("gopher_repetition", f"{PAGE} {PAGE}", f"dup_{n}gram") for n in range(5, 11)],
        ("fineweb", PAGE.replace('"\n', "\n").replace(".\n", "\n").rstrip("."), "few_terminal_punct_lines"),
        ("fineweb", f"{PAGE}\n{PAGE}", "dup_line_chars"),
        ("fineweb", PAGE.replace(" ", "\n"), "short_lines"),
        ("fineweb", PAGE.replace(" ", "\n"), "many_newlines"),
        ("book", PAGE, "nearly_empty"),
        ("book", "\n".join([PAGE] * 3), "dup_line_chars"),
        ("book", "\n\n".join([PAGE] * 3), "dup_paragraph_chars"),
        ("book", " ".join([PAGE] * 5), "dup_5gram"),
        ("book", " ".join([PAGE] * 3), "dup_10gram"),
        ("code", "", "empty"),
        ("code", "x = 1\n" * 100 + "y = [" + "1, " * 400 + "]\n", "long_line"),
        ("code", ("total = first + second " * 5 + "\n") * 10, "long_mean_line"),
        ("code", "{ ; } ( ) => [ ] ::\n" * 10 + "x\n", "few_alphanumeric"),
    ],
)
def test_each_rule_drops_what_it_was_made_for(name, text, rule):
    assert rule in fired(name, text)


def test_rules_made_for_english_or_for_spaces_leave_other_languages_alone():
    chinese = "这是一个关于小镇的故事。人们在下午去码头等船，没有人知道谁会来。" * 3
    assert "short_words" not in fired("gopher_quality", chinese, "zho")
    assert "few_stop_words" not in fired("gopher_quality", chinese, "zho")
    assert "short_words" in fired("gopher_quality", chinese, "eng")


@pytest.mark.parametrize("name", SETS)
def test_every_rule_names_signals_that_exist(name):
    known = {f"{family.name}.{signal}" for family in FAMILIES for signal in family.schema.names} | {"language.code"}
    for predicate in rules(name).values():
        assert set(re.findall(r"\b[a-z]+\.[a-z]\w+", predicate)) <= known


def test_no_novel_is_dropped(data: Path):
    books = data / "books"
    for path in [*books.glob("*.epub"), *books.glob("gutenberg/*.txt"), *books.glob("eltec/*/*.txt.gz")]:
        assert fired("book", read(path)) == set(), path.name


def read(path: Path) -> str:
    if path.suffix == ".epub":
        with zipfile.ZipFile(path) as book:
            pages = [book.read(name).decode() for name in book.namelist() if name.endswith(".xhtml")]
        return re.sub("<[^>]+>", "", "".join(pages).replace("</p>", "\n\n"))
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode()
    return path.read_text(encoding="latin-1").replace("\r\n", "\n")
