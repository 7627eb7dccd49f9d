"""Books as TEI: the structure of ELTeC's novels, drama and verse, and what is not to be read."""

from pathlib import Path

import pytest
from ingest_cases import SENTENCE, failures, gates
from ingest_cases import read_all as read_format
from mutations import FILES, survives

from pipelines.ingest.books.tei import read_tei
from pipelines.ingest.records import Row

FORMAT = "pipelines.ingest.books.tei:TeiSource"
HEADER = """<teiHeader><fileDesc><titleStmt><title>The Mill: ELTeC edition</title>
<author ref="viaf:1">Miller, Anna (1801-1870)</author><respStmt><resp>encoding</resp><name>A. Baker</name></respStmt>
</titleStmt><publicationStmt><date when="2020-01-01"/></publicationStmt><sourceDesc><bibl type="firstEdition">
<title>The Mill</title><date>1841</date></bibl></sourceDesc></fileDesc>
<profileDesc><langUsage><language ident="en">English</language></langUsage></profileDesc></teiHeader>"""
NOVEL = f"""<?xml version="1.0" encoding="UTF-8"?>
<TEI xmlns="http://www.tei-c.org/ns/1.0" xml:id="ENG18410" xml:lang="en">{HEADER}<text>
<front><titlePage><docTitle><titlePart>THE MILL</titlePart></docTitle></titlePage>
<div type="titlepage"><p>LONDON: PRINTED BY NOBODY</p></div>
<div type="liminal"><head>Preface</head><p>{SENTENCE}</p></div></front>
<body><div type="part"><head>Part One</head>
<div type="chapter"><head>Chapter 1.<lb/>The Weir</head><pb n="1"/><p>It was a <hi rend="italic">wet</hi>
 Sunday<ref target="#n1">*</ref> and the <choice><sic>bkaer</sic><corr>baker</corr></choice> came<note n="1">On
 foot.</note> by the ri<lb break="no"/>ver.</p><fw type="header">THE MILL</fw>
<quote><lg><l>The stones go round,</l><l>the corn is ground.</l></lg></quote><p>{SENTENCE}</p></div>
<div type="chapter"><head>Chapter 2</head><p>{SENTENCE}</p><milestone unit="subchapter"/><p>Second.</p></div></div>
<div type="part"><head>Part Two</head><div type="chapter"><head>Chapter 3</head><p>{SENTENCE}</p></div></div></body>
<back><div type="notes"><note xml:id="n1">It often was.</note></div><div type="ads"><p>BUY BREAD</p></div></back>
</text></TEI>"""
PLAY = f"""<TEI.2>{HEADER}<text><body><div1 type="act"><head>ACT I</head><div2 type="scene"><head>Scene 1</head>
<stage>Enter a Miller.</stage><sp who="m"><speaker>MILLER.</speaker><l>Who comes so late</l><l>to the mill?</l></sp>
<sp><speaker>BAKER.</speaker><p>I, with sacks.</p></sp></div2></div1></body></text></TEI.2>"""


def read(tmp_path: Path, text: str | bytes, **options: object) -> list[Row]:
    path = tmp_path / "x.xml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_format(FORMAT, path, **options)


def test_a_novel(tmp_path: Path):
    (row,) = read(tmp_path, NOVEL)
    sentence = SENTENCE.strip()
    assert row.text.decode().split("\n\n") == [
        "Preface",
        sentence,
        "Part One",
        "Chapter 1. The Weir",
        "It was a wet Sunday and the baker came by the river.",
        "On foot.",
        "The stones go round,\nthe corn is ground.",
        sentence,
        "Chapter 2",
        sentence,
        "Second.",
        "Part Two",
        "Chapter 3",
        sentence,
        "It often was.",
    ]
    assert row.record.meta == {
        "group": "x.xml",
        "title": "The Mill: ELTeC edition",
        "author": "Miller, Anna (1801-1870)",
        "language": "en",
        "date": "1841",
    }


def test_by_chapters(tmp_path: Path):
    rows = read(tmp_path, NOVEL, documents="chapters")
    titles = [row.record.meta.get("chapter_title") for row in rows]
    assert titles == ["Preface", "Chapter 1. The Weir", "Chapter 2", "Chapter 3", None]
    assert [row.record.meta["chapter"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert {row.record.meta["group"] for row in rows} == {"x.xml"}
    assert rows[1].text.startswith(b"Part One\n\nChapter 1.")
    whole = read(tmp_path, NOVEL)[0].text
    assert b"\n\n".join(row.text for row in rows) == whole


def test_a_play(tmp_path: Path):
    (row,) = read(tmp_path, PLAY)
    assert row.text.decode().split("\n\n") == [
        "ACT I",
        "Scene 1",
        "Enter a Miller.",
        "MILLER.",
        "Who comes so late\nto the mill?",
        "BAKER.",
        "I, with sacks.",
    ]


@pytest.mark.parametrize("codec", ["utf-16", "iso-8859-1", "windows-1252"])
def test_declared_encodings(tmp_path: Path, codec: str):
    text = NOVEL.replace("UTF-8", codec).replace("wet", "größer")
    (row,) = read(tmp_path, text.encode(codec))
    assert "It was a größer Sunday" in row.text.decode()


def test_entities_that_nobody_declared_are_those_of_html(tmp_path: Path):
    doctype = '<!DOCTYPE TEI SYSTEM "tei.dtd" [<!ENTITY mill "M&#252;hle">]>'
    text = NOVEL.replace("<TEI ", doctype + "<TEI ").replace("wet", "&mill;&mdash;&eacute;&nonsense;")
    (row,) = read(tmp_path, text)
    assert "It was a Mühle—é Sunday" in row.text.decode()


BOMB = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'<!DOCTYPE TEI [<!ENTITY a0 "lol">{BOMB}]><TEI>&a11;</TEI>', "not a TEI text"),
        ('<!DOCTYPE TEI [<!ENTITY x SYSTEM "file:///etc/passwd">]><TEI>&x;</TEI>', "not a TEI text"),
        ('<!DOCTYPE TEI [<!ENTITY % x SYSTEM "http://localhost/x">%x;]><TEI/>', "not a TEI text"),
        (f'<!DOCTYPE TEI [<!ENTITY x "{"x" * 5000}">]><TEI>{"&x;" * 5000}</TEI>', "not a TEI text"),
        ("<TEI>" + "<div>" * 5_000, "not a TEI text"),
        ("<TEI><text><body><p>cut off", "not a TEI text"),
        ("<html><body/></html>", "not a TEI text"),
        ("", "not a TEI text"),
        ("\0" * 100, "not a TEI text"),
        ("<TEI><text><body><p>" + "<hi/>" * 100_000 + "</p></body></text></TEI>", "text too large"),
        ("<TEI><text><body><p>" + "x" * 2_000_000 + "</p></body></text></TEI>", "text too large"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, reason: str):
    assert failures(read(tmp_path, text, max_text_bytes=1_000_000)) == [("record", reason)]


def test_no_text(tmp_path: Path):
    assert gates(read(tmp_path, "<TEI><text><body/></text></TEI>")) == ["no_text"]


@pytest.mark.parametrize("seed", range(FILES))
def test_fuzz(tmp_path: Path, seed: int):
    path = tmp_path / "x.xml"

    def read_bytes(data: bytes):
        path.write_bytes(data)
        return list(read_tei(path, "x.xml", max_text_bytes=1_000_000))

    assert len(survives(read_bytes, NOVEL.encode(), seed)) == 1
