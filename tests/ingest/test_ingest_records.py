import pyarrow as pa
import pytest
import xxhash

from pipelines.ingest import records
from pipelines.ingest.records import SCHEMA, Document, Failure, Row, batches, document_id


def rows_of(*sizes: int) -> list[Row]:
    return [Row("a.txt", Document(str(i), "u", ""), b"x" * size) for i, size in enumerate(sizes)]


def test_document_id_is_xxh3_of_source_path_and_position():
    expected = xxhash.xxh3_128(b"web\0a/b.warc.gz\x00481").hexdigest()
    assert document_id("web", "a/b.warc.gz", "481") == expected
    assert len(expected) == 32


def test_document_id_of_a_name_that_is_not_utf8():
    assert document_id("s", "caf\udce9.txt", "") == xxhash.xxh3_128(b"s\0caf\xe9.txt\0").hexdigest()


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((3, 3, 3), [2, 1]),  # the third would exceed 8 bytes
        ((20, 1), [1, 1]),  # a longer text stands alone
        ((1, 20), [1, 1]),
        ((1,) * 11, [5, 5, 1]),
        ((), []),
    ],
)
def test_batches_are_bounded_in_bytes_and_rows(monkeypatch: pytest.MonkeyPatch, sizes, expected):
    monkeypatch.setattr(records, "BATCH_BYTES", 8)
    monkeypatch.setattr(records, "BATCH_ROWS", 5)
    assert [batch.num_rows for batch in batches("s", rows_of(*sizes))] == expected


def test_a_batch_holds_documents_and_failures():
    document = Document("7", "http://x/\ud800", "unused", {"title": "t\udc00", "a": "1"})
    (batch,) = batches("s", [Row("f", document, "héllo".encode()), Row("f", Failure("record", "9", "bad", "x\0y"))])
    assert batch.schema == SCHEMA
    batch.validate(full=True)
    first, second = batch.to_pylist()
    assert first["text"] == "héllo"
    assert first["uri"] == "http://x/\ufffd"
    assert first["meta"] == [("a", "1"), ("file", "f"), ("position", "7"), ("title", "t\ufffd")]
    assert first["failure"] is None
    assert second["text"] is None
    assert second["failure"] == {"level": "record", "path": "f", "reason": "bad", "detail": "at 9: x\ufffdy"}
    assert second["doc_id"] == document_id("s", "f", "9")
    assert isinstance(batch, pa.RecordBatch)
