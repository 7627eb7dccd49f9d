"""The benchmark of packing: which texts it takes, what it hands to peers, and what it says of their figures."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards.format import SetHeader
from shards.read import open as open_shards


@pytest.fixture(scope="module")
def benchmarks():
    """Imports a module of the benchmarks by its name."""
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    yield importlib.import_module
    sys.path.remove(folder)


def texts_of(corpus, number: int) -> list:
    texts = [f"text {i} " + "é" * (100 + i % 300) for i in range(number)]
    return [corpus.Text(corpus.ORIGINS[i % 3 == 0], str(i), text, len(text.encode())) for i, text in enumerate(texts)]


def test_the_chosen_files_hold_the_first_texts_up_to_the_size(benchmarks, monkeypatch, tmp_path):
    corpus = benchmarks("pack_corpus")
    monkeypatch.setattr(corpus, "RANGE_BYTES", 5_000)
    texts = texts_of(corpus, 300)
    total = sum(text.size for text in texts)
    corpus.write(tmp_path, texts)
    for size in (1, 5_000, 20_000, total, total + 1):
        files, facts = corpus.choose(tmp_path, size)
        found = [row for paths in files.values() for path in paths for row in pq.read_table(path).to_pylist()]
        first = texts[: len(found)]
        assert sorted(row["text"] for row in found) == sorted(text.text for text in first)
        held = sum(text.size for text in first)
        assert held == total if size > total else size <= held < size + 2 * 5_000
        assert sum(fact["documents"] for fact in facts.values()) == len(found)
        assert facts["source"]["megabytes"] == round(sum(t.size for t in first if t.origin == "source") / 1e6, 1)


def test_peers_read_the_corpus_or_an_even_part_of_it(benchmarks, monkeypatch, tmp_path):
    pack = benchmarks("peers.pack_texts")
    monkeypatch.setattr(pack, "CHUNK_BYTES", 1_000)
    corpus = [f"text {i} " + "ß" * (i % 97) for i in range(400)]
    for i in range(2):
        folder = tmp_path / "output" / "corpus" / "split=train" / f"source={i}"
        folder.mkdir(parents=True)
        half = corpus[200 * i : 200 * (i + 1)]
        pq.write_table(pa.table({"doc_id": list(map(str, range(200))), "text": half}), folder / "0.parquet")
    everything, part = pack.write_texts(tmp_path / "output", tmp_path / "work", 10_000)
    found = []
    for texts in (everything, part):
        rows = [text for path in texts.folder.glob("*.parquet") for text in pq.read_table(path)["text"].to_pylist()]
        lines = [json.loads(line)["text"] for line in (texts.folder / "texts.jsonl").open(encoding="utf-8")]
        assert sorted(rows) == sorted(lines)
        assert (texts.documents, texts.bytes) == (len(rows), sum(len(text.encode()) for text in rows))
        found.append(set(rows))
    assert found[0] == set(corpus)
    assert found[1] < found[0]
    assert 8_000 < part.bytes < 12_000
    halves = [len(found[1] & set(corpus[200 * i : 200 * (i + 1)])) for i in range(2)]
    assert min(halves) > 0.3 * sum(halves)


def test_megatrons_index_says_where_each_document_lies(benchmarks, tmp_path):
    megatron = benchmarks("peers.run_megatron_style")
    documents = [[5, 1, 0], [0], list(range(300))]
    assert megatron.write(tmp_path / "corpus", iter(documents), np.dtype(np.uint16)) == 304
    index = (tmp_path / "corpus.idx").read_bytes()
    assert index[:34] == b"MMIDIDX\0\0" + (1).to_bytes(8, "little") + b"\x08" + bytes([3, *[0] * 7, 4, *[0] * 7])
    lengths, pointers = np.frombuffer(index, np.int32, 3, 34), np.frombuffer(index, np.int64, 3, 46)
    assert np.frombuffer(index, np.int64, offset=70).tolist() == [0, 1, 2, 3]
    tokens = (tmp_path / "corpus.bin").read_bytes()
    found = [np.frombuffer(tokens, np.uint16, n, at).tolist() for n, at in zip(lengths, pointers)]
    assert found == documents


def test_many_shards_are_a_set_that_opens(benchmarks, tmp_path):
    shared = SetHeader(
        tokenizer_sha256="0" * 64,
        vocabulary_size=512,
        context_length=8,
        special_ids={"<end>": 0, "<begin>": 1, "<padding>": 2},
        bos="<begin>",
        eos="<end>",
        padding="<padding>",
        adds_bos=True,
        adds_eos=True,
        packing="concatenate",
        config_hash="none",
    )
    benchmarks("peers.read_shards").many(tmp_path / "many", shared, 20)
    train = open_shards(tmp_path / "many").split("train")
    assert train.rows(range(20)).tolist() == 20 * [[1, *[100] * 7, 0]]


def outcome(pack, seconds: float, tokens: int, told: dict | None = None):
    took = importlib.import_module("peers.process").Measured(seconds + 1, 2 * seconds, 100.0)
    return pack.Outcome(took, seconds, tokens, {"it": "1"}, told or {})


def test_speeds_are_compared_by_megabytes_and_a_failure_leaves_the_others_theirs(benchmarks, tmp_path):
    pack = benchmarks("tokenize_pack")
    everything, part = pack.Texts(tmp_path, 10, 100_000_000), pack.Texts(tmp_path, 5, 50_000_000)
    parts = {"encode": {"seconds": 20.0}, "pack": {"seconds": 1.0}}
    facts = pack.Facts(2)

    def fails(_: object) -> None:
        raise pack.Failed("pip: no such version")

    facts.attempt("loop", everything, lambda _: outcome(pack, 20.0, 70))
    facts.attempt("ours", everything, lambda _: outcome(pack, 25.0, 70, parts))
    facts.attempt("megatron_style", part, fails)
    facts.attempt("datatrove", part, lambda _: outcome(pack, 25.0, 35))
    page = facts.page()
    assert (page["ours_mb_per_second"], page["datatrove_mb_per_second"]) == (4.0, 2.0)
    assert (page["ratio"], page["share_of_loop"], page["packing_share"]) == (2.0, 0.8, 0.05)
    assert (page["ratio_to_megatron_style"], page["megatron_style_mb_per_second"]) == (None, None)
    assert page["failed"] == {"megatron_style": "Failed: pip: no such version"}
    assert page["fast_over_loop"] is None
    assert page["same_tokens"]
    facts.attempt("loop_threads", part, lambda _: outcome(pack, 9.0, 34))
    assert not facts.page()["same_tokens"]
