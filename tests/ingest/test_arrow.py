import bz2
import gzip
import io
import lzma
import struct
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pytest
import zstandard
from ingest_cases import SENTENCE, failures, gates, read_all, texts
from mutations import FILES, survives

from pipelines.ingest.tables.arrow import read_arrow
from pipelines.ingest.tables.arrow_messages import RECORDS, messages

TABLE = pa.table(
    {
        "text": [f"{SENTENCE}{i}" for i in range(5000)],
        "url": [f"http://x/{i}" for i in range(5000)],
        "n": list(range(5000)),
        "kind": pa.array(["a", "b"] * 2500).dictionary_encode(),
        "nested": [[i] for i in range(5000)],
        "raw": [b"\xff"] * 5000,
    }
)


def stream(table: pa.Table, rows: int = 1000, compression: str | None = None) -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, rows)
    return file.getvalue()


def ipc_file(table: pa.Table, rows: int = 1000, compression: str | None = None) -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, rows)
    return file.getvalue()


def as_feather(table: pa.Table, rows: int = 1000, compression: str = "lz4") -> bytes:
    file = io.BytesIO()
    feather.write_feather(table, file, chunksize=rows, compression=compression)
    return file.getvalue()


def read(tmp_path: Path, data: bytes, **options: object):
    path = tmp_path / "x.arrow"
    path.write_bytes(data)
    return read_all("arrow", path, **options)


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress, bz2.compress, lzma.compress]
)
@pytest.mark.parametrize("form", [stream, ipc_file, as_feather])
def test_forms_and_packings(tmp_path: Path, form, pack):
    result = read(tmp_path, pack(form(TABLE)), columns={"uri": "url"})
    assert texts(result) == TABLE["text"].to_pylist()
    assert result[4321].record.position == "4322"
    assert result[4321].record.uri == "http://x/4321"
    assert result[4321].record.meta == {"n": "4321", "kind": "b", "group": "x.arrow#4322"}


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_kinds_of_text(tmp_path: Path, compression: str | None, kind: pa.DataType):
    table = pa.table({"text": pa.array(["a", None, "ü" * 50, ""], kind), "n": [None, 1, 2, 3]})
    result = read(tmp_path, stream(table, compression=compression))
    assert texts(result) == ["a", "ü" * 50]
    assert gates(result) == ["no_text"] * 2


def test_texts_of_a_dictionary(tmp_path: Path):
    table = pa.table({"text": pa.array(["a", "b", None, "a"]).dictionary_encode()})
    assert texts(read(tmp_path, ipc_file(table))) == ["a", "b", "a"]
    long = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), ["x" * 2000, "b"])
    result = read(tmp_path, stream(pa.table({"text": long})), max_text_bytes=1000)
    assert failures(result) == [("record", "text too large")] * 2
    assert texts(result) == ["b"]


def test_a_dictionary_that_changes(tmp_path: Path):
    file = io.BytesIO()
    batches = [pa.record_batch({"text": pa.array(words).dictionary_encode()}) for words in (["a", "b"], ["c", "a"])]
    with pa.ipc.new_stream(file, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    assert texts(read(tmp_path, file.getvalue())) == ["a", "b", "c", "a"]


def test_a_dictionary_with_few_long_values_is_not_written_out(tmp_path: Path):
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int8()), ["x" * 1_000_000])
    tracemalloc.start()
    result = read(tmp_path, stream(pa.table({"text": pa.array(["a"] * 5000), "other": values}), rows=5000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(texts(result)) == 5000
    assert peak < 200_000_000


def test_bad_utf8_and_long_texts_cost_their_row(tmp_path: Path):
    bad = pa.array([b"a\xffb", b"c", b"d" * 2000]).view(pa.string())
    result = read(tmp_path, stream(pa.table({"text": bad, "other": bad})), max_text_bytes=1000)
    assert failures(result) == [("record", "not UTF-8"), ("record", "text too large")]
    assert texts(result) == ["c"]


@pytest.mark.parametrize("form", [stream, ipc_file])
def test_what_is_cut_off_is_told_and_the_rest_is_read(tmp_path: Path, form):
    data = form(TABLE)
    result = read(tmp_path, data[: len(data) // 2])
    assert len(texts(result)) == 2000
    assert failures(result) == [("file", "broken Arrow data")]
    assert result[-1].record.position == "2001"


def test_a_broken_batch_costs_no_other(tmp_path: Path):
    data = bytearray(stream(TABLE, compression="zstd"))
    place = [i for i in range(len(data)) if data.startswith(b"\x28\xb5\x2f\xfd", i)]
    at = place[len(place) // 2]
    data[at : at + 8] = bytes(8)
    result = read(tmp_path, bytes(data))
    assert len(texts(result)) == 4000
    assert failures(result) == [("file", "broken batch")]
    assert result[-1].record.position == "5000"


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_batch_that_is_too_large_is_passed_over(tmp_path: Path, compression: str | None):
    small, large = TABLE.select(["text"]).slice(0, 10), pa.table({"text": ["x" * 1000] * 5000})
    file = io.BytesIO()
    with pa.ipc.new_stream(file, small.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        for table in (small, large, small):
            writer.write_table(table)
    result = read(tmp_path, file.getvalue(), max_batch_bytes=1_000_000)
    assert len(texts(result)) == 20
    assert failures(result) == [("file", "broken batch")]
    assert "5000 rows lost: 50" in result[10].record.detail
    assert [row.record.position for row in result][9:12] == ["10", "11", "5011"]


def test_messages_are_measured_as_arrow_measures_them():
    table = pa.table({"text": ["x" * 1000] * 5000})
    plain = [m for m in messages(io.BytesIO(stream(table, rows=5000)), 10**9) if m.kind == RECORDS]
    packed = [m for m in messages(io.BytesIO(stream(table, rows=5000, compression="lz4")), 10**9) if m.kind == RECORDS]
    assert [m.rows for m in plain] == [m.rows for m in packed] == [5000]
    assert plain[0].size == pytest.approx(table.nbytes, rel=0.01)
    assert packed[0].size == pytest.approx(table.nbytes + len(packed[0].data), rel=0.01)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no records"),
        (b"FEA1" + bytes(50), "broken Arrow data"),
        (b"garbage" * 99, "broken Arrow data"),
        (b"\xff\xff\xff\xff" + struct.pack("<i", 2**31 - 1), "broken Arrow data"),
        (stream(pa.table({"other": ["a"]})), "missing column"),
        (stream(pa.table({"text": [1]})), "text is not a string"),
        (stream(pa.table([["a"], ["b"]], names=["text", "text"])), "two columns have one name"),
        (stream(TABLE.slice(0, 0)), "no records"),
    ],
)
def test_files_without_texts(tmp_path: Path, data: bytes, reason: str):
    assert failures(read(tmp_path, data)) == [("file", reason)]


@pytest.mark.parametrize("form", [stream, ipc_file])
@pytest.mark.parametrize("compression", [None, "lz4"])
def test_broken_arrow_survives(tmp_path: Path, form, compression: str | None):
    data = form(TABLE.slice(0, 60), rows=20, compression=compression)
    path = tmp_path / "x.arrow"

    def parsed(mutation: bytes):
        path.write_bytes(mutation)
        return read_arrow(path, path.name, max_text_bytes=1_000_000, max_batch_bytes=10_000_000)

    for seed in range(FILES):
        survives(parsed, data, seed)
