"""The stage `pack`: buckets over signals, fill-in-the-middle, its checks, and the same bytes however it came about."""

import json
import shutil
from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pack_case import contents, make_config, make_corpus, run_pack
from pyarrow import ipc

from pipelines import buckets, datasets, encoded, pack, shard_stages, texts
from pipelines.errors import ConfigError, GristmillError
from pipelines.ledger import Stage
from shards.format import FILL_IN_THE_MIDDLE
from shards.pieces import pieces_by_row
from shards.read import open as open_shards
from shards.verify import verify
from tokenizer.encode import load

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def place(spark, tmp_path_factory):
    output = tmp_path_factory.mktemp("pack") / "output"
    return output, make_corpus(output)


@pytest.fixture(scope="module")
def finished(place):
    output, documents = place
    facts = run_pack(output, make_config())
    return output, documents, facts


@pytest.fixture
def again(place, tmp_path):
    """A corpus that nothing was packed of."""
    for name in ("corpus", "signals", "tokenizer"):
        shutil.copytree(place[0] / name, tmp_path / "again" / name)
    return tmp_path / "again"


def pieces_of(output: Path) -> dict[str, list[tuple[int, int, str, list[int]]]]:
    """By document: offset, kind, bucket and tokens of its pieces."""
    shards, found = open_shards(output / "shards"), {}
    for split in ("train", "validation", "test"):
        rows = shards.split(split)
        for i in range(len(rows)):
            bucket = rows.locate(i)[0].entry.bucket
            for piece in rows.pieces(i):
                tokens = rows.row(i)[piece["start"] : piece["start"] + piece["length"]].tolist()
                entry = (int(piece["offset"]), int(piece["kind"]), bucket, tokens)
                found.setdefault(piece["document"].tobytes().hex(), []).append(entry)
    return found


def test_pieces_in_the_order_of_offsets_are_the_texts(finished):
    output, documents, _ = finished
    assert verify(output / "shards") == []
    encoder = load(output / "tokenizer")
    special, found = set(encoder.special_ids.values()), pieces_of(output)
    assert set(found) == set(documents)
    for doc_id, pieces in found.items():
        tokens = [token for *_, tokens in sorted(pieces) for token in tokens if token not in special]
        assert encoder.decode(tokens) == documents[doc_id]["text"]


def test_half_of_the_code_has_its_middle_last(finished):
    output, documents, facts = finished
    counts = Counter(
        (documents[doc_id]["source"], pieces[0][1] == FILL_IN_THE_MIDDLE)
        for doc_id, pieces in pieces_of(output).items()
    )
    assert counts["web", True] == 0
    assert 0.3 < counts["modules", True] / (counts["modules", True] + counts["modules", False]) < 0.6
    assert sum(split["middle_last"] for split in facts["packing"].values()) == counts["modules", True]
    assert open_shards(output / "shards").header.fill_in_the_middle.rate == 0.5


def test_buckets_follow_signals(finished):
    output, documents, _ = finished
    for doc_id, pieces in pieces_of(output).items():
        row = documents[doc_id]
        expected = row["source"] + ("-long" if len(row["text"].split()) > 60 else "")
        assert {bucket for _, _, bucket, _ in pieces} == {expected}


def test_the_facts_are_those_of_the_shards(finished):
    output, documents, facts = finished
    manifest = json.loads((output / "shards" / "manifest.json").read_text())
    for split, totals in manifest["splits"].items():
        report = facts["packing"][split]
        assert {name: report[name] for name in ("rows", "tokens", "padding", "documents")} == {
            name: totals[name] for name in ("rows", "tokens", "padding", "documents")
        }
        assert report["rows"] * 65 == report["tokens"] + report["padding"]
        assert report["dropped"] == 0
    assert sum(report["documents"] for report in facts["packing"].values()) == len(documents)


