"""Which documents of an EPUB are the publisher's, not the book's: covers, title pages, imprints, tables, advertising.

What the book itself says goes first: epub:type of the document, landmarks, the guide. Only where a document says
nothing are its name and its text looked at, and then only short ones near the book's ends are left out. Dedications,
epigraphs, prefaces, introductions, afterwords and notes are text.
"""

from __future__ import annotations

import re

from pipelines.ingest.books.epub_package import GUIDE_NOT_TEXT, NOTES
from pipelines.ingest.books.xhtml import NOT_TEXT, Section

MAX_PAGE = 6_000  # characters of a page that is judged by its name or text
# A document's whole name, or the last part of it behind what publishers put in front (an ISBN, the author's name).
_NAME = re.compile(
    r"(?:.*[\W_])?(?:cover|cvi|(?:half|full|book|series)?[-_]?title(?:[-_]?page)?|tp|ttl|htp|toc|nav|navigation"
    r"|(?:table[-_]?of[-_]?)?contents|colophon|(?:un)?copy(?:right)?|cop|cpy|cr|imprint|jacket|ad[-_]?card|adc"
    r"|back[-_]?ads?|advert\w*|also[-_]?by\w*|other[-_]?books|books[-_]?by|newsletter|sign[-_]?up"
    r"|about[-_]?(?:the[-_]?)?publisher|praise|promo|teaser|eula|license|licence)(?:[-_]?page)?(?:[\W_]*r?\d{1,3})?",
    re.IGNORECASE,
)
_WHOLE_NAME = re.compile(
    r"(cover|(half-?)?title-?page|toc|nav|contents|colophon|(un)?copyright|imprint)(page)?", re.IGNORECASE
)
_IMPRINT = re.compile(
    r"all rights reserved|\bISBN\b|©|\(c\) ?\d{4}|copyright \d{4}|library of congress"
    r"|first (?:published|edition|printing)|published (?:in \d{4} )?by"
    r"|no part of this|cover (?:design|art|illustration)|e-?book (?:edition|production)"
    r"|printed in|alle rechte vorbehalten|tous droits r[ée]serv[ée]s|reservados todos los derechos|d[ée]p[ôo]t l[ée]gal"
    r"|все права защищены|tutti i diritti riservati",
    re.IGNORECASE,
)
_ADVERTISING = re.compile(
    r"\A(?:also by|other (?:books|titles|works) (?:by|in|from)|(?:more )?books by|more from|by the same author"
    r"|(?:sign up|subscribe)|(?:our |join (?:the|our) )?newsletter|about the publisher|praise for|don['’]t miss"
    r"|coming soon|discover (?:more|your next)|thank you for (?:buying|purchasing|downloading)|du m[êe]me auteur"
    r"|weitere (?:bücher|titel)|get (?:email updates|a free))",
    re.IGNORECASE,
)


def is_told(types: str) -> bool:
    """Whether types that a landmark or the guide gives a document say that it is no text."""
    return not (NOT_TEXT | GUIDE_NOT_TEXT).isdisjoint(types.split())


def is_notes(name: str, types: str) -> bool:
    """Whether a document out of the line of reading is the book's notes, by its types or its name."""
    return (
        not NOTES.isdisjoint(types.replace("doc-", "").split()) or re.search("note|fn", name, re.IGNORECASE) is not None
    )


def is_named(stem: str) -> bool:
    """Whether a document's whole name (without folder and suffix) is that of a page of the publisher's."""
    return _WHOLE_NAME.fullmatch(stem) is not None


def is_publishers(stem: str, sections: list[Section]) -> bool:
    """Whether a document that says nothing of itself is a page of the publisher's, by name or text."""
    text = "\n\n".join(section.text for section in sections)
    if not 0 < len(text) <= MAX_PAGE:
        return False
    if _NAME.fullmatch(stem) or _ADVERTISING.match(text):
        return True
    if len({match[0].lower() for match in _IMPRINT.finditer(text)}) >= 2:
        return True
    linked = sum(section.linked for section in sections)
    return linked > 0.8 * len(text) and sum(len(section.paragraphs) for section in sections) >= 5
