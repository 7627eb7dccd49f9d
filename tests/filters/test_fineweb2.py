"""FineWeb-2's thresholds and stop words: the table, the clamps in the rule set, and the count of stop words."""

import csv
import gzip
import re
from pathlib import Path

import pyarrow as pa
import pytest
import text_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_reading import rules

from filters import stop_words
from filters.batch import TextBatch
from filters.language_codes import code, tag

PLACE = re.compile(r"\{(\w+)(?: <= ([\d.]+))?\}")
SHARES = ("dup_line_frac", "new_line_ratio", "max_non_alpha_words_ratio", "language_score")


def rows() -> list[dict[str, str]]:
    with stop_words.LISTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def test_the_large_languages_are_there():
    assert {"rus", "zho", "deu", "spa", "jpn", "fra", "ita", "por", "pol", "nld", "ind", "tur", "ces", "ara", "vie"} < {
        code(row["label"]) for row in rows()
    }
    assert len({tag(row["label"], "") for row in rows()}) == len(rows()) == 70


@pytest.mark.parametrize(
    ("label", "column", "published"),  # as the facts of the field have them
    [
        ("fra_Latn", "language_score", 0.824),
        ("rus_Cyrl", "dup_line_frac", 0.322),
        ("cmn_Hani", "line_punct_thr", 0.106),
        ("jpn_Jpan", "new_line_ratio", 0.13),
        ("tha_Thai", "min_avg_word_length", 2),
        ("hin_Deva", "max_avg_word_length", 21),
        ("arb_Arab", "language_score", 0.711),
        ("deu_Latn", "top_2_gram", 0.169),
        ("deu_Latn", "dup_10_gram", 0.098),
        ("deu_Latn", "max_non_alpha_words_ratio", 0.774),
    ],
)
def test_numbers_are_as_published(label, column, published):
    assert [float(row[column]) for row in rows() if row["label"] == label] == [published]


def test_what_a_rule_asks_for_is_in_the_table_and_used_columns_are_all():
    asked = {match[1] for predicate in rules("fineweb2").values() for match in PLACE.finditer(predicate)}
    assert asked == set(rows()[0]) - {"label", "model", "language_score", "stop_words"}


@pytest.mark.parametrize("rule", [name for name, text in rules("fineweb2").items() if "<=" in text])
def test_clamps_are_for_the_few_degenerate_languages(rule):
    [(column, bound)] = PLACE.findall(rules("fineweb2")[rule])
    numbers = sorted(float(row[column]) for row in rows())
    over = [number for number in numbers if number > float(bound)]
    assert len(over) <= 9
    # What is left as it is stays below the bound, but not so far that the bound were no description of it.
    assert max(n for n in numbers if n <= float(bound)) >= 0.85 * float(bound)


def test_shares_are_shares():
    for row in rows():
        for column in SHARES:
            assert 0 < float(row[column]) <= 1, (row["label"], column)
        assert row["model"] == "GlotLID v3"


def expected(text: str, language: str) -> int:
    listed = stop_words.lists().get(language, [])
    if language[-4:] in stop_words.UNPARTED:
        return len({word for word in listed if word in text})
    split = [[word.folded for word in reference.words(entry)] for entry in listed]
    return len({parts[0] for parts in split if len(parts) == 1} & {word.folded for word in reference.words(text)})


def check(texts: list[str], languages: list[str]) -> None:
    found = stop_words.count(TextBatch(pa.array(texts, pa.string())), languages)
    assert found.tolist() == [expected(*pair) for pair in zip(texts, languages)]


LANGUAGES = [*stop_words.lists(), "eng_Latn", "und_Zyyy"]
words = st.sampled_from([word for listed in stop_words.lists().values() for word in listed])
texts = st.lists(st.one_of(words, words.map(str.upper), st.text(max_size=3))).map(" ".join)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(texts, st.sampled_from(LANGUAGES)), max_size=4))
def test_stop_words_as_counted_by_hand(pairs):
    check([text for text, _ in pairs], [language for _, language in pairs])


def test_stop_words_of_real_sentences(data: Path):
    of_code = {name[:3]: name for name in LANGUAGES}
    with gzip.open(data / "language" / "sentences.tsv.gz", "rt", encoding="utf-8", newline="\n") as lines:
        pairs = [line.rstrip("\n").split("\t", 1) for line in lines][::7]
    languages = [of_code.get(code(name), "und_Zyyy") for name, _ in pairs]
    check([text for _, text in pairs], languages)
    # Five sentences make a short page; nearly all of such pages hold two stop words of their language.
    passing = total = 0
    for language in set(languages) - {"und_Zyyy", "eng_Latn"}:
        sentences = [text for (_, text), own in zip(pairs, languages) if own == language]
        pages = [" ".join(sentences[i : i + 5]) for i in range(0, len(sentences) - 4, 5)]
        counts = stop_words.count(TextBatch(pa.array(pages, pa.string())), [language] * len(pages))
        passing, total = passing + int((counts >= 2).sum()), total + len(pages)
    assert passing > 0.95 * total > 0
