"""The datasets of an output directory: their names, their schemas, and how they are read.

The schemas are the contract between stages. Identifiers are text of 32 hex digits; hashes, signatures and sketches
are little-endian unsigned integers in binary columns, which Spark carries as they are (it has no unsigned types).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

META = pa.map_(pa.string(), pa.string())

DOCUMENTS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("uri", pa.string()),
        ("text", pa.string()),  # null where a gate stopped the document: meta["gate"] says which
        ("meta", META),
    ]
)
ERRORS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("level", pa.string()),  # record: one document that could not be read; file: the rest of a file
        ("path", pa.string()),  # relative to the source's root
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
EDITS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("start", pa.int64()),  # bytes of the UTF-8 text of documents/
        ("end", pa.int64()),
        ("kind", pa.string()),  # line or mask
        ("reason", pa.string()),
        ("replacement", pa.string()),
        ("part", pa.string()),
    ]
)
SKETCHES = pa.schema(
    [
        ("doc_id", pa.string()),
        ("content_hash", pa.binary()),  # 16 bytes
        ("signature", pa.binary()),  # 128 uint32; null where the text is too short for a shingle
        ("sketch", pa.binary()),  # sorted uint32 shingle hashes, at most 4,096
        ("shingles", pa.int64()),  # how many hashes the sketch holds
    ]
)
PAIRS = pa.schema(
    [
        ("a", pa.string()),
        ("b", pa.string()),
        ("similarity", pa.float64()),
        ("kind", pa.string()),  # exact or near
        ("index", pa.string()),  # the earlier run that `a` is of; null: this one
    ]
)
HUBS = pa.schema(
    [
        ("key", pa.int64()),  # of a bucket that is too large to compare all with all
        ("doc_id", pa.string()),
        ("index", pa.string()),  # the earlier run that the document is of; null: this one
        ("settled", pa.bool_()),  # compared with all other settled ones of the bucket, and similar to none
    ]
)
REPEATS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("start", pa.int64()),  # bytes of the UTF-8 text of documents/
        ("end", pa.int64()),
        ("kind", pa.string()),  # line, paragraph, passage or contamination
        ("count", pa.int64()),  # documents that have it; copies of one document count once, but for contamination
        ("elsewhere", pa.string()),  # the first document of another cluster that has it, or the benchmark item's name
        ("key", pa.int64()),  # spans of one kind and key are in all of the same documents; null for benchmark items
        ("share", pa.float64()),  # of the benchmark item's n-grams, those that the document has; null elsewhere
    ]
)
BENCHMARKS = pa.schema(
    [
        ("item", pa.string()),  # FILE:LINE:FIELD
        ("grams", pa.int64()),  # different n-grams; 0: too short to be looked for
        ("seen", pa.int64()),  # those that a document has
        ("common", pa.int64()),  # those in so many documents that they are no evidence
    ]
)
VERDICTS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("failed_rules", pa.list_(pa.string())),  # all of them, SET.RULE, sorted
        ("duplicate_of", pa.string()),  # the first document, in keep order, that stays and is known to be similar
        ("similarity", pa.float64()),  # to duplicate_of
        ("duplicate_in", pa.string()),  # the earlier run that holds duplicate_of; null: this one
        ("stays", pa.bool_()),  # takes part in the choice among duplicates, and stays there
        ("cluster", pa.string()),  # smallest doc_id of the connected component of pairs
        ("stands_for", pa.int64()),  # itself and the duplicates of it; 0 where it is not kept
        ("kept", pa.bool_()),
        ("split", pa.string()),
        ("part", pa.string()),  # file of documents/ that holds the text
    ]
)
CORPUS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("uri", pa.string()),
        ("text", pa.string()),
        ("meta", META),
        ("cluster", pa.string()),
        ("stands_for", pa.int64()),  # itself and the duplicates of it that were dropped
        ("copies", pa.int64()),  # how often `dedup.rehydrate` would repeat it
    ]
)

SCHEMAS = {
    "documents": DOCUMENTS,
    "errors": ERRORS,
    "edits": EDITS,
    "sketches": SKETCHES,
    "pairs": PAIRS,
    "hubs": HUBS,
    "repeats": REPEATS,
    "benchmarks": BENCHMARKS,
    "verdicts": VERDICTS,
}


MAPPED = frozenset({"tokens"})  # datasets in Arrow's file format, of whose files parts are read; others are Parquet


def suffix(dataset: str) -> str:
    """How the names of a dataset's files end."""
    return ".arrow" if dataset in MAPPED else ".parquet"


def files(output: Path, dataset: str) -> list[str]:
    """The files of a dataset, sorted by name."""
    return sorted(str(path) for path in (output / dataset).rglob(f"*{suffix(dataset)}"))


def scan(output: Path, dataset: str, columns: list[str] | None = None, filters: object = None) -> pa.Table:
    """A dataset's columns in memory, without Spark: for the small datasets and for looking things up."""
    return pq.read_table(output / dataset, columns=columns, filters=filters, partitioning=None)


def rows(output: Path, dataset: str) -> int:
    """How many rows a dataset has, by its files' footers."""
    return sum(pq.read_metadata(file).num_rows for file in files(output, dataset))


def by_size(files: list[str], limit: int) -> Iterator[list[str]]:
    """Neighbouring files in groups of at most `limit` bytes on disk, or one larger file."""
    group: list[str] = []
    size = 0
    for file in files:
        more = Path(file).stat().st_size
        if group and size + more > limit:
            yield group
            group, size = [], 0
        group.append(file)
        size += more
    if group:
        yield group
