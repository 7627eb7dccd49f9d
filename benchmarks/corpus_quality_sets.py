"""What corpus_quality.py measures its models on, and what its tokenizer learns from.

Four kinds of clean text, of each one part for the tokenizer and another for the evaluation, and none in a corpus:

    novels  Standard Ebooks and ELTeC (evaluation), Project Gutenberg (tokenizer)
    code    the files of Python's standard library
    manual  the main text of the pages of PostgreSQL's manual, as our extraction makes it
    web     main texts by hand: of the pages held back (evaluation), of others (tokenizer, 500 kB)

A text of which one in fifty runs of 13 words is also in the pool is not measured on. Two tasks: the last word of a
sentence of a novel, after the paragraph before it, among three other words of as many bytes that occur half to twice as
often in the novels; and the next line of code, after those before it.
"""

from __future__ import annotations

import json
import re
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import corpus_quality_pool as pool
import crawl
import xxhash
from peers.texts import DATA, Text

from filters.normalize import normalize
from pipelines.ingest.books.epub import read_epub
from pipelines.ingest.books.text import read_text
from pipelines.ingest.extraction.extractors import attempt, extractor
from pipelines.ingest.records import Document
from tokenizer.train import save, train

NOVELS = ("se-charles-dickens_great-expectations", "se-mary-shelley_frankenstein", "ENG")
"""What the names of the novels begin with that are measured on."""

MANUAL = "postgresql-doc-15"
VOCABULARY = 4096
TOKENIZER_BYTES = 500_000  # of each kind of text
SET_CHARACTERS = 150_000  # of each kind of text
EXCERPT_CHARACTERS = 4_000  # of a text, at least, where it has them
SHORTEST = 500  # characters of a text
ITEMS = 250  # of a task
RUN_WORDS = 13
SEEN = 0.02  # share of a text's runs in the pool
ANSWER_LETTERS = 4
LINES_BEFORE = 12
LINE_CHARACTERS = 8

_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(rf"([^.!?“”\"]{{40,300}}?) ([a-z]{{{ANSWER_LETTERS},}})[.!?]")
_LOWER = re.compile(r"(?<![\w’'-])[a-z]+(?![\w’'-])")


def make(work: Path, cache: Path, corpus: Path) -> dict[str, Any]:
    """The evaluation's texts and items, from `work`/evaluation.json; it and `work`/tokenizer are made once."""
    path = work / "evaluation.json"
    if not path.exists():
        kinds = {"novels": novels(), "code": code(), "manual": manual(cache), "web": web()}
        parts = {kind: ordered(texts) for kind, texts in kinds.items()}
        learnt = chain.from_iterable(first(texts, TOKENIZER_BYTES) for texts, _ in parts.values())
        save(train(learnt, VOCABULARY), work / "tokenizer")
        clean = dict(zip(parts, unseen([measured for _, measured in parts.values()], corpus)))
        found = {
            "sets": {kind: excerpts(texts) for kind, texts in clean.items()},
            "cloze": cloze(clean["novels"]),
            "lines": completion(clean["code"]),
        }
        path.with_suffix(".part").write_text(json.dumps(found))
        path.with_suffix(".part").rename(path)
    return json.loads(path.read_text())


Parts = tuple[Iterable[Text], Iterable[Text]]
"""Texts for the tokenizer, texts to measure on."""


def novels() -> Parts:
    books = [*sorted((DATA / "books").glob("se-*.epub")), *sorted((DATA / "books" / "eltec" / "eng").glob("*.txt.gz"))]
    return texts_of(sorted((DATA / "books" / "gutenberg").glob("*.txt"))), texts_of(
        path for path in books if path.name.startswith(NOVELS)
    )


def texts_of(paths: Iterable[Path]) -> Iterator[Text]:
    for path in paths:
        read = read_epub if path.suffix == ".epub" else read_text
        for book in read(path, path.name, max_text_bytes=2**30):
            if isinstance(book, Document) and book.text:
                yield Text(path.name, normalize(book.text))


def code() -> Parts:
    library = Path(sysconfig.get_path("stdlib"))
    paths = [path for path in library.rglob("*.py") if not {"test", "tests", "site-packages"} & set(path.parts)]
    texts = [Text(path.relative_to(library).as_posix(), path.read_text("utf-8", "replace")) for path in paths]
    return halves(texts)


def manual(cache: Path) -> Parts:
    crawl.fetch(cache, [MANUAL])
    paths = [path for path in (cache / "tree" / MANUAL).rglob("*.html") if path.is_file() and not path.is_symlink()]
    extract = extractor("gristmill")
    texts = ((path.name, attempt(extract, path.read_bytes(), None, "").text) for path in paths)
    return halves(list(pool.english(Text(name, normalize(text)) for name, text in texts if text)))


