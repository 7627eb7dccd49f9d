import gzip
import io
import time
from pathlib import Path

import pytest
import zstandard
from fastwarc.stream_io import Lz4Writer
from fastwarc.warc import ArchiveIterator
from hypothesis import HealthCheck, given, settings
from ingest_cases import SENTENCE, failures, gates, members, mutations, page, read_all, response, texts, warc_record

from pipelines.errors import ConfigError
from pipelines.ingest.html import main_text
from pipelines.ingest.records import Document
from pipelines.ingest.source import check_options

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


def lz4(data: bytes) -> bytes:
    packed = io.BytesIO()
    with Lz4Writer(packed) as writer:
        writer.write(data)
    return packed.getvalue()


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        gzip.compress,
        zstandard.ZstdCompressor().compress,
        lz4,
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


@pytest.mark.parametrize(
    ("record", "gate"),
    [
        (response("http://a.example/", page("gone"), "404 Not Found"), "http_status"),
        (response("http://a.example/", b"\x89PNG\r\n", headers="Content-Type: image/png"), "content_type"),
        (response("http://a.example/", b"%PDF-1.4 ...", headers="Content-Type: text/html"), "content_type"),
        (response("http://a.example/", b"{}", headers="Content-Type: application/json"), "content_type"),
        (response("http://a.example/", b"\0\1\2\3", headers="X: y"), "content_type"),
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
        ("Content-Type: application/octet-stream", page("P")),
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


def test_a_damaged_member_costs_one_record(tmp_path: Path):
    parts = members(PAGES)
    parts[2] = parts[2][:60] + b"\xff" * 20 + parts[2][80:]
    result = read_all("warc", write(tmp_path, *parts))
    assert [text[:6] for text in texts(result)] == ["Page 0", "Page 1", "Page 3", "Page 4"]
    assert len(failures(result)) == 1
    assert result[2].record.position == str(len(parts[0]) + len(parts[1]))


def test_a_wrong_checksum_is_not_believed(tmp_path: Path):
    parts = members(PAGES)
    parts[1] = parts[1][:-8] + b"\0\0\0\0" + parts[1][-4:]
    result = read_all("warc", write(tmp_path, *parts))
    assert [text[:6] for text in texts(result)] == ["Page 0", "Page 2", "Page 3", "Page 4"]
    assert [level for level, _ in failures(result)] == ["record"]


@pytest.mark.parametrize("keep", [0.02, 0.2, 0.9, 0.999])
def test_a_record_that_is_cut_off_is_told(tmp_path: Path, keep: float):
    for parts in (PAGES, members(PAGES)):
        last = parts[-1][: max(1, int(len(parts[-1]) * keep))]
        result = read_all("warc", write(tmp_path, *parts[:-1], last))
        if keep == 0.999 and parts is PAGES:
            assert len(texts(result)) == 5  # only the blank lines behind the record are missing
        else:
            assert len(texts(result)) == 4
            assert len(failures(result)) == 1


def test_a_false_length_costs_one_record_where_records_have_members(tmp_path: Path):
    records = list(PAGES)
    records[1] = records[1].replace(b"Content-Length: ", b"Content-Length: 9", 1)
    result = read_all("warc", write(tmp_path, *members(records)))
    assert [text[:6] for text in texts(result)] == ["Page 0", "Page 2", "Page 3", "Page 4"]
    assert failures(result) == [("record", "the record is cut off")]


def test_noise_between_records_of_a_plain_archive(tmp_path: Path):
    result = read_all("warc", write(tmp_path, PAGES[0], b"noise\nWARC is not WARC/1.0\n" * 9000, *PAGES[1:]))
    assert len(texts(result)) == 5
    assert failures(result) == [("file", "no WARC record begins here")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no WARC record"),
        (b"\x1f\x8b\x08", "the file ends within a compressed frame"),
        (b"garbage " * 9000, "WARC header too long"),
        (b"garbage\n" * 5000, "no WARC record begins here"),
        (b"filedesc://x.arc 0.0.0.0 20080430204825 text/plain 1\n", "ARC archive"),
        (gzip.compress(b"filedesc://x.arc 0.0.0.0 20080430204825 text/plain 1\n"), "ARC archive"),
        (b"WARC/1.0\r\nWARC-Type: response\r\n" + b"x: y\r\n" * 90_000, "WARC header too long"),
    ],
)
def test_files_that_are_no_archives(tmp_path: Path, data: bytes, reason: str):
    (failure,) = failures(read_all("warc", write(tmp_path, data)))
    assert failure[1] == reason


@pytest.mark.parametrize("tag", ["div", "article"])
def test_a_page_that_would_stall_the_parser_is_given_up(tmp_path: Path, tag: str):
    deep = f"<html><body>{f'<{tag}>' * 100_000}text".encode()
    start = time.monotonic()
    row = one(tmp_path, response("http://a.example/", deep))
    assert row.record.meta["gate"] == "too_deep"
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("head", [b"<!-- -->" * 60 + b"x", b"<!--" * 120, b" " * 512, b"<?xml?>" * 70 + b"<"])
def test_sniffing_takes_no_time(tmp_path: Path, head: bytes):
    start = time.monotonic()
    one(tmp_path, response("http://a.example/", head * 9, headers="Content-Type: text/plain"))
    assert time.monotonic() - start < 2


def test_charset_of_a_page():
    html = '<html><head><meta charset="windows-1251"></head><body><p>{}</p></body></html>'
    data = html.format("Мельник взвешивает каждый мешок зерна. " * 9).encode("cp1251")
    assert (main_text(data).charset, main_text(data).charset_found) == ("cp1251", "meta")
    assert main_text(data, "windows-1251").charset_found == "http"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damaged=mutations(members(PAGES)[2]))
