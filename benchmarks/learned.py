"""Learned quality on real pages: a classifier of main text against what stands around it, and what it would drop.

Good are the main texts by hand of the pages in `$GRISTMILL_DATA`/web/pages-*.warc.gz, bad are the other lines of the
same pages (menus, link lists, comments, legal notices). Five models, each trained without a fifth of the pages, score
what the pipeline's extraction makes of that fifth; a sixth, of all pages, scores the English ones of labelled-*.warc.gz
and, with `--manual`, a folder of HTML pages (say, of an unpacked installation-guide-amd64 of Debian), with `--crawl`
one of web archives (say, that which crawl.py makes of documentation).

What scores below 0.1 and has 50 words or more is dropped. `labels/learned.tsv` says of each such text, by the xxh3_128
of its UTF-8, whether a person calls it bad, and why; `--show` prints those that have no label yet. Then the speed of
the three learned families on one core. Facts, and as the last line a JSON object; there is no peer, so no `ratio`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from filters import importance, learned_training, unigram
from filters.batch import TextBatch
from filters.family import Family
from filters.importance import Importance
from filters.language import Language
from filters.learned import Learned
from filters.learned_texts import batches
from filters.normalize import normalize
from filters.ranking import roc_auc
from filters.unigram import Unigram
from pipelines.ingest.encoding import decode
from pipelines.ingest.records import Document
from pipelines.ingest.web.html import Extractor
from pipelines.ingest.web.warc import read_warc

DATA = Path(os.environ.get("GRISTMILL_DATA", Path(__file__).parents[2] / "shared" / "data"))
LABELS = Path(__file__).with_name("labels") / "learned.tsv"
FOLDS = 5
EXTRACT = Extractor("fast")  # with which the figures in the benchmark page were made
DROPPED_BELOW = 0.1
LEAST_WORDS = 50  # shorter texts are for other rules
EXCERPT = 350


class Page(NamedTuple):
    """A page: what extraction takes for main text, all of its text, and its main text by hand ('' where unknown)."""

    uri: str
    extracted: str
    whole: str
    gold: str

    @property
    def around(self) -> str:
        """The lines of the page that are not in its main text."""
        gold = " ".join(self.gold.split())
        lines = (line for line in self.whole.split("\n") if line.strip())
        return "\n".join(line for line in lines if " ".join(line.lstrip("•- ").split()) not in gold)

    @property
    def share_in_gold(self) -> float:
        """The share of the extracted words that the main text by hand has too, as often."""
        found, gold = (Counter(text.lower().split()) for text in (self.extracted, self.gold))
        return (found & gold).total() / max(1, found.total())


def read_pages(pattern: str) -> Iterator[Page]:
    with gzip.open(DATA / "web" / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        gold = {row["uri"]: normalize(row["text"]) for row in map(json.loads, lines)}
    for path in sorted((DATA / "web").glob(pattern)):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response):
                uri = record.headers["WARC-Target-URI"].strip("<>")
                yield page(uri, record.reader.read(), record.http_charset, gold.get(uri, ""))


def read_crawl(folder: Path) -> Iterator[Page]:
    """Pages as the pipeline reads them, without main texts by hand."""
    for path in sorted(folder.glob("*.warc.gz")):
        for found in read_warc(path, path.name, max_text_bytes=10**8):
            if isinstance(found, Document) and found.text:
                yield Page(found.uri, normalize(found.text), "", "")


def page(uri: str, html: bytes, charset: str | None = None, gold: str = "") -> Page:
    tree = HTMLTree.parse(decode(html, ("http", charset)).text)
    whole = extract_plain_text(tree, main_content=False, preserve_formatting=True, alt_texts=False, links=False)
    return Page(uri, normalize(EXTRACT(html, charset, uri).text or ""), normalize(whole), gold)


def fold(page: Page) -> int:
    return xxhash.xxh3_64_intdigest(page.uri.encode()) % FOLDS


def has_words(text: str) -> bool:
    return len(text.split()) >= LEAST_WORDS


def train(pages: list[Page], path: Path) -> dict[str, Any]:
    good = [page.gold for page in pages if has_words(page.gold)]
    bad = [around for page in pages if has_words(around := page.around)]
    return learned_training.train(good, bad, path)


def measure(family: Family, texts: Iterable[str], signal: str) -> list[Any]:
    return [value for batch in batches(texts) for value in family(batch).column(signal).to_pylist()]


def scored(pages: list[Page], others: list[Page], folder: Path) -> tuple[list[tuple[Page, float]], dict[str, Any]]:
    """Pages with the score of their extracted text by a model that never saw them, and the held-back measures."""
    found, areas = [], []
    for number in range(FOLDS):
        model = folder / f"{number}.bin"
        areas.append(train([page for page in pages if fold(page) != number], model)["roc_auc"])
        part = [page for page in pages if fold(page) == number]
        found += zip(part, measure(Learned(model=model), (page.extracted for page in part), "score"))
    facts = train(pages, folder / "all.bin")
    found += zip(others, measure(Learned(model=folder / "all.bin"), (page.extracted for page in others), "score"))
    return found, {
        "held_back_roc_auc": facts["roc_auc"],
        "held_back_average_precision": facts["average_precision"],
        "held_back_good": facts["good"]["held_back"],
        "held_back_bad": facts["bad"]["held_back"],
        "five_fold_roc_auc": areas,
    }


def extraction_auc(found: list[tuple[Page, float]]) -> dict[str, Any]:
    """How well the score tells extractions that are main text (80% of the words) from those that are not (30%)."""
    judged = [(p.share_in_gold, score) for p, score in found if has_words(p.extracted) and has_words(p.gold)]
    clear = [(share > 0.8, score) for share, score in judged if share > 0.8 or share < 0.3]
    is_good = np.array([good for good, _ in clear])
    area = roc_auc(is_good, np.array([score for _, score in clear]))
    return {
        "extracted_roc_auc": round(area, 4),
        "extracted_good": int(is_good.sum()),
        "extracted_bad": int((~is_good).sum()),
    }


def digest(text: str) -> str:
    return xxhash.xxh3_128_hexdigest(text.encode())


def read_labels() -> dict[str, str]:
    with LABELS.open(encoding="utf-8", newline="") as file:
        return {row["hash"]: row["label"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}


def precision(dropped: list[tuple[Page, float]], show: bool) -> dict[str, Any]:
    labels = read_labels() if LABELS.is_file() else {}
    for page, score in dropped:
        if show and digest(page.extracted) not in labels:
            text = " / ".join(line.strip() for line in page.extracted.splitlines() if line.strip())
            half = EXCERPT // 2
            cut = text if len(text) <= EXCERPT else f"{text[:half]} [...] {text[len(text) // 2 :][:half]}"
            print(f"{digest(page.extracted)} {score} {len(page.extracted.split())} words\n    {cut}")
    counts = Counter(labels.get(digest(page.extracted), "unlabelled") for page, _ in dropped)
    read = counts["bad"] + counts["good"]
    return {"dropped": len(dropped), **counts, "precision": round(counts["bad"] / read, 4) if read else None}


def speeds(texts: list[str], folder: Path) -> dict[str, float]:
    """MB of text a second on one core, words segmented beforehand, since all families share them."""
    importance.make(texts[::2], texts[1::2], folder / "weights.arrow")
    unigram.make(texts, folder / "frequencies.arrow")
    families: list[Family] = [
        Learned(model=folder / "all.bin"),
        Importance(weights=folder / "weights.arrow"),
        Unigram(frequencies=folder / "frequencies.arrow"),
    ]
    batch = TextBatch(pa.array(texts, pa.large_string()))
    size = sum(len(text.encode()) for text in texts) / 1e6
    assert batch.words
    found = {}
    for family in families:
        family(batch)  # compiled and in memory
        start = time.perf_counter()
        family(batch)
        found[f"{family.name}_mb_per_second"] = round(size / (time.perf_counter() - start), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manual", type=Path, help="a folder of HTML pages")
    parser.add_argument("--crawl", type=Path, help="a folder of web archives")
    parser.add_argument("--show", action="store_true", help="print what is dropped and has no label")
    arguments = parser.parse_args()
    pages, others = list(read_pages("pages-*.warc.gz")), list(read_pages("labelled-*.warc.gz"))
    manual = sorted(arguments.manual.rglob("*.htm*")) if arguments.manual else []
    others += [page(str(path), path.read_bytes()) for path in manual]
    crawl = list(read_crawl(arguments.crawl)) if arguments.crawl else []
    others += crawl
    codes = measure(Language(), (other.extracted for other in others), "code")
    english = [other for other, code in zip(others, codes) if code == "eng"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found, facts = scored(pages, english, folder)
        facts |= extraction_auc(found[: len(pages)])
        facts |= speeds([page.gold for page in pages], folder)
    measured = [(p, score) for p, score in found if has_words(p.extracted)]
    dropped = sorted(((p, s) for p, s in measured if s < DROPPED_BELOW), key=lambda pair: (pair[1], pair[0].uri))
    facts |= {"pages": len(measured), "manual": sum(str(path) in {p.uri for p, _ in measured} for path in manual)}
    facts |= {"manual_dropped": sum(p.uri in set(map(str, manual)) for p, _ in dropped)}
    facts |= {"crawl": len(crawl), "crawl_dropped": len({p.uri for p, _ in dropped} & {p.uri for p in crawl})}
    facts |= precision(dropped, arguments.show)
    for fact, value in facts.items():
        print(f"{fact.replace('_', ' '):<28} {value}")
    print(json.dumps({**facts, "cores": 1}))


if __name__ == "__main__":
    main()
