import gzip
import io
import random
from pathlib import Path

import pytest
import zstandard
from fastwarc.stream_io import Lz4Writer

from pipelines.ingest.frames import BrokenFrame, FrameReader

NOISE = random.Random(1).randbytes(300_000)
PARTS = [b"first " * 50_000, NOISE, b"", b"last"]


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def frames(path: Path) -> tuple[list[tuple[int, bytes]], list[tuple[int, str]]]:
    """(frame, all its bytes) in order, and what broke."""
    found: dict[int, bytes] = {}
    broken = []
    with FrameReader(path) as reader:
        while True:
            try:
                if not (data := reader.read()):
                    return list(found.items()), broken
                found[reader.frame] = found.get(reader.frame, b"") + data
            except BrokenFrame as error:
                broken.append((error.offset, error.reason))


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_frames_and_their_offsets(tmp_path: Path, compress):
    packed = [compress(part) for part in PARTS]
    path = tmp_path / "x"
    path.write_bytes(b"".join(packed))
    starts = [sum(map(len, packed[:i])) for i in range(len(packed))]
    assert frames(path) == ([(start, part) for start, part in zip(starts, PARTS, strict=True) if part], [])


@pytest.mark.parametrize("data", [b"", b"plain", b"\n" * 700_000])
def test_a_plain_file_is_one_frame(tmp_path: Path, data: bytes):
    path = tmp_path / "x"
    path.write_bytes(data)
    assert frames(path) == ([(0, data)] if data else [], [])


def test_lz4(tmp_path: Path):
    packed = io.BytesIO()
    with Lz4Writer(packed) as writer:
        writer.write(PARTS[0])
    path = tmp_path / "x"
    path.write_bytes(packed.getvalue())
    assert frames(path) == ([(0, PARTS[0])], [])


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
@pytest.mark.parametrize("keep", [1, 5, 30, 200])
def test_a_file_that_is_cut_off(tmp_path: Path, compress, keep: int):
    whole = compress(PARTS[0])
    path = tmp_path / "x"
    path.write_bytes(whole + compress(NOISE)[:keep])
    found, broken = frames(path)
    assert found[0] == (0, PARTS[0])
    assert [offset for offset, _ in broken] == [len(whole)]


def test_noise_between_frames_and_a_broken_checksum(tmp_path: Path):
    first, second, third = (gzip.compress(part) for part in (b"one" * 99, b"two" * 99, b"three" * 99))
    second = second[:-6] + b"\xff\xff" + second[-4:]
    path = tmp_path / "x"
    noise = b"noise \x1f\x8b\x08\xff noise"
    path.write_bytes(first + noise + second + third)
    found, broken = frames(path)
    assert (0, b"one" * 99) in found
    assert found[-1][1] == b"three" * 99
    assert [offset for offset, _ in broken] == [len(first), len(first) + len(noise)]


def test_padding_after_the_last_frame_is_no_damage(tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(b"data") + bytes(100_000))
    assert frames(path) == ([(0, b"data")], [])


def test_a_bomb_is_read_in_pieces(tmp_path: Path):
    for compress in (gzip.compress, zstd):
        path = tmp_path / "x"
        path.write_bytes(compress(bytes(200_000_000)))
        with FrameReader(path) as reader:
            largest = max(len(piece) for piece in reader.pieces())
        assert largest <= 1 << 25


def test_a_zstandard_dictionary_in_front(tmp_path: Path):
    samples = [f"WARC/1.1 record {i} of a crawl about mills {i * i}".encode() * 3 for i in range(2000)]
    dictionary = zstandard.train_dictionary(4096, samples)
    raw = dictionary.as_bytes()
    packed = zstandard.ZstdCompressor(dict_data=dictionary).compress(samples[7])
    for content in (raw, zstd(raw)):
        path = tmp_path / "x"
        path.write_bytes(b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content + packed)
        assert frames(path) == ([(8 + len(content), samples[7])], [])
