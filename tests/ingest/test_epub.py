import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from ingest_cases import SENTENCE, failures, gates, mutations, read_all, texts
from mutations import FILES as MUTATIONS
from mutations import survives

from pipelines.ingest.books.epub import read_epub
from pipelines.ingest.books.xhtml import xhtml_text

CONTAINER = """<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
PACKAGE = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
<metadata><dc:title>The Mill</dc:title><dc:creator>A. Miller</dc:creator><dc:creator>B. Baker</dc:creator>
<dc:language>en</dc:language><dc:date>1901</dc:date></metadata><manifest>
<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>
<item id="cov" href="cover.xhtml" media-type="application/xhtml+xml"/>
<item id="front" href="front.xhtml" media-type="application/xhtml+xml"/>
<item id="two" href="text/two%20b.xhtml" media-type="application/xhtml+xml"/>
<item id="one" href="text/one.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="cov"/><itemref idref="nav"/>
<itemref idref="front"/><itemref idref="two"/><itemref idref="one"/></spine>
<guide><reference type="copyright-page" href="front.xhtml#a"/></guide></package>"""


def chapter(body: str) -> str:
    return f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{body}</body></html>'


FILES = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": CONTAINER,
    "OPS/book.opf": PACKAGE,
    "OPS/nav.xhtml": chapter("<nav>NAVIGATION</nav>"),
    "OPS/cover.xhtml": chapter("COVER"),
    "OPS/front.xhtml": chapter("COPYRIGHT"),
    "OPS/text/two b.xhtml": chapter("<h1>Second</h1><p>first in the spine</p>"),
    "OPS/text/one.xhtml": chapter(f"<h1>First</h1><p>{SENTENCE}</p>"),
}


def book(tmp_path: Path, **changes: str | None) -> Path:
    path = tmp_path / "x.epub"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**FILES, **changes}.items():
            if content is not None:
                archive.writestr(zipfile.ZipInfo(name), content)
    return path


def test_reading_order_and_facts(tmp_path: Path):
    (row,) = read_all("epub", book(tmp_path))
    assert row.text.decode() == f"Second\n\nfirst in the spine\n\nFirst\n\n{SENTENCE.strip()}"
    assert row.record.meta == {
        "group": "x.epub",
        "title": "The Mill",
        "author": "A. Miller; B. Baker",
        "language": "en",
        "date": "1901",
        "left_out": "OPS/cover.xhtml OPS/front.xhtml",
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>one\n  two</p><p>three<br/>four</p>", "one two\n\nthree\nfour"),
        ("<p>a<i>b</i>c <a id='x'/>d</p>", "abc d"),
        ("<section epub:type='colophon'><p>no</p></section><p>yes</p>", "yes"),
        (
            "<p>word<a epub:type='noteref' href='#n'>1</a>.</p><aside epub:type='footnote'><p>note</p></aside>",
            "word.\n\nnote",
        ),
        ("<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>字</p>", "漢字"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\n\nc"),
        ("<script>x</script><style>y</style><!-- z --><p>&amp;&nbsp;é</p>", "&\xa0é"),
        ("<div>" * 4_000 + "deep", "deep"),
        ("", ""),
    ],
)
def test_xhtml(body: str, expected: str):
    assert xhtml_text(chapter(body).encode()) == expected


def test_xhtml_in_a_declared_encoding():
    html = '<?xml version="1.0" encoding="windows-1251"?>' + chapter("<p>Мельник взвешивает зерно</p>")
    assert xhtml_text(html.encode("cp1251")) == "Мельник взвешивает зерно"


def package(spine: str, items: dict[str, str], extra: str = "") -> str:
    """A package with these content documents (href by id); `spine` and `extra` are XML."""
    manifest = "".join(
        f'<item id="{key}" href="{href}" media-type="application/xhtml+xml"/>' for key, href in items.items()
    )
    manifest = f"<metadata/><manifest>{manifest}{extra}</manifest>"
    return f'<package xmlns="http://www.idpf.org/2007/opf">{manifest}{spine}</package>'


