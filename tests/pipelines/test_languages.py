"""Numbers that differ from language to language: tables beside rule sets, and least scores."""

from pathlib import Path

import pytest

from pipelines import languages
from pipelines.config import Language
from pipelines.errors import ConfigError
from pipelines.rules import read_rule_set

TABLE = "# a comment\nlabel,model,share,language_score,words\ndeu_Latn,M,0.3,0.9,der die\ncmn_Hani,M,0.7,0.5,的\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("place", "german", "chinese"),
    [("{share}", 0.3, 0.7), ("{ share <= 0.4 }", 0.3, 0.4), ("{share >= 0.5}", 0.5, 0.7)],
)
def test_places_are_filled_with_the_numbers_of_languages(table, place, german, chinese):
    filled = languages.filled(f"quality.lines > {place}", table)
    assert filled == (
        f"quality.lines > try_element_at(map('deu_Latn', {german}D, 'zho_Hani', {chinese}D), language.tag)"
    )
    assert languages.shown(filled) == "quality.lines > (by language)"
    assert languages.shown(filled, {"tag": "zho_Hani"}) == f"quality.lines > {chinese}"
    assert languages.shown(filled, {"tag": "deu_Latn"}) == f"quality.lines > {german}"
    assert languages.shown(filled, {"tag": "eng_Latn"}) == "quality.lines > null"
    assert languages.shown("quality.lines > 3", {"tag": "eng_Latn"}) == "quality.lines > 3"


@pytest.mark.parametrize("column", ["shares", "words", "model"])
def test_a_column_without_numbers_is_named(table, column):
    with pytest.raises(ConfigError, match=rf"mine\.csv.*'{column}'.*'deu_Latn'"):
        languages.filled(f"quality.lines > {{{column}}}", table)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "label,share\n", "\udcff"])
def test_what_is_no_table_is_refused(tmp_path, content):
    path = tmp_path / "broken.csv"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=r"broken\.csv"):
        languages.read(path)


def test_a_table_beside_a_rule_set_of_one_s_own(table):
    (table.parent / "mine.yaml").write_text("long: quality.lines > {share}\nother: quality.words < 3\n")
    rules = read_rule_set(str(table.parent / "mine.yaml"))
    assert languages.shown(rules["long"], {"tag": "deu_Latn"}) == "quality.lines > 0.3"
    assert rules["other"] == "quality.words < 3"


def test_least_scores_the_closest_first(table):
    one = Language(min_score=0.5)
    assert languages.least_score(one) == "0.5"
    some = Language(min_score=0.5, min_scores={"deu": 0.8})
    assert languages.least_score(some) == "coalesce(try_element_at(map('deu', 0.8D), language.code), 0.5D)"
    both = Language(min_scores={"deu": 0.8}, min_scores_from=str(table))
    assert languages.least_score(both) == (
        "coalesce(try_element_at(map('deu', 0.8D), language.code), "
        "try_element_at(map('deu_Latn', 0.9D, 'zho_Hani', 0.5D), language.tag), 0.0D)"
    )


def test_a_table_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"min_scores_from.*'fineweb3'.*'fineweb2'"):
        languages.least_score(Language(min_scores_from="fineweb3"))
