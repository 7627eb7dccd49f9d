"""Where each block stands in lists and tables, for decisions and for rendering."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.extraction.blocks import Blocks
from pipelines.ingest.extraction.nodes import Ints, Nodes
from pipelines.ingest.extraction.surroundings import Floats, block_above
from pipelines.ingest.extraction.tags import DL, HEADINGS, LI, OL, PRE, TABLE, TD, TH, TR, UL
from pipelines.ingest.extraction.tokens import kernel


class Structure(NamedTuple):
    """Of each block: level of the `heading` that it is in (0 for none), whether it is preformatted (`is_pre`) or has a
    formula (`has_formula`); the elements around it (0 for none): `item` of a list, `list` (the outermost one in a
    cell), `cell`, `row`, `table`, and `region`, what the block, or its list, its code or its table of data, is in;
    `level`: in how many lists it is; `number` of its item in an ordered list, from 1, else 0; `column` of its cell.

    `is_data` bool[elements]: tables of data, not of layout.
    """

    heading: NDArray[np.uint8]
    is_pre: NDArray[np.bool_]
    has_formula: NDArray[np.bool_]
    item: Ints
    list: Ints
    cell: Ints
    row: Ints
    table: Ints
    region: Ints
    level: Ints
    number: Ints
    column: Ints
    is_data: NDArray[np.bool_]


_HEADING, _PRE, _ITEM, _LIST, _CELL, _ROW, _TABLE, _LEVEL = range(8)
MOST_IN_CELL = 250  # mean bytes of text in a cell of a data table
BLOCKS_IN_CELL = 1.5  # mean blocks in a filled cell of a data table


@kernel
def structure(blocks: Blocks, nodes: Nodes) -> Structure:
    """The place of each block in lists and tables."""
    around = _around(nodes)
    number = len(blocks.node)
    places = np.empty((number, 8), np.int32)
    for block in range(number):
        places[block] = around[blocks.node[block]]
    ordered, columns = np.zeros(number, np.int32), np.zeros(number, np.int32)
    for block in range(number):
        item = places[block, _ITEM]
        if item and nodes.tag[nodes.parent[item]] == OL:
            ordered[block] = nodes.order[item] + 1
        columns[block] = nodes.order[places[block, _CELL]]
    is_data = _data_tables(blocks, nodes, places)
    regions = np.zeros(number, np.int32)
    for block in range(number):
        table, listing = places[block, _TABLE], places[block, _LIST]
        code = places[block, _PRE]
        whole = table if is_data[table] else listing if listing else code if code else blocks.node[block]
        regions[block] = block_above(nodes, whole)
    return Structure(
        places[:, _HEADING].astype(np.uint8),
        places[:, _PRE] > 0,
        blocks.first[1:] > blocks.first[:-1],
        places[:, _ITEM],
        places[:, _LIST],
        places[:, _CELL],
        places[:, _ROW],
        places[:, _TABLE],
        regions,
        places[:, _LEVEL],
        ordered,
        columns,
        is_data,
    )


@kernel
def _around(nodes: Nodes) -> Ints:
    """int32[elements, 8]: what each element is within, or is."""
    around = np.zeros((len(nodes.tag), 8), np.int32)
    for node in range(1, len(around)):
        row, tag = around[node], nodes.tag[node]
        row[:] = around[nodes.parent[node]]
        if HEADINGS[tag]:
            row[_HEADING] = HEADINGS[tag]
        if tag == PRE:
            row[_PRE] = node
        elif tag == LI:
            row[_ITEM] = node
        elif tag in (UL, OL, DL):
            row[_LIST] = row[_LIST] if row[_LIST] else node
            row[_LEVEL] += 1
        elif tag == TABLE:
            row[_TABLE], row[_ROW], row[_CELL], row[_LIST], row[_ITEM], row[_LEVEL] = node, 0, 0, 0, 0, 0
        elif tag == TR:
            row[_ROW] = node
        elif tag in (TD, TH):
            row[_CELL], row[_LIST], row[_ITEM], row[_LEVEL] = node, 0, 0, 0
    return around


@kernel
def _data_tables(blocks: Blocks, nodes: Nodes, places: Ints) -> NDArray[np.bool_]:
    """Tables with several filled columns, short cells, and neither tables nor preformatted text within."""
    sums = np.zeros((len(nodes.tag), 3), np.int64)  # blocks, filled cells, bytes
    widest = np.zeros(len(nodes.tag), np.int32)
    is_data = np.zeros(len(nodes.tag), np.bool_)
    last = 0
    for block in range(len(places)):
        table, cell = places[block, _TABLE], places[block, _CELL]
        if table == 0 or cell == 0:
            continue
        sums[table, 0] += 1
        sums[table, 1] += cell != last
        sums[table, 2] += blocks.end[block] - blocks.begin[block]
        widest[table] = max(widest[table], nodes.order[cell])
        last = cell
        if places[block, _PRE]:
            sums[table, 0] += 1_000_000
    for node in range(1, len(is_data)):
        count, cells, size = sums[node]
        is_data[node] = widest[node] > 0 and count <= BLOCKS_IN_CELL * cells and size <= MOST_IN_CELL * cells
    for node in range(1, len(is_data)):
        if nodes.tag[node] == TABLE:
            outer = nodes.parent[node]
            while outer:
                is_data[outer] = False
                outer = nodes.parent[outer] if nodes.tag[outer] != TABLE else 0
    return is_data


@kernel
def group_means(group: Ints, weight: Floats, values: Floats, elements: int) -> Floats:
    """float32[elements]: the weighted mean of the values of each group of blocks; group 0 is none."""
    sums = np.zeros((elements, 2))
    for at in range(len(group)):
        if group[at]:
            sums[group[at], 0] += weight[at] * values[at]
            sums[group[at], 1] += weight[at]
    means = np.zeros(elements, np.float32)
    for element in range(elements):
        if sums[element, 1] > 0:
            means[element] = sums[element, 0] / sums[element, 1]
    return means
