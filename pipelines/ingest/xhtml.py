"""A book's content documents (XHTML) as text: paragraphs and headings separated by blank lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipelines.ingest.encoding import decode
from pipelines.ingest.markup import is_too_costly

# Values of epub:type (EPUB 3 Structural Semantics Vocabulary) and of manifest properties that mark what is not text.
_NOT_TEXT = (
    "cover titlepage halftitlepage imprint colophon copyright-page toc landmarks page-list loi lot loa lov nav "
    "noteref backlink pagebreak"
)
NOT_TEXT = frozenset(_NOT_TEXT.split())
_SKIPPED = "head script style rp rt rtc template iframe object audio video canvas noscript"
SKIPPED = frozenset(_SKIPPED.split())
_BLOCKS = (
    "address article aside blockquote body caption dd details div dl dt fieldset figcaption figure footer h1 h2 h3 h4 "
    "h5 h6 header hgroup hr legend li main nav ol p pre section summary table tbody tfoot thead tr ul"
)
BLOCKS = frozenset(_BLOCKS.split())
_ENCODING = re.compile(rb"""\A\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]{1,40})""")
# In XHTML any element may be empty by "/>", which an HTML parser takes for an opening tag: <title/> would swallow all.
_EMPTY = re.compile(
    r"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr)\b)([a-zA-Z][\w:-]*)((?:\s[^<>]*)?)/>"
)
_SPACE = re.compile(r"[ \t\r\f]{2,}|[\t\r\f]")


def xhtml_text(data: bytes) -> str:
    """The text of a content document: blocks separated by blank lines, line breaks kept, white space collapsed.

    Left out: navigation, covers, title pages, imprints, colophons and the like by their epub:type; references to
    notes (the notes themselves stay); the pronunciation in ruby annotations, whose base text stays. Raises
    ValueError for a document that is nested too deeply to be parsed (see pipelines.ingest.markup).
    """
    declared = _ENCODING.match(data)
    html = decode(data, ("declared", declared[1].decode("ascii") if declared else None)).text
    html = _EMPTY.sub(r"<\1\2></\1>", html)
    if is_too_costly(html):
        raise ValueError("nested too deeply")
    body = LexborHTMLParser(html).body
    if body is None:
        return ""
    paragraphs: list[str] = []
    words: list[str] = []
    for event in _walk(body):
        if event is None:
            if paragraph := _paragraph("".join(words)):
                paragraphs.append(paragraph)
            words = []
        else:
            words.append(event)
    return "\n\n".join(paragraphs)


def _walk(body: LexborNode) -> Iterator[str | None]:
    """Stretches of text in document order, with None at every border of a block. No recursion: depth is unbounded."""
    node: LexborNode | None = body
    open_nodes: list[LexborNode] = []
    preformatted = 0
    while node is not None:
        tag = node.tag or ""
        child = None
        if tag == "-text":
            text = node.text_content or ""
            # A line's end within running text is a space; only <br> and <pre> make lines (as \v until then).
            yield text.replace("\n", "\v" if preformatted else " ")
        elif tag == "br":
            yield "\v"
        elif tag in ("td", "th"):
            yield " "
        elif tag in BLOCKS:
            yield None
        if tag not in SKIPPED and not tag.startswith("-") and not _is_marked(node):
            child = node.child
        if child is not None:
            open_nodes.append(node)
            preformatted += tag == "pre"
            node = child
            continue
        while node is not None and node.next is None:
            node = open_nodes.pop() if open_nodes else None
            if node is not None and node.tag in BLOCKS:
                preformatted -= node.tag == "pre"
                yield None
        node = node.next if node is not None and open_nodes else None
    yield None


def _is_marked(node: LexborNode) -> bool:
    types = node.attributes.get("epub:type")
    return types is not None and not NOT_TEXT.isdisjoint(types.split())


def _paragraph(text: str) -> str:
    lines = (_SPACE.sub(" ", line).strip() for line in text.split("\v"))
    return "\n".join(lines).strip("\n")
