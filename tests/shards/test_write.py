import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_cases import PADDING, make_header, make_id, make_table, make_tokens

from shards import write
from shards.write import write_shard


def put_back_together(path: Path, padding: int = PADDING) -> tuple[dict[bytes, list[int]], int]:
    """Documents of a shard by id, and its padding, read with pyarrow and plain Python alone."""
    documents: dict[bytes, dict[int, int]] = {}
    outside = 0
    for row in pa.ipc.open_file(path.read_bytes()).read_all().to_pylist():
        inside = set()
        for piece in row["pieces"]:
            for i in range(piece["length"]):
                place = piece["start"] + i
                assert place not in inside
                inside.add(place)
                tokens = documents.setdefault(piece["document"], {})
                assert piece["offset"] + i not in tokens
                tokens[piece["offset"] + i] = row["tokens"][place]
        rest = [token for i, token in enumerate(row["tokens"]) if i not in inside]
        assert set(rest) <= {padding}
        outside += len(rest)
    return {name: [tokens[i] for i in range(len(tokens))] for name, tokens in documents.items()}, outside


@given(
    st.lists(st.integers(0, 70), max_size=20),
    st.integers(1, 17),
    st.integers(0, 5),
    st.sampled_from([900, 70_000]),
    st.sampled_from(["concatenate", "best_fit", "one_per_row"]),
)
def test_every_document_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    context: int,
    seed: int,
    vocabulary: int,
    packing: str,
) -> None:
    path = tmp_path_factory.mktemp("shard") / "a.arrow"
    header = make_header(context_length=context, vocabulary_size=vocabulary, packing=packing)
    tokens = make_tokens(lengths, seed, vocabulary)
    entry = write_shard(path, make_table(tokens), header, seed)
    documents, padding = put_back_together(path)
    if packing == "one_per_row":
        tokens = [document[: context + 1] for document in tokens]
    assert documents == {make_id(i): document for i, document in enumerate(tokens) if document}
    assert (entry.padding, entry.tokens) == (padding, sum(map(len, tokens)))
    assert entry.rows * (context + 1) == entry.tokens + entry.padding
    assert entry.documents == len(documents)
    assert entry.bytes == path.stat().st_size
    assert entry.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_pyarrow_alone_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    write_shard(path, make_table(make_tokens([5, 40])), make_header(), 0)
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
        assert str(table.schema.field("tokens").type) == "fixed_size_list<item: uint16 not null>[16]"
        assert table.schema.metadata[b"gristmill.context_length"] == b"15"
        assert table.schema.metadata[b"gristmill.padding"] == b'"<padding>"'
        assert table.num_rows == 3


def test_the_same_documents_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "BATCH_BYTES", 100)  # several record batches
    table = make_table(make_tokens([30, 2, 500, 0, 17]))
    entries = [write_shard(tmp_path / "a.arrow", table, make_header(), 3)]
    forms = {
        "chunks": pa.concat_tables([table.slice(0, 2), table.slice(2)]),
        "slice": pa.concat_tables([make_table([[7, 8]], ["other"]), table]).combine_chunks().slice(1),
        "batch": table.to_batches()[0],
        "loose": table.cast(
            pa.schema([("document", pa.binary()), ("cluster", pa.binary()), ("tokens", pa.large_list(pa.int64()))])
        ),
    }
    for form, documents in forms.items():
        (tmp_path / form).mkdir()
        entries.append(write_shard(tmp_path / form / "a.arrow", documents, make_header(), 3))
    assert len({entry.digest for entry in entries}) == 1
    assert pa.ipc.open_file(str(tmp_path / "a.arrow")).num_record_batches > 5
    assert write_shard(tmp_path / "a.arrow", table, make_header(), 4).digest != entries[0].digest


def test_rows_are_shuffled_within_the_file(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.arrow", make_table(make_tokens([16 * 100])), make_header(), 1)
    pieces = pa.ipc.open_file((tmp_path / "a.arrow").read_bytes()).read_all()["pieces"].to_pylist()
    offsets = [row[0]["offset"] for row in pieces]
    assert offsets != sorted(offsets)
    assert sorted(offsets) == list(range(0, 1600, 16))


@pytest.mark.parametrize("tokens", [[], [[]], [[], []]])
def test_nothing_to_write(tmp_path: Path, tokens: list[list[int]]) -> None:
    entry = write_shard(tmp_path / "a.arrow", make_table(tokens), make_header(), 0)
    assert (entry.rows, entry.tokens, entry.padding, entry.documents) == (0, 0, 0, 0)
    assert pa.ipc.open_file(str(tmp_path / "a.arrow")).read_all().num_rows == 0


def test_wrong_documents_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    good = make_table([[0, 5, 1], [0, 6, 1]])
    floats = pa.array([[0.0], [1.0]], pa.list_(pa.float32()))
    cases = {
        "comes twice": make_table([[0, 5, 1], [0, 6, 1]], ["a", "a"]),
        "vocabulary of 1000": make_table([[0, 1000, 1], [0, 1]]),
        "tokens: 1 nulls": good.set_column(2, "tokens", pa.array([[1], None], pa.list_(pa.uint32()))),
        "1 null tokens": good.set_column(2, "tokens", pa.array([[1], [None]], pa.list_(pa.uint32()))),
        "an id outside": good.set_column(2, "tokens", pa.array([[1], [-1]], pa.list_(pa.int32()))),
        "instead of integers": good.set_column(2, "tokens", floats),
        "document: 1 nulls": good.set_column(0, "document", pa.array([None, bytes(16)], pa.binary(16))),
    }
    for message, table in cases.items():
        with pytest.raises(ValueError, match=message):
            write_shard(tmp_path / "a.arrow", table, make_header(), 0)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.arrow"
    old = write_shard(path, make_table(make_tokens([30])), make_header(), 0)

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(write, "_fill", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_shard(path, make_table(make_tokens([50])), make_header(), 0)
    assert [p.name for p in tmp_path.iterdir()] == ["a.arrow"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == old.digest


def test_fill_copies_across_dtypes() -> None:
    tokens = np.full((2, 4), 9, np.uint16)
    as_int64 = [np.array(column, np.int64) for column in ([0, 2], [0, 1], [1, 0], [2, 3])]
    write._fill(tokens, np.arange(5, dtype=np.int64), *as_int64)
    assert tokens.tolist() == [[9, 0, 1, 9], [2, 3, 4, 9]]