def test_the_shuffle_is_global_and_seeded(finished, again):
    output, documents, _ = finished
    run_pack(again, make_config(seed=4))
    placed = []
    for folder in (output, again):
        files = open_shards(folder / "shards").split("train").files
        held = ((file.entry.name, pieces_by_row(file)[1]["document"].tolist()) for file in files)
        placed.append({id_.hex(): name for name, ids in held for id_ in ids})
    ids = {bucket: [] for bucket in ("modules-long", "web-long")}  # in the order of the corpus
    for doc_id, row in documents.items():
        bucket = row["source"] + ("-long" if len(row["text"].split()) > 60 else "")
        if row["split"] == "train" and bucket in ids:
            ids[bucket].append(doc_id)
    for bucket in ids.values():
        first, second = ([place[doc_id] for doc_id in bucket] for place in placed)
        shards = len(set(first))
        assert shards >= 3
        for half in (first[: len(first) // 2], first[len(first) // 2 :]):
            assert set(half) == set(first)  # wherever in the corpus a document lies, it may be in any shard
        for pairs in (list(pairwise(first)), list(zip(first, second))):  # neighbours, and another seed
            same = sum(a == b for a, b in pairs) / len(pairs)
            assert same == pytest.approx(1 / shards, abs=0.17)


@pytest.mark.parametrize(
    ("partitions", "task_bytes", "chunk_bytes"), [("1", 1, 10**9), ("7", 10**9, 1), ("2", 20_000, 30_000)]
)
def test_other_parallelism_and_another_place_the_same_bytes(
    spark, finished, again, monkeypatch, partitions, task_bytes, chunk_bytes
):
    monkeypatch.setattr(texts, "write", partial(texts.write, task_bytes=task_bytes))
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", partitions)
    try:
        facts = run_pack(again, make_config(chunk_bytes=chunk_bytes))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before)
    assert contents(again) == contents(finished[0])
    assert facts | {"engines": None} == finished[2] | {"engines": None}  # that counts tasks


class Killed(BaseException):
    """What no code of the project catches."""


@pytest.mark.parametrize("commits", [0, 1, 3])
def test_killed_between_chunks_and_started_again_the_same_bytes(finished, again, monkeypatch, commits):
    read, done = [], []
    write, commit = texts.write, Stage.commit
    monkeypatch.setattr(texts, "write", lambda *arguments: read.append(arguments[1]) or write(*arguments))
    with monkeypatch.context() as patch:

        def kill(self, *arguments):
            if len(done) == commits:
                raise Killed
            done.append(arguments)
            commit(self, *arguments)

        patch.setattr(Stage, "commit", kill)
        with pytest.raises(Killed):
            run_pack(again, make_config())
    assert len(read) == commits + 1
    assert not (again / "shards").exists()
    run_pack(again, make_config())
    assert contents(again) == contents(finished[0])
    chunks = list(datasets.by_size(datasets.files(again, "corpus"), 20_000))
    assert read[:commits] == chunks[:commits]
    assert read[commits + 1 :] == chunks[commits:], "what was committed is not encoded again"


def test_killed_while_shards_are_written(finished, again, monkeypatch):
    with monkeypatch.context() as patch:

        def kill(*arguments):
            raise Killed

        patch.setattr(shard_stages, "write_manifest", kill)
        with pytest.raises(Killed):
            run_pack(again, make_config())
    assert not (again / "shards").exists()
    with monkeypatch.context() as patch:
        patch.setattr(texts, "write", kill)  # nothing is left to encode
        run_pack(again, make_config())
    assert contents(again) == contents(finished[0])
    assert not (again / "tokens").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("limit", "documents were to be packed"),
        ("other tokens", "other tokens than the documents"),
        ("other document", "other tokens than the documents"),
    ],
)
def test_what_is_lost_or_changed_on_the_way_fails_the_job(again, monkeypatch, change, message):
    write = pack.write

    def damaged(spark, files, *arguments):
        table = ipc.open_file(files[0]).read_all()
        if change == "limit":
            table = table.slice(1)
        else:
            name, at = ("tokens", 2) if change == "other tokens" else ("document", 0)
            longest = pc.index(table["count"], pc.max(table["count"])).as_py()
            values = table[name].to_pylist()
            value = values[longest]  # two tokens, or two bytes of the id, change places
            size = 2 if name == "tokens" else 1
            first, second = value[at : at + size], value[at + size : at + 2 * size]
            assert first != second
            values[longest] = value[:at] + second + first + value[at + 2 * size :]
            column = table.schema.get_field_index(name)
            table = table.set_column(column, name, pa.array(values, pa.binary()))
        Path(files[0]).unlink()
        with ipc.new_file(files[0], table.schema) as writer:
            writer.write_table(table)
        return write(spark, files, *arguments)

    monkeypatch.setattr(pack, "write", damaged)
    with pytest.raises(GristmillError, match=message):
        run_pack(again, make_config(pack={"fill_in_the_middle": None}))
    assert not (again / "shards").exists()


def test_one_document_a_row_reports_the_loss(again, place):
    facts = run_pack(again, make_config(pack={"policy": "one_per_row", "fill_in_the_middle": None}))
    encoder = load(again / "tokenizer")
    for split, report in facts["packing"].items():
        rows = [row for row in place[1].values() if row["split"] == split]
        lengths = [len(encoder.encode(row["text"])) + 2 for row in rows]
        assert report["rows"] == report["documents"] == len(rows)
        assert report["dropped"] == sum(max(0, length - 65) for length in lengths) > 0
        assert report["truncated_documents"] == sum(length > 65 for length in lengths)
        assert report["tokens"] + report["dropped"] == sum(lengths)
    assert verify(again / "shards") == []


