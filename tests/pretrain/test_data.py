"""Batches against the pieces that they were cut from."""

import shutil
import threading
import time

import numpy as np
import pyarrow as pa
import pytest
import torch

import shards.read
from pretrain.data import IGNORE, Batch, Loader, Prefetched, read_batch, spread_rows
from pretrain.device import precision_of
from pretrain.model import Decoder
from pretrain.optimizer import build_optimizers
from pretrain.update import update
from shards.format import FILL_IN_THE_MIDDLE, WHOLE, FillInTheMiddle, Header, ShardError
from shards.manifest import write_manifest
from shards.reading import Reading
from shards.write import write_shard

PADDING = 2


@pytest.fixture(scope="module")
def train_split(corpus):
    return shards.read.open(corpus / "shards").split("train")


def reading(seed=5, rows=7, **changes) -> Reading:
    return Reading.model_validate({"seed": seed, "batches": [(1, rows)], **changes})


def test_targets_follow_inputs_within_a_document(train_split):
    rows = np.arange(len(train_split))
    batch = read_batch(train_split, rows)
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
        assert ((batch.documents[row] == 0) == (batch.inputs[row] == PADDING)).all()
    assert counted > 1000
    assert int((batch.targets != IGNORE).sum()) == counted
    assert PADDING not in batch.targets
    assert (batch.inputs == PADDING).any(), "the corpus should have a padded row"
    assert all(tensor.dtype == torch.int64 and tensor.is_contiguous() for tensor in batch)


def test_rows_in_any_order_and_repeated_are_the_same_rows(train_split):
    everything = read_batch(train_split, np.arange(len(train_split)))
    rows = np.random.default_rng(1).integers(0, len(train_split), 50)
    batch = read_batch(train_split, rows)
    assert torch.equal(batch.inputs, everything.inputs[rows])
    assert torch.equal(batch.targets, everything.targets[rows])
    assert torch.equal(batch.positions, everything.positions[rows])
    for ours, theirs in zip(batch.documents, everything.documents[rows]):
        assert torch.equal(ours[1:] == ours[:-1], theirs[1:] == theirs[:-1])
        assert torch.equal(ours == 0, theirs == 0)


def test_documents_of_different_pieces_have_different_numbers(train_split):
    row = next(i for i in range(len(train_split)) if len(train_split.pieces(i)) >= 3)
    batch = read_batch(train_split, np.array([row]))
    starts = [int(piece["start"]) for piece in train_split.pieces(row)]
    numbers = [int(batch.documents[0, start]) for start in starts if start < batch.documents.shape[1]]
    assert len(set(numbers)) == len(numbers)


def test_batches_are_a_pure_function_of_position(train_split):
    loader, other = Loader(train_split, reading()), Loader(train_split, reading())
    later = loader.batch(21, 7)
    loader.batch(0, 3)
    assert all(torch.equal(a, b) for a, b in zip(later, other.batch(21, 7)))
    assert not torch.equal(later.inputs, Loader(train_split, reading(seed=6)).batch(21, 7).inputs)


def test_every_row_is_read_once_an_epoch_whatever_the_batch(train_split):
    count = len(train_split)
    loader = Loader(train_split, reading(seed=1))
    one_by_one = [int(loader.rows(p, 1)[0]) for p in range(2 * count)]
    assert sorted(one_by_one[:count]) == sorted(one_by_one[count:]) == list(range(count))
    assert one_by_one[:count] != one_by_one[count:]
    in_batches = np.concatenate([loader.rows(p, 5) for p in range(0, count, 5)])
    assert in_batches.tolist() == one_by_one[: len(in_batches)]
    assert one_by_one == train_split.order(1).at(np.arange(2 * count))[1].tolist()  # as without weights


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_processes_share_the_rows_of_a_batch(train_split, world):
    loader = Loader(train_split, reading())
    whole = loader.batch(14, 7)
    parts = [loader.batch(14, 7, rank, world) for rank in range(world)]
    for name in ("inputs", "targets", "positions"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    with pytest.raises(ValueError, match="7 rows cannot be shared by 8 processes"):
        loader.batch(14, 7, 0, 8)


def test_split_into_parts_keeps_all_rows(train_split):
    batch = read_batch(train_split, np.arange(7))
    parts = list(batch.split(3))
    assert [len(part.inputs) for part in parts] == [3, 3, 1]
    assert torch.equal(torch.cat([part.targets for part in parts]), batch.targets)


def test_a_batch_on_a_device_leaves_behind_what_shapes_follow_from(train_split):
    batch = read_batch(train_split, np.arange(3))
    moved = batch.to(torch.device("meta"))
    assert moved.documents is batch.documents
    assert {moved.inputs.device.type, moved.targets.device.type, moved.positions.device.type} == {"meta"}


@pytest.mark.parametrize("most", [4, 9, 10**6])
def test_spread_rows_are_distinct_and_even(train_split, most):
    rows = spread_rows(train_split, most)
    assert len(rows) == min(most, len(train_split))
    assert len(set(rows.tolist())) == len(rows)
    gaps = np.diff(np.append(rows, len(train_split)))
    assert gaps.max() - gaps.min() <= 1


def test_spread_rows_leave_out_no_bucket(train_split):
    rows = spread_rows(train_split, 1)
    assert rows[0] == 0
    assert [train_split.locate(int(row))[0].entry.bucket for row in rows] == ["mill", "river"]
    assert train_split.locate(int(rows[1]))[1] == 0


def test_weights_choose_the_bucket_of_every_row(train_split):
    loader = Loader(train_split, reading(weights=[(1, {"mill": 3, "river": 1}), (6, {"river": 1})]))
    buckets = [train_split.locate(int(row))[0].entry.bucket for row in loader.rows(0, 50)]
    for count in range(1, 36):  # five steps of seven rows
        assert abs(buckets[:count].count("mill") - count * 3 / 4) < 1
    assert set(buckets[35:]) == {"river"}


def test_prefetched_batches_are_those_of_the_steps(train_split):
    loader = Loader(train_split, reading(batches=[(1, 3), (4, 5)]))
    with Prefetched(loader, 2, 6, rank=1, world=2) as batches:
        found = list(batches)
        assert batches.waited >= 0
    expected = [loader.batch(*place, 1, 2) for place in ((3, 3), (6, 3), (9, 5), (14, 5), (19, 5))]
    assert len(found) == len(expected)
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(found, expected))


