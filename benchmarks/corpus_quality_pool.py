"""The pages of corpus_quality.py, and the three corpora that are made of them.

The pool is what ingest extracts of the labelled pages and of the first archives of the documentation crawl, normalized,
in English by one label (our language signal above FineWeb's 0.65) for all three corpora. An eighth of the pages with a
main text by hand is held back, by a hash of their addresses.

    all      the pool as it is
    ours     what `gristmill run` keeps of it by configs/recipes/fineweb.yaml, nothing held out
    fineweb  what datatrove's FineWeb recipe keeps of it: peers/run_datatrove_fineweb.py

Each is Parquet of (name, text), made once: remove the folder to make it again.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crawl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import xxhash
import yaml
from peers import rulesets
from peers.environment import environment
from peers.process import measured
from peers.texts import DATA, Text

from filters.batch import TextBatch
from filters.normalize import normalize
from pipelines.ingest.records import Document
from pipelines.ingest.web.warc import read_warc

HERE = Path(__file__).parent
RECIPE = HERE.parent / "configs" / "recipes" / "fineweb.yaml"
CRAWL_PAGES = 40_000
CRAWL_ARCHIVES = 16  # of a thousand pages each, which are in an order by hash
ENGLISH_SCORE = 0.65
HELD_BACK = 8  # one of so many
ARMS = ("all", "ours", "fineweb")
BATCH = 500  # texts
SCHEMA = pa.schema([("name", pa.string()), ("text", pa.string())])


def make(work: Path, cache: Path, cores: int) -> dict[str, Path]:
    """The Parquet file of each corpus, by its name, in `work`; what is there is kept."""
    work.mkdir(parents=True, exist_ok=True)
    files = {name: work / f"{name}.parquet" for name in ARMS}
    if not files["all"].exists():
        write(files["all"], english(pages(cache)))
    if not files["ours"].exists():
        write(files["ours"], ours(files["all"], work / "run", cores))
    if not files["fineweb"].exists():
        python = environment("datatrove-filters", cache)
        program = HERE / "peers" / "run_datatrove_fineweb.py"
        measured([python, program, files["all"], work / "datatrove", files["fineweb"]], work / "datatrove.log", 1)
    return files


def write(path: Path, texts: Iterator[Text]) -> None:
    """Texts, no name twice, sorted by name, as a file that is either whole or absent."""
    table = pa.table(list(zip(*sorted(dict(texts).items()))), schema=SCHEMA)
    pq.write_table(table, path.with_suffix(".part"), compression="zstd")
    path.with_suffix(".part").rename(path)


def read(path: Path) -> list[Text]:
    table = pq.read_table(path, schema=SCHEMA)
    return [Text(name, text) for name, text in zip(*(column.to_pylist() for column in table.columns))]


def pages(cache: Path) -> Iterator[Text]:
    """All pages but those held back."""
    archives = sorted(crawl.crawl(cache, CRAWL_PAGES)[0].glob("*.warc.gz"))[:CRAWL_ARCHIVES]
    for pattern in ("pages-*.warc.gz", "labelled-*.warc.gz"):
        archives = [*sorted((DATA / "web").glob(pattern)), *archives]
    for path in archives:
        print(f"reading {path.name}", file=sys.stderr, flush=True)
        for page in read_warc(path, path.name, max_text_bytes=2**30):
            if isinstance(page, Document) and page.text and not is_held_back(page.uri):
                yield Text(page.uri, normalize(page.text))


def is_held_back(uri: str) -> bool:
    return xxhash.xxh3_64_intdigest(uri.encode()) % HELD_BACK == 0


def gold() -> Iterator[Text]:
    """The English main texts by hand, of pages held back and of others."""
    with gzip.open(DATA / "web" / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    yield from english(Text(row["uri"], normalize(row["text"])) for row in rows)


def english(texts: Iterator[Text]) -> Iterator[Text]:
    """Those that our language signal calls English, above FineWeb's threshold."""
    for batch in _batches(texts):
        labels = rulesets.languages(TextBatch(pa.array([text for _, text in batch], pa.string())))
        for text, label in zip(batch, labels):
            if label["code"] == "eng" and label["score"] > ENGLISH_SCORE:
                yield text


def _batches(texts: Iterator[Text]) -> Iterator[list[Text]]:
    batch: list[Text] = []
    for text in texts:
        batch.append(text)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def ours(pool: Path, run: Path, cores: int) -> Iterator[Text]:
    """The corpus that a run by the shipped recipe makes of the pool."""
    run.mkdir(exist_ok=True)
    config = run / "config.yaml"
    config.write_text(yaml.safe_dump(page(pool, cores)))
    program = Path(sys.executable).parent / "gristmill"
    measured([program, "run", config, "--output", run / "output", "--until", "corpus"], run / "log", cores)
    kept = ds.dataset(run / "output" / "corpus", format="parquet", partitioning=None)
    for batch in kept.to_batches(columns=["uri", "text"]):
        yield from map(Text, *(column.to_pylist() for column in batch.columns))


def page(pool: Path, cores: int) -> dict[str, Any]:
    """The recipe with the pool as its source, and no group held out."""
    options = {"columns": {"uri": "name", "meta": []}}
    source = {"name": "pool", "format": "parquet", "kind": "web", "paths": [str(pool)], "options": options}
    shipped = yaml.safe_load(RECIPE.read_text())
    return {
        **shipped,
        "sources": [source],
        "split": {"validation": 0, "test": 0},
        "spark": {"master": f"local[{cores}]", "memory": "2g"},
    }


def facts(files: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Documents and megabytes of each corpus, and how many of the documents are in each other one as well."""
    tables = {name: pq.read_table(path) for name, path in files.items()}
    found: dict[str, dict[str, float]] = {}
    for name, table in tables.items():
        size = pc.sum(pc.binary_length(table["text"])).as_py() or 0
        shared = {
            f"in_{other}": len({*table["name"].to_pylist()} & {*tables[other]["name"].to_pylist()})
            for other in tables
            if other != name
        }
        found[name] = {"documents": len(table), "megabytes": round(size / 1e6, 2), **shared}
    return found
