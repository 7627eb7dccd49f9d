"""Small archives and helpers that several tests of ingest share."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

from hypothesis import strategies as st

from pipelines.ingest.files import Part
from pipelines.ingest.records import Document, Failure, Row
from pipelines.ingest.source import reader_class, rows

SENTENCE = "The miller weighs every sack of grain before the stones begin to turn, and writes its weight in a book. "


def page(title: str, words: str = SENTENCE * 8) -> bytes:
    html = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><article><h1>{title}</h1><p>{words}</p>"
    return (html + "</article></body></html>").encode()


def response(uri: str, body: bytes, status: str = "200 OK", headers: str = "Content-Type: text/html") -> bytes:
    return warc_record("response", uri, f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode() + body)


def warc_record(kind: str, uri: str, block: bytes, content_type: str = "application/http; msgtype=response") -> bytes:
    head = (
        f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\nWARC-Date: 2024-05-20T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:{uri[-4:]}>\r\nContent-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def members(records: Iterable[bytes]) -> list[bytes]:
    return [gzip.compress(record, mtime=0) for record in records]


def read_all(format: str, path: Path, **options: object) -> list[Row]:
    """All rows of one file, as a task reads them; positions must be unique."""
    limit = options.pop("max_text_bytes", 128_000_000)
    source = {"name": "test", "root": str(path.parent), "max_text_bytes": limit, "options": options}
    result = list(rows(reader_class(format), source, [Part(path.name, None, 0)]))
    positions = [(row.record.position, isinstance(row.record, Failure) and row.record.level) for row in result]
    assert len(set(positions)) == len(positions)
    return result


def texts(result: list[Row]) -> list[str]:
    return [row.text.decode() for row in result if row.text is not None]


def gates(result: list[Row]) -> list[str]:
    return [row.record.meta["gate"] for row in result if isinstance(row.record, Document) and row.text is None]


def failures(result: list[Row]) -> list[tuple[str, str]]:
    return [(row.record.level, row.record.reason) for row in result if isinstance(row.record, Failure)]


def mutations(data: bytes, start: int = 0, stop: int | None = None) -> st.SearchStrategy[bytes]:
    """`data` with one stretch between `start` and `stop` replaced, removed, repeated or cut off."""
    stop = len(data) if stop is None else stop
    place = st.tuples(st.integers(start, stop - 1), st.integers(1, 64))

    def mutate(spot: tuple[int, int], how: str, noise: bytes) -> bytes:
        begin, end = spot[0], min(spot[0] + spot[1], stop)
        middle = {
            "replace": noise[: end - begin].ljust(end - begin, b"\xa5"),
            "remove": b"",
            "repeat": data[begin:end] * 2,
            "insert": noise + data[begin:end],
        }[how]
        return data[:begin] + middle + data[end:]

    how = st.sampled_from(["replace", "remove", "repeat", "insert"])
    return st.builds(mutate, place, how, st.binary(min_size=1, max_size=64))
