"""All pieces of a file, each with the row that it lies in."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shards.format import PIECE_DTYPE, ShardError
from shards.read import Int64, ShardFile, batch_pieces, open_file


def pieces_by_row(file: ShardFile) -> tuple[Int64, npt.NDArray[np.void]]:
    """The row of the file that each piece lies in, int64 [n], ascending, and the pieces [n], of PIECE_DTYPE.

    Touches no tokens. Raises ShardError for a file that is damaged, or a piece that is empty or lies outside its row.
    """
    reader, _ = open_file(file.directory, file.entry, file.shared)
    rows, tables, first = [np.empty(0, np.int64)], [np.empty(0, PIECE_DTYPE)], 0
    try:
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            batch.validate()
            begins, table = batch_pieces(batch)
            rows.append(first + np.repeat(np.arange(batch.num_rows), np.diff(begins)))
            tables.append(table)
            first += batch.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ShardError(file.entry.name, f"damaged pieces: {error}") from None
    pieces = np.concatenate(tables)
    ends = pieces["start"].astype(np.int64) + pieces["length"]
    if (ends > file.shared.width).any() or (pieces["length"] == 0).any():
        raise ShardError(file.entry.name, "a piece that is empty or lies outside its row")
    return np.concatenate(rows), pieces
