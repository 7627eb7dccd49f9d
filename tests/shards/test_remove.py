import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fill_cases import as_units, fill_header, fill_table
from kills import Killed, killed_at
from shard_cases import LENGTHS, PADDING, make_header, make_id, make_set, make_table, make_tokens

from shards import read
from shards.atomic import REPLACING, finish_replacing, replacing_together
from shards.diff import diff
from shards.format import ShardError
from shards.inspect import inspect
from shards.manifest import read_manifest, write_manifest
from shards.packing_report import read_layout, report
from shards.remove import remove
from shards.tombstones import Request, read_folder
from shards.verify import verify
from shards.write import write_shard

LONG = make_id("train-00000.arrow 4").hex()  # 200 tokens over many rows
OTHER = make_id("train-00001.arrow 1").hex()  # a row of its own
HELD_OUT = make_id("validation-00000.arrow 0").hex()


def rows_of(directory: Path) -> dict[str, list[dict]]:
    return {
        path.name: pa.ipc.open_file(path.read_bytes()).read_all().to_pylist()
        for path in sorted(directory.glob("*.arrow"))
    }


def removed_by_hand(rows: dict[str, list[dict]], documents: set[str]) -> dict[str, list[dict]]:
    for row in itertools.chain(*rows.values()):
        for piece in row["pieces"]:
            if piece["document"].hex() in documents:
                for i in range(piece["start"], piece["start"] + piece["length"]):
                    row["tokens"][i] = PADDING
        row["pieces"] = [piece for piece in row["pieces"] if piece["document"].hex() not in documents]
    return rows


@pytest.mark.parametrize("packing", ["concatenate", "best_fit", "one_per_row"])
def test_pieces_become_padding_and_all_else_stays(tmp_path: Path, packing: str) -> None:
    before = make_set(tmp_path, packing=packing)
    expected = removed_by_hand(rows_of(tmp_path), {LONG, OTHER, HELD_OUT})
    facts = remove(tmp_path, Request((LONG, OTHER, HELD_OUT)))
    assert rows_of(tmp_path) == expected
    after = read_manifest(tmp_path)
    assert verify(tmp_path) == []
    assert (before.version, after.version) == (1, 2)
    assert after.order_digest == before.order_digest
    assert facts["shards"]["documents"] == after.removals[0].documents == 3
    assert [entry.rows for entry in after.files] == [entry.rows for entry in before.files]
    gone = sum(entry.tokens for entry in before.files) - sum(entry.tokens for entry in after.files)
    assert gone == after.removals[0].tokens == facts["shards"]["tokens"] > 0
    assert read_folder(tmp_path)[0].digest == after.removals[0].tombstones


def test_documents_with_their_middle_last(tmp_path: Path) -> None:
    header = fill_header()
    texts = ["the first text " * 5, "another one", "a third text, longer " * 4]
    table = fill_table([as_units(i, text, header) for i, text in enumerate(texts)])
    write_manifest(tmp_path, header.shared(), [write_shard(tmp_path / "a.arrow", table, header, 0)])
    assert verify(tmp_path) == []
    expected = removed_by_hand(rows_of(tmp_path), {make_id(0).hex()})
    remove(tmp_path, Request((make_id(0).hex(),)))
    assert rows_of(tmp_path) == expected
    assert verify(tmp_path) == []
    assert {piece["document"] for row in expected["a.arrow"] for piece in row["pieces"]} == {make_id(1), make_id(2)}


def test_the_order_of_training_stays(shard_set: Path, tmp_path: Path) -> None:
    shutil.copytree(shard_set, tmp_path / "before")
    remove(shard_set, Request((LONG,)))
    first, second = read.open(tmp_path / "before"), read.open(shard_set)
    positions = np.arange(3 * len(first.split("train")))
    rows = [shards.split("train").order(7).at(positions)[1] for shards in (first, second)]
    assert (rows[0] == rows[1]).all()
    found = diff(first, second)
    assert found.documents.named["only_first"] == [LONG]
    assert found.documents.counts == {"only_first": 1, "only_second": 0, "resized": 0, "moved": 0}


def test_a_set_that_is_all_padding_can_still_be_read(shard_set: Path) -> None:
    everything = [make_id(f"{name} {i}").hex() for name, lengths in LENGTHS.items() for i, n in enumerate(lengths) if n]
    remove(shard_set, Request(tuple(everything)))
    assert verify(shard_set) == []
    shards = read.open(shard_set)
    train = shards.split("train")
    assert (train.rows(range(len(train))) == PADDING).all()
    assert sum(fact.documents for fact in inspect(shards)) == 0
    assert report(read_layout(shard_set / "train-00000.arrow")).tokens == 0


