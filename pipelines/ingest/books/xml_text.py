"""The text of a book's XML tree (TEI, FictionBook): paragraphs, verse by lines, notes behind their paragraphs."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipelines.ingest.books.works import Chapter
from pipelines.ingest.books.xml_tree import local

_SPACE = re.compile(r"[ \t\r\n\f]+")


@dataclass(frozen=True, slots=True)
class Markup:
    """What a vocabulary's elements are to their text, by local name.

    `divisions` hold chapters, `blocks` are set apart by blank lines, `lines` by line ends, `cells` by spaces, `notes`
    go behind the block that they are in; of the rest, `is_skipped` elements are left out, and others are their text.
    `headings` may stand in a division that is no chapter itself.
    """

    divisions: frozenset[str]
    headings: frozenset[str]
    blocks: frozenset[str]
    lines: frozenset[str]
    cells: frozenset[str]
    notes: frozenset[str]
    is_skipped: Callable[[ElementTree.Element], bool]


def chapters(parts: list[ElementTree.Element], markup: Markup) -> list[Chapter]:
    """The chapters of a book's parts (bodies, front and back matter), in order; positions count the elements.

    A chapter is a division without divisions in it, or with text of its own beside them. What stands outside of
    chapters (a part's heading) is a chapter by itself.
    """
    found: list[Chapter] = []
    for number, part in enumerate(parts, start=1):
        found += _chapters(part, str(number), markup, is_part=True)
    return found


def paragraphs(element: ElementTree.Element, markup: Markup) -> list[str]:
    """The text in an element."""
    writer = _Writer(markup)
    writer.walk(element)
    writer.end_block()
    return writer.paragraphs


def _chapters(element: ElementTree.Element, position: str, markup: Markup, *, is_part: bool) -> Iterator[Chapter]:
    if markup.is_skipped(element):
        return
    divisions = [child for child in element if local(child) in markup.divisions]
    own = [child for child in element if local(child) not in markup.divisions | markup.headings]
    has_text = any("".join(child.itertext()).strip() for child in own if not markup.is_skipped(child))
    if not divisions or (has_text and not is_part):
        yield _chapter(element, position, markup)
        return
    between = ElementTree.Element(element.tag)
    for number, child in enumerate(element, start=1):
        if local(child) not in markup.divisions:
            between.append(child)
            continue
        yield _chapter(between, f"{position}.{number}-", markup)
        between = ElementTree.Element(element.tag)
        yield from _chapters(child, f"{position}.{number}", markup, is_part=False)
    yield _chapter(between, f"{position}.end", markup)


def _chapter(element: ElementTree.Element, position: str, markup: Markup) -> Chapter:
    heading = next((child for child in element if local(child) in markup.headings), None)
    title = " ".join(" ".join(paragraphs(heading, markup)).split()) if heading is not None else ""
    return Chapter(position, title, "\n\n".join(paragraphs(element, markup)))


class _Writer:
    def __init__(self, markup: Markup) -> None:
        self.markup = markup
        self.paragraphs: list[str] = []
        self.words: list[str] = []
        self.aside: list[str] = []  # notes of the block that is being written

    def walk(self, element: ElementTree.Element) -> None:
        """Write what is in an element. Recursive: trees are at most xml_tree.MAX_DEPTH deep."""
        self.words.append(_SPACE.sub(" ", element.text or ""))
        for child in element:
            self.write(child)
            self.words.append(_SPACE.sub(" ", child.tail or ""))

    def write(self, element: ElementTree.Element) -> None:
        name = local(element)
        if self.markup.is_skipped(element):
            return
        if name in self.markup.notes:
            self.aside += paragraphs(element, self.markup)
        elif name in self.markup.lines:
            self.words.append("\v")
            self.walk(element)
            self.words.append("\v")
        elif name in self.markup.blocks or name in self.markup.divisions or name in self.markup.headings:
            self.end_block()
            self.walk(element)
            self.end_block()
        elif name == "lb":
            self.line_begins(element)
        else:
            self.words.append(" " if name in self.markup.cells else "")
            self.walk(element)

    def line_begins(self, element: ElementTree.Element) -> None:
        """A line of the printed page begins (TEI): within a word where break="no", whose hyphen is then the line's."""
        if element.get("break") != "no":
            self.words.append(" ")
        elif self.words:
            self.words[-1] = self.words[-1].rstrip().rstrip("-\u2010\xad¬")

    def end_block(self) -> None:
        lines = (_SPACE.sub(" ", line).strip() for line in "".join(self.words).split("\v"))
        if text := "\n".join(line for line in lines if line):
            self.paragraphs.append(text)
        self.paragraphs += self.aside
        self.words, self.aside = [], []
