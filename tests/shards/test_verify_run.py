import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shard_cases import LENGTHS, make_header, make_id, make_set, make_table, make_tokens
from typer.testing import CliRunner

from shards import read
from shards.cli import app
from shards.manifest import write_manifest
from shards.remove import remove
from shards.tombstones import Request
from shards.verify_run import check_groups, prove
from shards.write import write_shard

CORPUS = pa.schema([("doc_id", pa.string()), ("text", pa.string()), ("meta", pa.map_(pa.string(), pa.string()))])


def write_corpus(output: Path, group: Callable[[str, int], str | None], left_out: str = "") -> None:
    """corpus/ for `make_set`: documents by file and number, `group` of each, None for none."""
    rows: dict[str, list[dict]] = {}
    for name, lengths in LENGTHS.items():
        for i in range(len(lengths)):
            own = group(name, i)
            row = {
                "doc_id": make_id(f"{name} {i}").hex(),
                "text": "",
                "meta": {"group": own} if own else {"title": "x"},
            }
            if name != left_out:
                rows.setdefault(name.split("-")[0], []).append(row)
    for split, documents in rows.items():
        folder = output / "corpus" / f"split={split}" / "source=web"
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(documents, schema=CORPUS), folder / "0.parquet", row_group_size=2)


def test_groups_on_one_side(shard_set: Path) -> None:
    write_corpus(shard_set.parent, lambda name, i: None if i == 1 else name.split("-")[0])
    proof = prove(shard_set)
    assert proof.problems == []
    assert proof.groups is not None
    assert (proof.groups.checked, proof.groups.unknown) == (sum(n > 0 for ns in LENGTHS.values() for n in ns), 0)


def test_a_group_on_two_sides_is_named(shard_set: Path) -> None:
    write_corpus(shard_set.parent, lambda name, i: "host.example" if i == 0 else f"{name}{i}")
    problems = prove(shard_set).problems
    assert [(problem.file, problem.what) for problem in problems] == [
        ("manifest.json", "group 'host.example': in two splits: train and validation")
    ]


def test_what_the_corpus_does_not_hold_is_said(shard_set: Path) -> None:
    found = check_groups(read.open(shard_set), shard_set.parent)
    assert found.why is not None
    assert "corpus" in found.why
    write_corpus(shard_set.parent, lambda name, i: "one" if name.startswith("train") else "other", "train-00000.arrow")
    found = check_groups(read.open(shard_set), shard_set.parent)
    assert (found.checked, found.unknown) == (5, 5)
    (shard_set.parent / "corpus" / "split=train" / "source=web" / "0.parquet").write_bytes(b"no Parquet")
    assert "cannot be read" in (check_groups(read.open(shard_set), shard_set.parent).why or "")


def test_a_removal_without_its_tombstone_is_refused(shard_set: Path) -> None:
    """Of a run, and of a set alone that has others; a set that was handed on without any is whole."""
    remove(shard_set, Request((make_id("train-00000.arrow 1").hex(),)))
    assert prove(shard_set).problems == []
    manifest = read.open(shard_set).manifest
    made_up = manifest.removals[0].model_copy(update={"version": 3, "tombstones": "0" * 64})
    write_manifest(shard_set, manifest.header, manifest.files, manifest.splits, [*manifest.removals, made_up])
    (problem,) = prove(shard_set).problems
    assert (problem.file, "that of version 3" in problem.what) == ("manifest.json", True)
    shutil.rmtree(shard_set / "removed")
    assert prove(shard_set).problems == []
    (shard_set.parent / "stages.json").write_text("{}")
    assert len(prove(shard_set).problems) == 2


def test_a_document_that_was_removed_is_found(shard_set: Path, tmp_path: Path) -> None:
    document = make_id("train-00000.arrow 1").hex()
    shutil.copytree(shard_set, tmp_path / "copy")
    remove(tmp_path / "copy", Request((document,)))
    assert prove(tmp_path / "copy").problems == []
    shutil.copytree(tmp_path / "copy" / "removed", shard_set / "removed")
    problems = prove(shard_set).problems
    assert [(problem.file, problem.what) for problem in problems] == [
        ("train-00000.arrow", f"document {document}: removed/0001.json says it was removed")
    ]


