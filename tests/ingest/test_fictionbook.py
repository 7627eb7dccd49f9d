"""Books as FictionBook 2."""

import gzip
import zipfile
from pathlib import Path

import pytest
from ingest_cases import SENTENCE, failures, read_all
from mutations import FILES, survives

from pipelines.ingest.books.fictionbook import read_fictionbook

FORMAT = "pipelines.ingest.books.fictionbook:FictionBookSource"
BOOK = f"""<?xml version="1.0" encoding="windows-1251"?>
<FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0" xmlns:l="http://www.w3.org/1999/xlink">
<stylesheet type="text/css">p {{ color: red }}</stylesheet>
<description><title-info><genre>prose_classic</genre><author><first-name>Анна</first-name><middle-name>П.</middle-name>
<last-name>Мельник</last-name></author><book-title>Мельница</book-title><annotation><p>Annotation</p></annotation>
<date value="1841-01-01">1841</date><coverpage><image l:href="#c.jpg"/></coverpage><lang>ru</lang></title-info>
<document-info><author><nickname>scanner</nickname></author><date>2005</date></document-info></description>
<body><title><p>Анна Мельник</p><p>Мельница</p></title><epigraph><p>Motto</p></epigraph>
<section><title><p>Часть первая</p></title>
<section><title><p>1</p><p>The weir</p></title><p>Съешь <emphasis>же</emphasis> ещё<a l:href="#n1" type="note">[1]</a>
 булок.</p><empty-line/><poem><title><p>Song</p></title><stanza><v>The stones go round,</v><v>the corn is
 ground.</v></stanza><text-author>A Miller</text-author></poem><subtitle>* * *</subtitle>
<image l:href="#a.png"/></section>
<section><title><p>2</p></title><cite><p>{SENTENCE}</p></cite><table><tr><th>a</th><td>b</td></tr></table></section>
</section></body>
<body name="notes"><title><p>Примечания</p></title><section id="n1"><title><p>1</p></title>
<p>A note.</p></section></body>
<binary id="c.jpg" content-type="image/jpeg">/9j/4AAQSkZJRgABAQEASABIAAD</binary></FictionBook>"""
PARAGRAPHS = [
    "Анна Мельник",
    "Мельница",
    "Motto",
    "Часть первая",
    "1",
    "The weir",
    "Съешь же ещё булок.",
    "Song",
    "The stones go round,\nthe corn is ground.",
    "A Miller",
    "* * *",
    "2",
    SENTENCE.strip(),
    "a b",
    "Примечания",
    "1",
    "A note.",
]


def packed(tmp_path: Path, suffix: str) -> Path:
    path = tmp_path / f"x{suffix}"
    data = BOOK.encode("cp1251")
    if suffix == ".fb2.zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("book.fb2", data)
    else:
        path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    return path


@pytest.mark.parametrize("suffix", [".fb2", ".fb2.gz", ".fb2.zip"])
def test_a_book(tmp_path: Path, suffix: str):
    (row,) = read_all(FORMAT, packed(tmp_path, suffix))
    assert row.text.decode().split("\n\n") == PARAGRAPHS
    assert row.record.meta == {
        "group": f"x{suffix}",
        "title": "Мельница",
        "author": "Анна П. Мельник",
        "language": "ru",
        "date": "1841-01-01",
        "genre": "prose_classic",
    }


def test_by_chapters(tmp_path: Path):
    rows = read_all(FORMAT, packed(tmp_path, ".fb2"), documents="chapters")
    assert [row.record.meta.get("chapter_title") for row in rows] == ["1 The weir", "2", "1"]
    assert rows[0].text.decode().split("\n\n") == PARAGRAPHS[:11]


def archive(name: str, content: bytes, encrypted: bool = False) -> bytes:
    info = zipfile.ZipInfo(name)
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(info, content)
    data = bytearray(buffer.getvalue())
    if encrypted:
        data[6] |= 1
        data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (archive("x.fb2", BOOK.encode(), encrypted=True), "encrypted book"),
        (archive("x.txt", b"text"), "not a FictionBook"),
        (archive("../../x.fb2", bytes(5_000_000)), "text too large"),
        (b"PK\x03\x04" + bytes(50), "not a FictionBook"),
        (b"<html/>", "not a FictionBook"),
        (BOOK.encode()[:900], "not a FictionBook"),
        (b"", "not a FictionBook"),
    ],
)
def test_what_is_refused(tmp_path: Path, data: bytes, reason: str):
    path = tmp_path / "x.fb2"
    path.write_bytes(data)
    assert failures(read_all(FORMAT, path, max_text_bytes=1_000_000)) == [("record", reason)]


@pytest.mark.parametrize("suffix", [".fb2", ".fb2.zip"])
@pytest.mark.parametrize("seed", range(FILES // 2))
def test_fuzz(tmp_path: Path, suffix: str, seed: int):
    path = packed(tmp_path, suffix)

    def read(data: bytes):
        path.write_bytes(data)
        return list(read_fictionbook(path, "x", max_text_bytes=1_000_000))

    assert len(survives(read, path.read_bytes(), seed)) == 1
