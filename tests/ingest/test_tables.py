import bz2
import datetime
import gzip
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_cases import SENTENCE, failures, gates, mutations, read_all, texts
from mutations import FILES, survives

from pipelines.ingest.records import Document, batches
from pipelines.ingest.tables.columns import Columns
from pipelines.ingest.tables.jsonl import lines, read_jsonl
from pipelines.ingest.tables.parquet import EXPANDED_BYTES, read_parquet

ROWS = [{"text": f"{SENTENCE}{i}", "url": f"http://x/{i}", "n": i, "ok": True, "nested": {"a": 1}} for i in range(5)]
COLUMNS = {"uri": "url", "group": "n"}


def jsonl(rows: list[dict]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def write(tmp_path: Path, data: bytes, name: str = "x.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def parquet(tmp_path: Path, table: pa.Table | None = None, **options: object) -> Path:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS) if table is None else table, path, **options)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_jsonl_columns(tmp_path: Path, pack):
    result = read_all("jsonl", write(tmp_path, pack(jsonl(ROWS))), columns=COLUMNS)
    assert texts(result) == [row["text"] for row in ROWS]
    third = result[2].record
    assert isinstance(third, Document)
    assert (third.position, third.uri) == ("3", "http://x/2")
    assert third.meta == {"n": "2", "ok": "true", "group": "2"} or third.meta == {"ok": "true", "group": "2"}


def test_parquet_columns_are_read_like_jsonl_s(tmp_path: Path):
    first = read_all("jsonl", write(tmp_path, jsonl(ROWS), "x.parquet"), columns=COLUMNS)
    second = read_all("parquet", parquet(tmp_path, row_group_size=2), columns=COLUMNS)
    assert first == second


def test_the_id_column_takes_the_place_of_the_number(tmp_path: Path):
    result = read_all("jsonl", write(tmp_path, jsonl(ROWS)), columns={"id": "url", "meta": ["n"]})
    record = result[1].record
    assert isinstance(record, Document)
    assert record.position == "url=http://x/1"
    assert record.meta == {"n": "1", "group": "x.jsonl#url=http://x/1"}


def test_columns_that_mean_something_to_later_stages_are_kept_under_another_name(tmp_path: Path):
    (row,) = read_all("jsonl", write(tmp_path, jsonl([{"text": "a", "gate": "mine", "group": "g"}])))
    assert row.text == b"a"
    assert row.record.meta == {"column.gate": "mine", "column.group": "g", "group": "x.jsonl#1"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "broken JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"other": "a"}', "no text column"),
        (b'{"text": 7}', "text is not a string"),
        (b'{"text": "\xff"}', "not UTF-8"),
        (b'{"text": ' + b"[" * 100_000, "broken JSON"),
        (b'{"text": "a", "n": ' + b"9" * 10_000 + b"}", "broken JSON"),
        (b'{"text": "' + b"x" * 300_000 + b'"}', "text too large"),
    ],
)
def test_a_broken_line_is_one_failure(tmp_path: Path, line: bytes, reason: str):
    data = jsonl(ROWS[:2]) + line + b"\n\n \r\n" + jsonl(ROWS[2:])
    result = read_all("jsonl", write(tmp_path, data), max_text_bytes=200_000)
    assert failures(result) == [("record", reason)]
    assert [row.record.position for row in result] == ["1", "2", "3", "6", "7", "8"]


def test_escapes_that_are_no_characters(tmp_path: Path):
    data = b'\xef\xbb\xbf{"text": "a\\ud800b \\ud83d\\ude00 c\\u0000d", "k\\udfff": "\\ud800"}\n'
    (row,) = read_all("jsonl", write(tmp_path, data))
    assert row.text == "a\ufffdb \U0001f600 cd".encode()


@pytest.mark.parametrize(
    ("data", "expected"), [(b"", 0), (b"\n\n", 0), (b'{"text": null}', 1), (b'{"text": " "}\n', 1)]
)
def test_nothing_and_no_text(tmp_path: Path, data: bytes, expected: int):
    assert gates(read_all("jsonl", write(tmp_path, data))) == ["no_text"] * expected


def test_an_endless_line_is_passed_over_in_pieces():
    pieces = [b"first\n" + b"x" * 10, *[b"y" * 1000] * 50, b"z\nlast"]
    assert list(lines(iter(pieces), limit=100)) == [b"first", None, b"last"]


@given(st.lists(st.binary(max_size=20)), st.integers(0, 9))
def test_lines_are_those_of_split(pieces: list[bytes], limit: int):
    pieces = [piece for piece in pieces if piece]
    whole = b"".join(pieces).split(b"\n")
    whole = whole[:-1] if not whole[-1] else whole
    assert list(lines(pieces, limit)) == [line if len(line) <= limit else None for line in whole]


def test_a_cut_off_file_keeps_its_whole_lines(tmp_path: Path):
    packed = gzip.compress(jsonl(ROWS * 500))
    result = read_all("jsonl", write(tmp_path, packed[: len(packed) // 2]))
    assert len(texts(result)) > 100
    assert failures(result)[-1] == ("file", "the file ends within a compressed frame")


def test_scalars_of_parquet(tmp_path: Path):
    table = pa.table(
        {
            "text": pa.array(["a", None]).dictionary_encode(),
            "when": [datetime.datetime(2024, 5, 20, 1, 2), None],
            "day": [datetime.date(2024, 5, 20), None],
            "x": [0.5, None],
            "raw": [b"\xff", b""],
            "list": [[1], []],
        }
    )
    first, second = read_all("parquet", parquet(tmp_path, table))
    assert first.record.meta == {"when": "2024-05-20T01:02:00", "day": "2024-05-20", "x": "0.5", "group": "x.parquet#1"}
    assert gates([second]) == ["no_text"]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table({"other": ["a"]}), "missing column"),
        (pa.table({"text": [1]}), "text is not a string"),
        (pa.table({"text": [["a"]]}), "text is not a string"),
        (pa.table({"text": [b"a"]}), "text is not a string"),
    ],
)
def test_tables_without_text(tmp_path: Path, table: pa.Table, reason: str):
    assert failures(read_all("parquet", parquet(tmp_path, table))) == [("file", reason)]


def test_a_missing_column_that_is_asked_for_is_named(tmp_path: Path):
    (row,) = read_all("parquet", parquet(tmp_path), columns={"uri": "nope"})
    assert row.record.detail == "nope"


def test_text_that_is_not_utf8_and_text_that_is_too_long(tmp_path: Path):
    broken = pa.array([b"a\xffb", b"c", b"d" * 2000]).view(pa.string())
    result = read_all("parquet", parquet(tmp_path, pa.table({"text": broken})), max_text_bytes=1000)
    assert failures(result) == [("record", "not UTF-8"), ("record", "text too large")]
    assert texts(result) == ["c"]


def test_a_broken_row_group_costs_no_other(tmp_path: Path):
    table = pa.table({"text": [f"{SENTENCE}{i}" for i in range(3000)]})
    path = parquet(tmp_path, table, row_group_size=1000, write_page_checksum=True, use_dictionary=False)
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[start + 200 : start + 300] = bytes(100)
    path.write_bytes(data)
    result = read_all("parquet", path)
    assert len(texts(result)) == 2000
    assert failures(result) == [("file", "broken row group")]
    assert result[1000].record.detail.startswith("1000 rows lost")


@pytest.mark.parametrize("data", [b"", b"garbage" * 99, b"PAR1" + bytes(50) + b"PAR1"])
def test_files_that_are_no_parquet(tmp_path: Path, data: bytes):
    (row,) = read_all("parquet", write(tmp_path, data, "x.parquet"))
    assert failures([row]) == [("file", "unreadable")]
    assert str(tmp_path) not in row.record.detail


def test_damaged_jsonl_keeps_every_other_line(tmp_path: Path):
    whole = jsonl(ROWS)
    size = len(jsonl(ROWS[:1]))

    @settings(max_examples=150, deadline=None)
    @given(mutations(whole, 2 * size, 3 * size - 70))
    def check(data: bytes) -> None:
        found = texts(read_all("jsonl", write(tmp_path, data)))
        assert {row["text"] for row in (*ROWS[:2], *ROWS[3:])} <= set(found)

    check()


def test_damaged_parquet_never_throws(tmp_path: Path):
    whole = parquet(tmp_path).read_bytes()

    @settings(max_examples=150, deadline=None)
    @given(mutations(whole))
    def check(data: bytes) -> None:
        result = read_all("parquet", write(tmp_path, data, "y.parquet"))
        assert result

    check()


@pytest.mark.parametrize("read", [read_jsonl, read_parquet])
def test_broken_tables_survive(tmp_path: Path, read):
    table = pa.Table.from_pylist([{**row, "kind": "a"} for row in ROWS * 9])
    kind = table.schema.get_field_index("kind")
    whole = parquet(tmp_path, table.set_column(kind, "kind", table["kind"].dictionary_encode()), row_group_size=10)
    data = whole.read_bytes() if read is read_parquet else jsonl(ROWS * 9)
    path = tmp_path / "y"

    def parsed(mutation: bytes):
        path.write_bytes(mutation)
        return read(path, path.name, max_text_bytes=1_000_000)

    for seed in range(FILES):
        survives(parsed, data, seed)


def test_a_value_of_a_dictionary_is_not_written_out_for_all_its_rows(tmp_path: Path):
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), ["x" * 2_000_000])
    table = pa.table({"text": ["a"] * 300, "other": values})
    path = parquet(tmp_path, table, store_schema=False, compression="zstd")
    before = pa.total_allocated_bytes()
    largest = 0
    for record in read_parquet(path, path.name, max_text_bytes=1000, columns=Columns(meta=["other"])):
        assert len(record.meta["other"]) == 2_000_000
        largest = max(largest, pa.total_allocated_bytes() - before)
    assert largest < 3 * EXPANDED_BYTES


