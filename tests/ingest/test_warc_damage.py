import base64
import functools
import gzip
import hashlib
import random
import tracemalloc
import zlib
from pathlib import Path

import brotli
import lz4.frame
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from ingest_cases import failures, members, mutations, page, read_all, response, texts, warc_record
from mutations import FILES, survives
from warc_cases import PACK, cut, damages, records, tagless

from pipelines.ingest.records import Failure
from pipelines.ingest.web import warc
from pipelines.ingest.web.warc import read_warc
from pipelines.ingest.web.warc_records import Damage

PAGES = [response(f"http://host{i}.example/{i}", page(f"Page {i}")) for i in range(5)]
OTHERS = ["Page 0", "Page 1", "Page 3", "Page 4"]


@pytest.fixture(autouse=True)
def extractor(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(warc, "_extractor", lambda _name, _seconds: tagless)


def write(tmp_path: Path, *parts: bytes, name: str = "x.warc.gz") -> Path:
    path = tmp_path / name
    path.write_bytes(b"".join(parts))
    return path


def titles(result) -> list[str]:
    return [text[:6] for text in texts(result)]


def damage(result) -> list[tuple[str, str]]:
    """Failures but for the account of the file, which must be there if there is damage."""
    found = failures(result)
    account = [failure for failure in found if failure == ("file", "damaged archive")]
    others = [failure for failure in found if failure != ("file", "damaged archive")]
    assert len(account) == bool(others)
    assert not account or found[-1] == account[0]
    return others


def account(result) -> str:
    return next(row.record.detail for row in result if getattr(row.record, "reason", "") == "damaged archive")


def with_header(record: bytes, header: bytes) -> bytes:
    return record.replace(b"Content-Length", header + b"\r\nContent-Length", 1)


def digest(data: bytes) -> bytes:
    return b"sha1:" + base64.b32encode(hashlib.sha1(data).digest())


@pytest.mark.parametrize("packing", PACK)
def test_a_damaged_frame_costs_one_record(tmp_path: Path, packing: str):
    parts = [PACK[packing](record) for record in PAGES]
    parts[2] = parts[2][:60] + b"\xff" * 20 + parts[2][80:]
    result = read_all("warc", write(tmp_path, *parts))
    assert titles(result) == OTHERS
    assert len(damage(result)) == 1
    assert result[2].record.position == str(len(parts[0]) + len(parts[1]))
    read = sum(map(len, parts)) - len(parts[2])
    assert account(result) == f"4 records and {read} bytes read, 1 record and {len(parts[2])} bytes lost"


@pytest.mark.parametrize("packing", PACK)
def test_a_byte_anywhere_never_changes_a_text_in_silence(tmp_path: Path, packing: str):
    good = [PACK[packing](record) for record in PAGES]
    expected = texts(read_all("warc", write(tmp_path, *good)))
    generator = random.Random(1)
    for _ in range(60):
        at = generator.randrange(len(good[2]))
        broken = good[2][:at] + bytes([good[2][at] ^ 1 << generator.randrange(8)]) + good[2][at + 1 :]
        result = read_all("warc", write(tmp_path, *good[:2], broken, *good[3:]))
        found = texts(result)
        # A byte that means nothing, such as the time in a gzip header, may be any.
        assert found == expected or (found == expected[:2] + expected[3:] and damage(result))


def test_a_wrong_checksum_is_not_believed(tmp_path: Path):
    parts = members(PAGES)
    parts[1] = parts[1][:-8] + b"\0\0\0\0" + parts[1][-4:]
    result = read_all("warc", write(tmp_path, *parts))
    assert titles(result) == ["Page 0", "Page 2", "Page 3", "Page 4"]
    assert damage(result) == [("record", "damaged compressed data")]


def test_a_first_byte_that_is_damaged_costs_one_record(tmp_path: Path):
    result = read_all("warc", write(tmp_path, b"\0", b"".join(members(PAGES))[1:]))
    assert titles(result) == ["Page 1", "Page 2", "Page 3", "Page 4"]
    assert damage(result) == [("file", "no compressed frame begins here")]


@pytest.mark.parametrize("keep", [0.02, 0.2, 0.9, 0.999])
def test_a_record_that_is_cut_off_is_told(tmp_path: Path, keep: float):
    for parts in (PAGES, members(PAGES)):
        last = parts[-1][: max(1, int(len(parts[-1]) * keep))]
        result = read_all("warc", write(tmp_path, *parts[:-1], last))
        if keep == 0.999 and parts is PAGES:
            assert len(texts(result)) == 5  # only the blank lines behind the record are missing
        else:
            assert len(texts(result)) == 4
            assert len(damage(result)) == 1


@pytest.mark.parametrize("length", [b"9", b"1", b"99999999999999"])
@pytest.mark.parametrize("packing", [*PACK, "plain", "whole"])
def test_a_false_length_costs_one_record(tmp_path: Path, packing: str, length: bytes):
    parts = list(PAGES)
    head, _, rest = parts[1].partition(b"Content-Length: ")
    parts[1] = head + b"Content-Length: " + length + rest[rest.index(b"\r") :]
    if packing in PACK:
        parts = [PACK[packing](record) for record in parts]
    data = gzip.compress(b"".join(parts)) if packing == "whole" else b"".join(parts)
    result = read_all("warc", write(tmp_path, data))
    # What was passed over in a frame, since it is said to be longer than any page, cannot be gone back to.
    others = ["Page 0"] if packing == "whole" and len(length) > 9 else ["Page 0", "Page 2", "Page 3", "Page 4"]
    assert titles(result) == others
    assert [level for level, _ in damage(result)] == ["record"]


def test_bytes_lost_or_added_in_a_plain_archive_cost_one_record(tmp_path: Path):
    for change in (lambda record: record[:300] + record[320:], lambda record: record[:300] + b"x" * 9 + record[300:]):
        result = read_all("warc", write(tmp_path, *PAGES[:2], change(PAGES[2]), *PAGES[3:]))
        assert titles(result) == OTHERS
        assert damage(result) == [("record", "the record does not end where its header says")]


def test_noise_between_records_of_a_plain_archive(tmp_path: Path):
    noise = b"noise\nWARC is not WARC/1.0\n" * 9000
    result = read_all("warc", write(tmp_path, PAGES[0], noise, *PAGES[1:]))
    assert len(texts(result)) == 5
    assert damage(result) == [("file", "no WARC record begins here")]
    read = sum(map(len, PAGES))
    assert account(result) == f"5 records and {read} bytes read, 0 records and {len(noise)} bytes lost"


def test_zeros_at_the_end_may_have_been_records(tmp_path: Path):
    parts = members(PAGES)
    zeros = bytes(len(parts[4]))
    result = read_all("warc", write(tmp_path, *parts[:4], zeros))
    assert len(texts(result)) == 4
    assert damage(result) == [("file", "no compressed frame begins here")]
    assert account(result).endswith(f"0 records and {len(zeros)} bytes lost")


def test_a_record_of_an_unknown_type_is_told(tmp_path: Path):
    result = read_all("warc", write(tmp_path, PAGES[0], PAGES[1].replace(b": response", b": rexponse", 1)))
    assert failures(result) == [("record", "unknown WARC-Type")]


def test_a_header_that_is_cut_off_by_the_next_record(tmp_path: Path):
    result = read_all("warc", write(tmp_path, PAGES[0], PAGES[1][:90] + b"\r\n", *PAGES[2:]))
    assert titles(result) == ["Page 0", "Page 2", "Page 3", "Page 4"]
    assert len(damage(result)) == 1


def test_line_ends_that_writers_left_out_or_added_are_no_damage(tmp_path: Path):
    bare = [record.rstrip(b"\r\n") for record in PAGES]
    for between in (b"", b"\n", b"\r\n", b"\r\n\r\n\r\n", b"\n\n\n\n"):
        assert damages(write(tmp_path, between.join(bare), name="x.warc")) == []
        assert len(records(tmp_path / "x.warc")) == 5


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no WARC record"),
        (b"\x1f\x8b\x08", "the file ends within a compressed frame"),
        (b"garbage " * 9000, "no WARC record begins here"),
        (b"garbage\n" * 5000, "no WARC record begins here"),
        (b"WARC/1.0\r\nWARC-Type: response\r\n" + b"x: y\r\n" * 90_000, "WARC header too long"),
        (b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: -1\r\n\r\n", "no valid Content-Length"),
    ],
)
def test_files_that_are_no_archives(tmp_path: Path, data: bytes, reason: str):
    assert failures(read_all("warc", write(tmp_path, data)))[0][1] == reason


