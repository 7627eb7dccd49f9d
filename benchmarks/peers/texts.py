"""The real texts that filters are compared on: web pages and novels under `$GRISTMILL_DATA`."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from filters.normalize import normalize
from pipelines.ingest.books.text import read_text
from pipelines.ingest.records import Document
from pipelines.ingest.web.warc import read_warc

DATA = Path(os.environ.get("GRISTMILL_DATA", Path(__file__).parents[3] / "shared" / "data")).resolve()


class Text(NamedTuple):
    """A document's name and its text, as ingest would write it."""

    name: str
    text: str


def gold() -> Iterator[Text]:
    """The main text of 1,511 pages, as people marked it."""
    with gzip.open(DATA / "web" / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        for page in map(json.loads, lines):
            yield Text(page["uri"].split("://")[-1], normalize(page["text"]))


def labelled() -> Iterator[Text]:
    """990 pages in many languages, as ingest extracts their main text."""
    for path in sorted((DATA / "web").glob("labelled-*.warc.gz")):
        for page in read_warc(path, path.name, max_text_bytes=2**30, extractor="fast"):
            if isinstance(page, Document) and page.text is not None:
                yield Text(page.uri.split("://")[-1], normalize(page.text))


def novels() -> Iterator[Text]:
    """The ELTeC novels, in nine languages."""
    for path in sorted((DATA / "books" / "eltec").glob("*/*.txt.gz")):
        for book in read_text(path, path.name, max_text_bytes=2**30):
            if isinstance(book, Document) and book.text is not None:
                yield Text(path.name.removesuffix(".txt.gz"), normalize(book.text))


def array(texts: list[Text]) -> pa.StringArray:
    return pa.array([text for _, text in texts], pa.string())
