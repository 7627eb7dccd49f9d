"""All pieces of a file, each with the row that it lies in; the layout and the documents that they make up."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import ipc

from shards.format import PIECE_DTYPE, ShardError
from shards.ids import Keys, as_keys, number_documents
from shards.order import Int64
from shards.packing import Layout
from shards.read import ShardFile, ShardSet, batch_pieces, open_file


def piece_batches(
    reader: ipc.RecordBatchFileReader,
) -> Iterator[tuple[pa.RecordBatch, Int64, npt.NDArray[np.void]]]:
    """The record batches of a file, each with the row of the batch that each of its pieces lies in, int64 [n],
    ascending, and the pieces [n], of PIECE_DTYPE. Touches no tokens. Raises what pyarrow raises for a damaged file.
    """
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        batch.validate()
        begins, pieces = batch_pieces(batch)
        yield batch, np.repeat(np.arange(batch.num_rows), np.diff(begins)), pieces


def read_pieces(reader: ipc.RecordBatchFileReader) -> tuple[int, Int64, npt.NDArray[np.void]]:
    """How many rows a file has, and all its pieces as `piece_batches` gives them, rows numbered through the file."""
    row_tables, tables, rows = [np.empty(0, np.int64)], [np.empty(0, PIECE_DTYPE)], 0
    for batch, row, pieces in piece_batches(reader):
        row_tables.append(rows + row)
        tables.append(pieces)
        rows += batch.num_rows
    return rows, np.concatenate(row_tables), np.concatenate(tables)


def pieces_by_row(file: ShardFile) -> tuple[Int64, npt.NDArray[np.void]]:
    """The row of the file that each piece lies in, int64 [n], ascending, and the pieces [n], of PIECE_DTYPE.

    Touches no tokens. Raises ShardError for a file that is damaged, or a piece that is empty or lies outside its row.
    """
    reader, _ = open_file(file.directory, file.entry, file.shared)
    try:
        _, row, pieces = read_pieces(reader)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ShardError(file.entry.name, f"damaged pieces: {error}") from None
    ends = pieces["start"].astype(np.int64) + pieces["length"]
    if (ends > file.shared.width).any() or (pieces["length"] == 0).any():
        raise ShardError(file.entry.name, "a piece that is empty or lies outside its row")
    return row, pieces


def pieces_of_document(file: ShardFile, document: str) -> tuple[Int64, npt.NDArray[np.void]]:
    """Those of `pieces_by_row` that are of the document with this id (hex), in the order of their rows."""
    row, pieces = pieces_by_row(file)
    own = pieces["document"] == np.void(bytes.fromhex(document))
    return row[own], pieces[own]


def as_layout(width: int, rows: int, row: Int64, pieces: npt.NDArray[np.void]) -> Layout:
    """The layout of pieces [n], each in its `row` [n] of `rows` rows; documents numbered in the order of their ids."""
    _, document = number_documents(pieces["document"])
    offset, start, length = (pieces[name].astype(np.int64) for name in ("offset", "start", "length"))
    return Layout(rows, width, document, offset, row, start, length, pieces["kind"])


class Documents(NamedTuple):
    """The documents of a shard set, sorted by id: their ids, 16 bytes as S16 [n], and tokens, int64 [n].

    `split` is the index of the split that each lies in among those of the manifest, uint8 [n]; a document in two
    splits, which `verify` refuses, is of the first.
    """

    ids: Keys
    tokens: Int64
    split: npt.NDArray[np.uint8]


def documents(shards: ShardSet) -> Documents:
    """All documents of a set. Memory: 25 bytes a document, a few times that while sorting. Raises ShardError."""
    ids, tokens, splits = [np.empty(0, "V16")], [np.empty(0, np.int64)], [np.empty(0, np.uint8)]
    for number, split in enumerate(shards.manifest.splits):
        for file in shards.split(split).files:
            pieces = pieces_by_row(file)[1]
            first, document = number_documents(pieces["document"])
            ids.append(pieces["document"][first])
            tokens.append(_summed(pieces["length"], document, len(first)))
            splits.append(np.full(len(first), number, np.uint8))
    every = np.concatenate(ids)
    first, document = number_documents(every)
    in_splits = np.concatenate(splits)[first]
    return Documents(as_keys(every[first]), _summed(np.concatenate(tokens), document, len(first)), in_splits)


def _summed(counts: npt.NDArray[np.integer], document: Int64, documents: int) -> Int64:
    sums = np.zeros(documents, np.int64)
    np.add.at(sums, document, counts.astype(np.int64))
    return sums
