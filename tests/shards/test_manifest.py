import json
from pathlib import Path

import pytest
from shard_cases import make_header, make_set

from shards.format import ShardError
from shards.manifest import FileEntry, read_manifest, write_manifest


def edit(directory: Path, **changes: object) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_round_trip_in_any_order(shard_set: Path) -> None:
    manifest = read_manifest(shard_set)
    before = (shard_set / "manifest.json").read_bytes()
    write_manifest(shard_set, manifest.header, reversed(manifest.files), ("test", "validation"))
    assert (shard_set / "manifest.json").read_bytes() == before
    assert read_manifest(shard_set) == manifest


def test_it_says_what_is_there(shard_set: Path) -> None:
    manifest = json.loads((shard_set / "manifest.json").read_text())
    assert list(manifest["splits"]) == ["test", "train", "validation"]
    assert manifest["splits"]["test"] == {"files": 0, "rows": 0, "tokens": 0, "padding": 0, "documents": 0}
    train = manifest["splits"]["train"]
    assert (train["files"], train["tokens"], train["documents"]) == (2, 5 + 40 + 2 + 200 + 16 + 48, 8)
    assert manifest["header"]["context_length"] == 15
    assert not list(shard_set.glob(".*"))


def test_order_digest_covers_row_numbers_and_nothing_else(shard_set: Path) -> None:
    manifest = read_manifest(shard_set)
    first, *rest = manifest.files

    def order_digest(**changes: object) -> str:
        return write_manifest(shard_set, manifest.header, [first.model_copy(update=changes), *rest]).order_digest

    removed = {"tokens": first.tokens - 5, "padding": first.padding + 5, "documents": 1, "digest": "0" * 64}
    assert order_digest(**removed) == manifest.order_digest
    one_row_more = {"rows": first.rows + 1, "padding": first.padding + 16}
    for changes in (one_row_more, {"bucket": "x"}, {"split": "test"}, {"name": "a.arrow"}):
        assert order_digest(**changes) != manifest.order_digest


def test_changes_by_hand_are_refused_with_their_key(shard_set: Path) -> None:
    content = json.loads((shard_set / "manifest.json").read_text())
    files, header, splits = content["files"], content["header"], content["splits"]
    cases: dict[str, dict[str, object]] = {
        "format_version: 2": {"format_version": 2},
        "format_version: None": {"format_version": None},
        "files.0.rows": {"files": [{**files[0], "rows": "5"}, *files[1:]]},
        "files.1.name": {"files": [files[0], {**files[1], "name": "../x.arrow"}, files[2]]},
        "sorted and unique": {"files": files[::-1]},
        "train-00000.arrow: rows x width": {"files": [{**files[0], "tokens": 1}, *files[1:]]},
        "splits: not the sums": {"splits": {**splits, "train": {**splits["train"], "rows": 1}}},
        "order_digest: not that": {"order_digest": "0" * 64},
        "digest: does not match": {"files": [{**files[0], "digest": "0" * 64}, *files[1:]]},
        "digest: does not match the content": {"header": {**header, "config_hash": "other"}},
        "header.config_hash": {"header": {key: header[key] for key in header if key != "config_hash"}},
        "header: padding": {"header": {**header, "padding": "<eos>"}},
        "more: Extra inputs": {"more": 1},
    }
    for message, changes in cases.items():
        make_set(shard_set)
        edit(shard_set, **changes)
        with pytest.raises(ShardError) as caught:
            read_manifest(shard_set)
        assert caught.value.file == "manifest.json"
        assert message in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff\xfe", b'{"format_version": 1}', b"null", b"1" * 5000, b"[" * 10**6]
)
def test_garbage_is_refused(shard_set: Path, content: bytes) -> None:
    (shard_set / "manifest.json").write_bytes(content)
    with pytest.raises(ShardError, match=r"manifest\.json"):
        read_manifest(shard_set)


def test_entries_that_contradict_the_header(tmp_path: Path) -> None:
    entry = FileEntry(
        name="a.arrow", split="train", bucket="web", rows=1, tokens=3, padding=0, documents=1, bytes=1, digest="0" * 64
    )
    with pytest.raises(ValueError, match=r"a\.arrow: rows x width"):
        write_manifest(tmp_path, make_header().shared(), [entry])
    assert not list(tmp_path.iterdir())