@pytest.mark.parametrize("header", [b"WARC-Block-Digest: %b", b"WARC-Payload-Digest: %b"])
def test_a_record_has_the_digest_that_it_states(tmp_path: Path, header: bytes):
    body = page("P")
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    right = digest(block if b"Block" in header else body)
    record = with_header(response("http://a.example/", body), header % right)
    assert failures(read_all("warc", write(tmp_path, record))) == []
    changed = record.replace(b"miller", b"killer")
    result = read_all("warc", write(tmp_path, changed, PAGES[0]))
    assert titles(result) == ["Page 0"]
    assert damage(result) == [("record", "digest mismatch")]
    assert account(result).startswith("1 record and ")
    assert failures(read_all("warc", write(tmp_path, changed), check_digests=False)) == []
    unknown = record.replace(b"sha1:", b"crc32:")
    assert failures(read_all("warc", write(tmp_path, unknown))) == []


def test_payload_digests_of_coded_bodies_are_of_any_of_their_forms(tmp_path: Path):
    packed = gzip.compress(page("P"))
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    headers = "Transfer-Encoding: chunked\r\nContent-Encoding: gzip"
    record = response("http://a.example/", chunked, headers=headers)
    forms = [
        *(digest(form) for form in (chunked, packed, page("P"))),
        b"md5:" + hashlib.md5(packed).hexdigest().encode(),
        b"sha256:" + hashlib.sha256(packed).hexdigest().upper().encode(),
        b"sha-256:" + base64.b64encode(hashlib.sha256(packed).digest()),
    ]
    for form in forms:
        whole = with_header(record, b"WARC-Payload-Digest: " + form)
        assert failures(read_all("warc", write(tmp_path, whole))) == []
    wrong = with_header(record, b"WARC-Payload-Digest: " + digest(b"another"))
    assert damage(read_all("warc", write(tmp_path, wrong))) == [("record", "digest mismatch")]
    # A record that the crawler cut off may state the digest of the whole.
    assert failures(read_all("warc", write(tmp_path, with_header(wrong, b"WARC-Truncated: length")))) == []


