"""Train the toxicity model that ships with the package: `python -m filters.toxicity_training`.

Reads labelled sentences and presumably clean text under `$GRISTMILL_DATA` (default `../shared/data`), writes
`models/toxicity.ftz` and its card `models/toxicity.md`, and prints the digest that `toxicity.py` must name. One thread
and a fixed seed: with the same fastText and C library the same file comes out, byte for byte. Two minutes on one core;
Linux with glibc only.
"""

import csv
import ctypes
import gzip
import hashlib
import html
import io
import json
import os
import re
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import fasttext
import xxhash
from selectolax.lexbor import LexborHTMLParser

from filters.normalize import normalize
from filters.toxicity import MODEL, TOXIC, features, passages

# Chosen among fifteen on the held-back part. More epochs or longer vectors learn the training part by heart; n-grams of
# 5 letters rank no better and take half as long again.
PARAMETERS = {"dim": 8, "minn": 2, "maxn": 4, "wordNgrams": 2, "bucket": 120_000, "minCount": 3, "epoch": 4, "lr": 0.2}
HELD_BACK = 5  # one group in five
MOST_COPIES = 4
# How often an example is learnt: templates are many and nearly the same, ToxiGen's statements few, and pages are what
# the model is for.
WEIGHTS = {"templates": 0.25, "toxigen": 4.0, "pages": 2.0}
PASSAGES_PER_BOOK = 300
PASSAGES_PER_PAGE = 8


class Example(NamedTuple):
    """A passage and whether it is toxic.

    `detail` is the label as the data set gives it. Examples of one `group` are held back together or not at all.
    """

    dataset: str
    text: str
    toxic: bool
    detail: str
    group: str

    @property
    def held_back(self) -> bool:
        """Whether the model never sees it in training: by a hash of its group, about one in five."""
        return xxhash.xxh3_64_intdigest(self.group.encode()) % HELD_BACK == 0


def read_examples(data: Path) -> list[Example]:
    """All examples under the data folder, those without a word left out.

    Toxic is: a tweet that Davidson et al. call hate or offensive; a comment of Civil Comments that at least half of
    its raters call toxic; ToxiGen's hate; the templates' unkind words; GermEval's offense. Books, pages and sentences
    in 75 languages are presumed clean.
    """
    readers = (_labelled(data), _more(data), _books(data), _pages(data), _sentences(data))
    return [example for reader in readers for example in reader if not features(example.text).isspace()]


def _labelled(data: Path) -> Iterator[Example]:
    for row in _csv(data / "toxicity/labelled.csv.gz"):
        text, label = _plain(row["text"]), row["label"]
        if row["dataset"] == "davidson":
            yield Example("davidson", text, label != "neither", label, text.lower())
        else:
            votes, raters = map(int, label.split("/"))
            detail = "unanimous" if votes in (0, raters) else "divided"
            yield Example("civil_comments", text, 2 * votes >= raters, detail, text.lower())


def _more(data: Path) -> Iterator[Example]:
    for row in _csv(data / "toxicity/more.csv.gz"):
        text, label = _plain(row["text"]), row["label"]
        if row["dataset"] == "madlibs":
            # "Ling is a rotten latino", "Being old is nasty.", "i hate sikh": hold back whole kind or unkind words.
            word = re.match(r"(?:.* (?:is|are) an? |Being .* is |i )?(\w+)", row["text"])
            yield Example("templates", text, label == "toxic", label, word[1] if word else text)
        else:
            yield Example(row["dataset"], text, label in ("hate", "offense"), row["detail"], text.lower())


