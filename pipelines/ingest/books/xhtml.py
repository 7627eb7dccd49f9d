"""A book's content documents (XHTML, HTML) as text: paragraphs and headings separated by blank lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipelines.ingest.books.markup import is_too_costly
from pipelines.ingest.encoding import decode

# Values of epub:type (EPUB 3 Structural Semantics Vocabulary 1.1) and of manifest properties that mark what is not
# text; with `doc-` before them also values of `role` (DPUB-ARIA 1.1).
_NOT_TEXT = (
    "cover titlepage halftitlepage halftitle imprint colophon copyright-page toc landmarks page-list pagelist loi lot "
    "loa lov nav noteref backlink pagebreak seriespage other-credits"
)
NOT_TEXT = frozenset(_NOT_TEXT.split())
_ROLES = frozenset(f"doc-{name}" for name in NOT_TEXT)
# Classes and ids of page numbers and of Project Gutenberg's header and footer in its own EPUBs and HTML.
_GUTENBERG = frozenset(["pg-boilerplate", "pg-header", "pg-footer", "pgheader", "pgfooter", "pg-machine-header"])
_FURNITURE = _GUTENBERG | frozenset(["pagenum", "pageno", "page-number", "pagenumber", "x-ebookmaker-pageno"])
MAX_PAGE_NUMBER = 20  # characters
FEWEST_LINKS = 5  # of a table of contents
_LISTS = frozenset({"ul", "ol", "table"})
_SKIPPED = "head script style rp rt rtc template iframe object audio video canvas noscript"
SKIPPED = frozenset(_SKIPPED.split())
_BLOCKS = (
    "address article aside blockquote body caption dd details div dl dt fieldset figcaption figure footer h1 h2 h3 h4 "
    "h5 h6 header hgroup hr legend li main nav ol p pre section summary table tbody tfoot thead tr ul"
)
BLOCKS = frozenset(_BLOCKS.split())
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
DECLARED = re.compile(
    rb"""\A\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]{1,40})|<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""",
    re.IGNORECASE,
)
# In XHTML any element may be empty by "/>", which an HTML parser takes for an opening tag: <title/> would swallow all.
_EMPTY = re.compile(
    r"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr)\b)([a-zA-Z][\w:-]*)((?:\s[^<>]*)?)/>"
)
_SPACE = re.compile(r"[ \t\r\f]{2,}|[\t\r\f]")
_REFERENCE = re.compile(r"[\[({]?(?:\d{1,4}|[a-z]|[*†‡§¶]{1,3})[\])}]?")
_OF_NOTE = re.compile(r"note|\bfn|fn\d|foot|anchor|\bref|_ref", re.IGNORECASE)


@dataclass(slots=True)
class Section:
    """A stretch of a book: the key of what begins it, its first heading, its paragraphs, the characters in links."""

    key: str
    title: str = ""
    paragraphs: list[str] = field(default_factory=list)
    linked: int = 0

    @property
    def text(self) -> str:
        """The paragraphs, separated by blank lines."""
        return "\n\n".join(self.paragraphs)


class _Text(NamedTuple):
    text: str
    linked: bool


class _Block(NamedTuple):
    tag: str


class _Border(NamedTuple):
    key: str


def parse(data: bytes) -> LexborNode | None:
    """The body of a content document, None where it has none.

    Raises ValueError for one that is nested too deeply to be parsed (see pipelines.ingest.books.markup).
    """
    return parse_html(decode_html(data)).body


def decode_html(data: bytes) -> str:
    """A content document's characters: see pipelines.ingest.encoding."""
    declared = DECLARED.search(data, 0, 4096)
    label = (declared[1] or declared[2]).decode("ascii") if declared else None
    return decode(data, ("declared", label)).text


def parse_html(html: str) -> LexborHTMLParser:
    """A content document as a tree. Raises ValueError as `parse` does."""
    html = _EMPTY.sub(r"<\1\2></\1>", html)
    if is_too_costly(html):
        raise ValueError("nested too deeply")
    return LexborHTMLParser(html)


def xhtml_text(data: bytes) -> str:
    """The text of a content document: blocks separated by blank lines, line breaks kept, white space collapsed.

    What is left out: see `sections`. Raises ValueError as `parse` does.
    """
    body = parse(data)
    return "\n\n".join(section.text for section in sections(body) if section.paragraphs) if body else ""


