import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from shard_cases import EOS, PADDING, make_header, make_id, make_set, make_table, make_tokens, reseal

from shards import write
from shards.format import FILL_IN_THE_MIDDLE, PIECE, WHOLE
from shards.manifest import write_manifest
from shards.verify import Problem, verify
from shards.write import write_shard


def test_a_whole_set_has_no_problems(shard_set: Path) -> None:
    assert verify(shard_set) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"bos": None, "adds_bos": False},
        {"adds_eos": False},
        {"vocabulary_size": 100_000},
        {"bos": "<bos>", "eos": "<bos>", "special_ids": {"<bos>": 0, "<padding>": 2, "<other>": 999}},
    ],
)
def test_other_document_policies(tmp_path: Path, changes: dict[str, object]) -> None:
    header = make_header(**changes)
    begin = [0] * header.adds_bos
    end = [header.eos_id] * header.adds_eos
    tokens = [[*begin, *range(3, 3 + n), *end] for n in (0, 1, 40, 100)]
    write_manifest(tmp_path, header.shared(), [write_shard(tmp_path / "a.arrow", make_table(tokens), header, 0)])
    assert verify(tmp_path) == []


def test_an_empty_set(tmp_path: Path) -> None:
    header = make_header()
    write_manifest(tmp_path, header.shared(), [], ("train",))
    assert verify(tmp_path) == []
    write_manifest(tmp_path, header.shared(), [write_shard(tmp_path / "a.arrow", make_table([]), header, 0)])
    assert verify(tmp_path) == []


def test_every_flipped_byte_is_found_and_its_file_named(shard_set: Path) -> None:
    for path in sorted(shard_set.glob("*.arrow")):
        data = path.read_bytes()
        rng = np.random.default_rng(len(data))
        for position in {0, len(data) - 1, *rng.integers(0, len(data), 150).tolist()}:
            flipped = bytearray(data)
            flipped[position] ^= int(rng.integers(1, 256))
            path.write_bytes(flipped)
            problems = verify(shard_set)
            assert {problem.file for problem in problems} == {path.name}, position
            assert problems[0].what.startswith("digest")
        path.write_bytes(data)
    assert verify(shard_set) == []


def test_every_flipped_byte_of_the_manifest_is_found(shard_set: Path) -> None:
    """White space aside, which means nothing."""
    path = shard_set / "manifest.json"
    data = path.read_bytes()
    for position in np.random.default_rng(1).integers(0, len(data), 200).tolist():
        flipped = bytearray(data)
        flipped[position] ^= 1
        path.write_bytes(flipped)
        if chr(data[position]).isspace() and chr(flipped[position]).isspace():
            continue
        assert [problem.file for problem in verify(shard_set)] == ["manifest.json"], position


def test_files_that_should_not_be_or_are_not(shard_set: Path) -> None:
    shutil.copy(shard_set / "train-00001.arrow", shard_set / "extra.arrow")
    (shard_set / "train-00000.arrow").unlink()
    other = shard_set / "train-00001.arrow"
    other.write_bytes(other.read_bytes()[:100])
    found = {(problem.file, problem.what.split(":")[0]) for problem in verify(shard_set)}
    assert {("extra.arrow", "extra"), ("train-00000.arrow", "missing"), (other.name, "truncated")} <= found
    assert {name for name, _ in found} == {"extra.arrow", "train-00000.arrow", other.name}


def test_a_file_of_another_tokenizer(shard_set: Path, tmp_path: Path) -> None:
    make_set(tmp_path / "other", tokenizer_sha256="f" * 64)
    shutil.copy(tmp_path / "other" / "train-00000.arrow", shard_set)
    problems = verify(shard_set)
    assert {problem.file for problem in problems} == {"train-00000.arrow"}
    assert any("of another tokenizer" in problem.what for problem in problems)