def test_a_body_that_ends_early_is_read_as_far_as_it_goes(tmp_path: Path):
    packed = gzip.compress(page("P", "".join(random.Random(1).choices("abcdef ", k=9000))))
    for headers, body in (
        ("Content-Encoding: gzip", packed[:-2000]),
        ("Transfer-Encoding: chunked", b"%x\r\n%s" % (9000, page("P"))),
    ):
        (row,) = read_all("warc", write(tmp_path, response("http://a.example/", body, headers=headers)))
        assert row.text
        assert row.record.meta["truncated"] in ("gzip", "chunked")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Encoding: gzip", gzip.compress(page("P"))[:60] + b"\xff" * 60),
        ("Transfer-Encoding: chunked", b"3\r\nabc\r\nno chunk begins here"),
        ("Content-Encoding: br", b"\x0f\x03\0" * 30),
        ("Content-Encoding: gzip, gzip, gzip, gzip, gzip", b""),
    ],
)
def test_a_body_that_cannot_be_decoded_is_a_failure(tmp_path: Path, headers: str, body: bytes):
    record = response("http://a.example/", body, headers=f"Content-Type: text/html\r\n{headers}")
    assert failures(read_all("warc", write(tmp_path, record, name="x.warc"))) == [("record", "broken HTTP response")]


