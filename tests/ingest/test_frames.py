import functools
import gzip
import random
from pathlib import Path

import lz4.frame
import pytest
import zstandard

from pipelines.ingest.frames import BrokenFrame, FrameReader

NOISE = random.Random(1).randbytes(300_000)
PARTS = [b"first " * 50_000, NOISE, b"", b"last"]


zstd = zstandard.ZstdCompressor(write_checksum=True).compress
lz = functools.partial(lz4.frame.compress, content_checksum=True)
ALL = [gzip.compress, zstd, lz]


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


@pytest.mark.parametrize("compress", ALL)
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


@pytest.mark.parametrize("compress", ALL)
@pytest.mark.parametrize("keep", [1, 5, 30, 200])
def test_a_file_that_is_cut_off(tmp_path: Path, compress, keep: int):
    whole = compress(PARTS[0])
    path = tmp_path / "x"
    path.write_bytes(whole + compress(NOISE)[:keep])
    found, broken = frames(path)
    assert found[0] == (0, PARTS[0])
    assert [offset for offset, _ in broken] == [len(whole)]


@pytest.mark.parametrize("compress", ALL)
def test_noise_between_frames_and_a_broken_checksum(tmp_path: Path, compress):
    first, second, third = (compress(part) for part in (b"one" * 99, b"two" * 99, b"three" * 99))
    second = second[:-6] + bytes(byte ^ 0xFF for byte in second[-6:])
    path = tmp_path / "x"
    noise = b"noise \x1f\x8b\x08\xff noise"  # flags that no gzip member has
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
    for compress in ALL:
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


@pytest.mark.parametrize("compress", [zstd, lz])
def test_frames_that_hold_no_data_are_passed_over(tmp_path: Path, compress):
    skippable = b"\x53\x2a\x4d\x18" + (70_000).to_bytes(4, "little") + NOISE[:70_000]
    first, second = compress(b"one" * 99), compress(b"two" * 99)
    path = tmp_path / "x"
    path.write_bytes(first + skippable + skippable + second + skippable)
    offset = len(first) + 2 * len(skippable)
    assert frames(path) == ([(0, b"one" * 99), (offset, b"two" * 99)], [])


@pytest.mark.parametrize(("compress", "suffix"), zip(ALL, (".gz", ".zst", ".lz4"), strict=True))
def test_a_file_whose_first_byte_is_damaged_is_known_by_its_name(tmp_path: Path, compress, suffix: str):
    first, second = compress(b"one" * 99), compress(b"two" * 99)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"\0" + first[1:] + second)
    assert frames(path) == ([(len(first), b"two" * 99)], [(0, "no compressed frame begins here")])
    text = b"plain text, whatever its name is; \x1f\x8b\x08\0 \x28\xb5\x2f\xfd \x04\x22\x4d\x18"
    path.write_bytes(text)
    assert frames(path) == ([(0, text)], [])


@pytest.mark.parametrize("compress", ALL)
def test_what_is_read_of_a_frame_depends_on_its_own_bytes_alone(tmp_path: Path, compress):
    """Wherever it lies in the file, and however it is damaged."""
    generator = random.Random(5)
    frame = compress(b"".join(b"%d mills, %d sacks\n" % (i, i * i) for i in range(30_000)))
    path = tmp_path / "x"

    def read(lead: int) -> tuple[list[bytes], list[str]]:
        path.write_bytes(compress(b"x") + compress(NOISE[:lead]) + broken)
        begin = len(compress(b"x") + compress(NOISE[:lead]))
        pieces, errors = [], []
        with FrameReader(path) as reader:
            while True:
                try:
                    if not (data := reader.read()):
                        return pieces, errors
                    if reader.frame >= begin:
                        pieces.append(data)
                except BrokenFrame as error:
                    errors.append(f"{error.offset - begin} {error.reason} {error.detail} {error.lost}")

    for _ in range(12):
        at = generator.choice([generator.randrange(60), generator.randrange(len(frame))])
        broken = frame[:at] + bytes([frame[at] ^ 255]) + frame[at + 1 :]
        assert read(0) == read(65_000) == read(130_011)
