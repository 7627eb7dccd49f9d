import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from export_cases import make_spread_set
from shard_cases import make_id, make_set, reseal
from typer.testing import CliRunner

from shards import diff as diff_module
from shards import read
from shards.diff import as_lines, diff
from shards.export_cli import app
from shards.format import ShardError
from shards.manifest import read_manifest, write_manifest

runner = CliRunner()


def copied(directory: Path) -> Path:
    other = directory.with_name("other")
    shutil.copytree(directory, other)
    return other


def test_a_set_is_the_same_as_its_copy(shard_set: Path) -> None:
    found = diff(read.open(shard_set), read.open(copied(shard_set)))
    assert (found.same, found.same_files, found.documents.both) == (True, 3, 10)
    assert (found.header, found.splits, found.files) == ({}, {}, [])
    assert set(found.documents.counts.values()) == {0}
    assert as_lines(found) == ["the same: 3 files, 10 documents"]


def test_other_headers(tmp_path: Path) -> None:
    make_set(tmp_path / "a")
    make_set(tmp_path / "b", tokenizer_sha256="f" * 64, context_length=31)
    found = diff(read.open(tmp_path / "a"), read.open(tmp_path / "b"))
    assert set(found.header) == {"tokenizer_sha256", "context_length"}
    assert found.header["context_length"] == (15, 31)
    assert found.splits["train"][0]["rows"] > found.splits["train"][1]["rows"]
    assert {file.compared for file in found.files} == {0}
    assert (found.documents.both, set(found.documents.counts.values())) == (10, {0})
    assert "changed: train-00000.arrow: rows of other widths" in as_lines(found)


def test_a_token_and_a_piece_that_differ(shard_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff_module, "BLOCK_BYTES", 100)
    other = copied(shard_set)

    def change(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        rows[2]["tokens"][3] += 1
        rows[4]["pieces"][0]["cluster"] = make_id("another")
        rows[7]["tokens"][15] += 1
        rows[7]["pieces"] = rows[7]["pieces"][:-1]
        return pa.Table.from_pylist(rows, schema=table.schema)

    reseal(other, "train-00000.arrow", change)
    (file,) = diff(read.open(shard_set), read.open(other)).files
    assert (file.name, file.compared, file.rows, file.some) == ("train-00000.arrow", 17, 3, [2, 4, 7])
    assert (file.token_rows, file.piece_rows) == (2, 2)
    assert diff(read.open(shard_set), read.open(other), most=1).files[0].some == [2]


def test_documents_of_one_set_only(tmp_path: Path) -> None:
    first, second = make_spread_set(tmp_path / "a"), make_spread_set(tmp_path / "b")
    assert diff(first, second).same

    def rename(
        table: pa.Table,
    ) -> pa.Table:  # "train 1" is another document in the second set, wherever a piece of it lies
        rows = table.to_pylist()
        for row in rows:
            for piece in row["pieces"]:
                if piece["document"] == make_id("train 1"):
                    piece["document"] = make_id("another")
        return pa.Table.from_pylist(rows, schema=table.schema)

    for part in range(3):
        reseal(tmp_path / "b", f"train-0000{part}.arrow", rename)
    found = diff(first, read.open(tmp_path / "b"))
    assert found.documents.counts == {"only_first": 1, "only_second": 1, "resized": 0, "moved": 0}
    assert found.documents.named["only_first"] == [make_id("train 1").hex()]
    assert found.documents.named["only_second"] == [make_id("another").hex()]
    assert found.documents.both == 12


def test_documents_that_moved_or_changed_their_size(tmp_path: Path) -> None:
    make_set(tmp_path / "a")
    make_set(tmp_path / "b")

    def exchange(table: pa.Table) -> pa.Table:  # the first document takes the name of one in the validation split
        rows = table.to_pylist()
        for row in rows:
            for piece in row["pieces"]:
                if piece["document"] == make_id("train-00001.arrow 0"):
                    piece["document"] = make_id("validation-00000.arrow 0")
        return pa.Table.from_pylist(rows, schema=table.schema)

    reseal(tmp_path / "b", "train-00001.arrow", exchange)
    (tmp_path / "b" / "validation-00000.arrow").unlink()
    manifest = read_manifest(tmp_path / "b")
    entries = [entry for entry in manifest.files if entry.split == "train"]
    write_manifest(tmp_path / "b", manifest.header, entries, manifest.splits)
    found = diff(read.open(tmp_path / "a"), read.open(tmp_path / "b"))
    assert found.only_first == ["validation-00000.arrow"]
    assert found.documents.counts == {"only_first": 2, "only_second": 0, "resized": 1, "moved": 1}
    name = make_id("validation-00000.arrow 0").hex()
    assert found.documents.named["moved"] == found.documents.named["resized"] == [name]
    assert set(found.splits) == {"validation"}
    lines = as_lines(found)
    assert f"documents, moved: 1: {name}" in lines
    assert any(line.startswith("split validation: files 1 -> 0, rows") for line in lines)


def test_cli(shard_set: Path) -> None:
    other = copied(shard_set)
    result = runner.invoke(app, ["diff", str(shard_set), str(other), "--json"])
    assert (result.exit_code, json.loads(result.stdout)["same"]) == (0, True)

    def change(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        rows[0]["tokens"][0] += 1
        return pa.Table.from_pylist(rows, schema=table.schema)

    reseal(other, "validation-00000.arrow", change)
    result = runner.invoke(app, ["diff", str(shard_set), str(other)])
    assert result.exit_code == 1
    assert "changed: validation-00000.arrow: 1 of 5 rows differ (1 in tokens)" in result.stdout
    result = runner.invoke(app, ["diff", str(shard_set), str(other), "--json"])
    assert [file["some"] for file in json.loads(result.stdout)["files"]] == [[0]]
    assert runner.invoke(app, ["diff", str(shard_set), str(other / "nowhere")]).exit_code == 2


def test_damage_is_refused_by_name(tmp_path: Path) -> None:
    make_set(tmp_path / "a")
    make_set(tmp_path / "b", config_hash="9999")
    path = tmp_path / "b" / "train-00000.arrow"
    path.write_bytes((tmp_path / "a" / "train-00000.arrow").read_bytes())
    with pytest.raises(ShardError, match=r"train-00000\.arrow: header: config_hash"):
        diff(read.open(tmp_path / "a"), read.open(tmp_path / "b"))