def made(tmp_path: Path, contents: dict[str, str], spine: str = "", extra: str = "", **files: str) -> Path:
    """A book of these bodies, in their order."""
    items = {f"i{number}": name for number, name in enumerate(contents)}
    spine = spine or "<spine>" + "".join(f'<itemref idref="{key}"/>' for key in items) + "</spine>"
    bodies = {f"OPS/{name}": chapter(body) for name, body in contents.items()}
    nothing = dict.fromkeys(FILES) | {key: FILES[key] for key in ("mimetype", "META-INF/container.xml")}
    return book(tmp_path, **(nothing | {"OPS/book.opf": package(spine, items, extra)} | bodies | files))


TEXT = f"<h2>Chapter</h2><p>{SENTENCE * 20}</p>"
IMPRINT = (
    "<p>Copyright 2011 by A. Miller. All rights reserved.</p><p>ISBN 978-3-16-148410-0</p><p>Printed in Nowhere.</p>"
)
CONTENTS = "".join(f'<p><a href="c{i}.xhtml">Chapter {i}</a></p>' for i in range(9))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("cover.xhtml", "<p>The Mill</p>"),
        ("9780000000000_cvi.xhtml", "<p>The Mill</p>"),
        ("Mill_copyright_r1.html", "<p>words</p>"),
        ("title-page.xhtml", "<p>The Mill</p>"),
        ("a1.xhtml", IMPRINT),
        ("a2.xhtml", CONTENTS),
        ("a3.xhtml", "<h1>Also by A. Miller</h1><p>The Weir</p><p>The River</p>"),
        ("a4.xhtml", "<p>Sign up for our newsletter</p>"),
        ("a5.xhtml", '<section epub:type="titlepage"><p>The Mill</p></section>'),
        ("a6.xhtml", '<section role="doc-colophon"><p>Set in Garamond</p></section>'),
    ],
)
def test_the_publishers_pages_are_left_out(tmp_path: Path, name: str, body: str):
    (row,) = read_all("epub", made(tmp_path, {name: body, "c1.xhtml": TEXT, "c2.xhtml": TEXT}))
    assert row.text.decode() == "\n\n".join(["Chapter", (SENTENCE * 20).strip()] * 2)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("undercover.xhtml", TEXT),
        ("the-title.xhtml", TEXT * 5),
        ("copyright-of-the-mill.xhtml", TEXT),
        ("dedication.xhtml", "<p>For the baker</p>"),
        ("a1.xhtml", "<p>“All rights reserved,” said the baker.</p>"),
        ("toc-of-a-life.xhtml", TEXT),
        ("a2.xhtml", f"<p>Praise for the miller was scarce. {SENTENCE * 90}</p>"),
    ],
)
def test_text_that_only_looks_like_it_stays(tmp_path: Path, name: str, body: str):
    (row,) = read_all("epub", made(tmp_path, {"c1.xhtml": TEXT, name: body}))
    assert "left_out" not in row.record.meta
    assert len(row.text) > 20 * len(SENTENCE) + 10


def test_landmarks_and_what_is_out_of_the_line_of_reading(tmp_path: Path):
    nav = chapter(
        '<nav epub:type="landmarks"><a epub:type="imprint" href="b.xhtml">x</a></nav>'
        '<nav epub:type="toc"><ol><li><a href="c.xhtml">One</a></li></ol></nav>'
    )
    spine = '<spine><itemref idref="i0"/><itemref idref="i1"/>'
    spine += '<itemref idref="i2" linear="no"/><itemref idref="i3" linear="no"/></spine>'
    path = made(
        tmp_path,
        {"b.xhtml": TEXT, "c.xhtml": "<p>one</p>", "pop.xhtml": "<p>two</p>", "notes.xhtml": "<p>three</p>"},
        spine,
        '<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>',
        **{"OPS/nav.xhtml": nav},
    )
    (row,) = read_all("epub", path)
    assert row.text == b"one\n\nthree"
    assert row.record.meta["left_out"] == "OPS/b.xhtml OPS/pop.xhtml"


