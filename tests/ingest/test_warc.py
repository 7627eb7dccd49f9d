import gzip
import time
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard
from ingest_cases import SENTENCE, failures, gates, members, page, read_all, response, texts, warc_record
from warc_cases import PACK

from pipelines.errors import ConfigError
from pipelines.ingest.records import Document
from pipelines.ingest.source import check_options
from pipelines.ingest.web.warc import read_warc

INFO = warc_record("warcinfo", "", b"software: test\r\n", "application/warc-fields")
PAGES = [response(f"http://host{i}.example/{i}", page(f"Page {i}")) for i in range(5)]


def write(tmp_path: Path, *parts: bytes, name: str = "x.warc.gz") -> Path:
    path = tmp_path / name
    path.write_bytes(b"".join(parts))
    return path


def one(tmp_path: Path, record: bytes, **options: object):
    (row,) = read_all("warc", write(tmp_path, record, name="x.warc"), **options)
    return row


def test_a_page_and_its_facts(tmp_path: Path):
    path = write(tmp_path, *members([INFO, *PAGES]))
    result = read_all("warc", path)
    assert len(result) == 5
    first = result[0].record
    assert isinstance(first, Document)
    assert texts(result)[0].startswith("Page 0\n\nThe miller weighs every sack")
    assert first.uri == "http://host0.example/0"
    assert first.position == str(len(members([INFO])[0]))
    assert first.meta == {
        "host": "host0.example",
        "group": "host0.example",
        "record_type": "response",
        "date": "2024-05-20T00:00:00Z",
        "record_id": "<urn:uuid:le/0>",
        "http_status": "200",
        "mime": "text/html",
        "charset": "utf-8",
        "charset_found": "utf-8",
        "title": "Page 0",
    }


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        *PACK.values(),
        lambda data: b"".join(gzip.compress(data[i : i + 700]) for i in range(0, len(data), 700)),  # as bgzip cuts
        lambda data: data.replace(b"\r\n", b"\n", 3),  # line ends of old tools, in the first header
    ],
)
def test_every_packing_gives_the_same_texts(tmp_path: Path, pack):
    result = read_all("warc", write(tmp_path, pack(b"".join([INFO, *PAGES]))))
    expected = texts(read_all("warc", write(tmp_path, *members(PAGES))))
    assert texts(result) == expected
    assert len(expected) == 5
    assert failures(result) == []


def test_conversion_and_resource_records(tmp_path: Path):
    text = "Ein Müller, ein Sack, eine Mühle."
    records = [
        warc_record("conversion", "http://a.example/1", text.encode(), "text/plain"),
        warc_record("resource", "http://a.example/2", text.encode("cp1252"), "text/plain; charset=iso-8859-1"),
        warc_record("request", "http://a.example/3", b"GET / HTTP/1.1\r\n\r\n"),
        warc_record("revisit", "http://a.example/4", b""),
    ]
    result = read_all("warc", write(tmp_path, *members(records)))
    assert texts(result) == [text, text]
    assert gates(result) == ["revisit"]


def test_a_revisit_says_of_which_page(tmp_path: Path):
    record = warc_record("revisit", "http://a.example/4", b"HTTP/1.1 304 Not Modified\r\n\r\n").replace(
        b"Content-Type",
        b"WARC-Refers-To-Target-URI: http://a.example/3\r\nWARC-Refers-To-Date: 2023-01-01T00:00:00Z\r\n"
        b"WARC-Payload-Digest: sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\nContent-Type",
    )
    meta = one(tmp_path, record).record.meta
    assert meta["gate"] == "revisit"
    assert meta["refers_to_uri"] == "http://a.example/3"
    assert meta["refers_to_date"] == "2023-01-01T00:00:00Z"
    assert meta["payload_digest"] == "sha1:" + "A" * 32


def test_what_is_not_wanted_is_passed_over(tmp_path: Path):
    path = write(tmp_path, *members(PAGES))
    everything = list(read_warc(path, "x", max_text_bytes=10**6))
    asked = []

    def wanted(position: str) -> bool:
        asked.append(position)
        return len(asked) % 2 == 0

    some = list(read_warc(path, "x", max_text_bytes=10**6, wanted=wanted))
    assert asked == [document.position for document in everything]
    assert some == everything[1::2]


