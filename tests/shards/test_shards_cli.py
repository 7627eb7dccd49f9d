import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from shard_cases import make_header, make_set, make_table
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from typer.testing import CliRunner

from shards.cli import app
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
