"""The elements of a page as arrays: parents, names of classes and ids, and which of them hold no text of the page."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.extraction.tags import (
    BLOCK,
    BODY,
    FLAGS,
    FORMULA,
    HIDDEN,
    HTML,
    MATH,
    SCRIPT,
    SKIP,
    TD,
    TEXT,
    TH,
    VOID,
)
from pipelines.ingest.extraction.tokens import Bytes, Tokens, attribute, kernel

Ints = NDArray[np.int32]
SEARCHED = 64
"""Open elements among which the one is looked for that an end tag closes; in what Lexbor writes it is the first."""
_BORDER = 26
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_BYTE_PRIME, _BASIS = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)
_CLASS, _ID, _ROLE, _ITEMPROP, _HIDDEN, _STYLE, _ARIA = (
    np.frombuffer(name, np.uint8)
    for name in (b"class", b"id", b"role", b"itemprop", b"hidden", b"style", b"aria-hidden")
)
_NONE, _TRUE = np.frombuffer(b"display:none", np.uint8), np.frombuffer(b"true", np.uint8)


class Nodes(NamedTuple):
    """Elements in document order, 0 being a root above all. `tag` int16[n]; `parent`, `depth`, `order` (which child of
    its kind it is, from 0) int32[n]; `hints` int64[n]: bits of HINT; `sign` uint64[n]: the same for elements of one
    kind, class and surroundings; `skipped` bool[n]; and `at` int32[tokens]: the element that a token opens or is in."""

    tag: NDArray[np.int16]
    parent: Ints
    depth: Ints
    order: Ints
    hints: NDArray[np.int64]
    sign: NDArray[np.uint64]
    skipped: NDArray[np.bool_]
    at: Ints


@kernel
def build(html: Bytes, tokens: Tokens, step: NDArray[np.uint16], found: NDArray[np.int64], unskipped: bool) -> Nodes:
    """The tree of some tokens; with `unskipped`, text of all elements is the page's, that of <noscript> too."""
    most = 1
    for tag in tokens.tag:
        most += tag > TEXT
    nodes = _empty(most, len(tokens.tag))
    own = np.zeros(most, np.uint64)
    stack = np.zeros(most, np.int32)
    height, count = 0, 1  # the stack's top; elements so far
    for index in range(len(tokens.tag)):
        tag = tokens.tag[index]
        if tag < TEXT:
            nodes.at[index] = stack[height]
            height = _closed(nodes.tag, stack, height, -tag)
        elif tag == TEXT:
            nodes.at[index] = stack[height]
        else:
            parent = stack[height]
            nodes.at[index] = count
            nodes.tag[count], nodes.parent[count] = tag, parent
            nodes.depth[count] = nodes.depth[parent] + 1
            is_formula = tag in (MATH, SCRIPT)  # one token each: no attributes, and nothing within
            end = tokens.begin[index] if is_formula else tokens.end[index]
            hints, key = _read(html, tokens.begin[index], end, step, found)
            nodes.hints[count] = 0 if tag in (BODY, HTML) else hints
            own[count] = (key ^ np.uint64(tag)) * _PRIME
            above = own[parent] ^ (own[nodes.parent[parent]] >> np.uint64(7))
            nodes.sign[count] = own[count] ^ (above >> np.uint64(3))
            # What KaTeX and MathJax made of a formula; its source stands beside it.
            is_drawn = (hints >> FORMULA) & 1 and not FLAGS[tag] & BLOCK
            is_skipped = (FLAGS[tag] & SKIP or is_drawn) and not unskipped
            nodes.skipped[count] = nodes.skipped[parent] or is_skipped
            if not FLAGS[tag] & VOID and not is_formula and index + 1 < len(tokens.tag):
                height += 1
                stack[height] = count
            count += 1
    _count_orders(nodes, count)
    return Nodes(nodes.tag[:count], nodes.parent[:count], nodes.depth[:count], nodes.order[:count],
                 nodes.hints[:count], nodes.sign[:count], nodes.skipped[:count], nodes.at)  # fmt: skip


