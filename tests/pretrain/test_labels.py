"""Scores by label: exact sums over the documents' tokens, from the tables that a run leaves."""

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import shards.read
from pretrain.cli import app
from pretrain.data import IGNORE, read_batch
from pretrain.evaluate import score
from pretrain.inputs import open_inputs
from pretrain.labels import NONE, documents_in, read_labels, score_by_label
from pretrain.train import run
from shards.pieces import pieces_by_row


def by_input(batch) -> np.ndarray:
    """A predictor whose nats tell tokens apart."""
    return 1.0 + batch.inputs.numpy() % 7 / 3


def test_sums_are_those_of_the_documents(corpus):
    inputs = open_inputs(corpus / "shards", corpus / "tokenizer")
    split = shards.read.open(corpus / "shards").split("validation")
    rows = np.arange(len(split))
    documents = sorted(documents_in(split, rows))
    labels = {document: "ab"[i % 2] for i, document in enumerate(documents) if i % 5}
    found = score_by_label(by_input, split, rows, inputs.token_bytes, 3, labels)
    assert list(found) == [NONE, "a", "b"]
    expected = {label: np.zeros(4) for label in found}
    for row in rows.tolist():
        batch = read_batch(split, np.array([row]))
        targets, nats = batch.targets.numpy()[0], by_input(batch)[0]
        owner = {}
        for piece in split.pieces(row):
            for token in range(piece["start"], piece["start"] + piece["length"]):
                owner[token] = labels.get(piece["document"].tobytes().hex(), NONE)
        for i, target in enumerate(targets.tolist()):
            if target != IGNORE:
                size = int(inputs.token_bytes[target])
                expected[owner[i + 1]] += [nats[i], 1, nats[i] if size else 0, size]
    for label, (all_nats, targets, text_nats, size) in expected.items():
        assert found[label]["targets"] == targets
        assert found[label]["bytes"] == size
        assert found[label]["loss"] == pytest.approx(all_nats / targets)
        assert found[label]["bits_per_byte"] == pytest.approx(text_nats / size / math.log(2))
    whole = score(by_input, split, rows, inputs.token_bytes, 3)
    assert sum(part["targets"] for part in found.values()) == whole["targets"]
    assert sum(part["bytes"] for part in found.values()) == whole["bytes"]


def test_the_command_line(corpus, config, tmp_path):
    for name in ("shards", "tokenizer"):
        (tmp_path / name).symlink_to(corpus / name)
    run(config.model_copy(update={"steps": 3}), corpus / "shards", corpus / "tokenizer", tmp_path)
    split = shards.read.open(corpus / "shards").split("validation")
    mill, river = (
        sorted(
            {d.hex() for f in split.files if f.entry.bucket == bucket for d in pieces_by_row(f)[1]["document"].tolist()}
        )
        for bucket in ("mill", "river")
    )
    languages = tmp_path / "signals" / "language" / "source=web"
    languages.mkdir(parents=True)
    pq.write_table(
        pa.table({"doc_id": [*mill, *river], "code": ["eng"] * len(mill) + ["deu"] * len(river)}),
        languages / "0.parquet",
    )
    for bucket, ids in (("mill", mill), ("river", river)):
        folder = tmp_path / "corpus" / "split=validation" / f"source=of-{bucket}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"doc_id": ids}), folder / "0.parquet")
    own = tmp_path / "own.parquet"
    pq.write_table(pa.table({"doc_id": mill, "label": ["mine"] * len(mill)}), own)

    def scores(by: object) -> dict:
        result = CliRunner().invoke(app, ["evaluate", str(tmp_path), "--by", str(by), "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    for by, names in (("language", ["eng", "deu"]), ("source", ["of-mill", "of-river"]), (own, ["mine", NONE])):
        found = scores(by)
        for bucket, name in zip(("mill", "river"), names):
            theirs, ours = found["by"][name], found["buckets"][bucket]
            assert theirs["targets"] == ours["targets"]
            assert theirs["bits_per_byte"] == pytest.approx(ours["bits_per_byte"])
    text = CliRunner().invoke(app, ["evaluate", str(tmp_path), "--by", "language"]).stdout
    assert "language deu: " in text
    foreign, torn = tmp_path / "foreign.parquet", tmp_path / "torn.parquet"
    pq.write_table(pa.table({"doc_id": ["0" * 32], "label": ["mine"]}), foreign)
    pq.write_table(pa.table({"doc_id": mill * 2, "label": ["mine"] * len(mill) + ["yours"] * len(mill)}), torn)
    for by, message in (
        ("nowhere.parquet", "no Parquet files"),
        (str(foreign), "has a label for none of the held-out documents"),
        (str(torn), "as mine and as yours"),
        (str(languages / "0.parquet"), "no table of doc_id and label"),
    ):
        result = CliRunner().invoke(app, ["evaluate", str(tmp_path), "--by", by])
        assert (result.exit_code, message in result.output) == (2, True), result.output


def test_only_what_is_asked_for_is_read(tmp_path):
    pq.write_table(
        pa.table({"doc_id": ["0" * 32, "1" * 32, "2" * 32], "label": ["a", None, "b"]}), tmp_path / "t.parquet"
    )
    assert read_labels(tmp_path, str(tmp_path / "t.parquet"), ["0" * 32, "1" * 32]) == {"0" * 32: "a"}
