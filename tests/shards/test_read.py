import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from shard_cases import LENGTHS, make_header, make_id, make_set, make_table, make_tokens

from shards import read, write
from shards.format import PIECE, PIECE_DTYPE, WHOLE, ShardError
from shards.manifest import write_manifest
from shards.write import write_shard


@pytest.fixture(params=[100, 4 << 20], ids=["small-batches", "one-batch"])
def many_batches(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(write, "BATCH_BYTES", request.param)
    make_set(tmp_path / "s")
    return tmp_path / "s"


def test_rows_and_pieces_give_back_every_document(many_batches: Path) -> None:
    shards = read.open(many_batches)
    for split in ("train", "validation"):
        rows = shards.split(split)
        found: dict[bytes, dict[int, np.ndarray]] = {}
        for i in range(len(rows)):
            for piece in rows.pieces(i):
                start = piece["start"]
                tokens = rows.row(i)[start : start + piece["length"]]
                found.setdefault(piece["document"].tobytes(), {})[int(piece["offset"])] = tokens
        documents = {name: np.concatenate([parts[k] for k in sorted(parts)]).tolist() for name, parts in found.items()}
        expected = {
            make_id(f"{name} {i}"): tokens
            for number, (name, lengths) in enumerate(LENGTHS.items())
            for i, tokens in enumerate(make_tokens(lengths, number))
            if name.startswith(split) and tokens
        }
        assert documents == expected


def test_rows_equal_row_by_row(many_batches: Path) -> None:
    train = read.open(many_batches).split("train")
    indices = np.random.default_rng(0).integers(0, len(train), 200)
    assert np.array_equal(train.rows(indices), np.stack([train.row(i) for i in indices]))
    assert train.rows([]).shape == (0, 16)
    assert train.rows(indices).dtype == np.uint16


def test_a_row_is_a_view_and_read_only(shard_set: Path) -> None:
    train = read.open(shard_set).split("train")
    row = train.row(3)
    assert not row.flags.owndata
    assert np.shares_memory(row, train.row(3))
    with pytest.raises(ValueError, match="read-only"):
        row[0] = 1


def test_pieces_say_what_they_are(tmp_path: Path) -> None:
    header = make_header(vocabulary_size=70_000)
    table = make_table(make_tokens([10, 12]), ["a", "b"], ["a", "a"])
    write_manifest(tmp_path, header.shared(), [write_shard(tmp_path / "a.arrow", table, header, 0)])
    train = read.open(tmp_path).split("train")
    assert train.row(0).dtype == np.uint32
    pieces = sorted(
        np.concatenate([train.pieces(0), train.pieces(1)]).tolist(), key=lambda p: (p[0] != make_id("a"), p[3])
    )
    assert train.pieces(0).dtype == PIECE_DTYPE
    assert pieces == [
        (make_id("a"), make_id("a"), WHOLE, 0, 0, 10),
        (make_id("b"), make_id("a"), PIECE, 0, 10, 6),
        (make_id("b"), make_id("a"), PIECE, 6, 0, 6),
    ]


def test_rows_that_are_not_there(shard_set: Path) -> None:
    shards = read.open(shard_set)
    train = shards.split("train")
    for i in (-1, len(train)):
        with pytest.raises(IndexError, match="train"):
            train.row(i)
        with pytest.raises(IndexError):
            train.rows([0, i])
        with pytest.raises(IndexError):
            train.pieces(i)
    assert len(shards.split("test")) == 0
    assert shards.split("test").rows([]).shape == (0, 16)
    with pytest.raises(KeyError, match="nightly"):
        shards.split("nightly")


def test_an_epoch_reads_every_row_once(shard_set: Path) -> None:
    train = read.open(shard_set).split("train")
    _, rows = train.order(seed=5).at(np.arange(len(train)))
    assert sorted(map(bytes, train.rows(rows))) == sorted(bytes(train.row(i)) for i in range(len(train)))


def damage(directory: Path, kind: str) -> str:
    """Do one kind of harm; the name that must be named."""
    path = directory / "train-00001.arrow"
    match kind:
        case "missing":
            path.unlink()
        case "truncated":
            path.write_bytes(path.read_bytes()[:-1])
        case "grown":
            path.write_bytes(path.read_bytes() + b"\0")
        case "extra":
            shutil.copy(path, directory / "train-00002.arrow")
            return "train-00002.arrow"
        case "manifest":
            (directory / "manifest.json").unlink()
            return "manifest.json"
    return path.name


@pytest.mark.parametrize("kind", ["missing", "truncated", "grown", "extra", "manifest"])
def test_damage_is_refused_by_name_on_opening(shard_set: Path, kind: str) -> None:
    name = damage(shard_set, kind)
    with pytest.raises(ShardError, match=f"{name}: .*{kind if kind != 'manifest' else 'missing'}") as caught:
        read.open(shard_set)
    assert caught.value.file == name


@pytest.mark.parametrize("size", [0, 1000])
def test_a_file_cut_short_after_the_set_was_opened_is_named(shard_set: Path, size: int) -> None:
    train = read.open(shard_set).split("train")
    path = shard_set / "train-00001.arrow"
    expected = path.stat().st_size
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ShardError, match=rf"{path.name}: truncated: {size} bytes, manifest\.json says {expected}"):
        train.rows(np.arange(len(train)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer_sha256": "f" * 64}, "of another tokenizer"),
        ({"vocabulary_size": 999}, "vocabulary_size"),
        ({"config_hash": "9999"}, "config_hash"),
    ],
)
def test_a_file_of_another_set_is_refused_by_name(
    shard_set: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    make_set(tmp_path / "other", **changes)
    name = "train-00001.arrow"
    foreign = (tmp_path / "other" / name).read_bytes()
    ours = (shard_set / name).stat().st_size
    if len(foreign) != ours:  # the size alone gives it away
        pytest.fail("make the headers equally long")
    (shard_set / name).write_bytes(foreign)
    train = read.open(shard_set).split("train")
    with pytest.raises(ShardError, match=f"{name}: .*{message}"):
        train.rows(np.arange(len(train)))


def test_flipped_bytes_break_no_reader(shard_set: Path) -> None:
    """Opening does not read the digests, so damage may pass as data; it crashes nothing, and errors name the file."""
    path = shard_set / "train-00000.arrow"
    data = path.read_bytes()
    refused = []
    for position in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[position] ^= 0xA5
        path.write_bytes(flipped)
        train = read.open(shard_set).split("train")
        try:
            train.rows(np.arange(len(train)))
            for i in range(len(train)):
                train.pieces(i)
        except ShardError as error:
            refused.append(error.file)
    assert len(refused) > 100
    assert set(refused) == {path.name}


def test_other_files_do_not_disturb(shard_set: Path) -> None:
    (shard_set / ".train-00009.arrow.123.tmp").write_bytes(b"half a write")
    (shard_set / "README.md").write_text("notes")
    assert len(read.open(shard_set).split("train")) > 0


def test_a_mapped_file_holds_no_descriptor(shard_set: Path) -> None:
    train = read.open(shard_set).split("train")
    train.rows(np.arange(len(train)))
    held = [link.resolve() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [path for path in held if path.parent == shard_set.resolve()]


def test_ten_thousand_shards_open_in_a_second(shard_set: Path) -> None:
    source = shard_set / "train-00001.arrow"
    entry = next(file for file in read.open(shard_set).manifest.files if file.name == source.name)
    header = read.open(shard_set).header
    many = shard_set.parent / "many"
    many.mkdir()
    names = [f"train-{i:05}.arrow" for i in range(10_000)]
    for name in names:
        (many / name).hardlink_to(source)
    write_manifest(many, header, [entry.model_copy(update={"name": name}) for name in names])
    read.open(shard_set).split("train").rows([0])  # kernels loaded
    elapsed = []
    for _ in range(3):  # the best of three: other work on the machine makes none faster
        begin = time.process_time()
        train = read.open(many).split("train")
        _, rows = train.order(seed=1).at(np.arange(64))
        batch = train.rows(rows)
        elapsed.append(time.process_time() - begin)
        assert batch.shape == (64, 16)
    assert min(elapsed) < 1, f"{elapsed} s"
