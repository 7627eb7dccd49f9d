import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.format import PIECE, WHOLE
from shards.packing import concatenate


def cut_by_hand(lengths: list[int], width: int) -> list[list[tuple[int, int]]]:
    """Rows of (document, position in it), one token at a time."""
    stream = [(document, i) for document, length in enumerate(lengths) for i in range(length)]
    return [stream[i : i + width] for i in range(0, len(stream), width)]


@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 20))
def test_every_token_stands_where_the_reference_puts_it(lengths: list[int], width: int) -> None:
    layout = concatenate(np.array(lengths, np.int64), width)
    rows: list[list[tuple[int, int] | None]] = [[None] * width for _ in range(layout.rows)]
    for document, offset, row, start, length in zip(
        layout.document, layout.offset, layout.row, layout.start, layout.length
    ):
        assert length > 0
        for i in range(length):
            assert rows[row][start + i] is None
            rows[row][start + i] = (int(document), int(offset + i))
    expected = cut_by_hand(lengths, width)
    assert [[token for token in row if token is not None] for row in rows] == expected
    assert all(None not in row for row in rows[:-1])
    assert layout.tokens == sum(lengths)
    assert layout.rows * width == layout.tokens + layout.padding


@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 20))
def test_pieces_are_sorted_and_only_uncut_documents_are_whole(lengths: list[int], width: int) -> None:
    layout = concatenate(np.array(lengths, np.int64), width)
    places = list(zip(layout.row.tolist(), layout.start.tolist()))
    assert places == sorted(places)
    for piece, document in enumerate(layout.document):
        whole = layout.length[piece] == lengths[document]
        assert layout.kind[piece] == (WHOLE if whole else PIECE)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="width"):
        concatenate([1], 0)
    with pytest.raises(ValueError, match="negative"):
        concatenate([1, -1], 4)
