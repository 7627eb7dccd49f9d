import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_cases import SENTENCE, failures, gates, read_all, texts
from mutations import FILES, survives

from pipelines.errors import ConfigError
from pipelines.ingest.records import Failure
from pipelines.ingest.source import check_options
from pipelines.ingest.tables.csv import read_csv
from pipelines.ingest.tables.csv_rows import Layout, numbered_rows, text_lines

ROWS = [
    ["text", "url", "n"],
    [SENTENCE, "http://x/1", "1"],
    ['two\nlines, and "quotes"\r\n', "http://x/2", "2"],
    ["Grüße, 水車 😀", "http://x/3", ""],
]


def written(rows: list[list[str]], **layout: object) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, **layout).writerows(rows)
    return file.getvalue()


def read(tmp_path: Path, data: bytes | str, name: str = "x.csv", **options: object):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_all("csv", path, **options)


@pytest.mark.parametrize(
    ("name", "layout", "options"),
    [
        ("x.csv", {}, {}),
        ("x.csv", {"lineterminator": "\n"}, {}),
        ("x.csv", {"lineterminator": "\r"}, {}),
        ("x.tsv", {"delimiter": "\t"}, {}),
        ("x.Tab.gz", {"delimiter": "\t"}, {}),
        ("x.txt", {"delimiter": ";", "quotechar": "'"}, {"delimiter": ";", "quote": "'"}),
    ],
)
def test_layouts(tmp_path: Path, name: str, layout: dict, options: dict):
    data = written(ROWS, **layout).encode()
    result = read(
        tmp_path, gzip.compress(data) if name.endswith("gz") else data, name, columns={"uri": "url"}, **options
    )
    assert [row.record.text for row in result] == [row[0] for row in ROWS[1:]]
    assert [row.record.uri for row in result] == [row[1] for row in ROWS[1:]]
    assert result[0].record.meta.items() >= {"n": "1", "group": f"{name}#2"}.items()
    assert result[2].record.meta["n"] == ""
    assert [row.record.position for row in result] == ["2", "3", "6"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str):
    data = written(ROWS).encode(encoding)
    assert [row.record.text for row in read(tmp_path, data, encoding=encoding)] == [row[0] for row in ROWS[1:]]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path):
    assert texts(read(tmp_path, "\ufefftext\na\n")) == ["a"]
    assert texts(read(tmp_path, "\ufefftext\na\n".encode("utf-16-le"), encoding="utf-16-le")) == ["a"]


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("utf-8", b"text,n\na,1\nb\xff\xfe,2\nc,3\n"),
        ("shift_jis", "text,n\na,1\n".encode("shift_jis") + b"\x81\xff,2\nc,3\n"),
        ("utf-16-le", "text,n\na,1\n".encode("utf-16-le") + b"\x00\xdc" + ",2\nc,3\n".encode("utf-16-le")),
        ("cp1252", b"text,n\na,1\n\x81,2\nc,3\n"),
    ],
)
def test_wrong_bytes_cost_their_row(tmp_path: Path, encoding: str, data: bytes):
    result = read(tmp_path, data, encoding=encoding)
    assert texts(result) == ["a", "c"]
    assert failures(result) == [("record", "wrong bytes")]
    assert result[1].record.position == "3"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("b", "wrong number of fields"),
        ("b,2,3", "wrong number of fields"),
        ('"b,2', "broken row"),
        ('"b"x,2', "broken row"),
        ('"b,2\n\n"c', "broken row"),
        ("x" * 300_000 + ",2", "text too large"),
        ('"' + "x\n" * 150_000, "text too large"),
    ],
)
def test_a_broken_row_costs_no_other(tmp_path: Path, line: str, reason: str):
    before, after = written([["text", "n"], ["a", "1"]]), written([["d", '4 "quoted"'], ["e", "5"]])
    result = read(tmp_path, before + line + "\n" + after, max_text_bytes=200_000)
    assert texts(result) == ["a", "d", "e"]
    first = next(row.record for row in result if isinstance(row.record, Failure))
    assert (first.reason, first.position) == (reason, "3")


def test_a_file_that_ends_within_quotes(tmp_path: Path):
    result = read(tmp_path, 'text,n\na,1\n"b,2\nc,3\nd,4')
    assert texts(result) == ["a", "c", "d"]
    assert [(row.record.position, row.record.reason) for row in result if isinstance(row.record, Failure)] == [
        ("3", "broken row")
    ]