def test_units_in_rows_of_their_own_lose_nothing(again, place):
    settings = {"sources": ["web", "modules"], "rate": 1.0}
    facts = run_pack(again, make_config(pack={"policy": "one_per_row", "fill_in_the_middle": settings}))
    assert verify(again / "shards") == []
    empty = sum(not row["text"] for row in place[1].values())
    reports = facts["packing"].values()
    assert sum(report["dropped"] for report in reports) == 0
    assert sum(report["middle_last"] for report in reports) == len(place[1]) - empty
    assert {len(pieces) % 3 for pieces in pieces_of(again).values() if len(pieces) > 1} == {0}


@pytest.mark.parametrize(
    ("bucket", "message"),
    [
        ("quality.words", "too many buckets: 'quality.words' has more than 3 values, such as "),
        ("explode(array(1, 2))", "not what a document can be asked"),
    ],
)
def test_buckets_that_are_refused_before_a_text_is_encoded(again, monkeypatch, bucket, message):
    monkeypatch.setattr(buckets, "MAX_BUCKETS", 3)
    with pytest.raises(ConfigError, match=message):
        run_pack(again, make_config(pack={"bucket": bucket}))
    assert not (again / "tokens").exists()


def test_documents_without_a_value_are_in_a_bucket_too(again):
    run_pack(again, make_config(pack={"bucket": "if(source = 'web', '', meta['nothing'])"}))
    assert {bucket for pieces in pieces_of(again).values() for _, _, bucket, _ in pieces} == {"none"}


def test_a_tokenizer_without_sentinels_is_refused(spark, tmp_path):
    make_corpus(tmp_path, sentinels=False)
    with pytest.raises(ConfigError, match=r"no special token '<\|fim_prefix\|>'"):
        run_pack(tmp_path, make_config())
    facts = run_pack(tmp_path, make_config(pack={"fill_in_the_middle": None}))
    assert sum(split["middle_last"] for split in facts["packing"].values()) == 0


def test_a_tokenizer_whose_tokens_are_not_the_texts_bytes_is_refused(again):
    path = again / "tokenizer" / "tokenizer.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "normalizer": {"type": "NFC"}}))
    with pytest.raises(ConfigError, match="the tokenizer normalizes"):
        run_pack(again, make_config())
    vocabulary = {token["content"]: token["id"] for token in content["added_tokens"]}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<|endoftext|>"}
    path.write_text(json.dumps({**content, "model": model}))
    with pytest.raises(ConfigError, match="WordLevel model, not a byte-level BPE"):
        run_pack(again, make_config())


@pytest.mark.parametrize("engine", ["fastokens", "reference"])
def test_any_engine_gives_the_same_bytes_and_is_named(finished, again, engine):
    if engine != "reference":
        pytest.importorskip(engine)
    engines = run_pack(again, make_config(pack={"engine": engine}))["engines"]
    assert contents(again) == contents(finished[0])
    assert engines["tasks"].keys() == {engine}
    assert engines["differed"] == 0
    assert (engines["compared"] > 0) == (engine != "reference")


def test_a_chunk_in_which_an_engine_differed_is_encoded_again(finished, again, monkeypatch):
    asked, real = [], texts.write

    def write(spark, files, staging, prefix, transform, arguments, **options):
        rows = real(spark, files, staging, prefix, transform, arguments, **options)
        if transform == "pipelines.encode:encoder":
            asked.append(arguments["engine"])
            if arguments["engine"] != "reference":
                lie = {"engine": "reference", "compared": 9, "differed": 1, "reasons": ["it said otherwise"]}
                table = pa.table({"report": [json.dumps({**lie, "sums": []})]}, encoded.SCHEMA)
                pq.write_table(table, staging / encoded.DATASET / "lie.parquet")
                for file in (staging / "tokens").rglob("*.arrow"):
                    file.write_bytes(b"tokens of another kind")
        return rows

    monkeypatch.setattr(texts, "write", write)
    engines = run_pack(again, make_config(pack={"engine": "auto"}))["engines"]
    chunks = len(asked) // 2
    assert chunks > 1
    assert asked == ["auto", "reference"] * chunks
    assert contents(again) == contents(finished[0])
    assert engines["differed"] == chunks
    assert "it said otherwise" in engines["reasons"]
