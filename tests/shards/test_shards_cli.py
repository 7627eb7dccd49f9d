import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from shard_cases import make_header, make_id, make_set, make_table
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from typer.testing import CliRunner

from shards import read
from shards.cli import app
from shards.inspect import inspect
from shards.manifest import write_manifest
from shards.write import write_shard

runner = CliRunner()


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    """A run's output: a byte-level tokenizer without merges and two documents in shards."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<eos>", "<padding>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<eos>", "<padding>"])
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "shards").mkdir()
    tokenizer.save(str(tmp_path / "tokenizer" / "tokenizer.json"))
    header = make_header(
        tokenizer_sha256=hashlib.sha256((tmp_path / "tokenizer" / "tokenizer.json").read_bytes()).hexdigest(),
        vocabulary_size=len(vocabulary),
        special_ids={"<eos>": 0, "<padding>": 1},
        bos=None,
        adds_bos=False,
    )
    texts = ["Grüße [bold]", "\x1b[31mred\x07"]
    tokens = [[*tokenizer.encode(text).ids, 0] for text in texts]
    entry = write_shard(tmp_path / "shards" / "train-00000.arrow", make_table(tokens), header, 0)
    write_manifest(tmp_path / "shards", header.shared(), [entry], ("train", "validation"))
    return tmp_path


def test_facts_count_what_is_there(shard_set: Path) -> None:
    facts = {(fact.split, fact.bucket): fact for fact in inspect(read.open(shard_set))}
    assert list(facts) == [("train", "code"), ("train", "web"), ("validation", "web")]
    web = facts["train", "web"]
    assert (web.files, web.rows, web.tokens, web.padding, web.documents) == (1, 17, 263, 9, 5)
    # rows of 16 tokens: 5 | 40 over 3 rows | 2 | 200 over 14 rows | 16 over 2 rows
    assert (web.pieces, web.cut_documents) == (1 + 3 + 1 + 14 + 2, 3)
    assert web.lengths == {1: 1, 2: 1, 4: 1, 5: 1, 7: 1}
    assert web.padding_share == 9 / (17 * 16)
    assert facts["train", "code"].lengths == {4: 3}
    assert facts["train", "code"].pieces_per_row == 1


@pytest.mark.parametrize("nested", [True, False])
def test_inspect(run_directory: Path, nested: bool) -> None:
    directory = str(run_directory / "shards" if nested else run_directory)
    result = runner.invoke(app, ["inspect", directory, "--json"])
    facts = json.loads(result.stdout)
    assert result.exit_code == 0
    assert facts["splits"]["validation"]["rows"] == 0
    assert facts["buckets"][0]["documents"] == 2
    assert sum(facts["buckets"][0]["lengths"].values()) == 2
    table = runner.invoke(app, ["inspect", directory], env={"COLUMNS": "200"})
    assert table.exit_code == 0
    assert "train" in table.stdout


def test_verify_names_the_damaged_file(shard_set: Path) -> None:
    result = runner.invoke(app, ["verify", str(shard_set)])
    assert (result.exit_code, "verified" in result.stdout) == (0, True)
    path = shard_set / "train-00001.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = runner.invoke(app, ["verify", str(shard_set.parent)])
    assert result.exit_code == 1
    assert "train-00001.arrow: digest" in result.output
    result = runner.invoke(app, ["verify", str(shard_set), "--json"])
    assert result.exit_code == 1
    assert [problem["file"] for problem in json.loads(result.stdout)["problems"]] == ["train-00001.arrow"]


def test_show(run_directory: Path) -> None:
    result = runner.invoke(app, ["show", str(run_directory), "--rows", "99", "--json"])
    rows = json.loads(result.stdout)["rows"]
    pieces = sorted((piece for row in rows for piece in row["pieces"]), key=lambda p: (p["document"], p["offset"]))
    texts = {make_id(i).hex(): "".join(p["text"] for p in pieces if p["document"] == make_id(i).hex()) for i in (0, 1)}
    assert texts[make_id(0).hex()] == "Grüße [bold]<eos>"
    assert sum(row["padding"] for row in rows) == 32 - sum(piece["length"] for piece in pieces)
    plain = runner.invoke(app, ["show", str(run_directory / "shards"), "--rows", "99"])
    assert plain.exit_code == 0
    assert make_id(0).hex() in plain.stdout
    assert "[bold]" in plain.stdout
    assert "\x1b" not in plain.stdout
    assert r"\x1b" in plain.stdout
    assert r"red\x07" in plain.stdout
    one = runner.invoke(app, ["show", str(run_directory), "--row", "1", "--json"])
    assert [row["row"] for row in json.loads(one.stdout)["rows"]] == [1]


def test_show_of_an_empty_split(run_directory: Path) -> None:
    result = runner.invoke(app, ["show", str(run_directory), "--split", "validation", "--json"])
    assert (result.exit_code, json.loads(result.stdout)["rows"]) == (0, [])


def test_wrong_arguments_end_with_2(run_directory: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    directory = str(run_directory)
    for arguments, message in [
        (["verify", str(tmp_path / "nowhere")], "no such directory"),
        (["inspect", str(tmp_path / "nowhere")], "no such directory"),
        (["show", directory, "--split", "nightly"], "nightly"),
        (["show", directory, "--row", "99"], "numbered from 0"),
        (["show", directory, "--row", "-1"], ""),
        (["show", directory, "--tokenizer", str(tmp_path / "none.json")], "no such file"),
        (["show", directory, "--tokenizer", str(other)], "not the tokenizer"),
        (["show"], ""),
    ]:
        result = runner.invoke(app, arguments)
        assert result.exit_code == 2, arguments
        assert message in result.output


def test_a_damaged_set_ends_with_1(run_directory: Path) -> None:
    path = run_directory / "shards" / "train-00000.arrow"
    path.write_bytes(path.read_bytes()[:-8])
    for command in ("inspect", "show", "verify"):
        result = runner.invoke(app, [command, str(run_directory)])
        assert result.exit_code == 1
        assert "train-00000.arrow: truncated" in result.output
    (run_directory / "shards" / "manifest.json").unlink()
    result = runner.invoke(app, ["inspect", str(run_directory)])
    assert (result.exit_code, "manifest.json: missing" in result.output) == (1, True)


def test_a_set_in_the_working_directory_finds_its_tokenizer(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_directory / "shards")
    assert runner.invoke(app, ["show", "."]).exit_code == 0


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, shards.cli; print(sorted({'numba', 'pyarrow', 'numpy', 'tokenizers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_bytes_that_look_like_rows_of_other_widths(tmp_path: Path) -> None:
    """A set packed for another context is not confused with this one."""
    make_set(tmp_path / "a")
    make_set(tmp_path / "b", context_length=31)
    (tmp_path / "a" / "manifest.json").write_bytes((tmp_path / "b" / "manifest.json").read_bytes())
    result = runner.invoke(app, ["verify", str(tmp_path / "a")])
    assert result.exit_code == 1
    assert "context_length" in result.output
