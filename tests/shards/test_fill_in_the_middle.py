from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fill_cases import BYTE_LENGTHS, as_units, cut, decode, encode, fill_header, fill_table, plain
from hypothesis import given
from hypothesis import strategies as st
from shard_cases import make_id, reseal

from shards.fill_in_the_middle import cut_points, draw, units
from shards.format import FILL_IN_THE_MIDDLE, FillInTheMiddle, Header
from shards.manifest import write_manifest
from shards.packing_report import read_layout, report
from shards.read import open as open_shards
from shards.verify import verify
from shards.write import write_shard

TEXTS = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("aab\n")), min_size=1, max_size=120)
BOS, EOS, PREFIX, MIDDLE, SUFFIX = 0, 1, 3, 4, 5


@given(TEXTS, st.integers(8, 60), st.integers(0, 3), st.booleans(), st.booleans())
def test_units_are_the_text(text: str, context: int, seed: int, adds_bos: bool, adds_eos: bool) -> None:
    header = fill_header(context_length=context, adds_bos=adds_bos, adds_eos=adds_eos)
    found = as_units("a", text, header, seed)
    assert decode(found.tokens.tolist()) == text
    assert sum(found.pieces) == len(found.tokens)
    for prefix, middle, suffix in cut(found):
        assert len(prefix) + len(middle) + len(suffix) <= header.width
        before, after = [BOS] * adds_bos, [EOS] * adds_eos
        assert prefix[: 1 + adds_bos * (not found.suffix_first)] == [*before * (not found.suffix_first), PREFIX]
        assert suffix[: 1 + adds_bos * found.suffix_first] == [*before * found.suffix_first, SUFFIX]
        assert middle[0] == MIDDLE
        assert middle[len(middle) - adds_eos :] == after
        for piece in (prefix, middle, suffix):
            decode(piece)  # cut at characters, not within one
        assert decode(middle)


def test_a_long_text_fills_its_units() -> None:
    text = "".join(map(str, range(3000)))
    found = as_units("a", text, fill_header(context_length=255))
    sizes = [sum(map(len, unit)) for unit in cut(found)]
    assert min(sizes[:-1]) > 256 - 12


def test_a_text_that_needs_many_more_tokens_in_pieces_still_fits() -> None:
    def greedy(texts: list[str]) -> list[np.ndarray]:
        """A text of the whole length is one token a character, a shorter one three."""
        return [np.repeat(np.frombuffer(text.encode(), np.uint8), 1 if len(text) > 40 else 3) for text in texts]

    header = fill_header(context_length=63)
    text = "x" * 100
    found = units(make_id(1), text, np.arange(100), np.ones(100, np.int64), greedy, header, 0)
    assert all(sum(map(len, unit)) <= 64 for unit in cut(found))
    assert len(cut(found)) > 2


def test_what_cannot_be_done_is_said() -> None:
    header = fill_header(context_length=8)
    with pytest.raises(ValueError, match="not the bytes"):
        units(make_id(1), "ab", encode(["a"])[0], BYTE_LENGTHS, encode, header, 0)
    with pytest.raises(ValueError, match="5 tokens does not fit"):
        units(make_id(1), "a", encode(["a"])[0], BYTE_LENGTHS, lambda t: [np.arange(5 * len(x)) for x in t], header, 0)


def test_cut_points_are_uniform() -> None:
    for characters in (1, 2, 4):
        pairs = [(a, b) for b in range(characters + 1) for a in range(b)]
        found = Counter(cut_points(make_id(i), 0, characters, 7) for i in range(600 * len(pairs)))
        assert set(found) == set(pairs)
        assert sum((count - 600) ** 2 / 600 for count in found.values()) < 30
    assert len({cut_points(make_id(1), start, 1000, 7) for start in range(100)}) > 90


def test_a_hash_draws_the_shares() -> None:
    policy = FillInTheMiddle(rate=0.3, spm_rate=0.25, prefix="<prefix>", middle="<middle>", suffix="<suffix>")
    drawn = Counter(draw(make_id(i), fill_header(fill_in_the_middle=policy), 5) for i in range(20_000))
    assert drawn[None] / 20_000 == pytest.approx(0.7, abs=0.015)
    assert drawn[True] / 20_000 == pytest.approx(0.3 * 0.25, abs=0.01)
    every = FillInTheMiddle(**{**policy.model_dump(), "rate": 1.0, "spm_rate": 1.0})
    none = FillInTheMiddle(**{**policy.model_dump(), "rate": 0.0})
    assert all(draw(make_id(i), fill_header(fill_in_the_middle=every), 5) is True for i in range(500))
    assert all(draw(make_id(i), fill_header(fill_in_the_middle=none), 5) is None for i in range(500))


def write(folder: Path, texts: list[str], as_they_are: set[int], seed: int = 0, **changes: object) -> Header:
    header = fill_header(**changes)
    made = [plain(t, header) if i in as_they_are or not t else as_units(i, t, header) for i, t in enumerate(texts)]
    entry = write_shard(folder / "a.arrow", fill_table(made), header, seed)
    write_manifest(folder, header.shared(), [entry])
    return header


