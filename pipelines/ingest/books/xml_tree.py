"""XML that strangers wrote, read without what makes XML dangerous: entities that grow, files and addresses it names."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection
from typing import Any
from xml.parsers import expat

from pipelines.ingest.books.whole_file import TooLarge
from pipelines.ingest.encoding import decode

MAX_DEPTH = 250  # open elements
MAX_ENTITY = 40  # characters of an entity's value: a letter with its marks, or a few
ELEMENT = 50  # what an element adds to the size of a document, in characters: a tree of small ones is large
_REFERS = re.compile("&(?!#)|%")
_DECLARED = re.compile(rb"""\A\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]{1,40})""")
_NO_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def read_tree(data: bytes, limit: int, skipped: Collection[str] = ()) -> ElementTree.Element:
    """The root of a document, its names as ElementTree has them ("{namespace}name").

    Elements whose local name is in `skipped` are left out with all that is in them, while reading. References to
    HTML's named entities, which careless files use without declaring them, are their characters; characters that XML
    does not allow go. Raises ValueError where an entity refers to others or to a file, or elements are nested more than
    MAX_DEPTH deep; TooLarge where text and elements come to more than `limit` characters; ParseError where the document
    is not well-formed.
    """
    declared = _DECLARED.match(data)
    text = decode(data, ("declared", declared[1].decode("ascii") if declared else None)).text
    reader = _Reader(limit, frozenset(skipped))
    parser = expat.ParserCreate("utf-8", "}")  # whatever the document says: it is decoded
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = reader.declared
    parser.SkippedEntityHandler = reader.skipped_entity
    parser.UseForeignDTD(True)  # so that an undeclared entity is skipped, not an error
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_UNLESS_STANDALONE)
    parser.ExternalEntityRefHandler = lambda *_: 1  # is read as empty
    try:
        parser.Parse(_NO_XML.sub("", text).lstrip().encode(), True)
        return reader.builder.close()
    except expat.ExpatError as error:
        raise ElementTree.ParseError(str(error)) from None


def local(element: ElementTree.Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


class _Reader:
    """The parser's handlers."""

    def __init__(self, limit: int, skipped: frozenset[str]) -> None:
        self.builder = ElementTree.TreeBuilder()
        self.limit = self.left = limit
        self.skipped = skipped
        self.depth = 0
        self.within = 0  # the depth of the skipped element that is open, or 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"elements are nested more than {MAX_DEPTH} deep")
        if self.within:
            return
        if name.rpartition("}")[2] in self.skipped:
            self.within = self.depth
            return
        self.builder.start(_qualified(name), {_qualified(key): value for key, value in attributes.items()})
        self.count(ELEMENT + sum(map(len, attributes.values())))

    def end(self, name: str) -> None:
        if not self.within:
            self.builder.end(_qualified(name))
        elif self.within == self.depth:
            self.within = 0
        self.depth -= 1

    def text(self, data: str) -> None:
        if not self.within:
            self.builder.data(data)
            self.count(len(data))

    def declared(self, name: str, _is_parameter: Any, value: str | None, *_external: Any) -> None:
        if value is None or _REFERS.search(value) or len(value) > MAX_ENTITY:
            raise ValueError(f"the entity {name[:40]!r} refers to others or to a file, or is long")

    def skipped_entity(self, name: str, is_parameter: bool) -> None:
        char = html.unescape(f"&{name};")
        if not (is_parameter or self.within or char == f"&{name};"):
            self.builder.data(char)

    def count(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise TooLarge(self.limit)


def _qualified(name: str) -> str:
    return "{" + name if "}" in name else name