NCX = """<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>
<navPoint><navLabel><text>Part One</text></navLabel><content src="a.xhtml"/>
  <navPoint><navLabel><text>I. The Weir</text></navLabel><content src="b.xhtml#one"/></navPoint>
  <navPoint><navLabel><text>II. The Stones</text></navLabel><content src="b.xhtml#two"/></navPoint></navPoint>
<navPoint><navLabel><text>III. The River</text></navLabel><content src="d.xhtml"/>
  <navPoint><navLabel><text>Within it</text></navLabel><content src="d.xhtml#x"/></navPoint></navPoint>
</navMap></ncx>"""


def test_chapters_begin_where_the_table_of_contents_says(tmp_path: Path):
    path = made(
        tmp_path,
        {
            "a.xhtml": "<h1>Part One</h1>",
            "b.xhtml": f'<div id="one"><h2>I</h2><p>first {SENTENCE}</p></div>'
            f'<h2 id="two">II</h2><p>second {SENTENCE}</p>',
            "c.xhtml": "<p>goes on</p>",
            "d.xhtml": f'<h2>III</h2><p>third {SENTENCE}</p><h3 id="x">within</h3><p>{SENTENCE}</p>',
        },
        extra='<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>',
        **{"OPS/toc.ncx": NCX},
    )
    rows = read_all("epub", path, documents="chapters")
    assert [(row.record.position, row.record.meta["chapter_title"]) for row in rows] == [
        ("OPS/b.xhtml#one", "I. The Weir"),
        ("OPS/b.xhtml#two", "II. The Stones"),
        ("OPS/d.xhtml", "III. The River"),
    ]
    assert rows[0].text.startswith(b"Part One\n\nI\n\nfirst")
    assert rows[1].text.endswith(b"\n\ngoes on")
    assert b"\n\n".join(row.text for row in rows) == read_all("epub", path)[0].text
    assert {row.record.meta["group"] for row in rows} == {"x.epub"}
    assert [row.record.meta["chapter"] for row in rows] == ["1", "2", "3"]


def test_a_place_that_is_named_twice_is_one_chapter(tmp_path: Path):
    body = f'<h2 id="one">I</h2><p>{SENTENCE}</p><h2 id="one">II</h2><p>{SENTENCE}</p>'
    ncx = '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
    rows = read_all("epub", made(tmp_path, {"b.xhtml": body}, extra=ncx, **{"OPS/toc.ncx": NCX}), documents="chapters")
    assert [row.record.position for row in rows] == ["OPS/b.xhtml#one"]


def test_headers_and_footers_of_project_gutenberg(tmp_path: Path):
    header = "<pre>*** START OF THIS PROJECT GUTENBERG EBOOK THE MILL ***\n\nProduced by X\n\n</pre>"
    footer = (
        "<pre>End of Project Gutenberg's The Mill\n\n*** END OF THIS PROJECT GUTENBERG EBOOK THE MILL ***\nlegal</pre>"
    )
    new = '<section id="pg-header" class="pgheader"><p>*** START OF</p></section>'
    pages = '<p>one<span class="pagenum">12</span></p><div class="pagenum"><p>' + "two " * 10 + "</p></div>"
    (row,) = read_all(
        "epub", made(tmp_path, {"a.xhtml": header + "<h1>The Mill</h1>", "b.xhtml": new + pages + footer})
    )
    assert row.text.decode() == "The Mill\n\none\n\n" + ("two " * 10).strip()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<p>word<a href="#n1"><sup>12</sup></a>.</p>', "word."),
        ('<p>word<sup><a href="#n1">a</a></sup>.</p>', "word."),
        ('<p>word<a href="#fn3">[3]</a>.</p>', "word."),
        ('<p>word<a class="noteref" href="n.xhtml#x">*</a>.</p>', "word."),
        ('<p>see <a href="#c4">4</a>.</p>', "see 4."),
        ('<p>see <a href="http://x.org/">[3]</a></p>', "see [3]"),
        ('<ul><li><a href="#a">one</a></li><li>two</li></ul>', "one\n\ntwo"),
        ("<ol>" + "".join(f'<li><a href="#c{i}">Chapter {i}</a> {i}</li>' for i in range(9)) + "</ol><p>x</p>", "x"),
        ("<pre>a\n    b  c\n\td</pre>", "a\n    b  c\n    d"),
    ],
)
def test_references_and_tables_of_contents(body: str, expected: str):
    assert xhtml_text(chapter(body).encode()) == expected