def _books(data: Path) -> Iterator[Example]:
    for path in sorted([*data.glob("books/eltec/*/*.txt.gz"), *data.glob("books/*.epub")]):
        cut = list(passages(read_book(path)))
        for passage in cut[:: max(1, len(cut) // PASSAGES_PER_BOOK)]:
            yield Example("books", passage, False, path.name, path.name)


def read_book(path: Path) -> str:
    """The text of an EPUB, a gzipped or a plain text file, normalized."""
    if path.suffix == ".epub":
        with zipfile.ZipFile(path) as book:
            chapters = [book.read(name) for name in sorted(book.namelist()) if name.endswith(".xhtml")]
        bodies = [LexborHTMLParser(chapter).body for chapter in chapters]
        return normalize("\n\n".join(body.text() for body in bodies if body))
    content = path.read_bytes()
    return normalize((gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8", "replace"))


def read_pages(data: Path) -> Iterator[tuple[str, str]]:
    """URI and normalized main text of the gold pages."""
    with gzip.open(data / "web/gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        for page in map(json.loads, lines):
            yield page["uri"], normalize(page["text"])


def _pages(data: Path) -> Iterator[Example]:
    for uri, text in read_pages(data):
        for _, passage in zip(range(PASSAGES_PER_PAGE), passages(text)):
            yield Example("pages", passage, False, uri, uri)


def _sentences(data: Path) -> Iterator[Example]:
    with gzip.open(data / "language/sentences.tsv.gz", "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            language, _, sentence = line.rstrip("\n").partition("\t")
            if xxhash.xxh3_64_intdigest(line.encode(), seed=1) % 4 == 0:
                yield Example("sentences", normalize(sentence), False, language, sentence)


def _csv(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path) as file:
        yield from csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline=""))


def _plain(text: str) -> str:
    """Without what tells a tweet from a page: entities, links, names of users, the mark of a repeated tweet."""
    text = html.unescape(html.unescape(text))
    return " ".join(normalize(re.sub(r"https?://\S+|@\w+|\bRT\b", " ", text)).split())


def training_lines(examples: Iterable[Example]) -> list[bytes]:
    """fastText's input: label and features of what is not held back, in an order that hashes decide.

    Within a labelled data set the rarer label is repeated, up to 4 times, so that the style of a data set gives its
    label away less. Comments that a minority calls toxic are neither shown as toxic nor as clean.
    """
    groups = defaultdict(list)
    for example in examples:
        unclear = example.dataset == "civil_comments" and not example.toxic and example.detail == "divided"
        if not (example.held_back or unclear):
            groups[example.dataset, example.toxic].append(features(example.text))
    lines = []
    for (dataset, toxic), texts in groups.items():
        label = f"__label__{TOXIC if toxic else 'clean'} ".encode()
        more = min(MOST_COPIES, len(groups.get((dataset, not toxic), ())) / len(texts))
        copies = WEIGHTS.get(dataset, 1.0) * max(1.0, more)
        for text in texts:
            # The fraction of a copy that is left over goes to that fraction of the texts.
            count = int(copies + xxhash.xxh3_64_intdigest(text) / 2**64)
            lines += [(xxhash.xxh3_64_intdigest(text, seed=copy + 1), label + text) for copy in range(count)]
    return [line for _, line in sorted(lines)]


def train(examples: Iterable[Example], path: Path) -> None:
    """Train, quantise and write a model to `path`."""
    # With one thread fastText 0.9 sets only the first tenth of its input matrix at random and leaves the rest as the
    # memory was: at best not repeatable, at worst NaN. This asks glibc to hand out memory filled with zeros.
    m_perturb, zeros, off = -6, 0xFF, 0
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(m_perturb, zeros)
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "train.txt"
        lines.write_bytes(b"\n".join([*training_lines(examples), b""]))
        model = fasttext.train_supervised(input=str(lines), thread=1, seed=1, verbose=0, loss="softmax", **PARAMETERS)
        model.quantize(dsub=2, verbose=0)
    mallopt(m_perturb, off)
    model.save_model(str(path))


def main() -> None:
    """Write the model and its card."""
    from filters.toxicity_card import write_card  # which trains models of its own, to compare

    data = Path(os.environ.get("GRISTMILL_DATA", "../shared/data"))
    examples = read_examples(data)
    train(examples, MODEL)
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    write_card(data, examples, MODEL, digest)
    print(f'{MODEL}: {MODEL.stat().st_size} bytes; in toxicity.py: MODEL_SHA256 = "{digest}"')


if __name__ == "__main__":
    main()