ZEROS = bytes(400_000_000)


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", zstandard.compress),
        ("br", functools.partial(brotli.compress, quality=1)),
    ],
)
def test_a_bomb_in_a_body_is_bounded(tmp_path: Path, coding: str, compress):
    record = response(
        "http://a.example/", compress(ZEROS), headers=f"Content-Type: text/html\r\nContent-Encoding: {coding}"
    )
    path = write(tmp_path, record, name="x.warc")
    tracemalloc.start()
    (row,) = read_all("warc", path, max_html_bytes=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert row.record.meta["gate"] in ("too_large", "content_type")
    assert peak < 60_000_000


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize(
    "header", [b"", warc_record("response", "http://a.example/", b"").replace(b": 0", b": 400000000")]
)
def test_a_bomb_of_an_archive_is_bounded(tmp_path: Path, packing: str, header: bytes):
    path = write(tmp_path, PACK[packing](header.removesuffix(b"\r\n\r\n") + ZEROS), PACK[packing](PAGES[0]))
    tracemalloc.start()
    result = read_all("warc", path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert titles(result) == ["Page 0"]
    assert len(result) >= 2
    assert peak < 100_000_000


def test_a_record_longer_than_the_limit_is_passed_over(tmp_path: Path):
    long = response("http://a.example/", b"x" * 3_000_000)
    for parts in ([long, PAGES[0]], members([long, PAGES[0]]), [gzip.compress(long + PAGES[0])]):
        path = write(tmp_path, *parts)
        result = read_all("warc", path, max_html_bytes=100_000)
        assert titles(result) == ["Page 0"]
        assert result[0].record.meta["gate"] == "too_large"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damaged=mutations(members(PAGES)[2]))
def test_damage_in_one_member_reaches_no_other(tmp_path: Path, damaged: bytes):
    """Whatever happens to the third of five records, the others are read, and it has at least one row itself."""
    parts = members(PAGES)
    result = read_all("warc", write(tmp_path, *parts[:2], damaged, *parts[3:]))
    assert [title for title in titles(result) if title in OTHERS] == OTHERS  # the third may lose its title
    assert len(result) >= 5


@pytest.mark.parametrize("packing", [*PACK, "plain"])
def test_mutated_archives(tmp_path: Path, packing: str):
    """Of a real-looking archive with anything done to it: no exception, no hang, no record lost without a row."""
    pack = PACK.get(packing, bytes)
    data = b"".join(map(pack, PAGES))
    path = tmp_path / "x.warc"

    def read(changed: bytes):
        path.write_bytes(changed)
        found = list(read_warc(path, "x", max_text_bytes=10**6))
        missing = 5 - sum(not isinstance(row, Failure) for row in found)
        assert missing <= 0 or any(isinstance(row, Failure) for row in found) or len(changed) < len(data), changed
        return found

    for seed in range(FILES):
        survives(read, data, seed)


def test_real_archives_that_are_cut_off(data: Path, tmp_path: Path):
    clipped = read_all("warc", data / "web/resiliparse-clipped.warc.gz")
    assert damage(clipped) == [("record", "the file ends within a compressed frame")]
    assert account(clipped) == "0 records and 0 bytes read, 1 record and 18184 bytes lost"
    whole = (data / "web/cc.warc.gz").read_bytes()
    found = cut(write(tmp_path, whole[:-100]))
    assert [isinstance(part, Damage) for part in found].count(True) == 1
    assert [part.position for part in found] == [part.position for part in cut(data / "web/cc.warc.gz")]


def test_a_file_of_magic_bytes_takes_no_time(tmp_path: Path):
    for magic in (b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"):
        (found,) = cut(write(tmp_path, magic * 20_000, *members(PAGES[:0])))
        assert isinstance(found, Damage)
        assert found.lost == (tmp_path / "x.warc.gz").stat().st_size


def test_lz4_without_checksums_and_with_linked_blocks(tmp_path: Path):
    for options in ({"block_linked": True}, {"block_linked": False, "block_checksum": True}, {"store_size": False}):
        path = write(tmp_path, *(lz4.frame.compress(record, **options) for record in PAGES), name="x.warc.lz4")
        assert len(texts(read_all("warc", path))) == 5
