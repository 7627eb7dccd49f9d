"""Documents whose words are known because their texts are made from them, and runs of the product over them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

Words = tuple[str, ...]

SOURCES = ("second", "first", "third")  # in the order of priority, which is no order of names
GREEK = [f"{a}{b}{c}" for a in "αβγδεζ" for b in "ηικλμν" for c in "οπρτυφ"]
HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 2_000)]
KANA = [chr(code) for code in range(0x3042, 0x3094)]
# A letter with its marks is a word where words are not separated.
THAI = [chr(code) + mark for code in range(0x0E01, 0x0E2F) for mark in ("", "\u0e34", "\u0e38")]
SYMBOLS = ("* * *", "--- !!! ---", "…", "§ § § § § § §", "* * *\n* * *", "!!! --- !!!")


@dataclass(frozen=True)
class Doc:
    """A document to be deduplicated. `words`: those of `text`, case-folded."""

    key: str
    source: str
    text: str
    words: Words
    date: str
    spam: bool


class Builder:
    """Documents from a seed: every call of a method adds some, at no place in particular."""

    def __init__(self, seed: int) -> None:
        self.generator = random.Random(seed)
        self.docs: list[Doc] = []
        self.latin = [f"{a}{b}{c}{d}" for a in "bcdfgl" for b in "aeiou" for c in "mnprst" for d in "aeiouy"]

    def words(self, count: int, vocabulary: list[str] | None = None) -> Words:
        return tuple(self.generator.choices(vocabulary or self.latin, k=count))

    def edited(self, words: Words, edits: int, vocabulary: list[str] | None = None) -> Words:
        """A copy with so many words replaced, put in or left out."""
        copy = list(words)
        for _ in range(edits):
            at = self.generator.randrange(len(copy))
            new = self.words(1, vocabulary)
            copy[at : at + 1] = self.generator.choice([new, new, (*new, copy[at]), ()])
        return tuple(copy)

    def add(self, words: Words, spam: float = 0.2, text: str | None = None) -> None:
        """A document of these words, which a rule drops with the probability `spam`."""
        self.docs.append(
            Doc(
                key=f"{self.generator.getrandbits(64):016x}",
                source=self.generator.choice(SOURCES),
                text=self.spelled(words) if text is None else text,
                words=words,
                date=f"20{self.generator.randrange(10, 25)}-01-01",
                spam=self.generator.random() < spam,
            )
        )

    def spelled(self, words: Words) -> str:
        """The words with capitals, punctuation and white space of any kind: the folded form is the same."""
        if words and not words[0].isascii() and len(words[0][0].encode()) == 3:
            return "".join(word + self.generator.choice(["", "", "", "", "。", "\n"]) for word in words)
        changed = (self.generator.choice([str.lower] * 6 + [str.capitalize, str.upper])(word) for word in words)
        return "".join(word + self.generator.choice([" "] * 8 + [", ", ". ", "; ", " -- ", "\n"]) for word in changed)

    def family(self, vocabulary: list[str] | None = None) -> None:
        """A text and copies of it, some the same but for their spelling, others copies of copies with more edits."""
        words = self.words(self.generator.randint(30, 140), vocabulary)
        self.add(words)
        for _ in range(self.generator.randrange(6)):
            copy = self.edited(words, self.generator.choice([0, 0, 1, 1, 2, 3, 5]), vocabulary)
            self.add(copy)
            words = self.generator.choice([words, copy])

    def chain(self, length: int) -> None:
        """Windows that move along a text: each is similar to the next (90 of 102 shingles), and to no other."""
        words = self.words(100 + 6 * length)
        for i in range(length):
            self.add(words[6 * i : 6 * i + 100])

    def hub(self, size: int) -> None:
        """Copies of ten templates that share so much that they meet in one band's bucket, with few edits to many."""
        common = self.words(150)
        own = [self.words(20) for _ in range(10)]
        for _ in range(size):
            words = common + self.generator.choice(own)
            self.add(self.edited(words, self.generator.choice([0, 1, 1, 2, 2, 3, 4, 6])), spam=0.5)

    def drift(self, size: int) -> None:
        """A hub whose documents are each a copy of one before: similar to that one, and to few others."""
        texts = [self.words(170)]
        for _ in range(size):
            self.add(texts[-1], spam=0.5)
            texts.append(self.edited(self.generator.choice(texts[-20:]), self.generator.choice([1, 2, 3])))

    def odd(self, count: int) -> None:
        """Texts too short for a shingle, texts of symbols only, and blank ones."""
        short = [self.words(self.generator.randint(1, 4), self.latin[:40]) for _ in range(count // 4 + 1)]
        for i in range(count):
            if i % 10 < 6:
                self.add(self.generator.choice(short))
            else:
                self.add((), text=self.generator.choice(SYMBOLS) if i % 10 < 9 else " \n\t ")


def documents(count: int, seed: int = 11) -> list[Doc]:
    """So many documents, with something of everything; a fifth lie in one hub, some more in another."""
    builder = Builder(seed)
    builder.hub(count // 5)
    builder.drift(count // 12)
    builder.odd(count // 12)
    for length in (count // 50, count // 100, 3, 2):
        builder.chain(length)
    scripts = (None, None, None, None, GREEK, HAN, KANA, THAI)
    while len(builder.docs) < count:
        builder.family(builder.generator.choice(scripts))
    builder.generator.shuffle(builder.docs)
    return builder.docs[:count]


def planted_pair(level: int, number: int) -> list[Doc]:
    """Two documents whose Jaccard similarity is `level` twentieths: 10 `level` of their 100 + 5 `level` shingles.

    Their keys are LEVEL-NUMBER-a and -b. No word of theirs occurs in any other pair.
    """
    shared, own = 10 * level + 4, 100 - 5 * level
    names = [f"w{level}x{number}x{i}" for i in range(shared + 2 * own)]
    common = names[:shared]
    return [
        Doc(f"{level}-{number}-{side}", SOURCES[0], " ".join(common + rest), tuple(common + rest), "2020-01-01", False)
        for side, rest in (("a", names[shared : shared + own]), ("b", names[shared + own :]))
    ]


def write_documents(docs: list[Doc], folder: Path, files: int = 2) -> None:
    """The documents as `folder`/SOURCE/*.parquet, each in the file that its key names, in their order."""
    for source in sorted({doc.source for doc in docs}):
        (folder / source).mkdir(parents=True, exist_ok=True)
        for file in range(files):
            rows = [
                {"key": doc.key, "text": doc.text, "date": doc.date, "spam": "yes" if doc.spam else "no"}
                for doc in docs
                if doc.source == source and crc32(doc.key.encode()) % files == file
            ]
            columns = pa.schema([(name, pa.string()) for name in ("key", "text", "date", "spam")])
            table = pa.Table.from_pylist(rows, schema=columns)
            pq.write_table(table, folder / source / f"{file}.parquet", row_group_size=500)


def write_config(path: Path, folder: Path, sources: tuple[str, ...] = SOURCES, **changes: Any) -> Path:
    """A config over `write_documents(..., folder)` without splits, whose only rule drops spam."""
    rules = path.with_name("unwanted.yaml")
    rules.write_text("spam: meta['spam'] = 'yes'\n")
    columns = {"columns": {"id": "key"}}
    content: dict[str, Any] = {
        "name": "proof",
        "sources": [
            {"name": name, "format": "parquet", "paths": [f"{folder}/{name}/*.parquet"], "options": columns}
            for name in sources
        ],
        "annotate": {"families": []},
        "rules": {"sets": {"text": [str(rules)]}},
        "split": {"validation": 0, "test": 0},
        "spark": {"master": "local[2]", "memory": "2g", "conf": {"spark.sql.shuffle.partitions": "4"}},
    }
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(content.get(key), dict) else value
    path.write_text(yaml.safe_dump(content))
    return path
