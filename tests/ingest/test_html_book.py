"""Books as one HTML file."""

from pathlib import Path

import pytest
from ingest_cases import SENTENCE, failures, gates, read_all
from mutations import FILES, survives

from pipelines.ingest.books.html_book import read_html_book

FORMAT = "pipelines.ingest.books.html_book:HtmlBookSource"
REFERENCE = '<a href="#f1" id="FNanchor_1" class="fnanchor">[1]</a>'
CHAPTERS = "".join(
    f'<h2><a id="c{i}"></a>CHAPTER {i}</h2><p><span class="pagenum">[Pg {i}]</span>{SENTENCE}{REFERENCE}</p>'
    '<p class="poem">one<br>two</p>'
    for i in range(1, 5)
)
CONTENTS = "".join(f'<li><a href="#c{i}">CHAPTER {i}</a></li>' for i in range(1, 7))
BODY = (
    f"<h1>THE MILL</h1><ul>{CONTENTS}</ul>{CHAPTERS}"
    '<div class="footnote"><p><a href="#FNanchor_1">[1]</a> A note.</p></div>'
)
HEAD = """<!DOCTYPE html><html lang="en"><head><meta charset="iso-8859-1">
<title>The Project Gutenberg eBook of The Mill, by
A. Miller</title><meta name="dc.creator" content="Anna Müller"></head><body>"""
BOOK = f"""{HEAD}<section class="pg-boilerplate pgheader" id="pg-header"><h2>The Project Gutenberg eBook</h2></section>
{BODY}<section class="pg-boilerplate pgfooter" id="pg-footer"><p>*** END OF THE PROJECT GUTENBERG EBOOK</p></section>"""
OLD = f"""{HEAD}<pre>The Project Gutenberg EBook of The Mill

*** START OF THIS PROJECT GUTENBERG EBOOK THE MILL ***

Produced by Nobody

</pre>{BODY}<pre>End of Project Gutenberg's The Mill

*** END OF THIS PROJECT GUTENBERG EBOOK THE MILL ***
legal words</pre>"""


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "x.html"
    path.write_bytes(text.encode("latin-1") if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("book", [BOOK, OLD])
def test_a_book(tmp_path: Path, book: str):
    (row,) = read_all(FORMAT, write(tmp_path, book))
    chapters = [block for i in range(1, 5) for block in (f"CHAPTER {i}", SENTENCE.strip(), "one\ntwo")]
    assert row.text.decode().split("\n\n") == ["THE MILL", *chapters, "A note."]
    assert row.record.meta == {
        "group": "x.html",
        "title": "The Mill, by A. Miller",
        "author": "Anna Müller",
        "language": "en",
    }


@pytest.mark.parametrize("book", [BOOK, OLD])
def test_by_chapters(tmp_path: Path, book: str):
    rows = read_all(FORMAT, write(tmp_path, book), documents="chapters")
    assert [row.record.meta["chapter_title"] for row in rows] == [f"CHAPTER {i}" for i in range(1, 5)]
    assert rows[0].text.startswith(b"THE MILL\n\nCHAPTER 1")
    assert rows[3].text.endswith(b"A note.")


def test_what_is_refused(tmp_path: Path):
    path = write(tmp_path, "<div>" * 100_000)
    assert failures(read_all(FORMAT, path)) == [("record", "too costly to parse")]
    path = write(tmp_path, "x" * 2_000_000)
    assert failures(read_all(FORMAT, path, max_text_bytes=1_000_000)) == [("record", "text too large")]
    assert gates(read_all(FORMAT, write(tmp_path, ""))) == ["no_text"]


@pytest.mark.parametrize("seed", range(FILES))
def test_fuzz(tmp_path: Path, seed: int):
    def read(data: bytes):
        return list(read_html_book(write(tmp_path, data), "x", max_text_bytes=1_000_000))

    assert len(survives(read, OLD.encode("latin-1"), seed)) == 1