def test_the_thread_reads_ahead_surfaces_its_failure_and_ends(train_split):
    class Broken(Loader):
        def batch(self, position, count, rank=0, world=1):
            started.append(position)
            if position == 14:
                raise OSError("no such disk")
            return super().batch(position, count, rank, world)

    started: list[int] = []
    with Prefetched(Broken(train_split, reading()), 1, 10) as batches:
        next(batches)
        deadline = time.monotonic() + 60
        while len(started) < 2 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert started == [0, 7]  # one ahead, not two
        next(batches)
        with pytest.raises(OSError, match="no such disk"):
            next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
    with pytest.raises(StopIteration):
        next(batches)


def write_units(directory):
    """One document of two units, three pieces each, in a row of 23 tokens, and a document as it is."""
    policy = {"rate": 1.0, "spm_rate": 0.0, "prefix": "<pre>", "middle": "<mid>", "suffix": "<suf>"}
    header = Header(
        tokenizer_sha256="0" * 64,
        vocabulary_size=50,
        context_length=24,
        special_ids={"<eos>": 0, "<bos>": 1, "<pad>": PADDING, "<pre>": 3, "<mid>": 4, "<suf>": 5},
        bos="<bos>",
        eos="<eos>",
        padding="<pad>",
        adds_bos=False,
        adds_eos=False,
        packing="best_fit",
        fill_in_the_middle=FillInTheMiddle(**policy),
        config_hash="test",
        split="train",
        bucket="code",
    )
    units, plain = [3, 10, 11, 4, 12, 13, 5, 14, 3, 20, 4, 21, 22, 5], [30, 31, 32, 33, 34, 35]
    keys = [bytes(16), bytes(range(16))]
    documents = pa.table(
        {
            "document": pa.array(keys, pa.binary(16)),
            "cluster": pa.array(keys, pa.binary(16)),
            "tokens": pa.array([units, plain], pa.list_(pa.uint16())),
            "pieces": pa.array([[3, 3, 2, 2, 3, 1], []], pa.list_(pa.int64())),
            "suffix_first": pa.array([False, False]),
        }
    )
    directory.mkdir()
    write_manifest(directory, header.shared(), [write_shard(directory / "train-0.arrow", documents, header, seed=1)])
    return shards.read.open(directory).split("train")


def test_a_fill_in_the_middle_unit_is_one_document(tmp_path):
    split = write_units(tmp_path / "shards")
    assert [split.pieces(0)["kind"].tolist().count(kind) for kind in (FILL_IN_THE_MIDDLE, WHOLE)] == [6, 1]
    batch = read_batch(split, np.array([0]))
    inputs, targets = batch.inputs[0].tolist(), batch.targets[0].tolist()
    units = {3: (10, 11, 5, 14, 4, 12, 13), 20: ()}
    first = inputs.index(10) - 1
    assert inputs[first : first + 8] == [3, *units[3]]
    assert targets[first : first + 8] == [*units[3], IGNORE]
    assert batch.positions[0, first : first + 8].tolist() == list(range(8))
    second = inputs.index(20) - 1
    assert inputs[second : second + 6] == [3, 20, 5, 4, 21, 22]
    assert batch.positions[0, second : second + 6].tolist() == list(range(6))
    assert len(set(batch.documents[0].tolist()) - {0}) == 3
    assert targets[inputs.index(35)] == IGNORE


def test_rows_of_padding_are_harmless(config, corpus):
    """What `remove` may leave: rows without a document, alone or beside others, give no NaN and change no loss."""
    split = shards.read.open(corpus / "shards").split("train")
    batch = read_batch(split, np.arange(2))
    padding = Batch(
        torch.full_like(batch.inputs, PADDING),
        torch.full_like(batch.targets, IGNORE),
        torch.zeros_like(batch.documents),
        torch.zeros_like(batch.positions),
    )
    both = Batch(*(torch.cat(pair) for pair in zip(batch, padding)))
    found = []
    for each in (batch, both, padding):
        model = Decoder(config.model, 320, seed=1)
        optimizers = build_optimizers(model, config.optimizer)
        found.append(update(model, optimizers, each, 1, 1.0, precision_of(torch.device("cpu"))))
        assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[2] == (0, 0)


def test_a_token_outside_the_vocabulary_names_the_file(corpus, tmp_path):
    shutil.copytree(corpus / "shards", tmp_path / "shards")
    path = tmp_path / "shards" / "train-river-00000.arrow"
    data = pa.py_buffer(path.read_bytes())
    tokens = pa.ipc.open_file(data).get_batch(0).column("tokens").values.buffers()[1]
    damaged = bytearray(data.to_pybytes())
    damaged[tokens.address - data.address + 1] = 0xFF
    path.write_bytes(damaged)
    split = shards.read.open(tmp_path / "shards").split("train")
    with pytest.raises(ShardError, match=r"train-river-00000\.arrow: row 0 holds token 65\d+ of a vocabulary of 320"):
        read_batch(split, np.arange(len(split)))
