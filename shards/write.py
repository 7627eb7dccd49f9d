"""Writing one shard: pack the documents, shuffle the rows, fill them, write the file under its name at the end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import ipc

from shards import fill_in_the_middle
from shards.atomic import replacing
from shards.best_fit import best_fit
from shards.format import ID_BYTES, Header
from shards.ids import id_pairs, unique_pairs
from shards.manifest import FileEntry, file_digest
from shards.order import Int64, permutation
from shards.packing import Layout, check, concatenate, one_per_row

BATCH_BYTES: Final = 4 << 20  # of tokens, in a record batch
PACKERS: Final[dict[str, Callable[[npt.ArrayLike, int], Layout]]] = {
    "concatenate": concatenate,
    "best_fit": best_fit,
    "one_per_row": one_per_row,
}


def write_shard(path: Path, documents: pa.Table | pa.RecordBatch, header: Header, seed: int) -> FileEntry:
    """Pack `documents`, in their order, into a shard at `path` whose rows are shuffled by `seed`.

    `documents`: document and cluster, binary(16) (a document without duplicates is its own cluster); tokens,
    list<integer>, special tokens included; where the header has `fill_in_the_middle` also pieces, list<int64>, which is
    empty for a document without units, and suffix_first, bool: see `fill_in_the_middle.Units`. The same input gives the
    same bytes. A document without tokens leaves no trace. Memory: the input and one record batch. Raises ValueError,
    before anything is written, for nulls, for a document that comes twice, or for a token id outside the vocabulary.
    """
    ids, clusters = (_id_column(documents, name) for name in ("document", "cluster"))
    pairs = id_pairs(ids)
    if len(unique_pairs(pairs)) != len(pairs):
        raise ValueError("documents: one of them comes twice")
    begins, values = _token_column(documents, header)
    lengths = np.diff(begins)
    layout = _pack(documents, lengths, header)
    with replacing(path) as temporary:
        with pa.OSFile(str(temporary), "wb") as sink, ipc.new_file(sink, header.to_arrow()) as writer:
            for batch in _batches(layout, ids, clusters, begins, values, header, seed):
                writer.write_batch(batch)
        digest, size = file_digest(temporary), temporary.stat().st_size
    return FileEntry(
        name=path.name,
        split=header.split,
        bucket=header.bucket,
        rows=layout.rows,
        tokens=layout.tokens,
        padding=layout.padding,
        documents=int(np.count_nonzero(lengths)),
        bytes=size,
        digest=digest,
    )


def _pack(documents: pa.Table | pa.RecordBatch, lengths: Int64, header: Header) -> Layout:
    packer = PACKERS[header.packing]
    if header.fill_in_the_middle is None:
        layout = packer(lengths, header.width)
        check(layout, lengths, header.truncates)
        return layout
    pieces = _column(documents, "pieces").cast(pa.large_list(pa.int64()))
    counts = np.diff(pieces.offsets.to_numpy())
    flat = pieces.flatten().to_numpy()
    suffix_first = _column(documents, "suffix_first").to_numpy(zero_copy_only=False)
    layout = fill_in_the_middle.pack(packer, lengths, header.width, counts, flat, suffix_first)
    check(layout, lengths, header.truncates, counts > 0)
    return layout


def _batches(
    layout: Layout,
    ids: npt.NDArray[np.void],
    clusters: npt.NDArray[np.void],
    begins: Int64,
    values: npt.NDArray[np.integer],
    header: Header,
    seed: int,
) -> Iterator[pa.RecordBatch]:
    """Record batches of `header`'s schema, rows in shuffled order, a few megabytes each."""
    schema = header.to_arrow()
    per_batch = max(1, BATCH_BYTES // header.row_bytes)
    packed_row = permutation(layout.rows, seed)  # of each row of the file
    first_piece = np.searchsorted(layout.row, np.arange(layout.rows + 1))
    for begin in range(0, layout.rows, per_batch):
        rows = packed_row[begin : begin + per_batch]
        counts = first_piece[rows + 1] - first_piece[rows]
        ends = np.cumsum(counts)
        pieces = np.arange(int(ends[-1])) + np.repeat(first_piece[rows] - (ends - counts), counts)
        document, length = layout.document[pieces], layout.length[pieces]
        row = np.repeat(np.arange(len(rows)), counts)
        tokens = np.full((len(rows), header.width), header.padding_id, header.dtype)
        _fill(tokens, values, begins[document] + layout.offset[pieces], row, layout.start[pieces], length)
        columns = [
            _fixed_binary(ids[document]),
            _fixed_binary(clusters[document]),
            pa.array(layout.kind[pieces]),
            *(pa.array(array[pieces].astype(np.uint32)) for array in (layout.offset, layout.start, layout.length)),
        ]
        struct = schema.field("pieces").type.value_type
        yield pa.record_batch(
            [
                pa.FixedSizeListArray.from_arrays(pa.array(tokens.reshape(-1)), type=schema.field("tokens").type),
                pa.ListArray.from_arrays(
                    pa.array(np.concatenate([[0], ends]).astype(np.int32)),
                    pa.StructArray.from_arrays(columns, fields=list(struct)),
                    type=schema.field("pieces").type,
                ),
            ],
            schema=schema,
        )


@numba.njit(cache=True, nogil=True)
def _fill(
    tokens: npt.NDArray[np.integer],
    values: npt.NDArray[np.integer],
    source: Int64,
    row: Int64,
    start: Int64,
    length: Int64,
) -> None:
    """Copy each piece from the documents' `values`, where it begins at `source`, into its place in `tokens`."""
    for piece in range(len(source)):
        line, column, begin = tokens[row[piece]], start[piece], source[piece]
        for i in range(length[piece]):
            line[column + i] = values[begin + i]


def _column(documents: pa.Table | pa.RecordBatch, name: str) -> pa.Array:
    column = documents.column(name)
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if column.null_count:
        raise ValueError(f"documents.{name}: {column.null_count} nulls")
    return column


def _id_column(documents: pa.Table | pa.RecordBatch, name: str) -> npt.NDArray[np.void]:
    """16-byte ids, V16 [n]."""
    column = _column(documents, name).cast(pa.binary(ID_BYTES))
    data = column.buffers()[1]
    flat = np.frombuffer(data, "V16") if data is not None else np.empty(0, "V16")
    return flat[column.offset : column.offset + len(column)]


def _fixed_binary(ids: npt.NDArray[np.void]) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(ID_BYTES), len(ids), [None, pa.py_buffer(np.ascontiguousarray(ids))])


def _token_column(documents: pa.Table | pa.RecordBatch, header: Header) -> tuple[Int64, npt.NDArray[np.integer]]:
    """Where each document begins in the flat tokens, int64 [n + 1], and those tokens; ids checked."""
    column = _column(documents, "tokens")
    begins = column.offsets.to_numpy().astype(np.int64)
    flat = column.values.slice(begins[0], begins[-1] - begins[0])
    if flat.null_count:
        raise ValueError(f"documents.tokens: {flat.null_count} null tokens")
    values = flat.to_numpy(zero_copy_only=True) if len(flat) else np.empty(0, header.dtype)
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"documents.tokens: {values.dtype} instead of integers")
    if len(values) and (values.min() < 0 or values.max() >= header.vocabulary_size):
        raise ValueError(f"documents.tokens: an id outside the vocabulary of {header.vocabulary_size}")
    return begins - begins[0], values