@given(
    st.lists(TEXTS, max_size=12),
    st.sets(st.integers(0, 11)),
    st.sampled_from(["best_fit", "one_per_row"]),
    st.integers(8, 40),
    st.booleans(),
    st.booleans(),
)
def test_rows_hold_the_texts(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    as_they_are: set[int],
    packing: str,
    context: int,
    adds_bos: bool,
    adds_eos: bool,
) -> None:
    folder = tmp_path_factory.mktemp("set")
    header = write(
        folder, texts, as_they_are, packing=packing, context_length=context, adds_bos=adds_bos, adds_eos=adds_eos
    )
    assert verify(folder) == []
    pieces: dict[bytes, list[tuple[int, int, list[int]]]] = {}
    rows = pa.ipc.open_file((folder / "a.arrow").read_bytes()).read_all().to_pylist()
    for row in rows:
        in_unit = [p for p in row["pieces"] if p["kind"] == FILL_IN_THE_MIDDLE]
        for i in range(0, len(in_unit), 3):
            unit = in_unit[i : i + 3]
            assert len({p["document"] for p in unit}) == 1
            order = [row["tokens"][p["start"] + (adds_bos and p is unit[0])] for p in unit]
            assert order in ([PREFIX, SUFFIX, MIDDLE], [SUFFIX, PREFIX, MIDDLE])
        for p in row["pieces"]:
            tokens = row["tokens"][p["start"] : p["start"] + p["length"]]
            pieces.setdefault(p["document"], []).append((p["offset"], p["kind"], tokens))
    for i, text in enumerate(texts):
        if i in as_they_are and packing == "one_per_row":
            continue  # its end may be dropped
        if text or adds_bos or adds_eos:
            found = sorted(pieces[make_id(i)])
            assert decode([token for _, _, tokens in found for token in tokens]) == text
            assert {kind == FILL_IN_THE_MIDDLE for _, kind, _ in found} == {i not in as_they_are}
    facts = report(read_layout(folder / "a.arrow"))
    assert facts.middle_last == len(texts) - len(as_they_are & set(range(len(texts))))
    assert facts.rows * header.width == facts.tokens + facts.padding


LONG = ["some words, and then " * 3, "short", "another text of a document", "x"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, LONG, {1}, context_length=39)
    assert verify(tmp_path) == []
    return tmp_path


def change(table: pa.Table, what: str) -> pa.Table:
    rows = table.to_pylist()
    row = next(row for row in rows if sum(p["kind"] == FILL_IN_THE_MIDDLE for p in row["pieces"]) >= 3)
    unit = [p for p in row["pieces"] if p["kind"] == FILL_IN_THE_MIDDLE][:3]
    first = unit[0]
    if what == "order":  # the middle comes first: pieces and tokens agree, the order is wrong
        old = [row["tokens"][p["start"] : p["start"] + p["length"]] for p in unit]
        at = first["start"]
        for p, tokens in [(unit[2], old[2]), (unit[0], old[0]), (unit[1], old[1])]:
            row["tokens"][at : at + len(tokens)] = tokens
            p["start"] = at
            at += len(tokens)
        row["pieces"].sort(key=lambda p: p["start"])
    elif what == "sentinel":
        row["tokens"][unit[2]["start"]] = 99
    elif what == "another sentinel":
        row["tokens"][unit[2]["start"]] = PREFIX
    elif what == "inside":
        row["tokens"][unit[2]["start"] + 1] = MIDDLE
    elif what == "kind":
        first["kind"] = 1
    elif what == "eos":
        row["tokens"][unit[2]["start"] + unit[2]["length"] - 1] = 99
    elif what == "bos":
        row["tokens"][first["start"]] = 99
    return pa.Table.from_pylist(rows, table.schema)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("order", "pieces of a fill-in-the-middle unit in the wrong order: document"),
        ("sentinel", "does not begin with its sentinel (1 times)"),
        ("another sentinel", "does not begin with its sentinel (1 times)"),
        ("inside", "not at a document's border (1 times)"),
        ("kind", "pieces of the wrong kind: document"),
        ("eos", "does not end with the eos token (1 times)"),
        ("bos", "does not begin with the bos token (1 times)"),
    ],
)
def test_faults_of_a_writer_are_found(folder: Path, what: str, message: str) -> None:
    reseal(folder, "a.arrow", lambda table: change(table, what))
    problems = [problem.what for problem in verify(folder)]
    assert any(message in problem for problem in problems), problems


def test_the_header_says_it_or_has_no_such_key(tmp_path: Path) -> None:
    header = write(tmp_path, LONG, set())
    assert open_shards(tmp_path).header.fill_in_the_middle == header.fill_in_the_middle
    without = fill_header(fill_in_the_middle=None)
    assert "fill_in_the_middle" not in without.model_dump()
    assert b"gristmill.fill_in_the_middle" not in without.to_arrow().metadata
    assert set(header.to_arrow().metadata) - set(without.to_arrow().metadata) == {b"gristmill.fill_in_the_middle"}


def test_a_file_that_has_units_is_none_of_a_set_that_has_not(tmp_path: Path) -> None:
    header = write(tmp_path, LONG, set())
    entry = write_shard(tmp_path / "a.arrow", fill_table([as_units(0, LONG[0], header)]), header, 0)
    write_manifest(tmp_path, header.shared().model_copy(update={"fill_in_the_middle": None}), [entry])
    assert any("fill_in_the_middle" in problem.what for problem in verify(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"packing": "concatenate"}, "concatenate would cut"),
        ({"special_ids": {"<bos>": 0, "<eos>": 1, "<padding>": 2, "<prefix>": 3, "<middle>": 4}}, "'<suffix>' is not"),
        ({"bos": "<prefix>"}, "must be its own"),
    ],
)
def test_headers_that_contradict_themselves(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fill_header(**changes)
