"""The command line over a finished run, and its exit statuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pretrain import checkpoint
from pretrain.cli import app
from pretrain.train import run


@pytest.fixture(scope="module")
def output(corpus, config, tmp_path_factory):
    """An output directory with shards/, tokenizer/ and runs/tiny."""
    directory = tmp_path_factory.mktemp("output")
    for name in ("shards", "tokenizer"):
        (directory / name).symlink_to(corpus / name)
    run(config, corpus / "shards", corpus / "tokenizer", directory)
    return directory


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_evaluate_gives_the_figures_of_the_run(output):
    summary = json.loads((output / "runs" / "tiny" / "summary.json").read_text())
    result = invoke("evaluate", output, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["bits_per_byte"] == summary["validation_bits_per_byte"]
    assert found["unigram_bits_per_byte"] == summary["unigram_bits_per_byte"]
    assert found["step"] == 12
    assert found["buckets"].keys() == {"mill", "river"}
    text = invoke("evaluate", output, "--run", "tiny", "--rows", "9").stdout
    assert "tiny, step 12" in text
    assert "river" in text


def test_sample_gives_the_texts_of_the_run(output):
    texts = json.loads((output / "runs" / "tiny" / "samples.json").read_text())
    assert json.loads(invoke("sample", output, "--json").stdout)["samples"] == texts
    asked = invoke("sample", output, "--prompt", "a raven", "--tokens", "3", "--temperature", "0", "--json")
    again = invoke(
        "sample", output, "--prompt", "a raven", "--tokens", "3", "--temperature", "0", "--seed", "5", "--json"
    )
    assert asked.stdout == again.stdout
    assert "a raven" in invoke("sample", output, "--prompt", "a raven").stdout


def test_wrong_arguments_exit_with_2(output, tmp_path):
    for arguments in (
        ["evaluate", tmp_path],
        ["evaluate", output, "--run", "nowhere"],
        ["sample", output, "--top-k", "0"],
        ["sample", output, "--temperature", "nan"],
        ["sample", output, "--seed", str(2**70)],
    ):
        assert invoke(*arguments).exit_code == 2
    (tmp_path / "runs").symlink_to(output / "runs")
    assert "no shards" in invoke("evaluate", tmp_path).output
    assert "tiny" in invoke("evaluate", output, "--run", "nowhere").output


def test_a_damaged_checkpoint_exits_with_1(corpus, config, tmp_path):
    for name in ("shards", "tokenizer"):
        (tmp_path / name).symlink_to(corpus / name)
    run(config.model_copy(update={"steps": 3}), corpus / "shards", corpus / "tokenizer", tmp_path)
    file = checkpoint.latest(tmp_path / "runs" / "tiny" / "checkpoints") / "tensors" / "__0_0.distcp"
    file.write_bytes(file.read_bytes()[:-1])
    result = invoke("sample", tmp_path)
    assert result.exit_code == 1
    assert "__0_0.distcp" in result.output


def test_help_does_not_import_torch():
    code = "import sys, pretrain.cli; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
