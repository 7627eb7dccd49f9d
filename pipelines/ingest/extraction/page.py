"""A page's HTML as its main text, by our classifier of text blocks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from pipelines.ingest.extraction import measure, model
from pipelines.ingest.extraction.agreement import agreement
from pipelines.ingest.extraction.blocks import Blocks, cut
from pipelines.ingest.extraction.decide import decide
from pipelines.ingest.extraction.facts import title
from pipelines.ingest.extraction.features import features
from pipelines.ingest.extraction.nodes import Nodes, build
from pipelines.ingest.extraction.render import render
from pipelines.ingest.extraction.structure import structure
from pipelines.ingest.extraction.surroundings import Floats
from pipelines.ingest.extraction.tags import tables
from pipelines.ingest.extraction.tokens import tokenize
from pipelines.ingest.extraction.trees import probability


class Analysis(NamedTuple):
    """A page as Lexbor wrote it, its title, elements and blocks, and the blocks' features and counts."""

    html: bytes
    title: str
    nodes: Nodes
    blocks: Blocks
    features: Floats
    counts: NDArray[np.int64]


def analyse(html: str | bytes) -> Analysis:
    """Parse a page; text in <noscript> and the like counts where there is no other."""
    written = LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS).html or ""
    data = written.encode()
    bytes_ = np.frombuffer(data, np.uint8)
    known = tables()
    tokens = tokenize(bytes_, known.keys, known.numbers)
    for unskipped in (False, True):
        nodes = build(bytes_, tokens, known.step, known.found, unskipped)
        blocks = cut(bytes_, tokens, nodes)
        if len(blocks.begin):
            break
    named = title(data)
    return Analysis(data, named, nodes, blocks, *features(blocks, nodes, named.encode()))


def probabilities(page: Analysis, trees: model.Model) -> Floats:
    """float32[blocks]: how probably each block is main text."""
    guess = probability(trees.first, page.features)
    return probability(trees.second, agreement(page.blocks, page.nodes, page.counts, page.features, guess))


def main_text(page: Analysis, trees: model.Model) -> str:
    """The text of the blocks that stay; empty only where the page has no text."""
    places = structure(page.blocks, page.nodes)
    linked = page.blocks.linked / np.maximum(page.blocks.end - page.blocks.begin, 1)
    keep = decide(places, page.counts[:, measure.SIZE], linked, probabilities(page, trees), trees.threshold)
    return render(page.html, page.blocks, places, keep)