def test_no_directory_and_no_manifest(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        assert [problem.file for problem in verify(path)] == ["manifest.json"]


NAME = "train-00000.arrow"


def change_token(old: Callable[[int, int, int], bool], new: int) -> Callable[[pa.Table], pa.Table]:
    """Replace the first token for which old(token, place in its piece or -1 for padding, length) holds."""

    def change(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        for row in rows:
            places = {
                piece["start"] + i: (i, piece["length"]) for piece in row["pieces"] for i in range(piece["length"])
            }
            for i, token in enumerate(row["tokens"]):
                if old(token, *places.get(i, (-1, 0))):
                    row["tokens"][i] = new
                    return pa.Table.from_pylist(rows, table.schema)
        raise AssertionError("no such token")

    return change


def change_piece(which: Callable[[dict], bool], **values: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        piece = next(piece for row in rows for piece in row["pieces"] if which(piece))
        piece.update(values)
        return pa.Table.from_pylist(rows, table.schema)

    return change


def inner(token: int, place: int, length: int) -> bool:
    return 0 < place < length - 1


FAULTS: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "id beyond the vocabulary": (change_token(inner, 1000), "outside the vocabulary (1 times)"),
    "eos inside": (change_token(inner, EOS), "not at a document's border (1 times)"),
    "bos inside": (change_token(inner, 0), "not at a document's border (1 times)"),
    "padding inside": (change_token(inner, PADDING), "padding inside a piece (1 times)"),
    "text outside": (change_token(lambda token, place, length: place < 0, 7), "outside the pieces (1 times)"),
    "no bos": (change_token(lambda token, place, length: token == 0, 7), "does not begin with the bos"),
    "no eos": (change_token(lambda token, place, length: token == EOS, 7), "does not end with the eos"),
    "gap": (
        change_piece(lambda p: p["offset"] == 11, offset=12),
        f"gap or overlap: document {make_id(NAME + ' 1').hex()}",
    ),
    "start": (change_piece(lambda p: p["start"] == 5, start=4), "overlaps another"),
    "beyond the row": (change_piece(lambda p: p["start"] == 5, start=15), "outside its row"),
    "empty piece": (change_piece(lambda p: p["length"] == 2, length=0), "is empty"),
    "huge start": (change_piece(lambda p: p["start"] == 5, start=2**32 - 1, length=2**32 - 1), "outside its row"),
    "kind": (change_piece(lambda p: p["kind"] == 0, kind=FILL_IN_THE_MIDDLE), "wrong kind"),
    "cluster": (change_piece(lambda p: p["offset"] > 16, cluster=bytes(16)), "different clusters"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_a_writer_are_found(shard_set: Path, fault: str) -> None:
    change, message = FAULTS[fault]
    reseal(shard_set, NAME, change)
    problems = verify(shard_set)
    assert {problem.file for problem in problems} == {NAME}
    assert any(message in problem.what for problem in problems), problems


def test_a_file_whose_sums_are_not_what_the_manifest_says(shard_set: Path) -> None:
    reseal(shard_set, NAME, lambda table: table.slice(1))
    assert any(problem.what.startswith("rows: ") for problem in verify(shard_set))
    make_set(shard_set)
    reseal(shard_set, NAME, lambda table: table, documents=17)
    assert verify(shard_set) == [Problem(NAME, "documents: 5, manifest.json says 17")]
    make_set(shard_set)
    entries = json.loads((shard_set / "manifest.json").read_text())["files"]
    tokens, padding = entries[0]["tokens"], entries[0]["padding"]
    reseal(shard_set, NAME, lambda table: table, tokens=tokens - 1, padding=padding + 1)
    assert [problem.what.split(":")[0] for problem in verify(shard_set)] == ["tokens", "padding"]


def test_nulls_and_other_columns(shard_set: Path) -> None:
    reseal(shard_set, NAME, lambda table: table.append_column("more", pa.array([1] * table.num_rows)))
    assert any("columns" in problem.what for problem in verify(shard_set))


def two_splits(directory: Path, names: dict[str, list[object]], clusters: dict[str, list[object]]) -> list[Problem]:
    entries = []
    for split, documents in names.items():
        header = make_header(split=split.split("-")[0])
        table = make_table(make_tokens([9] * len(documents)), documents, clusters.get(split, ()))
        entries.append(write_shard(directory / f"{split}.arrow", table, header, 0))
    write_manifest(directory, make_header().shared(), entries)
    return verify(directory)


def test_a_document_or_cluster_on_two_sides(tmp_path: Path) -> None:
    problems = two_splits(tmp_path, {"train": ["a", "b"], "test": ["c", "a"]}, {"train": [1, 2], "test": [3, 4]})
    assert problems == [Problem("train.arrow", f"document {make_id('a').hex()}: in another split too: test.arrow")]
    problems = two_splits(tmp_path, {"train": ["a", "b"], "test": ["c", "d"]}, {"train": [1, 2], "test": [3, 2]})
    assert problems == [Problem("manifest.json", f"cluster {make_id(2).hex()}: in two splits: test and train")]


def test_within_a_split_clusters_may_spread_but_documents_may_not(tmp_path: Path) -> None:
    names: dict[str, list[object]] = {"train-0": ["a", "b"], "train-1": ["c"]}
    assert two_splits(tmp_path, names, {"train-0": [1, 1], "train-1": [1]}) == []
    problems = two_splits(tmp_path, {"train-0": list("abcdef"), "train-1": list("fedcbaxyz")}, {})
    assert [problem.file for problem in problems] == ["train-1.arrow"]
    assert "and 3 more: in another file too: train-0.arrow" in problems[0].what


@pytest.mark.parametrize("packing", ["best_fit", "one_per_row"])
def test_other_packing_policies(tmp_path: Path, packing: str) -> None:
    make_set(tmp_path, packing=packing)
    assert verify(tmp_path) == []


@pytest.mark.parametrize("packing", ["best_fit", "one_per_row"])
def test_rows_that_the_named_policy_does_not_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str
) -> None:
    monkeypatch.setitem(write.PACKERS, packing, write.concatenate)
    monkeypatch.setattr(write, "check", lambda *_: None)
    make_set(tmp_path, packing=packing)
    problems = [problem.what for problem in verify(tmp_path) if problem.file == NAME]
    assert any(what.startswith(f"pieces that {packing} does not make: document ") for what in problems)


def test_a_truncated_document_is_no_whole_one(tmp_path: Path) -> None:
    make_set(tmp_path, packing="one_per_row")
    reseal(tmp_path, NAME, change_piece(lambda piece: piece["kind"] == PIECE, kind=WHOLE))
    assert [problem.what for problem in verify(tmp_path)] == [
        "a document that does not end with the eos token (1 times)"
    ]
