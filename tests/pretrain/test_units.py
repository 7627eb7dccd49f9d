"""Rows with units of fill-in-the-middle: a unit is read as one document."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pretrain.data import _fill
from shards.extents import _extents
from shards.format import FILL_IN_THE_MIDDLE, PIECE, PIECE_DTYPE, WHOLE


def borders(tables: list, width: int) -> np.ndarray:
    """Document numbers and positions of a batch of rows with these pieces, int64 [rows, width - 1, 2]."""
    pieces, rows = np.concatenate(tables), len(tables)
    offsets = np.cumsum([0, *map(len, tables)])
    words = np.concatenate([offsets, pieces["start"], pieces["length"]]).astype(np.uint32)
    begins = np.tile([0, rows + 1, rows + 1 + len(pieces), 0, len(pieces)], (rows, 1))
    kinds = np.ascontiguousarray(pieces["kind"])
    found = _extents(words, kinds, begins, np.arange(rows), np.arange(rows), width)
    inputs, targets, documents, positions = np.empty((4, rows, width - 1), np.int64)
    _fill(np.zeros((rows, width), np.uint16), *found, inputs, targets, documents, positions)
    return np.stack([documents, positions], axis=2)


PIECES = st.one_of(
    st.tuples(st.sampled_from([WHOLE, PIECE]), st.lists(st.integers(1, 6), min_size=1, max_size=1)),
    st.tuples(st.just(FILL_IN_THE_MIDDLE), st.lists(st.integers(1, 6), min_size=3, max_size=3)),
)


@given(st.lists(st.lists(st.tuples(PIECES, st.integers(0, 2)), max_size=6), min_size=1, max_size=4))
def test_a_unit_is_one_document_with_positions_that_go_on(rows: list) -> None:
    width = 6 * (18 + 2)
    expected, tables = [], []
    number = 0
    for row in rows:
        line, pieces, at = [(0, 0)] * width, [], 0
        for (kind, lengths), gap in row:
            at += gap
            number += 1
            place = 0
            for length in lengths:
                pieces.append((bytes(16), bytes(16), kind, 0, at, length))
                for _ in range(length):
                    line[at] = (number, place)
                    at, place = at + 1, place + 1
        expected.append(line)
        tables.append(np.array(pieces, PIECE_DTYPE))
    assert borders(tables, width).tolist() == [[list(x) for x in line[:-1]] for line in expected]