def test_damage_in_one_member_reaches_no_other(tmp_path: Path, damaged: bytes):
    """Whatever happens to the third of five records, the others are read, and it has at least one row itself."""
    parts = members(PAGES)
    result = read_all("warc", write(tmp_path, *parts[:2], damaged, *parts[3:]))
    found = [text[:6] for text in texts(result)]
    others = ["Page 0", "Page 1", "Page 3", "Page 4"]
    assert [title for title in found if title in others] == others  # the third may lose its title
    assert len(result) >= 5


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=mutations(b"".join(PAGES)))
def test_a_damaged_plain_archive_never_throws(tmp_path: Path, data: bytes):
    assert len(read_all("warc", write(tmp_path, data, name="x.warc"))) >= 3


def candidates(path: Path) -> list[str]:
    """Positions of candidate records as FastWARC finds them."""
    kinds = {"response", "resource", "conversion"}
    found = ArchiveIterator(str(path), quirks_mode=True, parse_http=False, fsspec_args=False)
    return [str(record.stream_pos) for record in found if str(record.record_type) in kinds]


@pytest.mark.parametrize(
    "name",
    [
        "cc.warc.gz",
        "cc.warc.wet.gz",
        "pages-00.warc.gz",
        "resiliparse-clueweb-quirk.warc.gz",
        "resiliparse-warcfile.warc.gz",
        "resiliparse-clipped.warc.gz",
        "ukwa-IAH-20080430204825-00000-blackbook-truncated.warc.gz",
        "ukwa-IAH-urls-wget.warc.gz",
        "ukwa-main-page.warc.gz",
        "ukwa-post-blackout.warc.gz",
    ],
)
def test_real_archives_are_read_as_fastwarc_reads_them(data: Path, name: str):
    path = data / "web" / name
    assert [row.record.position for row in read_all("warc", path)] == candidates(path)


def test_lz4_and_gzip_of_one_archive_give_the_same_texts(data: Path):
    packed = [read_all("warc", data / f"web/resiliparse-warcfile.warc.{end}") for end in ("gz", "lz4")]
    assert texts(packed[0]) == texts(packed[1])
    assert len(packed[0]) == 16


def test_real_archives_that_are_cut_off(data: Path):
    clipped = read_all("warc", data / "web/resiliparse-clipped.warc.gz")
    assert failures(clipped) == [("record", "the file ends within a compressed frame")]
    arc = read_all("warc", data / "web/ukwa-IAH-20080430204825-00000-blackbook-truncated.arc.gz")
    assert failures(arc) == [("file", "ARC archive")]


def test_real_pages_have_text_and_gates_have_reasons(data: Path):
    result = read_all("warc", data / "web/pages-00.warc.gz")
    assert len(result) == 189
    assert len(texts(result)) >= 184
    assert set(gates(result)) == {"no_text"}
