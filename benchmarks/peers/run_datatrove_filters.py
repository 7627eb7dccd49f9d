"""datatrove's quality filters: `python run_datatrove_filters.py values|units|speed TEXTS [OUT]`.

TEXTS is Parquet of (name, language, text, words); a language is as in eng_Latn. A filter stops at the first rule that
drops a document. Here every threshold is replaced by one that is never crossed, but keeps what the filter's own code
compares with it, and whether the threshold proper would have been crossed: so a filter runs to its end, and each rule
has its value.

values: every rule on every document, by the word tokenizer that datatrove assigns to the document's language. FineWeb's
        own are asked of the whole text, and of what C4's line edits leave of it (`edited.fineweb.*`), as in its recipe.
        One line of JSON a document in OUT.
units:  the same without C4's rules, in our units: words are those given, lines are stripped, Gopher's quality rules
        count no blank lines, and quotation marks end a sentence, too.
speed:  the rules of FineWeb's four filters on every document in English, in this process, with nothing written: once
        with every rule, once as users run them, where a document that one rule drops goes no further. The last line
        is a JSON object: documents, and processor seconds of both.
"""

import json
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.filters.c4_filters import C4ParagraphFilter
from datatrove.utils.text import TERMINAL_PUNCTUATION
from datatrove.utils.word_tokenizers import WordTokenizer, load_word_tokenizer

QUALITY = {
    "min_doc_words": ["too_few_words"],
    "max_doc_words": ["too_many_words"],
    "min_avg_word_length": ["short_words"],
    "max_avg_word_length": ["long_words"],
    "max_symbol_word_ratio": ["too_many_hashes", "too_many_ellipses"],
    "max_bullet_lines_ratio": ["bullet_lines"],
    "max_ellipsis_lines_ratio": ["ellipsis_lines"],
    "max_non_alpha_words_ratio": ["few_alphabetic_words"],
    "min_stop_words": ["few_stop_words"],
}
"""Our rules by datatrove's thresholds, in the order in which they are asked."""

REPETITION = {
    "dup_para_frac": ["dup_paragraphs"],
    "dup_para_char_frac": ["dup_paragraph_chars"],
    "dup_line_frac": ["dup_lines"],
    "dup_line_char_frac": ["dup_line_chars"],
}

FINEWEB = {
    "line_punct_thr": ["few_terminal_punct_lines"],
    "short_line_threshold": ["short_lines"],
    "char_duplicates_ratio": ["dup_line_chars"],
    "new_line_ratio": ["many_newlines"],
}

C4_READINGS: dict[str, dict[str, Any]] = {
    "c4": {"min_num_sentences": 3, "min_words_per_line": 5},
    "c4_paper": {},
    "c4_fineweb": {"filter_no_terminal_punct": False},
}

QUOTES = "\"'”’"
"""What ends a sentence in our lines besides datatrove's default: FineWeb's release had the first two."""

Rules = dict[str, tuple[float | None, bool]]


class Watched:
    """A threshold that is never crossed; `seen`: each value compared with it, and whether it crosses `limit`."""

    __array_ufunc__ = None  # NumPy leaves the comparison to this class

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.seen: list[tuple[float, bool]] = []

    def __gt__(self, value: float) -> bool:  # asked as: value < threshold
        self.seen.append((float(value), bool(value < self.limit)))
        return False

    def __lt__(self, value: float) -> bool:  # asked as: value > threshold
        self.seen.append((float(value), bool(value > self.limit)))
        return False


class Given(WordTokenizer):
    """Words that are given: of the one text at hand."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def word_tokenize(self, text: str) -> list[str]:
        return self.words

    def sent_tokenize(self, text: str) -> list[str]:
        raise NotImplementedError

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        raise NotImplementedError


class Watching:
    """A filter all of whose rules are asked."""

    def __init__(self, name: str, filter_: Any, thresholds: dict[str, list[str]]) -> None:
        self.name, self.filter = name, filter_
        self.watched: list[tuple[list[str], Watched]] = []
        for attribute, rules in thresholds.items():
            setattr(filter_, attribute, self.watch(rules, getattr(filter_, attribute)))
        for attribute, rule in (("top_n_grams", "top_{}gram"), ("dup_n_grams", "dup_{}gram")):
            grams = getattr(filter_, attribute, ())
            setattr(filter_, attribute, [(n, self.watch([rule.format(n)], limit)) for n, limit in grams])

    def watch(self, rules: list[str], limit: float) -> Watched:
        self.watched.append((rules, Watched(limit)))
        return self.watched[-1][1]

    def __call__(self, text: str, language: Any) -> Rules:
        """Value and verdict of each rule; the value is None where the filter asks nothing of such a text."""
        self.filter.language = language
        for _, threshold in self.watched:
            threshold.seen.clear()
        try:
            result = self.filter.filter(Document(text=text, id=""))
        except ZeroDivisionError:  # a share of no words or no lines: as shipped, an earlier rule drops such a text
            result = True
        found: Rules = {
            f"{self.name}.{rule}": value
            for rules, threshold in self.watched
            for rule, value in zip(rules, [*threshold.seen, (None, False), (None, False)])
        }
        if self.name.startswith("fineweb"):
            found[f"{self.name}.empty"] = (None, result is not True)
        return found


def watching(ends: tuple[str, ...] | None = None) -> list[Watching]:
    """The filters but for C4's; `ends`: what ends a sentence, if not datatrove's default."""
    paper = FineWebQualityFilter(char_duplicates_ratio=0.1, stop_chars=ends)
    return [
        Watching("gopher_repetition", GopherRepetitionFilter(), REPETITION),
        Watching("gopher_quality", GopherQualityFilter(), QUALITY),
        Watching("fineweb", FineWebQualityFilter(stop_chars=ends), FINEWEB),
        Watching("fineweb_paper", paper, FINEWEB),
    ]


def c4_rules(reading: str, text: str, language: str) -> tuple[Rules, list[str]]:
    """C4's page rules, each with the others off, and the lines that stay with all page rules off."""
    off = {"min_num_sentences": -1, "filter_lorem_ipsum": False, "filter_curly_bracket": False}
    sentences = Watched(C4QualityFilter(**C4_READINGS[reading]).min_num_sentences)
    document = Document(text=text, id="")
    settings = {**C4_READINGS[reading], **off, "min_num_sentences": sentences, "language": language}
    C4QualityFilter(**settings).filter(document)
    found: Rules = {f"{reading}.few_sentences": sentences.seen[0]}
    for rule in ("lorem_ipsum", "curly_bracket"):
        settings = {**C4_READINGS[reading], **off, f"filter_{rule}": True}
        found[f"{reading}.{rule}"] = (None, C4QualityFilter(**settings).filter(Document(text=text, id="")) is not True)
    return found, document.text.split("\n")


