"""Batches against the pieces that they were cut from."""

import numpy as np
import pytest
import torch

import shards.read
from pretrain.data import IGNORE, Loader, read_batch, spread_rows


@pytest.fixture(scope="module")
def train_split(corpus):
    return shards.read.open(corpus / "shards").split("train")


def test_targets_follow_inputs_within_a_document(train_split):
    rows = np.arange(len(train_split))
    batch = read_batch(train_split, rows)
    padding = 2
    counted = 0
    for row in rows.tolist():
        tokens = train_split.row(row).astype(int)
        expected = np.full(len(tokens) - 1, IGNORE)
        for piece in train_split.pieces(row):
            first, last = int(piece["start"]), int(piece["start"] + piece["length"]) - 1
            expected[first:last] = tokens[first + 1 : last + 1]
            counted += last - first
            inside = batch.positions[row, first : last + 1]
            assert inside.tolist() == list(range(len(inside)))
            assert len(set(batch.documents[row, first : last + 1].tolist()) - {0}) <= 1
        assert batch.targets[row].tolist() == expected.tolist()
        assert batch.inputs[row].tolist() == tokens[:-1].tolist()
        assert ((batch.documents[row] == 0) == (batch.inputs[row] == padding)).all()
    assert counted > 1000
    assert int((batch.targets != IGNORE).sum()) == counted
    assert padding not in batch.targets
    assert (batch.inputs == padding).any(), "the corpus should have a padded row"
    assert all(tensor.dtype == torch.int64 and tensor.is_contiguous() for tensor in batch)


def test_documents_of_different_pieces_have_different_numbers(train_split):
    row = next(i for i in range(len(train_split)) if len(train_split.pieces(i)) >= 3)
    batch = read_batch(train_split, np.array([row]))
    starts = [int(piece["start"]) for piece in train_split.pieces(row)]
    numbers = [int(batch.documents[0, start]) for start in starts if start < batch.documents.shape[1]]
    assert len(set(numbers)) == len(numbers)


def test_batches_are_a_pure_function_of_position(train_split):
    loader, other = Loader(train_split, seed=5, batch_rows=7), Loader(train_split, seed=5, batch_rows=7)
    later = loader.batch(21)
    loader.batch(0)
    assert all(torch.equal(a, b) for a, b in zip(later, other.batch(21)))
    assert not torch.equal(later.inputs, Loader(train_split, seed=6, batch_rows=7).batch(21).inputs)


def test_every_row_is_read_once_an_epoch_whatever_the_batch(train_split):
    count = len(train_split)
    one_by_one = [int(Loader(train_split, 1, 1).rows(p)[0]) for p in range(2 * count)]
    assert sorted(one_by_one[:count]) == sorted(one_by_one[count:]) == list(range(count))
    assert one_by_one[:count] != one_by_one[count:]
    in_batches = np.concatenate([Loader(train_split, 1, 5).rows(p) for p in range(0, count, 5)])
    assert in_batches.tolist() == one_by_one[: len(in_batches)]


def test_split_into_parts_keeps_all_rows(train_split):
    batch = read_batch(train_split, np.arange(7))
    parts = list(batch.split(3))
    assert [len(part.inputs) for part in parts] == [3, 3, 1]
    assert torch.equal(torch.cat([part.targets for part in parts]), batch.targets)


@pytest.mark.parametrize("most", [1, 3, 10**6])
def test_spread_rows_are_distinct_and_even(train_split, most):
    rows = spread_rows(train_split, most)
    assert len(rows) == min(most, len(train_split))
    assert len(set(rows.tolist())) == len(rows)
    gaps = np.diff(np.append(rows, len(train_split)))
    assert gaps.max() - gaps.min() <= 1
