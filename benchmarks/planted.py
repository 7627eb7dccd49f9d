"""Texts with planted near-duplicates of known similarity, for the benchmarks of deduplication.

Originals are passages of about 120 to 1,000 words (of the 1,511 gold pages, three quarters have 210 or more, three
quarters 993 or fewer), cut at the ends of sentences from the novels and web pages under `$GRISTMILL_DATA`; a passage
that shares a fifth of its shingles with those before it is left out, so that originals are not alike. Where there are
more families than passages, passages serve again with every fourth word replaced, which leaves hardly a shingle of five
words as it was. A copy has words replaced at seeded places, so many that its similarity to its original is about that
of its level. What is written beside each pair is not the level but the Jaccard similarity of the two sets of word
5-grams, computed from all shingles.

Half of the families are one original and one copy (`lone` pairs): there, a program finds the pair, or both stay. The
others have up to 17 members. Run as a script, it writes the texts and says what they are.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import random
import re
import time
from collections.abc import Iterator
from itertools import combinations, cycle, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters import minhash
from filters.batch import TextBatch
from pipelines.ingest.books.epub import read_epub
from pipelines.ingest.books.text import read_text
from pipelines.ingest.records import Document

DATA = Path(os.environ.get("GRISTMILL_DATA", Path(__file__).parents[2] / "shared" / "data"))
CACHE = Path(__file__).parents[1] / "runs" / "benchmarks"  # git-ignored
LEVELS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
SIZES = (2, 2, 2, 2, 2, 2, 2, 2, 3, 4, 5, 6, 8, 10, 14, 17)  # of families: 5.2 members on average
NGRAM = 5
SHORTEST, LONGEST = 120, 1_000  # words of a passage
FILE_DOCUMENTS = 12_500
PAIRS = pa.schema([("a", pa.int64()), ("b", pa.int64()), ("jaccard", pa.float64()), ("lone", pa.bool_())])
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'»”’)]*\s+|\n\s*\n")
_TOKEN = re.compile(r"\S+\s*")

Tokens = list[str]
"""The words of a text, each with the white space behind it."""


def write(folder: Path, documents: int, seed: int = 0) -> None:
    """Write `texts/*.parquet` (id, text) and `pairs.parquet` (a, b, jaccard, lone), unless they are there.

    Ids are 0 to documents - 1, in the order of the rows; members of a family lie anywhere. `pairs` holds all pairs
    of members of one family, a < b. The same `documents` and `seed` give the same rows.
    """
    done = folder / "done.json"
    told = {"documents": documents, "seed": seed, "version": 2}
    if done.exists() and json.loads(done.read_text()) == told:
        return
    done.unlink(missing_ok=True)
    rng = random.Random(seed)
    ids = np.random.default_rng(seed).permutation(documents)
    texts: list[str] = [""] * documents
    folder.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(folder / "pairs.parquet", PAIRS) as pairs:
        left = ids
        for families in _blocks(_families(originals(seed), documents, rng), 800):
            members = [member for family in families for member in family]
            here, left = left[: len(members)], left[len(members) :]
            pairs.write_table(_pairs(families, members, here))
            for at, member in zip(here.tolist(), members):
                texts[at] = member
    write_texts(folder / "texts", texts)
    done.write_text(json.dumps(told))


def write_texts(folder: Path, texts: list[str]) -> None:
    """Write texts as Parquet files of columns id (the row's number, as a string) and text: 8 files or more."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.parquet"):
        old.unlink()
    step = min(FILE_DOCUMENTS, -(-len(texts) // 8))
    for begin in range(0, len(texts), step):
        part = texts[begin : begin + step]
        table = pa.table({"id": [str(at) for at in range(begin, begin + len(part))], "text": part})
        pq.write_table(table, folder / f"{begin // step:05}.parquet")


def originals(seed: int) -> list[Tokens]:
    """Passages of real texts, in a seeded order, none of which shares much with one before it."""
    rng = random.Random(seed)
    passages = [passage for text in _works() for passage in _cut(text, rng)]
    rng.shuffle(passages)
    batch = TextBatch(pa.array(passages, pa.large_string()))
    shingles = minhash.sketches(batch, n=NGRAM)
    values, owners = shingles.flatten().to_numpy(), shingles.value_parent_indices().to_numpy()
    _, first = np.unique(values, return_index=True)  # the values of one passage are distinct and rise
    new = np.bincount(owners[first], minlength=len(passages))
    total = np.bincount(owners, minlength=len(passages))
    return [_TOKEN.findall(passages[at]) for at in np.flatnonzero(new > 0.8 * total)]


def _works() -> Iterator[str]:
    """Novels and web pages; those of one name in two places are still two works."""
    for path in sorted(DATA.glob("books/**/*")):
        reader = {".epub": read_epub, ".txt": read_text, ".gz": read_text}.get(path.suffix)
        for document in reader(path, path.name, max_text_bytes=10**9) if reader else ():
            if isinstance(document, Document) and document.text:
                yield document.text
    with gzip.open(DATA / "web" / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def _cut(text: str, rng: random.Random) -> Iterator[str]:
    """Passages of whole sentences; what is left of a text's end, or has no ends of sentences, is left out."""
    begin, words, wanted = 0, 0, SHORTEST
    at = 0
    for end in (match.end() for match in _SENTENCE.finditer(text)):
        words += len(text[at:end].split())
        at = end
        if words >= wanted:
            if words <= LONGEST + 100:
                yield text[begin:end].strip()
            begin, words = end, 0
            wanted = int(SHORTEST * (LONGEST / SHORTEST) ** rng.random())


def _families(passages: list[Tokens], documents: int, rng: random.Random) -> Iterator[list[str]]:
    """Families of texts, the original first, until there are as many texts as asked for."""
    sizes, left = cycle(SIZES), documents
    levels = cycle(LEVELS)  # of lone pairs: as many of each
    for number in range(documents):
        size = min(next(sizes), left)
        if size <= 0:
            return
        left -= size
        original = passages[number % len(passages)]
        if number >= len(passages):
            original = _rewritten(original, passages, rng)
        family = ["".join(original)]
        for _ in range(size - 1):
            level = next(levels) if size == 2 else LEVELS[int(rng.random() * len(LEVELS))]
            family.append("".join(similar(original, level, passages, rng)))
        yield family


def similar(tokens: Tokens, level: float, passages: list[Tokens], rng: random.Random) -> Tokens:
    """A copy whose similarity to `tokens` is about `level`.

    Of m shingles d are replaced by as many others: (m - d) / (m + d) = level. A word far from both ends is in 5
    shingles, r adjacent words in r + 4; the word at index i < 5 is in i + 1.
    """
    shingles = max(len(tokens) - NGRAM + 1, 1)
    broken = round(shingles * (1 - level) / (1 + level))
    copy = tokens.copy()
    if broken == 0:
        return copy
    if broken < NGRAM:
        places = [broken - 1]
    else:
        runs, more = divmod(broken, NGRAM)
        stride = (len(tokens) - 2 * NGRAM) / runs
        slack = max(stride - 2 * NGRAM, 0)
        starts = [NGRAM + int(stride * run + slack * rng.random()) for run in range(runs)]
        places = [*starts, *range(starts[-1] + 1, starts[-1] + 1 + more)]
    replace(copy, places, passages, rng)
    return copy


def _rewritten(tokens: Tokens, passages: list[Tokens], rng: random.Random) -> Tokens:
    """A text of the same build that shares hardly a shingle with `tokens`: those of words joined by hyphens."""
    copy = tokens.copy()
    replace(copy, range(int(rng.random() * 4), len(tokens), 4), passages, rng)
    return copy


def replace(tokens: Tokens, places: list[int] | range, passages: list[Tokens], rng: random.Random) -> None:
    """Put a word of some passage in each place; the white space stays."""
    for place in places:
        old = tokens[place].rstrip()
        new = old
        while new.casefold() == old.casefold() or not new[0].isalpha():
            passage = passages[int(rng.random() * len(passages))]
            new = passage[int(rng.random() * len(passage))].rstrip()
        tokens[place] = new + tokens[place][len(old) :]


def _blocks(families: Iterator[list[str]], size: int) -> Iterator[list[list[str]]]:
    while block := list(islice(families, size)):
        yield block


def _pairs(families: list[list[str]], members: list[str], ids: np.ndarray) -> pa.Table:
    """All pairs of members of one family, with the similarity of their shingles."""
    left: list[int] = []
    right: list[int] = []
    lone: list[bool] = []
    begin = 0
    for family in families:
        for one, other in combinations(range(begin, begin + len(family)), 2):
            left.append(one)
            right.append(other)
            lone.append(len(family) == 2)
        begin += len(family)
    a, b = ids[left], ids[right]
    jaccard = similarities(members, np.asarray(left), np.asarray(right))
    return pa.table([np.minimum(a, b), np.maximum(a, b), jaccard, lone], schema=PAIRS)


def similarities(texts: list[str], left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Jaccard similarity of the shingles of texts[left[i]] and texts[right[i]]: float64[...]."""
    shingles = minhash.sketches(TextBatch(pa.array(texts, pa.large_string())), n=NGRAM)
    sides = [shingles.take(pa.array(side, pa.int32())) for side in (left, right)]
    return minhash.jaccard(*(array.to_numpy() for side in sides for array in (side.flatten(), side.offsets)))


def describe(folder: Path) -> dict[str, object]:
    """What the texts of a folder are: sizes, and how many lone pairs there are at each level."""
    texts = [pq.read_table(path, columns=["text"])["text"] for path in sorted((folder / "texts").glob("*.parquet"))]
    pairs = pq.read_table(folder / "pairs.parquet")
    levels = level_of(pairs["jaccard"].to_numpy()[pairs["lone"].to_numpy()])
    return {
        "documents": sum(map(len, texts)),
        "megabytes": round(sum(pa.compute.sum(pa.compute.binary_length(text)).as_py() for text in texts) / 1e6, 1),
        "pairs": len(pairs),
        "lone_pairs": {str(level): int((levels == level).sum()) for level in LEVELS},
    }


def level_of(jaccard: np.ndarray) -> np.ndarray:
    """The level nearest to each similarity; NaN below 0.45."""
    nearest = np.asarray(LEVELS)[np.abs(jaccard[:, None] - np.asarray(LEVELS)).argmin(axis=1)]
    return np.where(jaccard < 0.45, math.nan, nearest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="directory; by default one of the benchmarks' cache")
    given = parser.parse_args()
    output = given.output or CACHE / f"planted-{given.documents}"
    started = time.perf_counter()
    write(output, given.documents, given.seed)
    print(json.dumps({"seconds": round(time.perf_counter() - started, 1), **describe(output)}))


if __name__ == "__main__":
    main()
