import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from look_cases import make_run, make_tokenizer
from real_data import DATA, MISSING
from rich.console import Console
from shard_cases import make_id
from typer.testing import CliRunner

from shards import read
from shards.cli import app
from shards.show import Shower, as_text, rows_of_document

run = CliRunner().invoke
HOSTILE = "\x1b[31mred\x07 \u202eevil\u2066 [bold] <eos> <script>"
DOCUMENTS = [
    ("train", "web", "eng", "Grüße [bold]"),
    ("train", "web", "eng", HOSTILE),
    ("train", "web", "eng", "a long one, " * 20),
    ("validation", "web", "jpn", "吾輩は猫である。"),
]


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", DOCUMENTS)


def shown_rows(directory: Path, *arguments: str) -> list[dict]:
    result = run(app, ["show", str(directory), *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["rows"]


def test_rows_hold_the_documents(run_directory: Path) -> None:
    rows = shown_rows(run_directory, "--rows", "99")
    pieces = sorted((piece for row in rows for piece in row["pieces"]), key=lambda p: (p["document"], p["offset"]))
    for i in range(3):
        text = "".join(piece["text"] for piece in pieces if piece["document"] == make_id(i).hex())
        assert text == f"<bos>{DOCUMENTS[i][3]}<eos>"
    assert sum(row["padding"] for row in rows) == 64 * len(rows) - sum(piece["length"] for piece in pieces)
    assert all(piece["part"] is piece["tokens"] is None for piece in pieces)
    assert [row["row"] for row in shown_rows(run_directory, "--row", "1")] == [1]
    assert shown_rows(run_directory, "--split", "test") == []


def test_what_is_printed_drives_no_terminal(run_directory: Path) -> None:
    for option in ([], ["--tokens"]):
        shown = run(app, ["show", str(run_directory / "shards"), "--rows", "99", *option])
        assert shown.exit_code == 0, shown.output
        assert all(c == "\n" or c.isprintable() for c in shown.stdout)
        assert make_id(0).hex() in shown.stdout
    assert r"\x1b│[│3│1│m│" in shown.stdout
    shown = run(app, ["show", str(run_directory), "--rows", "99"])
    assert "[bold]" in shown.stdout
    assert r"\x1b[31mred\x07 \u202eevil\u2066" in shown.stdout


def test_colours_are_for_terminals(run_directory: Path) -> None:
    shards = read.open(run_directory / "shards")
    shower = Shower(make_tokenizer(), shards)
    text = as_text(shower.row(shards.split("train"), 0))
    console = Console(force_terminal=True, color_system="standard", width=500)
    with console.capture() as captured:
        console.print(text)
    assert "\x1b[" in captured.get()
    documents = {piece.document for piece in shower.row(shards.split("train"), 0).pieces}
    styles = {str(span.style) for span in text.spans if "reverse" in str(span.style)}
    assert len(styles) == min(4, len(documents))


def test_token_borders(run_directory: Path) -> None:
    tokenizer = make_tokenizer()
    (row,) = shown_rows(run_directory, "--split", "validation", "--tokens")
    (piece,) = row["pieces"]
    text = DOCUMENTS[3][3]
    assert [token["id"] for token in piece["tokens"]] == [0, *tokenizer.encode(text).ids, 1]
    assert [token["text"] for token in piece["tokens"][1:-1]] == [f"\\x{byte:02x}" for byte in text.encode()]
    assert [token["special"] for token in piece["tokens"]] == [True] + [False] * len(text.encode()) + [True]
    shown = run(app, ["show", str(run_directory), "--split", "validation", "--tokens"]).stdout
    assert shown.count("│") == len(piece["tokens"])


def test_a_spelt_special_token_is_told_from_a_real_one(run_directory: Path) -> None:
    (row,) = shown_rows(run_directory, "--doc", make_id(1).hex(), "--tokens")
    tokens = row["pieces"][0]["tokens"]
    assert "<eos>" in "".join(token["text"] for token in tokens if not token["special"])
    assert [token["text"] for token in tokens if token["special"]] == ["<bos>", "<eos>"]


def test_one_document(run_directory: Path) -> None:
    for number, (split, _, _, text) in enumerate(DOCUMENTS):
        rows = shown_rows(run_directory, "--doc", make_id(number).hex().upper())
        assert {row["split"] for row in rows} == {split}
        assert {piece["document"] for row in rows for piece in row["pieces"]} == {make_id(number).hex()}
        assert "".join(piece["text"] for row in rows for piece in row["pieces"]) == f"<bos>{text}<eos>"
        for row in rows:
            (same,) = shown_rows(run_directory, "--split", split, "--row", str(row["row"]))
            assert all(piece in same["pieces"] for piece in row["pieces"])
            assert row["others"] == len({piece["document"] for piece in same["pieces"]}) - 1
    assert "other documents in this row" in run(app, ["show", str(run_directory), "--doc", make_id(0).hex()]).stdout


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(min_size=1, max_size=120), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_middles_that_come_last(tmp_path: Path, texts: list[str], random) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    directory = tmp_path / f"{random.getrandbits(64)}-{len(list(tmp_path.iterdir()))}"
    make_run(directory, [("train", "code", "und", text) for text in texts], fill=True)
    shards = read.open(directory / "shards")
    shower = Shower(make_tokenizer(), shards, with_tokens=True)
    for number, text in enumerate(texts):
        document = make_id(number).hex()
        pieces = [
            piece
            for split, row in rows_of_document(shards, document)
            for piece in shower.row(split, row, document).pieces
        ]
        assert {piece.kind for piece in pieces} == {"fill_in_the_middle"}
        for at in range(0, len(pieces), 3):
            unit = pieces[at : at + 3]
            assert [piece.part for piece in unit] in (["prefix", "suffix", "middle"], ["suffix", "prefix", "middle"])
            assert all(f"<{piece.part}>" in piece.text for piece in unit)
        by_offset = sorted(pieces, key=lambda piece: piece.offset)
        kept = [token.id for piece in by_offset for token in piece.tokens if not token.special]
        assert make_tokenizer().decode(kept) == text
        printed = as_text(shower.row(*next(rows_of_document(shards, document)))).plain
        for part in ("prefix", "middle", "suffix"):
            assert f"fill_in_the_middle, {part}" in printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--doc", "xyz"], "no document id"),
        (["--doc", "f" * 32], "holds " + "f" * 32),
        (["--doc", "f" * 31 + "\u0661"], "no document id"),
        (["--row", "99"], "numbered from 0"),
        (["--split", "nightly"], "nightly"),
    ],
)
def test_what_is_not_there(run_directory: Path, arguments: list[str], says: str) -> None:
    result = run(app, ["show", str(run_directory), *arguments])
    assert result.exit_code == 2
    assert says in result.output


@pytest.mark.skipif(not DATA.exists(), reason=MISSING)
def test_a_real_book(tmp_path: Path) -> None:
    """Every row of a book shows stretches of its text; put together by --doc they are the book."""
    book = min((DATA / "books" / "gutenberg").glob("*.txt")).read_bytes().decode("utf-8", "replace")[:20_000]
    make_run(tmp_path / "run", [("train", "books", "eng", book)])
    rows = shown_rows(tmp_path / "run", "--doc", make_id(0).hex(), "--tokens")
    tokens = [token for row in rows for piece in row["pieces"] for token in piece["tokens"]]
    assert make_tokenizer().decode([token["id"] for token in tokens]) == book
    assert [row["pieces"][0]["offset"] for row in rows] == sorted(row["pieces"][0]["offset"] for row in rows)