def web() -> Parts:
    texts = list(pool.gold())
    return [text for text in texts if not pool.is_held_back(text.name)], [
        text for text in texts if pool.is_held_back(text.name)
    ]


def halves(texts: list[Text]) -> Parts:
    return [text for text in texts if key(text.name, "half") % 2], [
        text for text in texts if not key(text.name, "half") % 2
    ]


def key(name: str, use: str) -> int:
    return xxhash.xxh3_64_intdigest(f"{use} {name}".encode())


def ordered(parts: Parts) -> tuple[list[Text], list[Text]]:
    """Both parts in an order by hash, without short texts."""
    learnt, measured = (
        sorted((text for text in part if len(text.text) >= SHORTEST), key=lambda text: key(text.name, "order"))
        for part in parts
    )
    return learnt, measured


def first(texts: list[Text], size: int) -> Iterator[str]:
    """The first texts, of `size` bytes; what a long one has beyond an equal share is left out."""
    left, most = size, max(size // max(1, len(texts)), 20_000)
    for _, text in texts:
        piece = text.encode()[: min(left, most)].decode(errors="ignore")
        left -= len(piece.encode())
        if not piece:
            return
        yield piece


def unseen(kinds: list[list[Text]], corpus: Path) -> list[list[Text]]:
    """The texts of each kind of which less than SEEN of the runs of words are in the pool."""
    runs = {run: False for texts in kinds for text in texts for run in runs_of(text.text)}
    for _, text in pool.read(corpus):
        for run in runs_of(text):
            if run in runs:
                runs[run] = True
    return [
        [text for text in texts if (own := [runs[run] for run in runs_of(text.text)]) and sum(own) < SEEN * len(own)]
        for texts in kinds
    ]


def runs_of(text: str) -> Iterator[int]:
    """Hashes of all runs of RUN_WORDS words, without case."""
    words = _WORD.findall(text.lower())
    for at in range(len(words) - RUN_WORDS + 1):
        yield xxhash.xxh3_64_intdigest(" ".join(words[at : at + RUN_WORDS]).encode())


def excerpts(texts: list[Text]) -> list[str]:
    """The middle of each text, up to SET_CHARACTERS of all: long texts have equal shares."""
    most = max(SET_CHARACTERS // max(1, len(texts)), EXCERPT_CHARACTERS)
    found: list[str] = []
    for _, text in texts:
        if sum(map(len, found)) >= SET_CHARACTERS:
            break
        start = max(0, len(text) - most) // 2
        found.append(text[start : start + most])
    return found


def cloze(texts: list[Text]) -> list[dict[str, Any]]:
    """ITEMS of `prompt` and `answers`, of which the first is right; each begins with a space, all are as long."""
    counts = Counter(word for _, text in texts for word in _LOWER.findall(text))
    by_length: dict[int, list[str]] = {}
    for word in sorted(counts):
        by_length.setdefault(len(word), []).append(word)
    found = []
    for name, text in texts:
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
        for at, (before, paragraph) in enumerate(pairwise(paragraphs)):
            sentence = _SENTENCE.match(paragraph)
            if sentence is None:
                continue
            right, place = sentence[2], f"{name} {at}"
            near = [
                word
                for word in by_length[len(right)]
                if word != right and counts[right] <= 2 * counts[word] and counts[word] <= 2 * counts[right]
            ]
            others = sorted(near, key=lambda word: key(f"{place} {word}", "other"))[:3]
            if len(others) == 3:
                prompt = f"{before}\n\n{sentence[1]}"
                found.append(
                    (key(place, "cloze"), {"prompt": prompt, "answers": [f" {word}" for word in (right, *others)]})
                )
    return [item for _, item in sorted(found, key=lambda pair: pair[0])[:ITEMS]]


def completion(texts: list[Text]) -> list[dict[str, Any]]:
    """ITEMS of `prompt` and `answers`, here one: a line of code, neither blank nor a comment, with its end."""
    found = []
    for name, text in texts:
        lines = text.splitlines(keepends=True)
        for at in range(LINES_BEFORE, len(lines)):
            line = lines[at].strip()
            if len(line) >= LINE_CHARACTERS and not line.startswith("#") and lines[at].endswith("\n"):
                item = {"prompt": "".join(lines[at - LINES_BEFORE : at]), "answers": [lines[at]]}
                found.append((key(f"{name} {at}", "line"), item))
    return [item for _, item in sorted(found, key=lambda pair: pair[0])[:ITEMS]]
