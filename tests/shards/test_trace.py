from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fill_cases import FIRST, as_units, fill_header, fill_table
from hypothesis import given
from hypothesis import strategies as st
from shard_cases import BOS, EOS, make_id, make_set, reseal

from shards import read
from shards.format import ShardError
from shards.manifest import write_manifest
from shards.trace import PADDING, SPECIAL, TEXT, document_tokens, span, trace
from shards.write import write_shard


def test_every_token_of_a_set_leads_to_its_document(shard_set: Path) -> None:
    """Every place, against the pieces as lists."""
    shards = read.open(shard_set)
    roles = {TEXT: 0, SPECIAL: 0, PADDING: 0}
    for name in shards.manifest.splits:
        split = shards.split(name)
        for row in range(len(split)):
            owner = {
                int(piece["start"]) + i: (piece["document"].tobytes().hex(), int(piece["offset"]) + i)
                for piece in split.pieces(row)
                for i in range(int(piece["length"]))
            }
            for position, token in enumerate(split.row(row).tolist()):
                found = trace(shards, name, row, position)
                assert (found.document, found.offset) == owner.get(position, (None, None))
                assert found.token == token
                assert found.special == {BOS: "<bos>", EOS: "<eos>", 2: "<padding>"}.get(token)
                roles[found.role] += 1
                if found.document is not None:
                    own = document_tokens(split.locate(row)[0], found.document)
                    assert own[found.offset] == token
    assert roles[PADDING] == sum(totals.padding for totals in shards.manifest.splits.values())
    assert roles[SPECIAL] == 2 * sum(totals.documents for totals in shards.manifest.splits.values())


def test_what_is_not_there(shard_set: Path) -> None:
    shards = read.open(shard_set)
    with pytest.raises(KeyError, match="no split 'dev'"):
        trace(shards, "dev", 0, 0)
    with pytest.raises(IndexError, match="rows 0 to"):
        trace(shards, "train", 10_000, 0)
    with pytest.raises(IndexError, match="tokens 0 to 15"):
        trace(shards, "train", 0, 16)
    with pytest.raises(ShardError, match="no piece of document"):
        document_tokens(shards.split("train").files[0], "0" * 32)


def test_pieces_over_rows_are_put_together_in_the_order_of_their_offsets(tmp_path: Path) -> None:
    make_set(tmp_path)
    file = read.open(tmp_path).split("train").files[0]
    document = make_id("train-00000.arrow 4").hex()
    own = document_tokens(file, document)
    assert len(own) == 200
    assert (own[0], own[-1]) == (BOS, EOS)
    assert (own[1:-1] > 2).all()


# A byte-level vocabulary: special tokens, all bytes, and some tokens of several bytes, not all of them UTF-8.
SPELLING: list[bytes | None] = [
    None,
    None,
    None,
    *(bytes([b]) for b in range(256)),
    b"ab",
    b"\xc3\xa9",
    b"\x9f\x98",
    b" a",
]
LONG = {token: number for number, token in enumerate(SPELLING) if token is not None}


def encode(text: str, merge: list[bool]) -> list[int]:
    """Bytes as tokens, the longer tokens where `merge` says so."""
    data, out = text.encode(), []
    while data:
        pair = merge[len(out) % len(merge)] and data[:2] in LONG
        size = 2 if pair else 1
        out.append(LONG[data[:size]])
        data = data[size:]
    return out


@given(st.text(max_size=60), st.lists(st.booleans(), min_size=1), st.lists(st.integers(0, 60), max_size=4))
def test_a_token_stands_where_its_bytes_do(text: str, merge: list[bool], sentinels: list[int]) -> None:
    tokens = [BOS, *encode(text, merge), EOS]
    for place in sentinels:
        tokens.insert(1 + min(place, len(tokens) - 2), 2)  # as of fill-in-the-middle: it is no text
    owner = [i for i, character in enumerate(text) for _ in character.encode()]  # of each byte, its character
    done = 0
    for offset, token in enumerate(tokens):
        found = span(np.array(tokens), offset, SPELLING, text)
        if token < 3:
            assert found is None
            continue
        size = len(SPELLING[token] or b"")
        assert found is not None
        assert (found.first_byte, found.end_byte) == (done, done + size)
        assert (found.first, found.end) == (owner[done], owner[done + size - 1] + 1)
        assert text[found.characters].encode().find(SPELLING[token] or b"") >= 0
        done += size
    assert done == len(text.encode())


def test_another_text_is_not_the_document_s(tmp_path: Path) -> None:
    tokens = np.array([BOS, *encode("some text", [True]), EOS])
    assert span(tokens, 5, SPELLING, "some text") is not None
    assert span(tokens, 5, SPELLING, "somX text") is None
    assert span(tokens, 5, SPELLING, "som") is None


def test_a_set_whose_pieces_leave_a_gap(shard_set: Path) -> None:
    def without_a_piece(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        for row in rows:
            row["pieces"] = [piece for piece in row["pieces"] if piece["offset"] != 11]
        return pa.Table.from_pylist(rows, table.schema)

    reseal(shard_set, "train-00000.arrow", without_a_piece)
    file = read.open(shard_set).split("train").files[0]
    with pytest.raises(ShardError, match="leave a gap"):
        document_tokens(file, make_id("train-00000.arrow 1").hex())


@given(st.lists(st.text(st.sampled_from("aabbcé👩 "), min_size=1, max_size=80), min_size=1, max_size=4))
def test_documents_with_their_middle_last(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """A document's text tokens, in the order of their offsets, are its text; its sentinels stand nowhere in it."""
    directory = tmp_path_factory.mktemp("set")
    header = fill_header()
    table = fill_table([as_units(i, text, header) for i, text in enumerate(texts)])
    write_manifest(directory, header.shared(), [write_shard(directory / "a.arrow", table, header, 0)])
    shards = read.open(directory)
    doubled = [bytes([byte]) * times for times in (1, 2) for byte in range(256)]
    covered: dict[str, dict[int, bytes]] = {}
    for row in range(len(shards.split("train"))):
        for position in range(header.width):
            found = trace(shards, "train", row, position)
            if found.document is None:
                continue
            own = document_tokens(shards.split("train").locate(row)[0], found.document)
            text = next(text for i, text in enumerate(texts) if make_id(i).hex() == found.document)
            place = span(own, found.offset, [*[None] * FIRST, *doubled], text)
            assert (place is None) == (found.role == SPECIAL)
            if place is not None:
                piece = covered.setdefault(found.document, {})
                piece[place.first_byte] = text.encode()[place.first_byte : place.end_byte]
    for i, text in enumerate(texts):
        own_pieces = covered[make_id(i).hex()]
        assert b"".join(own_pieces[at] for at in sorted(own_pieces)).decode() == text