def sections(body: LexborNode, border: Callable[[LexborNode], str | None] = lambda _: None) -> list[Section]:
    """The text under a node, in one section, or with a new one before each node of which `border` gives the key.

    The first section's key is "". Left out: navigation, covers, title pages, imprints, colophons and the like by their
    epub:type or role; page numbers; references to notes (the notes themselves stay); the pronunciation in ruby
    annotations, whose base text stays; Project Gutenberg's header and footer by their class or id.
    """
    found = [Section("")]
    words: list[_Text] = []
    tag = ""
    for event in _walk(body, border):
        if isinstance(event, _Text):
            words.append(event)
            continue
        if paragraph := _paragraph("".join(word.text for word in words)):
            found[-1].paragraphs.append(paragraph)
            found[-1].linked += sum(len(word.text.strip()) for word in words if word.linked)
            if tag in HEADINGS and not found[-1].title:
                found[-1].title = " ".join(paragraph.split())
        words = []
        if isinstance(event, _Border):
            found.append(Section(event.key))
        else:
            tag = event.tag
    return found


def _walk(body: LexborNode, border: Callable[[LexborNode], str | None]) -> Iterator[_Text | _Block | _Border]:
    """Stretches of text in document order, and every border of a block. No recursion: depth is unbounded."""
    node: LexborNode | None = body
    open_nodes: list[LexborNode] = []
    within = {"pre": 0, "a": 0, **dict.fromkeys(_LISTS, 0)}
    while node is not None:
        tag = node.tag or ""
        child = None
        if tag == "-text":
            text = node.text_content or ""
            # A line's end within running text is a space; only <br> and <pre> make lines (as \v until then). No parsed
            # document holds a NUL, so that it can stand for a space that is kept.
            yield _Text(text.translate(_KEPT) if within["pre"] else text.replace("\n", " "), within["a"] > 0)
        elif not tag.startswith("-") and (key := border(node)) is not None:
            yield _Border(key)
        if tag == "br":
            yield _Text("\v", False)
        elif tag in ("td", "th"):
            yield _Text(" ", False)
        elif tag in BLOCKS:
            yield _Block(tag)
        if (
            tag not in SKIPPED
            and not tag.startswith("-")
            and not _is_no_text(node, in_list=any(within[name] for name in _LISTS))
        ):
            child = node.child
        if child is not None:
            open_nodes.append(node)
            if tag in within:
                within[tag] += 1
            node = child
            continue
        while node is not None and node.next is None:
            node = open_nodes.pop() if open_nodes else None
            if node is not None:
                if node.tag in within:
                    within[node.tag] -= 1
                if node.tag in BLOCKS:
                    yield _Block("")
        node = node.next if node is not None and open_nodes else None
    yield _Block("")


_KEPT = str.maketrans({"\n": "\v", " ": "\0", "\t": "\0\0\0\0"})


def _is_no_text(node: LexborNode, *, in_list: bool) -> bool:
    if node.tag in _LISTS and not in_list and _is_contents(node):
        return True
    attributes = node.attributes
    if not attributes:
        return False
    types = attributes.get("epub:type")
    if types and not NOT_TEXT.isdisjoint(types.split()):
        return True
    role = attributes.get("role")
    if role and not _ROLES.isdisjoint(role.split()):
        return True
    names = f"{attributes.get('class') or ''} {attributes.get('id') or ''}".lower()
    found = _FURNITURE.intersection(names.split())
    if found and (found & _GUTENBERG or len(node.text() or "") < MAX_PAGE_NUMBER):
        return True
    return node.tag == "a" and _refers_to_note(node, names)


def _is_contents(node: LexborNode) -> bool:
    """Whether a list or table is one of contents: nearly all of its text are links."""
    links = node.css("a[href*='#']")
    if len(links) < FEWEST_LINKS:
        return False
    return sum(len((link.text() or "").strip()) for link in links) > 0.6 * len("".join((node.text() or "").split()))


def _refers_to_note(node: LexborNode, names: str) -> bool:
    """Whether a link is the number or sign of a note: set in brackets or raised, or named as one."""
    href = node.attributes.get("href") or ""
    text = (node.text() or "").strip() if "#" in href else ""
    if not text or len(text) > 6 or not _REFERENCE.fullmatch(text):
        return False
    parent, child = node.parent, node.child
    raised = (parent is not None and parent.tag == "sup") or (child is not None and child.tag == "sup")
    return raised or text[0] in "[({" or _OF_NOTE.search(f"{names} {href.partition('#')[2]}") is not None


def _paragraph(text: str) -> str:
    lines = (_SPACE.sub(" ", line).strip() for line in text.split("\v"))
    return "\n".join(lines).replace("\0", " ").rstrip().strip("\n")