def test_a_packed_parquet_file(tmp_path: Path):
    path = parquet(tmp_path, row_group_size=2)
    packed = write(tmp_path, gzip.compress(path.read_bytes()), "x.parquet.gz")
    assert texts(read_all("parquet", packed)) == [row["text"] for row in ROWS]
    (row,) = read_all("parquet", write(tmp_path, packed.read_bytes()[:-20], "y.parquet.gz"))
    assert row.record.reason == "the file ends within a compressed frame"


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_other_packings_of_jsonl(tmp_path: Path, pack):
    assert texts(read_all("jsonl", write(tmp_path, pack(jsonl(ROWS))))) == [row["text"] for row in ROWS]


def test_rows_that_are_lost_without_an_error_are_told(tmp_path: Path):
    data = bytearray(parquet(tmp_path).read_bytes())
    page = pq.ParquetFile(tmp_path / "x.parquet").metadata.row_group(0).column(0).data_page_offset
    data[page + 1] = 1  # the kind of the page: no data
    assert failures(read_all("parquet", write(tmp_path, bytes(data), "y.parquet"))) == [("file", "broken row group")]


def test_real_jsonl(data: Path):
    result = read_all("jsonl", data / "web/gold.jsonl.gz", columns={"uri": "uri"})
    assert len(texts(result)) == 1511
    assert result[0].record.uri.startswith("https://dragnet.example/")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_an_id_that_occurs_twice_is_a_failure(tmp_path: Path, kind: str):
    rows = [{"text": f"{SENTENCE}{i}", "key": key} for i, key in enumerate("abac")]
    path = parquet(tmp_path, pa.Table.from_pylist(rows)) if kind == "parquet" else write(tmp_path, jsonl(rows))
    result = read_all(kind, path, columns={"id": "key"})
    assert [row.record.position for row in result] == ["key=a", "key=b", "key=a", "key=c"]
    assert failures(result) == [("record", "the id occurs twice")]


def test_surrogates_in_ids_and_in_keys_cost_no_run(tmp_path: Path):
    lines = [rb'{"text": "x", "id": "\ud800"}', rb'{"text": "y", "id": "b", "\ud800": "1", "\udfff": "2"}']
    result = read_all("jsonl", write(tmp_path, b"\n".join(lines)), columns={"id": "id"})
    (batch,) = batches("s", result)
    assert [row["position"] for row in batch["meta"].to_pylist(maps_as_pydicts="strict")] == ["id=\ufffd", "id=b"]