@kernel
def _empty(most: int, tokens: int) -> Nodes:
    return Nodes(
        np.zeros(most, np.int16),
        np.zeros(most, np.int32),
        np.zeros(most, np.int32),
        np.zeros(most, np.int32),
        np.zeros(most, np.int64),
        np.zeros(most, np.uint64),
        np.zeros(most, np.bool_),
        np.zeros(tokens, np.int32),
    )


@kernel
def _closed(tag: NDArray[np.int16], stack: Ints, height: int, number: int) -> int:
    """The stack's height when the innermost element of that kind is closed."""
    for down in range(height, max(height - SEARCHED, 0), -1):
        if tag[stack[down]] == number:
            return down - 1
    return height


@kernel
def _count_orders(nodes: Nodes, count: int) -> None:
    """Children of one kind in a row: each counts one more than its forerunner, which is looked up by its parent."""
    last = np.zeros(count, np.int32)  # the last child seen of each parent
    for node in range(1, count):
        parent = nodes.parent[node]
        before = last[parent]
        if before:
            alike = nodes.tag[before] == nodes.tag[node] or (_is_cell(nodes.tag[before]) and _is_cell(nodes.tag[node]))
            nodes.order[node] = nodes.order[before] + 1 if alike else 0
        last[parent] = node


@kernel
def _is_cell(tag: int) -> bool:
    return tag in (TD, TH)


@kernel
def _read(html: Bytes, at: int, end: int, step: NDArray[np.uint16], found: NDArray[np.int64]) -> Any:
    """An element's hints, and a hash of its class without digits, which often count."""
    hints, key = np.int64(0), _BASIS
    while at < end:
        name, name_end, value, value_end = attribute(html, at, end)
        is_class = _is(html, name, name_end, _CLASS)
        if is_class or _is_named(html, name, name_end):
            hints |= _hints(html, value, value_end, step, found)
        if is_class:
            for place in range(value, value_end):
                if html[place] < 48 or html[place] > 57:
                    key = (key ^ np.uint64(html[place])) * _BYTE_PRIME
        elif _is_unseen(html, name, name_end, value, value_end):
            hints |= np.int64(1) << HIDDEN
        at = max(value_end + 1, name_end + 1)
    return hints, key


@kernel
def _is_named(html: Bytes, begin: int, end: int) -> bool:
    return _is(html, begin, end, _ID) or _is(html, begin, end, _ROLE) or _is(html, begin, end, _ITEMPROP)


@kernel
def _is_unseen(html: Bytes, begin: int, end: int, value: int, value_end: int) -> bool:
    """Whether an attribute says that its element is not shown."""
    if _is(html, begin, end, _HIDDEN):
        return True
    if _is(html, begin, end, _ARIA):
        return _is(html, value, value_end, _TRUE)
    if not _is(html, begin, end, _STYLE):
        return False
    matched = 0
    for place in range(value, value_end):
        byte = html[place]
        if byte == 32:
            continue
        matched = matched + 1 if byte == _NONE[matched] else int(byte == _NONE[0])
        if matched == len(_NONE):
            return True
    return False


@kernel
def _is(html: Bytes, begin: int, end: int, name: Bytes) -> bool:
    if end - begin != len(name):
        return False
    at = 0
    while at < len(name) and html[begin + at] == name[at]:
        at += 1
    return at == len(name)


@kernel
def _hints(html: Bytes, begin: int, end: int, step: NDArray[np.uint16], found: NDArray[np.int64]) -> np.int64:
    """Hints in a value: borders are what is no letter, and an upper-case letter behind a lower-case one."""
    state = np.int64(step[0, _BORDER])
    hints = found[state]
    was_small = False
    for at in range(begin, end):
        byte = np.int64(html[at])
        is_small, is_large = 97 <= byte <= 122, 65 <= byte <= 90
        if was_small and is_large:
            state = np.int64(step[state, _BORDER])
            hints |= found[state]
        symbol = byte - 97 if is_small else byte - 65 if is_large else _BORDER
        state = np.int64(step[state, symbol])
        hints |= found[state]
        was_small = bool(is_small)
    state = np.int64(step[state, _BORDER])
    return hints | found[state]
