"""Texts of a run's corpus to measure a tokenizer on: a deterministic sample by source, with the languages found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

Pair = tuple[str, str | None]

BATCH = 64  # documents held at once; one may have many megabytes


def corpus_texts(run: Path, most_bytes: int, split: str = "train") -> Iterator[tuple[Pair, list[str]]]:
    """The texts of `split`, each with (source, language), in the order of the files: about `most_bytes` bytes at most.

    A document is taken where its id, which is a hash, is below the bound that lets so much through: the choice depends
    on nothing else. `language` is the code in signals/language/, None where that is not there. Memory: a batch of
    texts, and id and language of the documents taken. Raises FileNotFoundError where there is no such split.
    """
    folder = run / "corpus" / f"split={split}"
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"there is no corpus at {folder}")
    bound = _bound(most_bytes, sum(_text_bytes(file) for file in files))
    languages = _languages(run, bound)
    for file in files:
        source = file.parent.name.removeprefix("source=")
        for doc_id, text in _documents(file, bound):
            yield (source, languages.get(doc_id)), [text]


def _documents(file: Path, bound: str | None) -> Iterator[tuple[str, str]]:
    """Id and text of the documents of a file whose id is below `bound`; row groups without any are not read."""
    with pq.ParquetFile(file) as parquet:
        for number in range(parquet.num_row_groups):
            ids = parquet.read_row_group(number, columns=["doc_id"])["doc_id"]
            if bound and not pc.any(pc.less(ids, bound)).as_py():
                continue
            for batch in parquet.iter_batches(batch_size=BATCH, row_groups=[number], columns=["doc_id", "text"]):
                chosen = batch.filter(pc.less(batch["doc_id"], bound)) if bound else batch
                yield from zip(chosen["doc_id"].to_pylist(), chosen["text"].to_pylist())


def _bound(most: int, there: int) -> str | None:
    """The id, in hex, below which a share of most / there of all ids lies; None where that is all of them."""
    return f"{(most << 128) // there:032x}" if most < there else None


def _text_bytes(file: Path) -> int:
    """The size of a file's texts before compression, by its footer."""
    metadata = pq.read_metadata(file)
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    column = names.index("text")
    return sum(metadata.row_group(i).column(column).total_uncompressed_size for i in range(metadata.num_row_groups))


def _languages(run: Path, bound: str | None) -> dict[str, str]:
    """The language of the documents whose id is below `bound`; nothing where languages were not measured."""
    folder = run / "signals" / "language"
    if not folder.is_dir():
        return {}
    chosen = pc.field("doc_id") < bound if bound else None
    table = pq.read_table(folder, columns=["doc_id", "code"], filters=chosen, partitioning=None)
    return dict(zip(table["doc_id"].to_pylist(), table["code"].to_pylist()))
