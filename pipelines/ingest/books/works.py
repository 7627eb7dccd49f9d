"""What the readers of books have in common: chapters, and the documents that they become."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from pipelines.ingest.books.gutenberg import has_header, without_footer, without_gutenberg
from pipelines.ingest.records import Document

MAX_HEADING = 80  # characters of a section that is only the heading of the next
MAX_MARKUP = 20_000_000  # bytes of one document that is parsed whole: its tree takes about ten times as much memory

Documents = Annotated[
    Literal["book", "chapters"],
    Field(description="`book`: a book is one document; `chapters`: each of its chapters is one, of the book's group"),
]


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter's place in its file (unique there), its title ("" where it has none), and its text."""

    position: str
    title: str
    text: str


def documents(
    name: str, meta: dict[str, str], chapters: list[Chapter], how: Literal["book", "chapters"]
) -> Iterator[Document]:
    """The book as one document or as many; `name` is the file's and, for the split, the group.

    A chapter's meta are the book's, with `chapter`, its number among the book's from 1, and `chapter_title` where it
    has one. Parts' headings stand before their first chapter. Project Gutenberg's header and footer are left out.
    """
    meta = {"group": name, **meta}
    chapters = [chapter for chapter in _without_gutenberg(chapters) if chapter.text.strip()]
    if how == "book" or not chapters:
        yield Document("", name, "\n\n".join(chapter.text for chapter in chapters), meta)
        return
    for number, chapter in enumerate(_with_headings(chapters), start=1):
        titled = {"chapter_title": chapter.title} if chapter.title else {}
        yield Document(chapter.position, name, chapter.text, {**meta, "chapter": str(number), **titled})


def _with_headings(chapters: list[Chapter]) -> list[Chapter]:
    """Sections that are nothing but a heading ("Part One") join the next."""
    result: list[Chapter] = []
    before = ""
    for chapter in chapters[:-1]:
        if len(chapter.text) <= MAX_HEADING:
            before += f"{chapter.text}\n\n"
        else:
            result.append(Chapter(chapter.position, chapter.title, before + chapter.text))
            before = ""
    return [*result, Chapter(chapters[-1].position, chapters[-1].title, before + chapters[-1].text)]


def _without_gutenberg(chapters: list[Chapter]) -> list[Chapter]:
    """Header and footer stand in the first and last chapters, or are such."""
    for i, chapter in enumerate(chapters[:3]):
        if has_header(chapter.text):
            text, _ = without_gutenberg(chapter.text)
            chapters = [Chapter(chapter.position, chapter.title, text.strip("\n")), *chapters[i + 1 :]]
            break
    else:
        return chapters
    for i in range(len(chapters) - 1, max(-1, len(chapters) - 4), -1):
        text = without_footer(chapters[i].text)
        if text != chapters[i].text:
            return [*chapters[:i], Chapter(chapters[i].position, chapters[i].title, text.strip())]
    return chapters
