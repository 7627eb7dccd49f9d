import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from ingest_cases import SENTENCE, failures, gates, mutations, read_all, texts

from pipelines.ingest.xhtml import xhtml_text

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
        ("<pre>a\n  b</pre>", "a\nb"),
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


ENCRYPTION = (
    '<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData><enc:EncryptionMethod '
    'Algorithm="{}"/></enc:EncryptedData></encryption>'
)


def test_an_encrypted_book_is_refused_and_scrambled_fonts_are_not(tmp_path: Path):
    locked = ENCRYPTION.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc")
    assert failures(read_all("epub", book(tmp_path, **{"META-INF/encryption.xml": locked}))) == [
        ("record", "encrypted book")
    ]
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
        ({"OPS/book.opf": '<!DOCTYPE x [<!ENTITY a "aaaa">]>' + PACKAGE}, "not an EPUB book"),
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
