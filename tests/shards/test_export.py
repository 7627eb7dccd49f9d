import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from export_cases import (
    expected_documents,
    expected_rows,
    make_spread_set,
    read_huggingface,
    read_llmc,
    read_mds,
    read_megatron,
)
from hypothesis import given
from hypothesis import strategies as st
from shard_cases import PADDING, make_set, make_tokens, reseal
from typer.testing import CliRunner

from shards import read
from shards.export import batches, huggingface, llmc, mds, megatron
from shards.export.documents import documents
from shards.export.run import EXPORT, FORMATS, export
from shards.export_cli import app
from shards.format import ShardError
from shards.pieces import pieces_by_row

runner = CliRunner()

VIEWS = [("documents", False), ("rows", False), ("rows", True)]


@pytest.fixture(params=[1 << 20, 50], ids=["one-batch", "small-batches"])
def batch_tokens(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Tokens in a batch, and in an exported file: with the small number there are many of both."""
    monkeypatch.setattr(batches, "BATCH_TOKENS", request.param)
    monkeypatch.setattr(megatron, "BLOCK", request.param // 10)
    if request.param == 50:
        monkeypatch.setattr(llmc, "FILE_TOKENS", 300)
        monkeypatch.setattr(huggingface, "FILE_TOKENS", 300)
        monkeypatch.setattr(mds, "SHARD_BYTES", 600)
    return request.param


@pytest.fixture(params=[1000, 70_000], ids=["uint16", "uint32"])
def spread(request: pytest.FixtureRequest, tmp_path: Path) -> read.ShardSet:
    return make_spread_set(tmp_path / "shards", request.param)


def expected(shards: read.ShardSet, split: str, view: str, keep_padding: bool) -> list[list[int]]:
    found = shards.split(split)
    return expected_documents(found) if view == "documents" else expected_rows(found, keep_padding)


def end_to_end(lists: list[list]) -> list:
    return [item for one in lists for item in one]


@given(st.lists(st.integers(0, 70), max_size=20), st.integers(1, 4), st.integers(1, 200))
def test_all_documents_come_back(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], files: int, batch_tokens: int
) -> None:
    directory = tmp_path_factory.mktemp("spread") / "shards"
    split = make_spread_set(directory, files=files, documents={"train": lengths}).split("train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "BATCH_TOKENS", batch_tokens)
        found = [list(map(np.ndarray.tolist, batch.sequences())) for batch in documents(split)]
    assert end_to_end(found) == expected_documents(split)
    assert sorted(end_to_end(found)) == sorted(tokens for tokens in make_tokens(lengths) if tokens)
    assert all(sum(map(len, batch)) <= batch_tokens or len(batch) == 1 for batch in found)


def test_documents_are_those_that_were_packed(spread: read.ShardSet) -> None:
    """What the other tests expect of documents is itself what make_tokens made."""
    found = expected_documents(spread.split("train"))
    assert sorted(map(len, found)) == [2, 3, 5, 15, 16, 17, 33, 40, 90, 200, 700]
    assert all(document[0] == 0 and document[-1] == 1 for document in found)
    files = [pieces_by_row(file)[1]["document"].tolist() for file in spread.split("train").files]
    assert set(files[0]) & set(files[1]) & set(files[2])  # some documents lie in all three files


@pytest.mark.parametrize(("view", "keep_padding"), VIEWS)
def test_megatron(spread: read.ShardSet, tmp_path: Path, batch_tokens: int, view: str, keep_padding: bool) -> None:
    export(spread, tmp_path / "out", "megatron", view, keep_padding)
    for split in ("train", "validation"):
        sequences = read_megatron(tmp_path / "out" / split)
        assert [sequence.tolist() for sequence in sequences] == expected(spread, split, view, keep_padding)
        assert sequences[0].dtype == (np.uint16 if spread.header.vocabulary_size == 1000 else np.int32)
    assert not list((tmp_path / "out").glob("test*"))


@pytest.mark.parametrize("view", ["documents", "rows"])
def test_nanogpt(spread: read.ShardSet, tmp_path: Path, batch_tokens: int, view: str) -> None:
    facts = export(spread, tmp_path / "out", "nanogpt", view)
    for split, name in (("train", "train.bin"), ("validation", "val.bin")):
        tokens = np.memmap(tmp_path / "out" / name, spread.header.dtype, "r")
        assert tokens.tolist() == end_to_end(expected(spread, split, view, False))
    assert any("reads uint16" in note for note in facts["notes"]) == (spread.header.dtype == np.uint32)


@pytest.mark.parametrize("view", ["documents", "rows"])
def test_llmc(spread: read.ShardSet, tmp_path: Path, batch_tokens: int, view: str) -> None:
    export(spread, tmp_path / "out", "llmc", view)
    for split, name in (("train", "train"), ("validation", "val")):
        files = sorted((tmp_path / "out").glob(f"{name}_*.bin"))
        assert (len(files) > 1) == (batch_tokens == 50 and split == "train")
        parts = [read_llmc(path) for path in files]
        assert parts[0].dtype == spread.header.dtype
        assert np.concatenate(parts).tolist() == end_to_end(expected(spread, split, view, False))
        if view == "documents":
            assert all(part[0] == 0 and part[-1] == 1 for part in parts)  # no document lies in two files


@pytest.mark.parametrize(("view", "keep_padding"), VIEWS)
def test_mds(spread: read.ShardSet, tmp_path: Path, batch_tokens: int, view: str, keep_padding: bool) -> None:
    export(spread, tmp_path / "out", "mds", view, keep_padding)
    for split in ("train", "validation"):
        samples = read_mds(tmp_path / "out" / split)
        assert [sample.tolist() for sample in samples] == expected(spread, split, view, keep_padding)
        assert samples[0].dtype == spread.header.dtype
    assert (len(list((tmp_path / "out" / "train").glob("*.mds"))) > 1) == (batch_tokens == 50)


@pytest.mark.parametrize("length", [255, 256, 65_535, 65_536])
def test_mds_lengths_of_every_size(tmp_path: Path, length: int, spread: read.ShardSet) -> None:
    tokens = np.arange(length).astype(spread.header.dtype)
    batch = batches.Batch(tokens, np.array([length]))
    mds.write(tmp_path, "train", iter([batch]), spread.header, None)
    assert [sample.tolist() for sample in read_mds(tmp_path / "train")] == [tokens.tolist()]


@pytest.mark.parametrize(("view", "keep_padding"), VIEWS)
def test_huggingface(spread: read.ShardSet, tmp_path: Path, batch_tokens: int, view: str, keep_padding: bool) -> None:
    export(spread, tmp_path / "out", "huggingface", view, keep_padding)
    for split in ("train", "validation"):
        column = read_huggingface(tmp_path / "out" / split)
        assert column.to_pylist() == expected(spread, split, view, keep_padding)
        kind = "list<item: {}>" if not keep_padding else "fixed_size_list<item: {}>[16]"
        assert str(column.type) == kind.format(spread.header.dtype)
    assert json.loads((tmp_path / "out" / "dataset_dict.json").read_text()) == {"splits": ["train", "validation"]}


@pytest.mark.parametrize(("view", "keep_padding"), VIEWS)
def test_datasets_loads_it(spread: read.ShardSet, tmp_path: Path, view: str, keep_padding: bool) -> None:
    datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")
    export(spread, tmp_path / "out", "huggingface", view, keep_padding)
    loaded = datasets.load_from_disk(str(tmp_path / "out"))
    assert list(loaded) == ["train", "validation"]
    assert loaded["train"]["input_ids"][:] == expected(spread, "train", view, keep_padding)


def test_export_says_what_it_is(spread: read.ShardSet, tmp_path: Path) -> None:
    facts = export(spread, tmp_path / "out", "llmc")
    assert json.loads((tmp_path / "out" / EXPORT).read_text()) == facts
    assert facts["source"]["manifest_digest"] == spread.manifest.digest
    assert facts["source"]["header"]["eos"] == "<eos>"
    assert facts["splits"]["train"]["tokens"] == spread.manifest.splits["train"].tokens
    assert facts["splits"]["train"]["sequences"] == 11
    assert facts["splits"]["test"] == {"sequences": 0, "tokens": 0, "files": []}
    for split in facts["splits"].values():
        for file in split["files"]:
            data = (tmp_path / "out" / file["name"]).read_bytes()
            assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_same_shards_give_the_same_bytes(spread: read.ShardSet, tmp_path: Path, name: str) -> None:
    assert export(spread, tmp_path / "a", name) == export(spread, tmp_path / "b", name)
    assert list(export(spread, tmp_path / "c", name, splits=["validation"])["splits"]) == ["validation"]


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_row_whose_documents_were_removed_is_left_out(tmp_path: Path, name: str) -> None:
    make_set(tmp_path / "s")

    def remove(table: pa.Table) -> pa.Table:  # the first row becomes padding
        rows = table.to_pylist()
        rows[0] = {"tokens": [PADDING] * 16, "pieces": []}
        return pa.Table.from_pylist(rows, schema=table.schema)

    reseal(tmp_path / "s", "train-00001.arrow", remove, tokens=32, padding=16, documents=2)
    shards = read.open(tmp_path / "s")
    rows = export(shards, tmp_path / "rows", name, "rows")["splits"]["train"]
    assert rows["sequences"] == len(shards.split("train")) - 1
    whole = export(shards, tmp_path / "documents", name)["splits"]["train"]
    assert (whole["sequences"], whole["tokens"]) == (5 + 2, rows["tokens"])
    if FORMATS[name].holds_padding:
        kept = export(shards, tmp_path / "kept", name, "rows", keep_padding=True)["splits"]["train"]
        assert kept["tokens"] == 16 * len(shards.split("train"))


def test_pieces_that_do_not_fit_together_are_refused_by_name(tmp_path: Path) -> None:
    make_spread_set(tmp_path / "s")

    def shift(table: pa.Table) -> pa.Table:  # a piece says that it lies elsewhere in its document
        rows = table.to_pylist()
        next(p for row in rows for p in row["pieces"] if p["offset"] > 100)["offset"] += 1
        return pa.Table.from_pylist(rows, schema=table.schema)

    reseal(tmp_path / "s", "train-00001.arrow", shift)
    with pytest.raises(ShardError, match=r"train-0000\d.arrow: pieces leave a gap or overlap: document [0-9a-f]{32}"):
        export(read.open(tmp_path / "s"), tmp_path / "out", "nanogpt")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_piece_outside_its_row_is_refused(tmp_path: Path) -> None:
    make_spread_set(tmp_path / "s")

    def stretch(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        rows[0]["pieces"][-1]["length"] += 100
        return pa.Table.from_pylist(rows, schema=table.schema)

    reseal(tmp_path / "s", "train-00002.arrow", stretch)
    with pytest.raises(ShardError, match=r"train-00002\.arrow: a piece that is empty or lies outside its row"):
        export(read.open(tmp_path / "s"), tmp_path / "out", "megatron")


def test_a_lost_document_is_noticed(tmp_path: Path) -> None:
    shards = make_spread_set(tmp_path / "s")
    name, lost = next(
        (file.entry.name, piece["document"].tobytes())
        for file in shards.split("train").files
        for piece in pieces_by_row(file)[1]
        if piece["kind"] == 0
    )

    def lose(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        for row in rows:
            row["pieces"] = [piece for piece in row["pieces"] if piece["document"] != lost]
        return pa.Table.from_pylist(rows, schema=table.schema)

    reseal(tmp_path / "s", name, lose)
    with pytest.raises(ShardError, match=r"split 'train': \d+ tokens found where it says 1121"):
        export(read.open(tmp_path / "s"), tmp_path / "out", "mds")


def test_an_export_that_fails_leaves_nothing(
    spread: read.ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr(mds, "_write_shard", full_disk)
    with pytest.raises(OSError, match="no space"):
        export(spread, tmp_path / "new" / "out", "mds")
    assert list((tmp_path / "new").iterdir()) == []


def test_cli(spread: read.ShardSet, tmp_path: Path) -> None:
    directory, out = str(spread.directory), str(tmp_path / "out")
    result = runner.invoke(app, ["export", directory, "--output", out, "--format", "megatron", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["splits"]["train"]["sequences"] == 11
    (tmp_path / "empty").mkdir()
    arguments = ["--format", "mds", "--view", "rows", "--keep-padding", "--split", "validation"]
    result = runner.invoke(app, ["export", directory, "--output", str(tmp_path / "empty"), *arguments])
    assert result.exit_code == 0, result.output
    assert "validation: 5 rows, 80 tokens, 2 files" in result.stdout


def test_cli_wrong_arguments(spread: read.ShardSet, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("notes")
    for arguments, message in [
        (["--format", "tfrecord"], "none of megatron, llmc, nanogpt, mds, huggingface"),
        (["--format", "mds", "--view", "words"], "none of documents, rows"),
        (["--format", "mds", "--keep-padding"], "documents have no padding"),
        (["--format", "llmc", "--view", "rows", "--keep-padding"], "cannot tell padding from text"),
        (["--format", "mds", "--split", "nightly"], "no split 'nightly'"),
        (["--format", "mds", "--output", str(tmp_path / "taken")], "exists already"),
    ]:
        out = [] if "--output" in arguments else ["--output", str(tmp_path / "out")]
        result = runner.invoke(app, ["export", str(spread.directory), *arguments, *out])
        assert result.exit_code == 2, arguments
        assert message in result.output
    assert not (tmp_path / "out").exists()


def test_cli_damage(spread: read.ShardSet, tmp_path: Path) -> None:
    path = spread.directory / "train-00000.arrow"
    path.write_bytes(path.read_bytes()[:-8])
    arguments = ["--format", "mds", "--output", str(tmp_path / "out")]
    result = runner.invoke(app, ["export", str(spread.directory), *arguments])
    assert (result.exit_code, "train-00000.arrow: truncated" in result.output) == (1, True)