def corrupt(directory: Path) -> None:
    path = directory / "train-00000.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(directory: Path) -> None:
    path = directory / "train-00001.arrow"
    path.write_bytes(path.read_bytes()[:-8])


def edit(**changes: object) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        path = directory / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def another_tokenizer(directory: Path) -> None:
    make_set(directory.parent / "other", tokenizer_sha256="f" * 64)
    shutil.copy(directory.parent / "other" / "train-00001.arrow", directory)


def other_manifest(directory: Path) -> None:
    """Of a set of which nothing was removed: its files are those of the first version."""
    make_set(directory.parent / "first")
    shutil.copy(directory.parent / "first" / "manifest.json", directory)


DAMAGES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "corrupted": (corrupt, "train-00000.arrow", "digest: "),
    "truncated": (truncate, "train-00001.arrow", "truncated: "),
    "missing": (lambda d: (d / "train-00001.arrow").unlink(), "train-00001.arrow", "missing: "),
    "extra": (lambda d: shutil.copy(d / "train-00001.arrow", d / "x.arrow"), "x.arrow", "extra: "),
    "extra of another kind": (lambda d: (d / "notes.txt").write_text(""), "notes.txt", "extra: "),
    "another tokenizer": (another_tokenizer, "train-00001.arrow", "of another tokenizer: "),
    "header": (edit(header={}), "manifest.json", "header."),
    "version": (edit(version=3), "manifest.json", "version: 3, with 1 removals"),
    "no version": (edit(version=1, removals=[]), "manifest.json", "digest: does not match"),
    "removal": (
        edit(removals=[{"version": 2, "documents": 9, "tokens": 1, "tombstones": "0" * 64}]),
        "manifest.json",
        "digest: does not match",
    ),
    "versions": (
        edit(removals=[{"version": 3, "documents": 9, "tokens": 1, "tombstones": "0" * 64}]),
        "manifest.json",
        "removals: their versions",
    ),
    "older manifest": (other_manifest, "train-00000.arrow", "grown: |digest: |truncated: "),
    "interrupted": (lambda d: (d / ".replacing").mkdir(), "manifest.json", "a removal was interrupted"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_refuses_by_name(shard_set: Path, damage: str) -> None:
    """Of a set that a document was removed from."""
    remove(shard_set, Request((make_id("train-00000.arrow 4").hex(),)))
    assert CliRunner().invoke(app, ["verify", str(shard_set)]).exit_code == 0
    change, file, what = DAMAGES[damage]
    change(shard_set)
    result = CliRunner().invoke(app, ["verify", str(shard_set), "--json"])
    assert result.exit_code == 1
    problems = json.loads(result.output)["problems"]
    assert problems[0]["file"] == file
    assert any(part in problem["what"] for part in what.split("|") for problem in problems)


def test_what_an_unfinished_write_left_is_no_part_of_the_set(shard_set: Path) -> None:
    (shard_set / ".train-00000.arrow.0123.tmp").write_bytes(b"half a file")
    (shard_set / ".replacing.tmp").mkdir()
    assert prove(shard_set).problems == []


def test_the_overlap_is_told_and_can_be_left_out(tmp_path: Path) -> None:
    body = make_tokens([80])[0]
    entries = []
    for split in ("train", "test"):
        header = make_header(split=split, context_length=127)
        entries.append(write_shard(tmp_path / f"{split}.arrow", make_table([body], [split]), header, 0))
    write_manifest(tmp_path, header.shared(), entries)
    told = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert told.exit_code == 0
    assert "78 of 80 tokens (97.500%), in 1 of 1 documents" in told.output
    found = json.loads(CliRunner().invoke(app, ["verify", str(tmp_path), "--json"]).output)["overlap"]
    assert found["splits"]["test"]["shared_windows"] == 29
    assert found["longest"][0]["train_document"] == make_id("train").hex()
    silent = CliRunner().invoke(app, ["verify", str(tmp_path), "--no-overlap", "--json"])
    assert json.loads(silent.output)["overlap"] is None
