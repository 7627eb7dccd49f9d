"""The text of a page in blocks: what stands between two borders of block-level elements, with white space as shown.

Two or more <br> in a row are a border as well, since that is how many pages make paragraphs. In <pre> all white space
stays, and borders of elements only end lines. A formula is one byte FORMULA_MARK; `Blocks.formulas` says where its
source is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.extraction.nodes import Ints, Nodes
from pipelines.ingest.extraction.tags import (
    BLOCK,
    BR,
    FLAGS,
    IMG,
    LINK,
    MATH,
    PRE,
    SCRIPT,
    STYLE,
    TEX,
    TEXT,
)
from pipelines.ingest.extraction.tokens import Bytes, Tokens, attribute, kernel

Longs = NDArray[np.int64]
FORMULA_MARK = 0x1A
_NEWLINE, _BLANK, _AMPERSAND, _DELETE = 10, 32, 38, 127
_ALT = np.frombuffer(b"alt", np.uint8)


class Blocks(NamedTuple):
    """`text`: UTF-8 of all blocks one after another.

    For each block: `begin`, `end` int64[b] in it; `node` int32[b]: the block-level element around it; bytes in links
    (`linked`) and in styled inline elements (`styled`), number of `links`, of other `inlines`, of `images` and of line
    `breaks`, all int32[b]; `inner` int64[b]: hints of elements within it; `first` int32[b + 1]: number of formulas
    before it, and in all. `formulas` int64[f, 2]: where their sources are in the HTML.
    """

    text: Bytes
    begin: Longs
    end: Longs
    node: Ints
    linked: Ints
    styled: Ints
    links: Ints
    inlines: Ints
    images: Ints
    breaks: Ints
    inner: Longs
    first: Ints
    formulas: Longs


# What is open while text is written: the block's begin, where text is written next, blocks so far, whether a space is
# due, <br> in a row, elements that are links, that style, and <pre> around, formulas so far, the element of the block.
_BEGIN, _AT, _COUNT, _SPACE, _BREAKS, _LINKED, _STYLED, _PRE, _FORMULAS, _NODE, _STATES = range(11)


@kernel
def cut(html: Bytes, tokens: Tokens, nodes: Nodes) -> Blocks:
    """The blocks of a page."""
    blocks = _empty(len(html), len(tokens.tag))
    state = np.zeros(_STATES, np.int64)
    above = _block_parents(nodes)
    for index in range(len(tokens.tag)):
        tag, node = tokens.tag[index], nodes.at[index]
        if nodes.skipped[node] and not (tag == SCRIPT and not nodes.skipped[nodes.parent[node]]):
            continue
        state[_NODE] = above[node]
        if tag == TEXT:
            _write(html, tokens.begin[index], tokens.end[index], blocks, state)
        elif tag in (MATH, SCRIPT):
            _formula(tokens.begin[index], tokens.end[index], blocks, state)
        elif FLAGS[abs(tag)] & BLOCK:
            _border(tag, blocks, state)
        else:
            _inline(html, tokens, index, tag, nodes.hints[node], blocks, state)
    _close(blocks, state)
    return _trimmed(blocks, state)


@kernel
def _empty(size: int, most: int) -> Blocks:
    most += 1
    return Blocks(
        np.empty(size + most + 1, np.uint8),
        np.zeros(most, np.int64),
        np.zeros(most, np.int64),
        np.zeros(most, np.int32),
        np.zeros(most, np.int32),
        np.zeros(most, np.int32),
        np.zeros(most, np.int32),
        np.zeros(most, np.int32),
        np.zeros(most, np.int32),
        np.zeros(most, np.int32),
        np.zeros(most, np.int64),
        np.zeros(most, np.int32),
        np.zeros((most, 2), np.int64),
    )


@kernel
def _trimmed(b: Blocks, state: Longs) -> Blocks:
    n, formulas = state[_COUNT], state[_FORMULAS]
    b.first[n] = formulas
    return Blocks(
        b.text[: state[_AT]],
        b.begin[:n],
        b.end[:n],
        b.node[:n],
        b.linked[:n],
        b.styled[:n],
        b.links[:n],
        b.inlines[:n],
        b.images[:n],
        b.breaks[:n],
        b.inner[:n],
        b.first[: n + 1],
        b.formulas[:formulas],
    )


@kernel
def _block_parents(nodes: Nodes) -> Ints:
    """For each element the innermost block-level one that it is or is in."""
    above = np.zeros(len(nodes.tag), np.int32)
    for node in range(1, len(nodes.tag)):
        above[node] = node if FLAGS[nodes.tag[node]] & BLOCK else above[nodes.parent[node]]
    return above


@kernel
def _border(tag: int, blocks: Blocks, state: Longs) -> None:
    """A block-level element begins or ends."""
    if state[_PRE] and abs(tag) != PRE:
        if state[_AT] > state[_BEGIN] and blocks.text[state[_AT] - 1] != _NEWLINE:
            _put(_NEWLINE, blocks, state)
        return
    _close(blocks, state)
    if tag == PRE:
        state[_PRE] += 1
    elif tag == -PRE and state[_PRE]:
        state[_PRE] -= 1


@kernel
def _inline(html: Bytes, tokens: Tokens, index: int, tag: int, hints: int, blocks: Blocks, state: Longs) -> None:
    """An inline element begins or ends."""
    kind, change, block = FLAGS[abs(tag)], 1 if tag > 0 else -1, state[_COUNT]
    if tag == BR:
        if state[_PRE]:
            _put(_NEWLINE, blocks, state)
        else:
            blocks.breaks[block] += 1
            state[_BREAKS] += 1
        return
    if tag == IMG:
        blocks.images[block] += 1
        if (hints >> TEX) & 1:
            _alternative(html, tokens.begin[index], tokens.end[index], blocks, state)
        return
    if kind & LINK:
        state[_LINKED] = max(state[_LINKED] + change, 0)
        blocks.links[block] += tag > 0
    elif kind & STYLE:
        state[_STYLED] = max(state[_STYLED] + change, 0)
    if tag > 0:
        blocks.inner[block] |= hints
        blocks.inlines[block] += not kind & LINK


@kernel
def _alternative(html: Bytes, at: int, end: int, blocks: Blocks, state: Longs) -> None:
    """The formula that an image shows, from its alternative text."""
    while at < end:
        name, name_end, value, value_end = attribute(html, at, end)
        if name_end - name == 3 and html[name] == _ALT[0] and html[name + 1] == _ALT[1] and html[name + 2] == _ALT[2]:
            _formula(value, value_end, blocks, state)
            return
        at = max(value_end + 1, name_end + 1)


@kernel
def _formula(begin: int, end: int, blocks: Blocks, state: Longs) -> None:
    blocks.formulas[state[_FORMULAS], 0], blocks.formulas[state[_FORMULAS], 1] = begin, end
    state[_FORMULAS] += 1
    _due(blocks, state)
    _put(FORMULA_MARK, blocks, state)


@kernel
def _put(byte: int, blocks: Blocks, state: Longs) -> None:
    if state[_AT] == state[_BEGIN]:
        blocks.node[state[_COUNT]] = state[_NODE]
    blocks.text[state[_AT]] = byte
    state[_AT] += 1


@kernel
def _due(blocks: Blocks, state: Longs) -> None:
    """Write the white space that stands before what is written next, or end the block at several <br>."""
    if state[_BREAKS] > 1:
        _close(blocks, state)
    if state[_AT] > state[_BEGIN]:
        if state[_BREAKS]:
            _put(_NEWLINE, blocks, state)
        elif state[_SPACE]:
            _put(_BLANK, blocks, state)
    state[_BREAKS] = state[_SPACE] = 0


@kernel
def _write(html: Bytes, at: int, end: int, blocks: Blocks, state: Longs) -> None:
    """Write text: white space collapsed (unless in <pre>), the four escapes undone, control characters left out."""
    begin, block = state[_AT], state[_COUNT]
    while at < end:
        byte = int(html[at])
        is_plain = byte > _BLANK and byte != _AMPERSAND and byte != _DELETE
        if not is_plain:
            at += 1
            if byte == _AMPERSAND:
                byte, at = _unescape(html, at, end)
            if byte == _DELETE or (byte < _BLANK and not 9 <= byte <= 13):
                continue
            if byte <= _BLANK:
                if state[_PRE]:
                    _put(byte if byte <= _NEWLINE or byte == _BLANK else _BLANK, blocks, state)
                else:
                    state[_SPACE] = 1
                continue
        if state[_SPACE] or state[_BREAKS]:
            _due(blocks, state)
            if state[_COUNT] != block:
                begin, block = state[_AT], state[_COUNT]
        if is_plain:
            at = _copy(html, at, end, blocks, state)
        else:
            _put(byte, blocks, state)
    written = np.int32(state[_AT] - begin)
    if state[_LINKED]:
        blocks.linked[block] += written
    if state[_STYLED]:
        blocks.styled[block] += written


@kernel
def _copy(html: Bytes, at: int, end: int, blocks: Blocks, state: Longs) -> int:
    """Copy what needs no care; where that ends."""
    to = state[_AT]
    if to == state[_BEGIN]:
        blocks.node[state[_COUNT]] = state[_NODE]
    while at < end and html[at] > _BLANK and html[at] != _AMPERSAND and html[at] != _DELETE:
        blocks.text[to] = html[at]
        to += 1
        at += 1
    state[_AT] = to
    return at


@kernel
def _unescape(html: Bytes, at: int, end: int) -> tuple[int, int]:
    """The character that an escape stands for, behind its `&`, and where the text goes on."""
    if at + 2 < end and html[at + 1] == 116 and html[at + 2] == 59:  # lt; gt;
        if html[at] == 108:
            return 60, at + 3
        if html[at] == 103:
            return 62, at + 3
    if at + 3 < end and html[at] == 97 and html[at + 1] == 109 and html[at + 2] == 112 and html[at + 3] == 59:  # amp;
        return _AMPERSAND, at + 4
    if at + 4 < end and html[at] == 110 and html[at + 1] == 98 and html[at + 4] == 59:  # nbsp;
        return _BLANK, at + 5
    if at + 4 < end and html[at] == 113 and html[at + 1] == 117 and html[at + 4] == 59:  # quot;
        return 34, at + 5
    return _AMPERSAND, at


@kernel
def _close(blocks: Blocks, state: Longs) -> None:
    """End the block: white space at its end goes, and the block where nothing else is in it."""
    begin, end, block = state[_BEGIN], state[_AT], state[_COUNT]
    while end > begin and blocks.text[end - 1] <= _BLANK and blocks.text[end - 1] != FORMULA_MARK:
        end -= 1
    state[_SPACE] = state[_BREAKS] = 0
    if end > begin:
        blocks.begin[block], blocks.end[block] = begin, end
        state[_COUNT] = block + 1
        blocks.first[block + 1] = state[_FORMULAS]
    state[_BEGIN] = state[_AT]
    new = state[_COUNT]
    blocks.linked[new] = blocks.styled[new] = blocks.links[new] = blocks.inlines[new] = 0
    blocks.images[new] = blocks.breaks[new] = 0
    blocks.inner[new] = 0
