"""What Project Gutenberg has put around its books since 1991: headers, small print, credits, notes, footers.

A header says "*** START OF THE PROJECT GUTENBERG EBOOK ... ***" (THE or THIS, EBOOK or ETEXT, with and without a space
or stars at the end); books of the 1990s end theirs with the small print ("*END*THE SMALL PRINT! ...*END*"), and some
have that behind the start mark. Footers are "*** END OF ..." or a line before it ("End of Project Gutenberg's ...",
"End of the Project Gutenberg EBook of ...", in German "Ende dieses Project Gutenberg EBooks", in French "Fin de l'EBook
Project Gutenberg"). Project Gutenberg of Australia has marks of its own.
"""

from __future__ import annotations

import re

HEADER = 20_000  # bytes or characters from a file's start within which its header begins
HEADER_END = 60_000  # characters within which it ends, and a footer's length: the small print of the 1990s is long
MAX_CREDITS = 5  # paragraphs
MAX_NOTE = 6_000  # characters of a transcriber's note; what is longer is taken for a part of the book

_LINE = re.IGNORECASE | re.MULTILINE
_START = re.compile(
    r"^[ \t]*(?:\*{3} ?START OF (?:THE|THIS) PROJECT GUTENBERG E(?:TEXT|BOOK)[^*\n]*(?:\n[^*\n]+){0,2}(?:\*\*\*)?[^\n]*"
    r"|\*+ ?START\*+ ?THE (?:PROJECT GUTENBERG ETEXT|SMALL PRINT)[^\n]*"
    r"|\*+ ?END\b[^\n]{0,6}THE SMALL PRINT!?[^\n]*(?:\n[^\n]+\*END\*)?"
    r"|To contact Project Gutenberg of Australia go to [^\n]*(?:\n[ \t]*-{5,}[^\n]*)?)$",
    _LINE,
)
_SMALL_PRINT_END = re.compile(r"^\*+ ?END\b[^\n]{0,6}THE SMALL PRINT!?[^\n]*(?:\n[^\n]*\*END\*)?$", _LINE)
_END = re.compile(
    r"^[ \t>]*(?:\*{3} ?END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|(?:\*{3} ?)?End of (?:the |this )?(?:complete )?Project Gutenberg(?:['’]s)?\b"
    r"|(?:\*{3} ?)?End of (?:the |this )?E-?text\b"
    r"|(?:This is the )?end of the Project Gutenberg\b"
    r"|Ende (?:dieses|des|der) Proje[ck]t Gutenberg"
    r"|Fin (?:de (?:l['’])?|du )(?:E-?(?:Book|text) (?:de |du )?)?(?:the )?Proje[ct]t? Gutenberg"
    r"|This (?:site|book) is (?:full of|provided by) [^\n]{0,40}Project Gutenberg(?: of)? Australia"
    r"|Project Gutenberg(?: of)? Australia *$"
    r"|\*{3} ?START: FULL LICENSE ?\*{3}"
    r"|\*{2,} ?START\*{2} ?THE SMALL PRINT)",
    _LINE,
)
# World Library's notice, between the acts of Shakespeare's plays of 1994.
_NOTICE = re.compile(r"<<THIS ELECTRONIC VERSION OF THE COMPLETE WORKS.{0,800}?>>\s*", re.DOTALL)
_CREDIT = re.compile(
    r"\A\s*[\[(]?(?:Produced by|Prepared by|Transcribed (?:by|from)|Scanned (?:by|and)|Digitized by|Proofread by"
    r"|Credits?: |HTML version by|E-?text (?:prepared|produced|scanned|by)\b|E-?book (?:prepared|produced)"
    r"|This (?:e-?(?:text|book)|file|etext edition) was (?:\w+ )?(?:produced|prepared|transcribed|scanned|created)"
    r"|Note: Project Gutenberg (?:also )?has|Distributed Proofreaders|Th(?:is|e) (?:file|book|text) was produced"
    r"|Images? (?:generously )?(?:made available|provided) by)[^\n]*(?:\n[^\n]+)*\n\s*\n",
    re.IGNORECASE,
)
# The heading of a note or its first words, with what lies between it and the text of the note, which may be more than
# ends the note: two empty lines, the bracket that it began with, or its box's border.
_NOTE = re.compile(
    r"^[ \t]*(?:\+[-=]+\+\n[ \t|]*|\[|_|\*)*(?:Original )?Transcriber(?:['’]s|s['’]?)?[ \t]+Notes?\b[ \t:.\]_*|]*\s*",
    _LINE,
)
_BREAK = re.compile(r"\n(?:[ \t]*\n){2,}|\][ \t]*\n[ \t]*\n|\+[-=]+\+[ \t]*\n[ \t]*\n(?![ \t]*[|+])")
_FIELD = re.compile(r"^(Title|Author|Language|Release Date):[ \t]*(\S[^\n]*(?:\n[ \t]+[^\n]+)*)", re.MULTILINE)


def without_gutenberg(text: str) -> tuple[str, dict[str, str]]:
    """A book without Project Gutenberg's header and footer, and the facts that its header states.

    Also without credits and a transcriber's note at its head. A text without such a header comes back as it is. Line
    ends must be line feeds. Facts: title, author, language, release_date.
    """
    start = _START.search(text, 0, HEADER_END)
    if start is None or "gutenberg" not in text[: start.end()].lower():
        return text, {}
    # Some books of the 1990s have both marks: the small print then lies between them.
    small_print = _SMALL_PRINT_END.search(text, start.end(), HEADER_END)
    begin = (small_print or start).end()
    facts: dict[str, str] = {}
    for match in _FIELD.finditer(text, 0, start.start()):
        value = re.sub(r"\s*\[[^\]]*#\d+\].*", "", " ".join(match[2].split()))
        facts.setdefault(match[1].lower().replace(" ", "_"), value)
    return _without_credits(without_footer(text[begin:])).strip("\n") + "\n", facts


def has_header(text: str) -> bool:
    """Whether `without_gutenberg` would find a header."""
    start = _START.search(text, 0, HEADER_END)
    return start is not None and "gutenberg" in text[: start.end()].lower()


def without_footer(text: str) -> str:
    """The text up to the first mark of Project Gutenberg's end in its last HEADER_END characters."""
    end = _END.search(text, max(0, len(text) - HEADER_END))
    return text[: end.start()] if end else text


def _without_credits(body: str) -> str:
    body = _NOTICE.sub("", body)
    for _ in range(MAX_CREDITS):
        if credit := _CREDIT.match(body):
            body = body[credit.end() :]
    note = _NOTE.search(body, 0, HEADER)
    end = _BREAK.search(body, note.end(), note.end() + MAX_NOTE) if note else None
    return f"{body[: note.start()]}\n{body[end.end() :]}" if note and end else body
