"""Real archives are read as FastWARC and warcio read them; what these miss or misread is named here."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator as FastWarc
from ingest_cases import failures, gates, read_all, texts
from warc_cases import damages, pywb_archives, records, tagless
from warcio.archiveiterator import ArchiveIterator as Warcio

from pipelines.ingest.web import warc

Found = list[tuple[str, str | None, str]]

SHARED = [
    *(f"cc.warc{kind}.gz" for kind in ("", ".wat", ".wet")),
    *(f"labelled-0{i}.warc.gz" for i in range(4)),
    *(f"pages-0{i}.warc.gz" for i in range(8)),
    *(f"resiliparse-{name}.warc.gz" for name in ("block-sized-records", "clueweb-quirk", "warcfile")),
    "ukwa-IAH-20080430204825-00000-blackbook-truncated.warc.gz",
    "ukwa-IAH-urls-wget.warc.gz",
    "ukwa-main-page.warc.gz",
    "ukwa-post-blackout.warc.gz",
    "ukwa-sopa-wikipedia-homepage.warc.gz",
]
# By archive, where a record is that is not as its header says, and what is wrong.
DAMAGED = {
    "bad.arc": [(position, "no valid Content-Length") for position in ("0", "134", "262")],
    "example.warc": [("4061", "the record does not end where its header says")],
}


@pytest.fixture(scope="session")
def pywb(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return pywb_archives(tmp_path_factory.mktemp("pywb"))


def ours(path: Path) -> Found:
    return [(r.headers["warc-type"], r.headers.get("warc-target-uri"), r.position) for r in records(path)]


def by_warcio(path: Path) -> Found:
    found = []
    with path.open("rb") as file:
        archive = Warcio(file)
        for record in archive:
            # warcio calls the first record of an ARC by a name of its own.
            kind = "warcinfo" if record.rec_type == "arc_header" else record.rec_type
            uri = record.rec_headers.get_header("WARC-Target-URI") or record.rec_headers.get_header("uri")
            record.content_stream().read()
            found.append((kind, uri, str(archive.get_record_offset())))
    return found


def by_fastwarc(path: Path) -> Found:
    return [
        (str(record.record_type), record.headers.get("WARC-Target-URI"), str(record.stream_pos))
        for record in FastWarc(str(path), parse_http=False, quirks_mode=True)
    ]


@pytest.mark.parametrize("name", SHARED)
def test_real_archives(data: Path, name: str):
    path = data / "web" / name
    found = ours(path)
    assert damages(path) == []
    assert found == by_fastwarc(path)
    assert found == by_warcio(path)


@pytest.mark.parametrize("name", ["block-sized-records", "warcfile"])
def test_lz4_archives(data: Path, name: str):
    path = data / f"web/resiliparse-{name}.warc.lz4"
    assert damages(path) == []
    assert ours(path) == by_fastwarc(path)
    pairs = [
        [(r.headers, r.block) for r in records(data / f"web/resiliparse-{name}.warc.{end}")] for end in ("gz", "lz4")
    ]
    assert pairs[0] == pairs[1]


def test_an_arc_archive(data: Path):
    path = data / "web/ukwa-IAH-20080430204825-00000-blackbook-truncated.arc.gz"
    assert damages(path) == []
    assert ours(path) == by_warcio(path)
    assert len(ours(path)) == 9


def test_the_archives_of_pywb(pywb: list[Path]):
    assert len(pywb) == 17
    for path in pywb:
        assert damages(path) == DAMAGED.get(path.name, []), path.name
        if path.name.startswith("example-bad"):
            continue
        found = ours(path)
        # Both take the headers of damaged records for true, and go on with what follows.
        broken = {position for position, _ in DAMAGED.get(path.name, [])}
        assert found == [record for record in by_warcio(path) if record[2] not in broken], path.name
        if ".arc" not in path.name:
            assert found == [record for record in by_fastwarc(path) if record[2] not in broken], path.name


def test_an_archive_in_one_gzip_member_that_warcio_refuses(pywb: list[Path]):
    path = next(path for path in pywb if path.name == "example-bad.warc.gz.bad")
    assert [kind for kind, _, _ in ours(path)] == ["warcinfo", "response", "request", "revisit", "request", "response"]
    assert len(by_fastwarc(path)) == 6


def test_both_versions_of_arc(tmp_path: Path):
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nThe miller weighs every sack."
    first = b"filedesc://x.arc 0.0.0.0 20010203040506 text/plain 76\n" + b"1 0 Test".ljust(75) + b"\n\n"
    one = b"http://a.example/b c 1.2.3.4 20010203040506 text/plain %d\n" % len(body)
    two = b"http://a.example/d 1.2.3.4 20010203040506 text/plain 200 ABC - 0 x.arc %d\n" % len(body)
    plain = first + one + body + b"\n" + two + body + b"\n"
    parts = (first, one + body + b"\n", two + body + b"\n")
    for data in (plain, gzip.compress(plain), b"".join(map(gzip.compress, parts))):
        path = tmp_path / "x.arc"
        path.write_bytes(data)
        assert damages(path) == []
        assert [kind for kind, _, _ in ours(path)] == ["warcinfo", "response", "response"]
        rows = read_all("warc", path)
        assert texts(rows) == ["The miller weighs every sack."] * 2
        assert [row.record.uri for row in rows] == ["http://a.example/b c", "http://a.example/d"]
        assert rows[0].record.meta["date"] == "2001-02-03T04:05:06Z"
    path.write_bytes(plain.replace(b"miller", b"mi", 1))
    assert failures(read_all("warc", path)) == [
        ("record", "the record does not end where its header says"),
        ("file", "damaged archive"),
    ]


def test_an_arc_record_whose_length_fits_nothing(pywb: list[Path]):
    path = next(path for path in pywb if path.name == "bad.arc")
    found = failures(read_all("warc", path))
    assert found == [
        ("file", "no valid Content-Length"),  # of the archive's own description
        ("record", "no valid Content-Length"),
        ("record", "no valid Content-Length"),
        ("file", "damaged archive"),
    ]


def test_revisits_are_counted(pywb: list[Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(warc, "_extractor", lambda _name, _seconds: tagless)
    path = next(path for path in pywb if path.name == "iana.warc.gz")
    rows = read_all("warc", path)
    revisits = [row for row in rows if row.record.meta.get("gate") == "revisit"]
    assert len(revisits) == sum(kind == "revisit" for kind, _, _ in by_warcio(path)) == 123
    digests = {row.record.meta["payload_digest"] for row in rows if row not in revisits}
    assert sum(row.record.meta["payload_digest"] in digests for row in revisits) > 0


@pytest.mark.parametrize("version", [b"0.17", b"0.18", b"1.0", b"1.1", b"2.0"])
def test_versions(data: Path, tmp_path: Path, version: bytes):
    plain = gzip.decompress((data / "web/cc.warc.gz").read_bytes())
    path = tmp_path / "x.warc"
    path.write_bytes(plain.replace(b"WARC/1.0\r\n", b"WARC/" + version + b"\r\n"))
    assert len(records(path)) == 4
    path.write_bytes(plain.replace(b"WARC/1.0\r\n", b"WARC/" + version + b"\n"))
    assert len(records(path)) == 4


def test_broken_lines_in_headers_are_passed_over(data: Path, tmp_path: Path):
    """As in ClueWeb09, where URLs and titles hold line ends, and lines end in LF alone."""
    path = data / "web/resiliparse-clueweb-quirk.warc.gz"
    plain = gzip.decompress(path.read_bytes())
    broken = plain.replace(b"WARC-Date:", b"no header\nWARC-Date:").replace(b"/order/\r\n", b"/order/\r\n goes on\r\n")
    copy = tmp_path / "x.warc.gz"
    copy.write_bytes(gzip.compress(broken))
    assert plain.count(b"WARC-Date:") == len(records(copy)) == 30
    assert damages(copy) == []
    assert any((uri or "").endswith("/order/ goes on") for _, uri, _ in ours(copy))
    assert [record.block for record in records(copy)][1:] == [record.block for record in records(path)][1:]


def test_gates_of_real_pages(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(warc, "_extractor", lambda _name, _seconds: tagless)
    rows = read_all("warc", data / "web/ukwa-main-page.warc.gz")
    assert failures(rows) == []
    assert sorted(set(gates(rows))) == ["content_type"]
    assert len(texts(rows)) == 6
