from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_cases import make_header, make_table, make_tokens

from shards.best_fit import best_fit
from shards.format import FILL_IN_THE_MIDDLE
from shards.packing import Layout, concatenate, one_per_row
from shards.packing_report import PackingReport, add_up, read_layout, report
from shards.write import write_shard


def count_slowly(layout: Layout) -> PackingReport:
    """The figures, from a table of places, one token at a time."""
    places = {}  # (document, position in it): (row, place)
    for document, offset, row, start, length in zip(
        layout.document.tolist(), layout.offset.tolist(), layout.row.tolist(), layout.start.tolist(), layout.length
    ):
        for i in range(length):
            places[document, offset + i] = (row, start + i)
    rows_of: dict[int, set[int]] = {}
    documents_in: dict[int, set[int]] = {row: set() for row in range(layout.rows)}
    for (document, _), (row, _) in places.items():
        rows_of.setdefault(document, set()).add(row)
        documents_in[row].add(document)
    return PackingReport(
        rows=layout.rows,
        tokens=len(places),
        padding=layout.rows * layout.width - len(set(places.values())),
        documents=len(rows_of),
        cut_documents=sum(len(rows) > 1 for rows in rows_of.values()),
        cuts=sum(len(rows) - 1 for rows in rows_of.values()),
        context_lost=sum(places[document, 0][0] != row for (document, _), (row, _) in places.items()),
        documents_per_row=Counter(len(documents) for documents in documents_in.values()),
    )


@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 20), st.sampled_from([concatenate, best_fit]))
def test_the_figures_of_a_layout(lengths: list[int], width: int, policy) -> None:
    layout = policy(lengths, width)
    facts = report(layout)
    assert facts == count_slowly(layout)
    assert facts.rows * width == facts.tokens + facts.padding
    assert (facts.tokens, facts.documents) == (sum(lengths), sum(length > 0 for length in lengths))
    assert sum(count * rows for count, rows in facts.documents_per_row.items()) == facts.documents + facts.cuts


@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 20))
def test_truncated_documents(lengths: list[int], width: int) -> None:
    layout = one_per_row(lengths, width)
    facts = report(layout, sum(lengths) - layout.tokens)
    assert facts.truncated_documents == sum(length > width for length in lengths)
    assert facts.dropped == sum(max(0, length - width) for length in lengths)
    assert (facts.cuts, facts.cut_documents, facts.context_lost) == (0, 0, 0)
    assert facts.documents_per_row == ({1: facts.rows} if facts.rows else {})


def test_by_hand() -> None:
    facts = report(concatenate([6, 9, 3, 0, 1], 8))  # rows: aaaaaabb | bbbbbbbc | cce.....
    expected = {"rows": 3, "tokens": 19, "padding": 5, "documents": 4, "cut_documents": 2, "cuts": 2}
    assert facts == PackingReport(**expected, context_lost=9, documents_per_row={2: 3})
    assert (facts.padding_share, facts.context_lost_share, facts.dropped_share) == (5 / 24, 9 / 19, 0)
    facts = report(best_fit([6, 9, 3, 0, 1], 8))  # rows: bbbbbbbb | aaaaaabe, b before e | ccc.....
    assert (facts.cuts, facts.context_lost, facts.documents_per_row) == (1, 1, {1: 2, 3: 1})
    facts = report(one_per_row([6, 9, 3, 0, 1], 8), 1)
    assert (facts.rows, facts.truncated_documents, facts.dropped_share) == (4, 1, 1 / 19)


def test_fill_in_the_middle_is_no_cut() -> None:
    """Three pieces of one document side by side in a row, their offsets out of order."""
    columns = ([0, 0, 0, 1], [0, 7, 3, 0], [0, 0, 0, 0], [0, 3, 6, 10], [3, 3, 4, 2])
    pieces = [np.array(column, np.int64) for column in columns]
    facts = report(Layout(1, 16, *pieces, np.array([FILL_IN_THE_MIDDLE] * 3 + [0], np.uint8)))
    assert (facts.documents, facts.cuts, facts.context_lost, facts.truncated_documents) == (2, 0, 0, 0)
    assert facts.documents_per_row == {2: 1}


def test_reports_add_up_and_go_through_json() -> None:
    first, second = (report(best_fit(lengths, 8)) for lengths in ([6, 9, 3], [7, 20, 1, 1]))
    both = add_up([first, second])
    assert both.tokens == first.tokens + second.tokens
    assert both.documents_per_row == Counter(first.documents_per_row) + Counter(second.documents_per_row)
    assert PackingReport.model_validate_json(both.model_dump_json()) == both
    assert add_up([]) == PackingReport() == report(concatenate([], 8))


@pytest.mark.parametrize("lengths", [[], [5, 40, 2, 0, 200, 16, 3, 3]])
def test_a_shard_tells_the_same_as_the_layout_it_was_made_from(tmp_path: Path, lengths: list[int]) -> None:
    path = tmp_path / "a.arrow"
    header = make_header()
    write_shard(path, make_table(make_tokens(lengths)), header, seed=3)
    found = read_layout(path)
    assert report(found) == report(concatenate(lengths, header.width))
    assert (found.rows, found.width) == (-(-sum(lengths) // header.width), header.width)
