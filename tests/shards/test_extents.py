"""Documents in rows, read without their pieces, against the pieces."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from shard_cases import reseal

from shards import read
from shards.extents import extents
from shards.format import PIECE_STRUCT, ShardError
from shards.read import Split


def by_hand(split: Split, rows: list[int]) -> list[tuple[int, int, int]]:
    return [
        (place, int(piece["start"]), int(piece["start"] + piece["length"]))
        for place, row in enumerate(rows)
        for piece in split.pieces(row)
    ]


def test_extents_are_the_pieces_of_any_rows_in_any_order(shard_set: Path) -> None:
    split = read.open(shard_set).split("train")
    rng = np.random.default_rng(0)
    for rows in ([], [0], list(range(len(split))), rng.integers(0, len(split), 100).tolist()):
        found = extents(split, np.array(rows, np.int64))
        assert list(zip(*(array.tolist() for array in found))) == by_hand(split, rows)
    with pytest.raises(IndexError, match="rows 0 to"):
        extents(split, np.array([len(split)]))


def replace_pieces(table: pa.Table, pieces: list[list[tuple[int, int, int]]]) -> pa.Table:
    """The table with other pieces of its rows, as (kind, start, length)."""
    value = {"document": bytes(16), "cluster": bytes(16), "offset": 0}
    rows = [[{**value, "kind": k, "start": s, "length": n} for k, s, n in row] for row in pieces]
    column = pa.array(rows, table.schema.field("pieces").type)
    assert column.type.value_type == PIECE_STRUCT
    return table.set_column(1, table.schema.field("pieces"), column)


NAME = "train-00001.arrow"


def own_rows(split: Split) -> list[int]:
    return [row for row in range(len(split)) if split.locate(row)[0].entry.name == NAME]


def test_rows_without_documents_and_units_in_three_pieces(shard_set: Path) -> None:
    pieces = [
        [],
        [(2, 0, 3), (2, 3, 4), (2, 7, 2), (2, 9, 1), (2, 10, 1), (2, 11, 1)],
        [(0, 2, 5), (2, 7, 2), (2, 9, 3), (2, 12, 1)],
    ]
    reseal(shard_set, NAME, lambda table: replace_pieces(table, pieces))
    split = read.open(shard_set).split("train")
    found = extents(split, np.array(own_rows(split)))
    assert list(zip(*(a.tolist() for a in found))) == [(1, 0, 9), (1, 9, 12), (2, 2, 7), (2, 7, 13)]


@pytest.mark.parametrize("piece", [(0, 5, 12), (0, 3, 0)])
def test_a_piece_outside_its_row_is_refused(shard_set: Path, piece: tuple[int, int, int]) -> None:
    reseal(shard_set, NAME, lambda table: replace_pieces(table, [[(0, 0, 3)], [piece], [(0, 0, 16)]]))
    split = read.open(shard_set).split("train")
    with pytest.raises(ShardError, match=rf"{NAME}: a piece that is empty or lies outside its row"):
        extents(split, np.array(own_rows(split)))


@pytest.mark.parametrize(("byte", "bit"), [(4, 6), (5, 7), (7, 6), (0, 6), (3, 5)])
def test_damaged_offsets_of_rows_are_refused(shard_set: Path, byte: int, bit: int) -> None:
    path = shard_set / NAME
    data = pa.py_buffer(path.read_bytes())
    offsets = pa.ipc.open_file(data).get_batch(0).column("pieces").buffers()[1]
    damaged = bytearray(data.to_pybytes())
    damaged[offsets.address - data.address + byte] ^= 1 << bit
    path.write_bytes(damaged)
    split = read.open(shard_set).split("train")
    with pytest.raises(ShardError, match=NAME):
        extents(split, np.array(own_rows(split)))
