import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from shard_cases import make_header

from shards.format import Header, ShardError
from shards.ids import id_pairs, pair_hex, unique_pairs


@pytest.mark.parametrize(
    ("vocabulary", "dtype"), [(1, None), (3, np.uint16), (65_536, np.uint16), (65_537, np.uint32), (200_000, np.uint32)]
)
def test_dtype_follows_the_vocabulary(vocabulary: int, dtype: type | None) -> None:
    if dtype is None:
        with pytest.raises(ValidationError, match="outside the vocabulary of 1"):
            make_header(vocabulary_size=vocabulary)
        return
    header = make_header(vocabulary_size=vocabulary)
    assert header.dtype == dtype
    assert header.to_arrow().field("tokens").type.value_type == pa.from_numpy_dtype(dtype)


def test_header_survives_arrow_and_is_plain_json() -> None:
    header = make_header(bos=None, adds_bos=False, bucket="Bücher 📚")
    schema = header.to_arrow()
    assert Header.from_arrow(schema, "f") == header
    assert json.loads(schema.metadata[b"gristmill.special_ids"]) == header.special_ids
    assert json.loads(schema.metadata[b"gristmill.bos"]) is None
    assert {key.split(b".")[0] for key in schema.metadata} == {b"gristmill"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"padding": "<eos>"}, "padding"),
        ({"padding": "<none>"}, "padding"),
        ({"special_ids": {"<bos>": 0, "<eos>": 0, "<padding>": 2}}, "share an id"),
        ({"bos": None}, "adds_bos"),
        ({"format_version": 2}, "format_version"),
        ({"tokenizer_sha256": "abc"}, "tokenizer_sha256"),
        ({"context_length": 0}, "context_length"),
        ({"packing": "folding"}, "packing"),
        ({"colour": "red"}, "colour"),
        ({"vocabulary_size": "1000"}, "vocabulary_size"),
    ],
)
def test_wrong_headers_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_header(**changes)


def test_wrong_schemas_are_refused_by_name(tmp_path: Path) -> None:
    schema = make_header().to_arrow()
    metadata = schema.metadata
    cases = {
        "no metadata": schema.remove_metadata(),
        "not readable": schema.with_metadata({**metadata, b"gristmill.bucket": b"{"}),
        "not readable: ": schema.with_metadata({**metadata, b"gristmill.bucket": b"\xff"}),
        "config_hash: Field required": schema.with_metadata(
            {key: value for key, value in metadata.items() if key != b"gristmill.config_hash"}
        ),
        "extra_key: Extra inputs": schema.with_metadata({**metadata, b"gristmill.extra_key": b"1"}),
        "columns": schema.with_metadata({**metadata, b"gristmill.context_length": b"16"}),
    }
    for message, case in cases.items():
        with pytest.raises(ShardError, match=message) as caught:
            Header.from_arrow(case, "a.arrow")
        assert caught.value.file == "a.arrow"


def test_ids_sort_as_their_hex_digits() -> None:
    names = [bytes([255] * 16), bytes(16), bytes([0] * 15 + [1]), bytes([1] + [0] * 15), bytes(16)]
    pairs = id_pairs(np.frombuffer(b"".join(names), "V16"))
    assert [pair_hex(pair) for pair in pairs] == [name.hex() for name in names]
    assert [pair_hex(pair) for pair in unique_pairs(pairs)] == sorted({name.hex() for name in names})
