from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.best_fit import best_fit
from shards.format import PIECE, WHOLE
from shards.packing import check, concatenate, one_per_row


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
    check(layout, lengths, truncates=False)


@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 20))
def test_pieces_are_sorted_and_only_uncut_documents_are_whole(lengths: list[int], width: int) -> None:
    layout = concatenate(np.array(lengths, np.int64), width)
    places = list(zip(layout.row.tolist(), layout.start.tolist()))
    assert places == sorted(places)
    for piece, document in enumerate(layout.document):
        whole = layout.length[piece] == lengths[document]
        assert layout.kind[piece] == (WHOLE if whole else PIECE)


@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 20))
def test_one_document_a_row(lengths: list[int], width: int) -> None:
    layout = one_per_row(lengths, width)
    present = [(document, length) for document, length in enumerate(lengths) if length]
    assert layout.rows == len(present)
    assert layout.row.tolist() == list(range(layout.rows))
    assert layout.document.tolist() == [document for document, _ in present]
    assert layout.length.tolist() == [min(length, width) for _, length in present]
    assert layout.kind.tolist() == [WHOLE if length <= width else PIECE for _, length in present]
    assert not layout.offset.any()
    assert not layout.start.any()
    check(layout, lengths, truncates=True)
    assert layout.rows * width == sum(min(length, width) for length in lengths) + layout.padding


def test_wrong_arguments() -> None:
    for policy in (concatenate, one_per_row):
        with pytest.raises(ValueError, match="width"):
            policy([1], 0)
        with pytest.raises(ValueError, match="negative"):
            policy([1, -1], 4)


LENGTHS = [3, 23, 6, 0, 4, 10, 4]
GOOD = best_fit(LENGTHS, 10)  # in the last row, documents 0, the rest of 1, and 6


def changed(name: str, piece: int, value: int) -> dict[str, np.ndarray]:
    column = getattr(GOOD, name).copy()
    column[piece] = value
    return {name: column}


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("1 empty pieces", changed("length", -1, 0)),
        ("1 pieces outside their row", changed("start", -1, 7)),
        ("1 pieces outside their row", changed("row", -1, 5)),
        ("1 pieces that overlap", changed("start", -1, 5)),
        ("2 pieces that do not continue", changed("offset", 0, 5)),
        ("1 documents with tokens lost or doubled", changed("length", -1, 3)),
        ("2 documents with tokens lost or doubled", changed("document", -1, 4) | changed("offset", -1, 4)),
        ("1 pieces of the wrong kind", changed("kind", -1, PIECE)),
        ("1 rows without a piece", {"rows": GOOD.rows + 1}),
    ],
)
def test_check_finds_what_is_wrong(what: str, changes: dict) -> None:
    check(GOOD, LENGTHS, truncates=False)
    with pytest.raises(ValueError, match=what):
        check(replace(GOOD, **changes), LENGTHS, truncates=False)


def test_check_allows_no_policy_but_truncation_to_drop_tokens() -> None:
    layout = one_per_row(LENGTHS, 10)
    with pytest.raises(ValueError, match="1 documents with tokens lost"):
        check(layout, LENGTHS, truncates=False)
    with pytest.raises(ValueError, match="1 documents with tokens lost"):
        check(GOOD, LENGTHS, truncates=True)
