import gzip
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tokenizer.cli import app
from tokenizer.report import report, write_report
from tokenizer.texts import read_texts

run = CliRunner().invoke


@pytest.fixture
def files(texts, tmp_path):
    (tmp_path / "plain.txt").write_bytes("\n".join(texts).encode())
    (tmp_path / "lines.jsonl.gz").write_bytes(gzip.compress("\n".join(json.dumps({"text": t}) for t in texts).encode()))
    pq.write_table(pa.table({"text": [*texts, None]}), tmp_path / "rows.parquet")
    return [str(tmp_path / name) for name in ("plain.txt", "lines.jsonl.gz", "rows.parquet")]


def test_from_texts_to_ids_and_back(files, tmp_path):
    output = str(tmp_path / "out")
    result = run(app, ["train", *files, "--vocab-size", "400", "--output", output, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["vocabulary_size"] == 400
    text = "the age <|endoftext|> 名前\n"
    for arguments, stdin in ([text], None), ([], text):
        encoded = run(app, ["encode", output, *arguments, "--json"], input=stdin)
        ids = json.loads(encoded.output)
        assert 0 not in ids
    assert run(app, ["encode", output, text]).output.split() == [str(i) for i in ids]
    assert run(app, ["decode", output, *map(str, ids)]).stdout_bytes == text.encode()
    assert json.loads(run(app, ["decode", output, "--json"], input=encoded.output).output) == text


def test_report(texts, files, tmp_path):
    output = str(tmp_path / "out")
    run(app, ["train", files[1], "--vocab-size", "400", "--output", output])
    content = json.loads(run(app, ["report", output, *files, "--json"]).output)
    lines, rows = content["groups"][files[1]], content["groups"][files[2]]
    assert lines == rows
    assert lines["texts"] == len(texts)
    assert lines["bytes"] == sum(len(text.encode()) for text in texts)
    assert lines["words"] == sum(len(text.split()) for text in texts)
    assert lines["bytes_per_token"] == round(lines["bytes"] / lines["tokens"], 4)
    assert content["total"]["not_round_tripped"] == 0
    assert 0 < content["unused_share"] < 1
    sizes = [token["bytes"] for token in content["longest_tokens"]]
    assert sizes == sorted(sizes, reverse=True)
    text = run(app, ["report", output, files[0]])
    assert text.exit_code == 0
    assert f"{content['vocabulary_size']:,} tokens" in text.output


def test_report_of_nothing(files, tmp_path):
    output = tmp_path / "out"
    run(app, ["train", files[0], "--vocab-size", "300", "--output", str(output)])
    content = report(output, {"empty": []})
    assert content["total"]["bytes_per_token"] is None
    assert content["unused_share"] == 1
    assert json.loads(write_report(content, output).read_text()) == content


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["train", "absent.txt", "--output", "OUT"], 2, "absent.txt"),
        (["train", "FILE", "--output", "OUT", "--vocab-size", "10"], 2, "259"),
        (["train", "FILE", "--output", "OUT", "--pattern", "gpt5"], 2, "gpt2"),
        (["train", "FILE", "--output", "OUT", "--column", "body"], 1, "no column 'body'"),
        (["encode", "OUT", "text"], 2, "no tokenizer"),
        (["decode", "absent", "1"], 2, "absent"),
    ],
)
def test_exit_statuses(files, tmp_path, arguments, status, says):
    (tmp_path / "out").mkdir()
    places = {"OUT": str(tmp_path / "out"), "FILE": files[2]}
    result = run(app, [places.get(argument, argument) for argument in arguments])
    assert result.exit_code == status, result.output
    assert says in result.output
    assert "Traceback" not in result.output


def test_unknown_ids_are_refused(files, tmp_path):
    output = str(tmp_path / "out")
    run(app, ["train", files[0], "--vocab-size", "300", "--output", output])
    result = run(app, ["decode", output, "300"])
    assert result.exit_code == 2
    assert "no token 300" in result.output


def test_hostile_files(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"ok \xff\xfe\0 \xed\xa0\x80")
    assert list(read_texts(tmp_path / "a.txt")) == [b"ok \xff\xfe\0 \xed\xa0\x80".decode("utf-8", "replace")]
    (tmp_path / "empty.txt").write_bytes(b"")
    assert list(read_texts(tmp_path / "empty.txt")) == []
    (tmp_path / "a.jsonl").write_text('{"text": "\\ud800x"}\n\n{"text": null}\n{"other": 1}\n')
    lines = read_texts(tmp_path / "a.jsonl")
    assert next(lines) == "\ufffd\ufffd\ufffdx"
    with pytest.raises(ValueError, match="line 4"):
        next(lines)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match="Parquet"):
        list(read_texts(tmp_path / "a.parquet"))


def test_help_imports_nothing_heavy():
    heavy = ("numpy", "pyarrow", "tokenizers", "rich.table")
    code = f"import sys, tokenizer.cli; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_ids_that_are_no_numbers_and_files_without_text(files, tmp_path):
    output = str(tmp_path / "out")
    run(app, ["train", files[0], "--vocab-size", "300", "--output", output])
    result = run(app, ["decode", output], input="1 two 3")
    assert (result.exit_code, "ids are numbers" in result.output) == (2, True)
    (tmp_path / "empty.txt").write_text("")
    result = run(app, ["train", str(tmp_path / "empty.txt"), "--output", str(tmp_path / "none")])
    assert (result.exit_code, "no text" in result.output) == (2, True)
    assert not (tmp_path / "none").exists()