@pytest.mark.parametrize(
    ("record", "gate"),
    [
        (response("http://a.example/", page("gone"), "404 Not Found"), "http_status"),
        (response("http://a.example/", b"\x89PNG\r\n", headers="Content-Type: image/png"), "content_type"),
        (response("http://a.example/", b"%PDF-1.4 ...", headers="Content-Type: text/html"), "content_type"),
        (response("http://a.example/", b"{}", headers="Content-Type: application/json"), "content_type"),
        (response("http://a.example/", b"\0\1\2\3", headers="X: y"), "content_type"),
        (response("http://a.example/", bytes(range(256)) * 2), "content_type"),
        (response("http://a.example/", page("long", "x " * 5000)), "too_large"),
        (
            response("http://a.example/", gzip.compress(page("bomb", "x " * 9000)), headers="Content-Encoding: gzip"),
            "too_large",
        ),
        (response("http://a.example/", b"x" * 70_000), "too_large"),
        (response("http://a.example/", b"<html><body></body></html>"), "no_text"),
        (warc_record("response", "dns:a.example", b"20240520 a.example A 1.2.3.4", "text/dns"), "content_type"),
    ],
)
def test_gates(tmp_path: Path, record: bytes, gate: str):
    row = one(tmp_path, record, max_html_bytes=5000)
    assert row.text is None
    assert row.record.meta["gate"] == gate


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Transfer-Encoding: chunked", b"5\r\n<html\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(page("P")[20:]), page("P")[20:])),
        ("Content-Encoding: gzip", gzip.compress(page("P"))),
        ("Content-Encoding: gzip", page("P")),  # the archive undid the compression, but not the header
        ("Transfer-Encoding: chunked", page("P")),
        ("Content-Encoding: deflate", zlib.compress(page("P"))),
        ("Content-Encoding: deflate", zlib.compress(page("P"))[2:-4]),
        ("Content-Encoding: br", brotli.compress(page("P"))),
        ("Content-Encoding: zstd", zstandard.compress(page("P"))),
        ("content-encoding:\r\n gzip, br", brotli.compress(gzip.compress(page("P")))),
        ("Content-Encoding: utf-8", page("P")),
        ("Content-Type: application/octet-stream", page("P")),
        ("Content-Type: image/jpeg", page("P")),
        ("X: y", b"\r\n" + page("P")),  # Common Crawl of August 2018: one line end too many
        ("Content-Type: application/xhtml+xml", page("P")),
    ],
)
def test_bodies_as_servers_and_crawlers_leave_them(tmp_path: Path, headers: str, body: bytes):
    row = one(tmp_path, response("http://a.example/", body, headers=headers))
    assert row.text is not None
    assert SENTENCE.strip() in row.text.decode()


def test_listed_urls_are_gated_before_their_pages_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "domains").write_text("# bad ones\nhost1.example\n")
    (tmp_path / "words").write_text("casino\n")
    (tmp_path / "soft").write_text("free\nbonus\n")
    monkeypatch.setenv("LISTS", str(tmp_path))
    urls = {"domains": ["${LISTS}/domains"], "hard": [str(tmp_path / "words")], "soft": [str(tmp_path / "soft")]}
    named = [
        "http://host1.example/1",
        "http://sub.host1.example/",
        "http://a.example/casino",
        "http://b.example/free-bonus",
    ]
    pages = [response(url, page(url)) for url in [*named, "http://c.example/free", "http://host12.example/"]]
    found = read_all("warc", write(tmp_path, *members(pages)), urls=urls)
    assert [gates([row]) for row in found] == [["url_domain"], ["url_domain"], ["url_hard"], ["url_soft"], [], []]
    assert [row.text is None for row in found] == [True] * 4 + [False] * 2


def test_a_list_of_urls_that_is_not_there_is_named_before_anything_is_read():
    with pytest.raises(ConfigError, match=r"urls.*nowhere\.txt"):
        check_options("warc", {"urls": {"domains": ["/nowhere.txt"]}})
    with pytest.raises(ConfigError, match="domain"):
        check_options("warc", {"urls": {"domain": []}})


def test_a_text_that_is_too_large_is_a_failure(tmp_path: Path):
    row = one(tmp_path, warc_record("conversion", "http://a.example/", b"x" * 2000, "text/plain"), max_text_bytes=1000)
    assert failures([row]) == [("record", "text too large")]


@pytest.mark.parametrize("head", [b"<!-- -->" * 60 + b"x", b"<!--" * 120, b" " * 512, b"<?xml?>" * 70 + b"<"])
def test_sniffing_takes_no_time(tmp_path: Path, head: bytes):
    start = time.monotonic()
    one(tmp_path, response("http://a.example/", head * 9, headers="Content-Type: text/plain"))
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("mark", "header", "meta", "charset", "found"),
    [
        ("", "", "windows-1251", "cp1251", "meta"),
        ("", "; charset=windows-1251", "koi8-r", "cp1251", "http"),
        ("", "", "", "cp1251", "detected"),
        ("\ufeff", "; charset=windows-1251", "windows-1251", "utf-8", "bom"),
    ],
)
def test_charset_by_mark_then_header_then_meta_then_detection(
    tmp_path: Path, mark: str, header: str, meta: str, charset: str, found: str
):
    declared = f'<meta charset="{meta}">' if meta else ""
    words = "Мельник взвешивает каждый мешок зерна. " * 9
    html = f"{mark}<html><head>{declared}</head><body><p>{words}</p>".encode("utf-8" if mark else "cp1251")
    row = one(tmp_path, response("http://a.example/", html, headers=f"Content-Type: text/html{header}"))
    assert (row.record.meta["charset"], row.record.meta["charset_found"]) == (charset, found)
    assert row.text is not None
    assert words.strip() in row.text.decode()


def test_real_pages_have_text_and_gates_have_reasons(data: Path):
    result = read_all("warc", data / "web/pages-00.warc.gz")
    assert len(result) == 189
    assert len(texts(result)) >= 184
    assert set(gates(result)) <= {"no_text"}
