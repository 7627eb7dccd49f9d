"""What packing did to documents: padding, cuts, how many share a row, how much is read without its beginning.

The same figures come from a layout that was just made and from one read back from a shard, and add up over shards.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
from pyarrow import ipc
from pydantic import Field

from shards.format import FILL_IN_THE_MIDDLE, PIECE, Model
from shards.packing import Layout
from shards.pieces import as_layout, read_pieces

Count = Annotated[int, Field(strict=False)]  # keys of a JSON object are strings


class PackingReport(Model):
    """Counts over rows; rows x width = tokens + padding. A document's parts are the rows that it lies in."""

    rows: int = 0
    tokens: int = 0
    padding: int = 0
    documents: int = 0  # with a token in a row
    cut_documents: int = 0  # in more than one row
    cuts: int = 0  # parts, less one a document
    truncated_documents: int = 0  # whose end is in no row
    middle_last: int = 0  # documents in units of fill-in-the-middle
    dropped: int = 0  # tokens of documents that are in no row
    context_lost: int = 0  # tokens whose document begins in another row: they are read without what came before
    documents_per_row: dict[Count, int] = Field(default_factory=dict)  # rows by how many documents they hold

    @property
    def padding_share(self) -> float:
        """Padding among all places of all rows, 0 to 1."""
        return self.padding / max(1, self.tokens + self.padding)

    @property
    def dropped_share(self) -> float:
        """Dropped tokens among all tokens of the documents, 0 to 1."""
        return self.dropped / max(1, self.tokens + self.dropped)

    @property
    def context_lost_share(self) -> float:
        """Tokens read without their document's beginning, among all tokens of rows, 0 to 1."""
        return self.context_lost / max(1, self.tokens)


def report(layout: Layout, dropped: int = 0) -> PackingReport:
    """The figures of one layout. `dropped`: tokens that the policy left out, which no layout tells."""
    document, row = layout.document, layout.row
    parts = np.ones(len(row), np.bool_)  # the first of a document's pieces in a row: fill-in-the-middle makes several
    parts[1:] = (row[1:] != row[:-1]) | (document[1:] != document[:-1])
    rows_of_document = np.bincount(document[parts])
    begins = layout.offset == 0
    home = np.full(len(rows_of_document), -1)
    home[document[begins]] = row[begins]
    per_row = np.bincount(np.bincount(row[parts], minlength=layout.rows))
    return PackingReport(
        rows=layout.rows,
        tokens=layout.tokens,
        padding=layout.padding,
        documents=int(np.count_nonzero(rows_of_document)),
        cut_documents=int(np.count_nonzero(rows_of_document > 1)),
        cuts=int(np.maximum(rows_of_document - 1, 0).sum()),
        truncated_documents=int(np.count_nonzero((layout.kind == PIECE) & (rows_of_document[document] == 1))),
        middle_last=len(np.unique(document[layout.kind == FILL_IN_THE_MIDDLE])),
        dropped=dropped,
        context_lost=int(layout.length[home[document] != row].sum()),
        documents_per_row={count: rows for count, rows in enumerate(per_row.tolist()) if rows},
    )


def add_up(reports: Iterable[PackingReport]) -> PackingReport:
    """The sum of the reports of several shards, none of which shares a document with another."""
    reports = list(reports)
    per_row: dict[int, int] = {}
    for one in reports:
        for count, rows in one.documents_per_row.items():
            per_row[count] = per_row.get(count, 0) + rows
    names = PackingReport.model_fields.keys() - {"documents_per_row"}
    sums = {name: sum(getattr(one, name) for one in reports) for name in names}
    return PackingReport(documents_per_row=dict(sorted(per_row.items())), **sums)


def read_layout(path: Path) -> Layout:
    """The layout of the shard at `path`, documents numbered in the order of their ids. Reads pieces, not tokens.

    Raises what pyarrow raises for a file that is no shard.
    """
    with pa.memory_map(str(path)) as source:
        reader = ipc.open_file(source)
        width = reader.schema.field("tokens").type.list_size
        return as_layout(width, *read_pieces(reader))