def chain() -> list[Any]:
    """FineWeb's filters behind the language gate, as its published script has them."""
    c4 = C4QualityFilter(filter_no_terminal_punct=False)
    return [GopherRepetitionFilter(), GopherQualityFilter(), c4, FineWebQualityFilter()]


def verdict(filters: list[Any], text: str) -> str:
    """Which filter of a chain drops a text, and why; empty where it stays."""
    document = Document(text=text, id="")
    for filter_ in filters:
        result = filter_.filter(document)
        if result is not True:
            return f"{type(filter_).__name__}: {result[1]}"
    return ""


def tokenizer_of(language: str) -> str:
    """The language whose tokenizer datatrove takes; English where it assigns none or a package is missing."""
    try:
        load_word_tokenizer(language).word_tokenize("A")
    except Exception:
        return "en"
    return language


def rows(texts: Path) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(texts).iter_batches(100):
        yield from batch.to_pylist()


def values(row: dict[str, Any], filters: list[Watching], language: str) -> dict[str, Any]:
    rules: Rules = {}
    lines = {}
    for filter_ in filters:
        rules |= filter_(row["text"], language)
    rules["mc4.few_long_lines"] = None, not C4ParagraphFilter().paragraph_filter(row["text"])
    for reading in C4_READINGS:
        found, lines[reading] = c4_rules(reading, row["text"], language)
        rules |= found
    after = filters[2]("\n".join(lines["c4_fineweb"]).strip(), language)
    rules |= {f"edited.{rule}": value for rule, value in after.items()}
    return {"name": row["name"], "rules": rules, "lines": lines, "tokenizer": language}


def in_our_units(row: dict[str, Any], filters: list[Watching], words: Given) -> dict[str, Any]:
    words.words = row["words"]
    lines = [line.strip() for line in row["text"].split("\n")]
    whole, filled = "\n".join(lines), "\n".join(filter(None, lines))
    rules: Rules = {}
    for filter_ in filters:
        rules |= filter_(filled if filter_.name == "gopher_quality" else whole, words)
    return {"name": row["name"], "rules": rules}


def write(texts: Path, out: Path, kind: str) -> None:
    words, tokenizers = Given(), cache(tokenizer_of)
    filters = watching(None if kind == "values" else (*TERMINAL_PUNCTUATION, *QUOTES))
    with out.open("w") as lines:
        for row in rows(texts):
            if kind == "values":
                found = values(row, filters, tokenizers(row["language"]))
            else:
                found = in_our_units(row, filters, words)
            print(json.dumps(found), file=lines)


def speed(texts: Path) -> None:
    repetition, quality, fineweb, _ = watching()
    documents = [row["text"] for row in rows(texts)]
    c4 = C4QualityFilter(filter_no_terminal_punct=False)
    c4.min_num_sentences = Watched(5)  # only a page with "{" or "lorem ipsum" is left before its end
    stops = chain()
    for text in documents[:20]:  # tokenizers are made at first use
        verdict(stops, text)
    started = time.process_time()
    for text in documents:
        repetition(text, "en")
        quality(text, "en")
        document = Document(text=text, id="")
        C4QualityFilter.filter(c4, document)
        fineweb(document.text, "en")
    every = time.process_time() - started
    started = time.process_time()
    kept = sum(not verdict(stops, text) for text in documents)
    stopping = time.process_time() - started
    told = {"documents": len(documents), "every_seconds": every, "chain_seconds": stopping, "chain_kept": kept}
    print(json.dumps(told))


if __name__ == "__main__":
    if sys.argv[1] == "speed":
        speed(Path(sys.argv[2]))
    else:
        write(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[1])