ENCRYPTION = (
    '<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData><enc:EncryptionMethod '
    'Algorithm="{}"/></enc:EncryptedData></encryption>'
)
LOCKED = ENCRYPTION.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc")


@pytest.mark.parametrize(
    ("files", "scheme"),
    [
        ({"META-INF/encryption.xml": LOCKED}, "http://www.w3.org/2001/04/xmlenc#aes128-cbc"),
        ({"META-INF/encryption.xml": LOCKED, "META-INF/rights.xml": "<rights/>"}, "Adobe ADEPT"),
        ({"META-INF/encryption.xml": LOCKED, "META-INF/sinf.xml": "<x/>"}, "Apple FairPlay"),
        ({"META-INF/license.lcpl": "{}"}, "Readium LCP"),
    ],
)
def test_encrypted_books_are_refused_by_name(tmp_path: Path, files: dict[str, str], scheme: str):
    (row,) = read_all("epub", book(tmp_path, **files))
    assert (row.record.reason, row.record.detail) == ("encrypted book", f"its content needs a key: {scheme}")


def test_an_encrypted_archive_is_refused_and_scrambled_fonts_are_not(tmp_path: Path):
    path = book(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert failures(read_all("epub", path)) == [("record", "encrypted book")]
    fonts = ENCRYPTION.format("http://www.idpf.org/2008/embedding")
    assert len(texts(read_all("epub", book(tmp_path, **{"META-INF/encryption.xml": fonts})))) == 1


def test_a_missing_chapter_is_named(tmp_path: Path):
    (row,) = read_all("epub", book(tmp_path, **{"OPS/text/two b.xhtml": None}))
    assert row.record.meta["missing"] == "OPS/text/two b.xhtml"
    assert row.text.startswith(b"First")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"META-INF/container.xml": None}, "not an EPUB book"),
        ({"OPS/book.opf": "<package"}, "not an EPUB book"),
        ({"OPS/book.opf": PACKAGE.replace("itemref", "other")}, "not an EPUB book"),
        ({"OPS/book.opf": f'<!DOCTYPE x [<!ENTITY a "{"a" * 99}">]>' + PACKAGE}, "not an EPUB book"),
        ({"OPS/book.opf": '<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>' + PACKAGE}, "not an EPUB book"),
        ({"OPS/book.opf": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + PACKAGE}, "not an EPUB book"),
        ({"META-INF/container.xml": CONTAINER.replace("OPS/book", "../../x")}, "not an EPUB book"),
        (
            {"OPS/book.opf": PACKAGE.replace("text/one", "../../one").replace("text/two%20b", "/etc/two")},
            "no chapter can be read",
        ),
        ({"OPS/text/two b.xhtml": None, "OPS/text/one.xhtml": None}, "no chapter can be read"),
        ({"OPS/text/one.xhtml": "x" * 2_000_000}, "text too large"),
    ],
)
def test_broken_books(tmp_path: Path, changes: dict[str, str | None], reason: str):
    assert failures(read_all("epub", book(tmp_path, **changes), max_text_bytes=1_000_000)) == [("record", reason)]


@pytest.mark.parametrize("data", [b"", b"garbage" * 99, b"PK\x03\x04" + b"\0" * 99])
def test_files_that_are_no_books(tmp_path: Path, data: bytes):
    path = tmp_path / "x.epub"
    path.write_bytes(data)
    assert failures(read_all("epub", path)) == [("record", "not an EPUB book")]


REAL = [
    ("se-austen-pride", 61, "It is a truth universally acknowledged", "had been the means of uniting them."),
    ("se-charles-dickens_great-expectations", 59, "My father’s family name being Pirrip", "another parting from her."),
    ("se-doyle-sherlock", 12, "To Sherlock Holmes she is always the woman.", "met with considerable success."),
    ("se-mary-shelley_frankenstein", 24, "You will rejoice to hear that no disaster", "lost in darkness and distance."),
    ("se-herman-melville_moby-dick", 135, "Call me Ishmael.", "only found another orphan."),
]


