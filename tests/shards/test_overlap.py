from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_cases import BOS, EOS, make_header, make_id, make_table

from shards import read
from shards.manifest import write_manifest
from shards.overlap import Overlap, overlap
from shards.read import ShardSet
from shards.write import write_shard

WINDOW = 4


def make(
    directory: Path, splits: dict[str, list[list[int]]], context: int = 15, packing: str = "concatenate"
) -> ShardSet:
    directory.mkdir(parents=True, exist_ok=True)
    entries = []
    for split, documents in splits.items():
        header = make_header(split=split, vocabulary_size=1000, context_length=context, packing=packing)
        table = make_table([[BOS, *body, EOS] for body in documents], [f"{split} {i}" for i in range(len(documents))])
        entries.append(write_shard(directory / f"{split}.arrow", table, header, 0))
    write_manifest(
        directory, make_header(context_length=context, packing=packing).shared(), entries, ["train", *splits]
    )
    return read.open(directory)


def windows(shards: ShardSet, split: str) -> list[tuple[str, int, int, tuple[int, ...]]]:
    """All windows as (document, row, position, tokens), by the definition."""
    special = set(shards.header.special_ids.values())
    found = []
    rows = shards.split(split)
    for row in range(len(rows)):
        tokens = rows.row(row).tolist()
        for piece in rows.pieces(row):
            end = int(piece["start"]) + int(piece["length"])
            for i in range(int(piece["start"]), end - WINDOW + 1):
                window = tuple(tokens[i : i + WINDOW])
                if not special & set(window):
                    found.append((piece["document"].tobytes().hex(), row, i, window))
    return found


def check(shards: ShardSet, found: Overlap) -> None:
    train = {}
    in_train: dict[tuple[int, ...], set[str]] = {}
    for document, row, position, window in windows(shards, "train"):
        train.setdefault(window, (document, row, position))
        in_train.setdefault(window, set()).add(document)
    hits: set[str] = set()
    for name, facts in found.splits.items():
        own = windows(shards, name)
        shared = [one for one in own if one[3] in train]
        covered = {(row, position + i) for _, row, position, _ in shared for i in range(WINDOW)}
        assert (facts.windows, facts.shared_windows) == (len(own), len(shared))
        assert facts.tokens == shards.manifest.splits[name].tokens
        assert facts.documents == shards.manifest.splits[name].documents
        assert facts.shared_tokens == len(covered)
        assert facts.shared_documents == len({document for document, *_ in shared})
        hits |= {document for *_, window in shared for document in in_train[window]}
    assert found.train_documents == len(hits)
    for passage in found.longest:
        tokens = shards.split(passage.split).row(passage.row)[passage.position :][:WINDOW]
        there = shards.split("train").row(passage.train_row)[passage.train_position :][:WINDOW]
        assert tokens.tolist() == there.tolist()
        assert train[tuple(tokens.tolist())] == (passage.train_document, passage.train_row, passage.train_position)


bodies = st.lists(st.lists(st.integers(3, 5), max_size=40), max_size=5)


@given(bodies, bodies, bodies, st.sampled_from(["concatenate", "best_fit"]))
def test_against_the_definition(
    tmp_path_factory: pytest.TempPathFactory,
    train: list[list[int]],
    validation: list[list[int]],
    test: list[list[int]],
    packing: str,
) -> None:
    splits = {"train": train, "validation": validation, "test": test}
    shards = make(tmp_path_factory.mktemp("set"), splits, packing=packing)
    check(shards, overlap(shards, WINDOW))


def test_random_texts_with_copied_passages(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, held = ([rng.integers(3, 1000, 300).tolist() for _ in range(40)] for _ in range(2))
    held[3][10:30] = train[5][100:120]
    held[4][:] = train[6]
    shards = make(tmp_path, {"train": train, "validation": held}, context=63)
    found = overlap(shards, WINDOW)
    check(shards, found)
    assert found.splits["validation"].shared_documents == 2
    assert {passage.train_document for passage in found.longest} == {make_id(f"train {i}").hex() for i in (5, 6)}
    assert found.longest[0].tokens == max(passage.tokens for passage in found.longest) > 20


def test_fifty_tokens_are_a_passage_and_forty_nine_are_none(tmp_path: Path) -> None:
    passage = list(range(100, 150))
    for length, expected in ((49, 0), (50, 1)):
        splits = {"train": [[7, *passage[:length], 8]], "test": [[9, *passage[:length], 10]]}
        found = overlap(make(tmp_path / str(length), splits, context=127))
        assert found.splits["test"].shared_windows == expected
        assert found.splits["test"].shared_tokens == 50 * expected


def test_a_window_does_not_cross_documents(tmp_path: Path) -> None:
    splits = {"train": [[3, 4, 5, 6]], "test": [[3, 4], [5, 6]]}
    assert overlap(make(tmp_path, splits), WINDOW).splits["test"].shared_windows == 0


def test_of_many_held_out_tokens_a_sample_of_documents_is_compared(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    held = [rng.integers(3, 1000, 30).tolist() for _ in range(200)]
    shards = make(tmp_path, {"train": held, "test": held}, context=31, packing="one_per_row")
    found = overlap(shards, WINDOW, most_tokens=1600)
    facts = found.splits["test"]
    assert found.one_in == 4
    assert 20 < facts.documents < 80
    assert facts.shared_documents == facts.documents
    assert facts.tokens == 32 * facts.documents


def test_sets_without_one_of_the_sides(tmp_path: Path) -> None:
    body = [list(range(3, 30))]
    assert overlap(make(tmp_path / "a", {"train": body}), WINDOW).splits == {}
    found = overlap(make(tmp_path / "b", {"test": body}), WINDOW)
    assert (found.splits["test"].windows > 0, found.splits["test"].shared_windows) == (True, 0)