def test_quotes_may_mean_nothing(tmp_path: Path):
    data = 'text\tn\n"Hello, he said.\t1\n"Twice"\t2\n'
    assert texts(read(tmp_path, data, "x.tsv", quote=None)) == ['"Hello, he said.', '"Twice"']


def test_names_of_columns_may_be_given(tmp_path: Path):
    (row,) = read(tmp_path, "1,a\n", header=["n", "text"])
    assert (row.text, row.record.meta["n"], row.record.position) == (b"a", "1", "1")
    assert failures(read(tmp_path, "1,a,b\n", header=["n", "text"])) == [("record", "wrong number of fields")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a,b\n1,2\n", [("file", "missing column")]),
        ("text,a,a\n1,2,3\n", [("file", "two columns have one name")]),
        ("", [("file", "no records")]),
        ("text\n", [("file", "no records")]),
        ("\n\ntext\n\na\n\n", []),
        ("text,n\n,1\n", []),
    ],
)
def test_headers_and_nothing(tmp_path: Path, data: str, expected: list):
    result = read(tmp_path, data)
    assert failures(result) == expected
    assert len(gates(result)) == data.endswith(",1\n")


def test_ids(tmp_path: Path):
    result = read(tmp_path, "id,text\n7,a\n7,b\n,c\n8,d\n", columns={"id": "id"})
    assert [row.record.position for row in result] == ["id=7", "id=7", "4", "id=8"]
    assert failures(result) == [("record", "the id occurs twice"), ("record", "no id")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ",,"}, "delimiter"),
        ({"delimiter": "\n"}, "delimiter"),
        ({"quote": ""}, "quote"),
        ({"encoding": "utf-9"}, "unknown encoding: utf-9"),
        ({"encoding": "hex"}, "hex.* is not a text encoding"),
        ({"headers": []}, "'header'"),
    ],
)
def test_wrong_options(options: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        check_options("csv", options)


def test_a_cut_off_file_keeps_its_whole_rows(tmp_path: Path):
    data = gzip.compress(written([["text", "n"], *([f"{SENTENCE}{i}", str(i)] for i in range(5000))]).encode())
    result = read(tmp_path, data[: len(data) // 2])
    assert len(texts(result)) > 1000
    assert failures(result) == [("file", "the file ends within a compressed frame")]


def test_an_endless_line_is_passed_over_in_pieces():
    pieces = ["first\r", "\n" + "x" * 10, *["y" * 1000] * 50, "z\nlast\r", "end"]
    assert list(text_lines(pieces, 100)) == ["first\r\n", None, "last\r", "end"]


lines = st.lists(st.text(alphabet='a",\r\n', max_size=8), max_size=6)


@given(lines)
def test_lines_do_not_depend_on_pieces(pieces: list[str]):
    whole = "".join(pieces)
    assert list(text_lines(pieces, 1000)) == io.StringIO(whole, newline="").readlines() == list(text_lines(whole, 1000))


@given(st.lists(st.lists(st.text(alphabet='a",\r\n ', max_size=5), min_size=2, max_size=2), max_size=6), lines)
def test_whole_rows_are_those_of_the_standard_library_and_all_lines_are_accounted_for(rows: list, noise: list[str]):
    data = written([["text", "n"], *rows])
    found = [row for _, row in numbered_rows(data, Layout(",", '"'), 1000, None)]
    assert found == [["text", "n"], *rows]
    total = list(text_lines([data, *noise], 1000))
    numbers = [number for number, _ in numbered_rows([data, *noise], Layout(",", '"'), 1000, 2)]
    assert numbers == sorted(set(numbers))
    assert all(number <= len(total) for number in numbers)


def test_broken_csv_survives(tmp_path: Path):
    data = written(ROWS * 5).encode()
    path = tmp_path / "x.csv"

    def parsed(mutation: bytes):
        path.write_bytes(mutation)
        return read_csv(path, path.name, max_text_bytes=1_000_000)

    for seed in range(FILES):
        survives(parsed, data, seed)


def test_real_tsv(tmp_path: Path, data: Path):
    path = data / "language" / "sentences.tsv.gz"
    result = read_all("csv", path, header=["language", "text"], quote=None)
    assert len(texts(result)) == 37_076
    assert not failures(result)


@pytest.mark.parametrize(("name", "rows"), [("labelled.csv.gz", 40_883), ("more.csv.gz", 29_209)])
def test_real_csv(data: Path, name: str, rows: int):
    path = data / "toxicity" / name
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *expected = csv.reader(file)
    column = header.index("text")
    result = read_all("csv", path)
    assert [row.record.text for row in result] == [row[column] for row in expected]
    assert len(expected) == rows
