import bz2
import gzip
import lzma
import random
from pathlib import Path

import pytest
import zstandard
from lz4 import frame as lz4

from pipelines.ingest.frames import BrokenFrame
from pipelines.ingest.tables import packed

NOISE = random.Random(1).randbytes(300_000)
PACKERS = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".lz4": lz4.compress,
}


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "x.csv"  # the first bytes tell the packing, not the name
    path.write_bytes(data)
    return path


def test_every_packing_has_a_reader():
    assert tuple(PACKERS) == packed.PACKINGS
    assert packed.with_packings(".csv")[:2] == (".csv", ".csv.gz")
    assert packed.without_packing("A.Csv.GZ") == "a.csv"


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("data", [b"", b"first line\n" * 200_000, NOISE], ids=["empty", "text", "noise"])
def test_what_was_packed_is_read(tmp_path: Path, pack, data: bytes):
    assert b"".join(packed.pieces(write(tmp_path, pack(data)))) == data


@pytest.mark.parametrize("pack", list(PACKERS.values())[1:], ids=list(PACKERS)[1:])
def test_several_streams_follow_each_other(tmp_path: Path, pack):
    path = write(tmp_path, pack(b"one ") + pack(NOISE) + pack(b"") + pack(b" four"))
    assert b"".join(packed.pieces(path)) == b"one " + NOISE + b" four"


def test_zeros_between_and_behind_streams(tmp_path: Path):
    path = write(tmp_path, lzma.compress(b"one") + bytes(8) + lzma.compress(b"two") + bytes(4))
    assert b"".join(packed.pieces(path)) == b"onetwo"


@pytest.mark.parametrize("suffix", [".bz2", ".xz"])
@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_a_cut_off_file_is_told(tmp_path: Path, suffix: str, keep: float):
    data = PACKERS[suffix](NOISE * 4)
    path = write(tmp_path, data[: int(len(data) * keep)])
    found = []
    with pytest.raises(BrokenFrame) as error:
        found.extend(packed.pieces(path))
    assert error.value.reason == "the file ends within a compressed frame"
    assert (NOISE * 4).startswith(b"".join(found))


@pytest.mark.parametrize("suffix", [".bz2", ".xz"])
def test_damage_in_the_second_stream_names_its_place(tmp_path: Path, suffix: str):
    first, second = PACKERS[suffix](b"one"), bytearray(PACKERS[suffix](NOISE))
    second[len(second) // 2] ^= 255
    with pytest.raises(BrokenFrame) as error:
        list(packed.pieces(write(tmp_path, first + second)))
    assert error.value.offset == len(first)
    assert error.value.reason == "damaged compressed data"


def test_noise_behind_a_stream_is_told(tmp_path: Path):
    with pytest.raises(BrokenFrame):
        list(packed.pieces(write(tmp_path, bz2.compress(b"one") + b"noise")))


def test_a_header_that_asks_for_gigabytes_is_refused(tmp_path: Path):
    # What matters is the dictionary's size in the header; none of it is used.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    path = write(tmp_path, lzma.compress(b"small", filters=filters))
    with pytest.raises(BrokenFrame, match=r"[Mm]emory"):
        list(packed.pieces(path))


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_a_file_that_can_be_read_at_any_place(tmp_path: Path, pack):
    with packed.unpacked(write(tmp_path, pack(NOISE))) as file:
        assert file.seek(0, 2) == len(NOISE)
        file.seek(1000)
        assert file.read(10) == NOISE[1000:1010]


def test_a_bomb_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packed, "LEAST_GROWTH", 1000)
    path = write(tmp_path, gzip.compress(bytes(10_000_000)))
    with pytest.raises(ValueError, match="unpacks to more"), packed.unpacked(path):
        pass
