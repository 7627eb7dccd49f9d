"""Archives read in parts: together they give what one reading gives, wherever they are cut."""

from __future__ import annotations

import gzip
import random
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from ingest_cases import page, response, warc_record
from mutations import FILES, mutated
from warc_cases import PACK, cut, tagless

from pipelines.ingest.records import Failure
from pipelines.ingest.web import warc
from pipelines.ingest.web.warc import read_warc
from pipelines.ingest.web.warc_records import Archive, Damage

NOISE = random.Random(3)
PAGES = [response(f"http://host{i}.example/{i}", page(f"Page {i}", NOISE.randbytes(4000).hex())) for i in range(60)]


def spans(size: int, seed: int) -> list[tuple[int, int]]:
    generator = random.Random(seed)
    cuts = {0, size, *(generator.randrange(size + 1) for _ in range(generator.randint(1, 6)))}
    return list(pairwise(sorted(cuts)))


def assert_parts_make_the_whole(path: Path, seed: int) -> None:
    """Records and damage, and the bytes that were gone through."""

    def read(span: tuple[int, int] | None) -> tuple[list[object], int]:
        with Archive(path, 100_000, span) as archive:
            return list(archive), archive.bytes_passed()

    whole, passed = read(None)
    parts = [read(span) for span in spans(path.stat().st_size, seed)]
    assert [found for part, _ in parts for found in part] == whole, f"{path.name}, seed {seed}"
    assert sum(count for _, count in parts) == passed <= path.stat().st_size


@pytest.mark.parametrize("packing", [*PACK, "plain"])
def test_parts_of_an_archive(tmp_path: Path, packing: str):
    path = tmp_path / "x.warc"
    packed = [PACK.get(packing, bytes)(record) for record in PAGES]
    path.write_bytes(b"".join(packed))
    for seed in range(20):
        assert_parts_make_the_whole(path, seed)
    borders = [sum(map(len, packed[:i])) for i in (0, 20, 21, 60)]
    counts = [len(cut(path, span)) for span in pairwise(borders)]
    assert counts == [20, 1, 39]
    assert len(cut(path, (borders[1] - 1, borders[2]))) == len(cut(path, (borders[1], borders[2] - 1))) == 1
    assert cut(path, (borders[1] + 1, borders[2])) == []


@pytest.mark.parametrize("packing", PACK)
def test_an_archive_that_was_compressed_as_a_whole_is_read_by_its_first_part(tmp_path: Path, packing: str):
    path = tmp_path / "x.warc"
    path.write_bytes(PACK[packing](b"".join(PAGES)))
    half = path.stat().st_size // 2
    assert len(cut(path, (0, half))) == 60
    assert cut(path, (half, 2 * half)) == []


@pytest.mark.parametrize("packing", [*PACK, "plain"])
def test_an_archive_within_a_page_is_not_taken_for_the_archive(tmp_path: Path, packing: str):
    """Compressed data do not compress again: they stand in the archive as they are."""
    pack = PACK.get(packing, bytes)
    inner = b"".join(pack(record) for record in PAGES)
    outer = [
        warc_record("resource", f"http://a.example/{i}.warc", inner[i:], "application/octet-stream") for i in range(9)
    ]
    packed = [zlib_stored(record) if packing == "gzip" else pack(record) for record in outer]
    path = tmp_path / "x.warc"
    path.write_bytes(b"".join(packed))
    assert b"".join(packed).count(inner[100:200]) == 9
    assert len(cut(path)) == 9
    for seed in range(20):
        assert_parts_make_the_whole(path, seed)


def zlib_stored(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=0)


@pytest.mark.parametrize("packing", [*PACK, "plain", "whole", "cut"])
def test_parts_of_damaged_archives(tmp_path: Path, packing: str):
    data = b"".join(map(PACK.get(packing, bytes), PAGES))
    if packing == "whole":
        data = gzip.compress(data)
    elif packing == "cut":  # as bgzip cuts, without regard to records
        data = b"".join(gzip.compress(data[i : i + 700]) for i in range(0, len(data), 700))
    path = tmp_path / "x.warc"
    for seed in range(max(10, FILES // 4)):
        path.write_bytes(mutated(data, seed))
        assert_parts_make_the_whole(path, seed)


def test_parts_of_real_archives_whole_and_damaged(data: Path, tmp_path: Path):
    archives = [path for path in sorted((data / "web").glob("*.?arc.*")) if path.stat().st_size < 800_000]
    archives += sorted((data / "web").glob("*.arc.gz"))
    assert len(archives) >= 13
    for seed, path in enumerate(archives):
        assert_parts_make_the_whole(path, seed)
        broken = tmp_path / path.name
        for again in range(max(1, FILES // 10)):
            broken.write_bytes(mutated(path.read_bytes(), seed + 100 * again))
            assert_parts_make_the_whole(broken, seed)


def test_every_part_knows_the_dictionary_in_front(tmp_path: Path):
    dictionary = zstandard.train_dictionary(4096, PAGES)
    compressor = zstandard.ZstdCompressor(dict_data=dictionary, write_checksum=True)
    raw = zstandard.compress(dictionary.as_bytes())
    path = tmp_path / "x.warc.zst"
    frames = b"".join(compressor.compress(record) for record in PAGES)
    path.write_bytes(b"\x5d\x2a\x4d\x18" + len(raw).to_bytes(4, "little") + raw + frames)
    assert len(cut(path)) == 60
    for seed in range(10):
        assert_parts_make_the_whole(path, seed)


def test_rows_of_parts_are_those_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(warc, "_extractor", lambda _name, _seconds: tagless)
    packed = [PACK["gzip"](record) for record in PAGES]
    packed[40] = packed[40][:200] + b"\xff" + packed[40][201:]
    path = tmp_path / "x.warc.gz"
    path.write_bytes(b"".join(packed))
    size = path.stat().st_size

    def read(span: tuple[int, int] | None) -> tuple[list[object], list[Failure]]:
        rows = list(read_warc(path, "x", max_text_bytes=10**6, span=span))
        accounts = [row for row in rows if isinstance(row, Failure) and row.reason == "damaged archive"]
        return [row for row in rows if row not in accounts], accounts

    whole, (account,) = read(None)
    assert account.position == ""
    parts = [read(span) for span in ((0, size // 4), (size // 4, size * 3 // 4), (size * 3 // 4, size))]
    assert [row for rows, _ in parts for row in rows] == whole
    assert [len(accounts) for _, accounts in parts] == [0, 1, 0]
    assert parts[1][1][0].position == f"{size // 4}-{size * 3 // 4}"
    assert read((size, size)) == ([], [])


def test_the_sums_of_parts_of_a_damaged_archive_are_its_own(tmp_path: Path):
    packed = [PACK["zstd"](record) for record in PAGES]
    for i in (5, 25, 45):
        packed[i] = packed[i][:40] + b"\xff\xff" + packed[i][42:]
    path = tmp_path / "x.warc.zst"
    path.write_bytes(b"".join(packed))
    lost = sum(found.lost for found in cut(path) if isinstance(found, Damage))
    assert lost == sum(len(packed[i]) for i in (5, 25, 45))
    for seed in range(10):
        parts = [cut(path, span) for span in spans(path.stat().st_size, seed)]
        assert sum(found.lost for part in parts for found in part if isinstance(found, Damage)) == lost
