"""Documents taken out of shards: the loader reads the same rows, and those that are all padding have no targets."""

import shutil
from pathlib import Path

import numpy as np

from pretrain.data import IGNORE, read_batch
from shards import read
from shards.remove import remove
from shards.tombstones import Request


def test_rows_all_padding(corpus: Path, tmp_path: Path) -> None:
    directory = tmp_path / "shards"
    shutil.copytree(corpus / "shards", directory)
    before = read.open(corpus / "shards").split("train")
    gone = {piece["document"].tobytes().hex() for row in (0, 1, 5) for piece in before.pieces(row)}
    remove(directory, Request(tuple(sorted(gone))))
    after = read.open(directory).split("train")
    rows = np.arange(len(before))
    old, new = read_batch(before, rows), read_batch(after, rows)
    for row in rows.tolist():
        left = [piece for piece in after.pieces(row) if piece["document"].tobytes().hex() in gone]
        assert left == []
        if len(after.pieces(row)) == len(before.pieces(row)):
            assert (new.inputs[row] == old.inputs[row]).all()
            assert (new.targets[row] == old.targets[row]).all()
            assert (new.positions[row] == old.positions[row]).all()
    for row in (0, 1, 5):
        assert (new.targets[row] == IGNORE).all()
        assert (new.documents[row] == 0).all()