def test_one_removal_after_the_other(shard_set: Path) -> None:
    for number, document in enumerate((LONG, OTHER), 1):
        facts = remove(shard_set, Request((document,), reason=f"why {number}", date="2024-02-29"))
        assert (facts["removal"], facts["shards"]["version"]) == (number, number + 1)
    assert [(t.number, t.reason, t.date, t.documents) for t in read_folder(shard_set)] == [
        (1, "why 1", "2024-02-29", (LONG,)),
        (2, "why 2", "2024-02-29", (OTHER,)),
    ]
    before = (shard_set / "manifest.json").read_bytes()
    again = remove(shard_set, Request((LONG, OTHER)))
    assert (again["removal"], again["documents"], again["already_removed"]) == (None, 0, 2)
    assert (shard_set / "manifest.json").read_bytes() == before
    assert verify(shard_set) == []


def test_duplicates_by_their_cluster(tmp_path: Path) -> None:
    header = make_header()
    table = make_table(make_tokens([9] * 4), "abcd", [1, 2, 1, 3])
    write_manifest(tmp_path, header.shared(), [write_shard(tmp_path / "a.arrow", table, header, 0)])
    facts = remove(tmp_path, Request((make_id("a").hex(),), with_duplicates=True))
    assert facts["documents"] == 2
    left = {piece["document"] for row in rows_of(tmp_path)["a.arrow"] for piece in row["pieces"]}
    assert left == {make_id("b"), make_id("d")}


def test_nothing_changes_where_nothing_can_be_removed(shard_set: Path) -> None:
    before = {path.name: path.read_bytes() for path in shard_set.iterdir()}
    with pytest.raises(ValueError, match=r"has no document 0{32}"):
        remove(shard_set, Request((LONG, "0" * 32)))
    with pytest.raises(ValueError, match="no URI and no domain"):
        remove(shard_set, Request(domains=("a.example",)))
    assert remove(shard_set, Request((LONG,)), dry_run=True)["shards"]["tokens"] == 200
    assert {path.name: path.read_bytes() for path in shard_set.iterdir()} == before


def test_a_kill_at_any_moment_leaves_the_old_set_or_one_that_the_command_finishes(
    shard_set: Path, tmp_path: Path
) -> None:
    shutil.copytree(shard_set, tmp_path / "done")
    request = Request((LONG, HELD_OUT), date="2024-01-01")
    remove(tmp_path / "done", request)
    done = {path.relative_to(tmp_path / "done"): path.read_bytes() for path in files_of(tmp_path / "done")}
    old = read_manifest(shard_set).digest
    outcomes = set()
    for step in itertools.count():
        copy = tmp_path / str(step)
        shutil.copytree(shard_set, copy)
        try:
            with killed_at(step):
                remove(copy, request)
        except Killed:
            problems = verify(copy)
            if problems:
                assert [problem.file for problem in problems] == ["manifest.json"]
                assert "a removal was interrupted" in problems[0].what
                with pytest.raises(ShardError, match="a removal was interrupted"):
                    read.open(copy)
                outcomes.add("refused")
            else:
                outcomes.add("old" if read_manifest(copy).digest == old else "new")
            remove(copy, request)
        else:
            break
        assert {path.relative_to(copy): path.read_bytes() for path in files_of(copy)} == done, step
    assert outcomes >= {"old", "refused"}
    assert step > 8


def files_of(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def test_files_are_replaced_and_removed_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").write_text("old")

    def fail_halfway() -> None:
        with replacing_together(tmp_path) as together:
            together.path(tmp_path / "a").write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
    with replacing_together(tmp_path) as together:
        together.path(tmp_path / "a").write_text("new")
        together.path(tmp_path / "folder" / "c").write_text("new")
        together.remove(tmp_path / "b")
        assert (tmp_path / "a").read_text() == "old"
    assert {path.relative_to(tmp_path).as_posix() for path in files_of(tmp_path)} == {"a", "folder/c"}
    assert (tmp_path / "a").read_text() == "new"
    assert not finish_replacing(tmp_path)
    assert not (tmp_path / REPLACING).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"documents": [OTHER]}, "digest: not that of the documents"),
        ({"documents": ["x"]}, "documents.0"),
        ({"number": 0}, "number"),
        ({"more": 1}, "more: Extra inputs"),
    ],
)
def test_a_tombstone_that_was_edited_is_refused_by_name(shard_set: Path, change: dict, message: str) -> None:
    remove(shard_set, Request((LONG,)))
    path = shard_set / "removed" / "0001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ShardError, match=f"removed/0001.json: {message}"):
        read_folder(shard_set)


def test_a_tombstone_that_is_missing_is_named(shard_set: Path) -> None:
    remove(shard_set, Request((LONG,)))
    remove(shard_set, Request((OTHER,)))
    (shard_set / "removed" / "0001.json").unlink()
    with pytest.raises(ShardError, match=r"removed/0001\.json: missing"):
        read_folder(shard_set)