@pytest.mark.parametrize(("name", "chapters", "first", "last"), REAL)
def test_real_books(data: Path, name: str, chapters: int, first: str, last: str):
    (row,) = read_all("epub", data / "books" / f"{name}.epub")
    text = row.text.decode()
    assert first in text[:60_000]
    assert last in text
    assert text.index(first) < text.index(last)
    for publisher in ("Standard Ebooks", "Uncopyright", "public domain", "League of Moveable Type"):
        assert publisher not in text
    assert row.record.meta["title"]
    assert row.record.meta["author"]
    assert row.record.meta["language"].startswith("en")
    assert text.count("\n\n") > chapters


def test_the_first_and_last_sentences_of_a_real_book(data: Path):
    (text,) = texts(read_all("epub", data / "books/se-austen-pride.epub"))
    assert text.startswith(
        "I\n\nIt is a truth universally acknowledged, that a single man in possession of a good fortune,"
    )
    assert text.endswith("her into Derbyshire, had been the means of uniting them.")
    numbers = [line for line in text.split("\n\n") if line and set(line) <= set("IVXL")]
    assert len(numbers) == 61


CHAPTERS = [
    ("se-austen-pride", 61, 61, "I", "LXI"),
    ("se-charles-dickens_great-expectations", 59, 59, "I", "LIX"),
    ("se-doyle-sherlock", 12, 12, "A Scandal in Bohemia", "The Adventure of the Copper Beeches"),
    # Dedication, etymology, extracts, epilogue, endnotes.
    ("se-herman-melville_moby-dick", 135, 140, "I: Loomings", "CXXXV: The Chase—Third Day"),
    # Four letters; introduction, preface, dedication, epigraph, endnotes.
    ("se-mary-shelley_frankenstein", 24, 33, "Chapter I", "Chapter XXIV"),
    # A month each; preface, life, afterword, endnotes.
    ("se-samuel-pepys_the-diary", 113, 117, "January 1659–60", "May 1669"),
]


@pytest.mark.parametrize(("name", "chapters", "documents", "first", "last"), CHAPTERS)
def test_real_books_by_chapters(data: Path, name: str, chapters: int, documents: int, first: str, last: str):
    rows = read_all("epub", data / "books" / f"{name}.epub", documents="chapters")
    titles = [row.record.meta["chapter_title"] for row in rows]
    assert len(rows) == documents
    assert titles.index(last) - titles.index(first) + 1 == chapters
    assert {row.record.meta["group"] for row in rows} == {f"{name}.epub"}
    assert b"\n\n".join(row.text for row in rows) == read_all("epub", data / "books" / f"{name}.epub")[0].text


def test_a_member_compressed_as_no_book_is(tmp_path: Path):
    path = tmp_path / "x.epub"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    assert failures(read_all("epub", path)) == [("record", "not an EPUB book")]


@pytest.mark.parametrize("seed", range(MUTATIONS))
@pytest.mark.parametrize("how", ["book", "chapters"])
def test_fuzz(tmp_path: Path, seed: int, how: str):
    path = book(tmp_path)

    def read(data: bytes):
        path.write_bytes(data)
        return list(read_epub(path, "x", max_text_bytes=1_000_000, documents=how))

    assert survives(read, path.read_bytes(), seed)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=...)
def test_noise_is_one_failure(tmp_path: Path, data: bytes):
    path = tmp_path / "x.epub"
    path.write_bytes(data)
    assert len(failures(read_all("epub", path))) == 1


def test_a_damaged_book_always_has_one_row(tmp_path: Path):
    whole = book(tmp_path).read_bytes()

    @settings(max_examples=150, deadline=None)
    @given(mutations(whole))
    def check(data: bytes) -> None:
        path = tmp_path / "y.epub"
        path.write_bytes(data)
        result = read_all("epub", path)
        assert len(result) == 1
        assert not gates(result) or gates(result) == ["no_text"]

    check()
