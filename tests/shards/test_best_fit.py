import gzip
import json
import re
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_data import DATA, MISSING

from shards.best_fit import _counting_sort, best_fit
from shards.format import PIECE, WHOLE
from shards.packing import Layout, check

Piece = tuple[int, int, int]  # document, offset, length

WORD = re.compile(rb"\w+|[^\w\s]")


def pack_slowly(lengths: list[int], width: int) -> list[list[Piece]]:
    """Best-fit decreasing, as it is defined. Rows as they were opened, each with its pieces in the given order."""
    pieces = [(d, at, min(width, n - at)) for d, n in enumerate(lengths) for at in range(0, n, width)]
    rows: list[list[Piece]] = []
    lately: list[int] = []  # rows as they were filled, the last one first

    def room(row: int) -> int:
        return width - sum(length for _, _, length in rows[row])

    for piece in sorted(pieces, key=lambda piece: -piece[2]):
        fitting = [row for row in lately if room(row) >= piece[2]]
        if fitting:
            row = min(fitting, key=room)
            lately.remove(row)
        else:
            row = len(rows)
            rows.append([])
        rows[row].append(piece)
        lately.insert(0, row)
    return [sorted(row) for row in rows]


def rows_of(layout: Layout) -> list[list[Piece]]:
    """Pieces by row, in the layout's own order; asserts that each begins where the one before it ends."""
    rows: list[list[Piece]] = [[] for _ in range(layout.rows)]
    columns = (layout.row, layout.start, layout.document, layout.offset, layout.length)
    for row, start, *piece in zip(*(column.tolist() for column in columns)):
        assert start == sum(length for _, _, length in rows[row])
        rows[row].append((piece[0], piece[1], piece[2]))
    return rows


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[int], int]:
    """Lengths and a width; lengths near the width and its multiples come often."""
    width = draw(st.integers(1, 40))
    edges = [0, 1, width - 1, width, width + 1, 2 * width, 3 * width + 1]
    return draw(st.lists(st.sampled_from(edges) | st.integers(0, 3 * width), max_size=60)), width


@given(corpora())
def test_rows_are_those_of_the_reference(corpus: tuple[list[int], int]) -> None:
    lengths, width = corpus
    layout = best_fit(lengths, width)
    assert rows_of(layout) == pack_slowly(lengths, width)
    check(layout, lengths, truncates=False)
    assert layout.rows * width == sum(lengths) + layout.padding


@given(corpora())
def test_only_documents_longer_than_a_row_are_cut(corpus: tuple[list[int], int]) -> None:
    lengths, width = corpus
    layout = best_fit(lengths, width)
    parts = Counter(layout.document.tolist())
    assert parts == {d: -(-n // width) for d, n in enumerate(lengths) if n}
    longer = np.array(lengths, np.int64)[layout.document] > width
    assert layout.kind.tolist() == np.where(longer, PIECE, WHOLE).tolist()
    rest = longer & (layout.length < width)
    assert len(set(layout.document[rest].tolist())) == np.count_nonzero(rest)  # one at most of each document


@given(corpora())
def test_at_most_one_row_is_half_empty(corpus: tuple[list[int], int]) -> None:
    """Two rows at most half full would have been one: the lighter's first piece fits into the other."""
    lengths, width = corpus
    filled = [sum(length for _, _, length in row) for row in rows_of(best_fit(lengths, width))]
    assert sum(2 * tokens <= width for tokens in filled) <= 1


@pytest.mark.parametrize("width", [1, 2, 63, 64, 65, 4096, 4097])  # also powers of two, where the tree is full
def test_many_documents_against_the_reference(width: int) -> None:
    rng = np.random.default_rng(width)
    lengths = rng.integers(0, width + width // 2 + 2, 400).tolist()
    assert rows_of(best_fit(lengths, width)) == pack_slowly(lengths, width)


def test_by_hand() -> None:
    layout = best_fit([3, 23, 6, 0, 4, 10, 4], 10)
    #                  0   1  2  3  4   5  6
    assert rows_of(layout) == [
        [(1, 0, 10)],
        [(1, 10, 10)],
        [(5, 0, 10)],
        [(2, 0, 6), (4, 0, 4)],
        [(0, 0, 3), (1, 20, 3), (6, 0, 4)],
    ]
    assert layout.padding == 0


def test_of_equal_rows_the_one_filled_last_is_taken() -> None:
    assert rows_of(best_fit([7, 7, 7, 3], 11)) == [[(0, 0, 7)], [(1, 0, 7)], [(2, 0, 7), (3, 0, 3)]]


@given(st.lists(st.integers(0, 9), max_size=50))
def test_counting_sort_is_stable(keys: list[int]) -> None:
    assert _counting_sort(np.array(keys, np.int64), 10).tolist() == sorted(range(len(keys)), key=keys.__getitem__)


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_nothing_to_pack(lengths: list[int]) -> None:
    layout = best_fit(lengths, 8)
    assert (layout.rows, layout.tokens, layout.padding, len(layout.document)) == (0, 0, 0, 0)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="width"):
        best_fit([1], 0)
    with pytest.raises(ValueError, match="negative"):
        best_fit([1, -1], 4)


def words(text: bytes) -> int:
    """Words and signs of a text (bytes beyond ASCII), begin and end counted in: lengths as a tokenizer makes them."""
    return 2 + len(WORD.findall(text))


@cache
def pages() -> list[int]:
    with gzip.open(DATA / "web/gold.jsonl.gz") as file:
        return [words(json.loads(line)["text"].encode()) for line in file]


@cache
def books() -> list[int]:
    texts = [gzip.decompress(path.read_bytes()) for path in sorted(DATA.glob("books/eltec/*/*.txt.gz"))]
    texts += [path.read_bytes() for path in sorted(DATA.glob("books/gutenberg/*.txt"))]
    return [words(text) for text in texts]


@pytest.mark.skipif(not (DATA / "web").exists() or not (DATA / "books").exists(), reason=MISSING)
@pytest.mark.parametrize("context", [1024, 2048])
@pytest.mark.parametrize("kind", ["pages", "books", "both"])
def test_padding_of_real_documents(kind: str, context: int) -> None:
    lengths = (pages() if kind != "books" else []) + (books() if kind != "pages" else [])
    layout = best_fit(lengths, context + 1)
    check(layout, lengths, truncates=False)
    assert layout.padding < 0.005 * layout.rows * layout.width
