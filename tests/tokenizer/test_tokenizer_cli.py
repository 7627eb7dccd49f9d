import gzip
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tokenizer.cli import app
from tokenizer.encode import load
from tokenizer.models import train_wordpiece
from tokenizer.patterns import PATTERNS
from tokenizer.split_kernel import split
from tokenizer.texts import read_texts
from tokenizer.train import save, train_on_counts
from tokenizer.vocabulary import read_tokenizer, sha256

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


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["train", "absent.txt", "--output", "OUT"], 2, "absent.txt"),
        (["train", "FILE", "--output", "OUT", "--vocab-size", "10"], 2, "259"),
        (["train", "FILE", "--output", "OUT", "--pattern", "gpt5"], 2, "gpt2"),
        (["train", "FILE", "--output", "OUT", "--special", "<|bos|>"], 2, "there already"),
        (["train", "FILE", "--output", "OUT", "--vocab-size", "300", "--reserved", "50"], 2, "309"),
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
    for name, content, says in (
        ("number.jsonl", b'{"text": 5}', "number.jsonl, line 1: 'text' is int, not text"),
        ("deep.jsonl", b"[" * 100_000, "deep.jsonl, line 1"),
        ("packed.jsonl.gz", b"no gzip", "packed.jsonl.gz cannot be read"),
        ("packed.txt.zst", b"no zstd", "packed.txt.zst cannot be read"),
        ("cut.txt.gz", gzip.compress(bytes(range(256)) * 100)[:-20], "cut.txt.gz cannot be read"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=says):
            list(read_texts(tmp_path / name))
    with pytest.raises(FileNotFoundError):
        list(read_texts(tmp_path / "absent.txt"))
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


def test_large_plain_files_are_cut_where_no_pretoken_is(tmp_path, monkeypatch):
    text = "It is a truth,\n\n  universally\n acknowledged: don't!\r\n\r\n1234567 名前、はまだ\n无い。\n" * 60
    (tmp_path / "a.txt").write_bytes(text.encode())
    whole = {pattern: split(text, pattern) for pattern in PATTERNS}
    for size in (1, 7, 100, 1000):
        monkeypatch.setattr("tokenizer.texts.PLAIN_CHUNK", size)
        parts = list(read_texts(tmp_path / "a.txt"))
        assert "".join(parts) == text
        assert len(parts) > 3
        for pattern in PATTERNS:
            assert [pretoken for part in parts for pretoken in split(part, pattern)] == whole[pattern]
    monkeypatch.setattr("tokenizer.texts.LONGEST", 50)
    (tmp_path / "b.txt").write_bytes(b"\xc3" + b"x" * 4000)
    assert max(map(len, read_texts(tmp_path / "b.txt"))) < 1100


@pytest.mark.parametrize(
    "options", [[], ["--tie-break", "greater_bytes"], ["--min-count", "13"], ["--min-frequency", "0"]]
)
def test_training_counts_all_files(files, texts, tmp_path, options):
    output = str(tmp_path / "out")
    result = run(app, ["train", *files, "--vocab-size", "400", "--output", output, "--json", *options])
    facts = json.loads(result.output)
    least = 13 if "--min-count" in options else 0
    counts = Counter(part for text in ["\n".join(texts), *texts, *texts] for part in split(text, "cl100k"))
    kept = {part.encode(): count for part, count in counts.items() if count >= least}
    total = sum(len(part.encode()) * count for part, count in counts.items())
    assert (facts["pretokens"], facts["pretokens_kept"], facts["min_count"]) == (len(counts), len(kept), least)
    assert facts["bytes"] == total
    assert facts["share_left_out"] == 1 - sum(len(part) * count for part, count in kept.items()) / total
    tie_break = "greater_bytes" if "greater_bytes" in options else "huggingface"
    words, weights = pa.array(list(kept), pa.binary()), np.array(list(kept.values()), np.int64)
    frequency = 0 if "--min-frequency" in options else 2  # Hugging Face's trainers know 0, which is 1
    trained = train_on_counts(words, weights, 400, min_frequency=frequency, tie_break=tie_break)
    save(trained, tmp_path / "reference")
    assert sha256(tmp_path / "out") == sha256(tmp_path / "reference") == facts["sha256"]
    if least:
        shown = run(app, ["train", *files, "--vocab-size", "400", "--output", output, *options]).output
        assert f"fewer than 13 times, {facts['share_left_out']:.2%} of the text" in shown


def test_nothing_frequent_enough(files, tmp_path):
    for options, says in ((["--min-count", "10000"], "10000 times"), (["--tie-break", "coin"], "greater_bytes")):
        result = run(app, ["train", *files, "--output", str(tmp_path / "out"), *options])
        assert (result.exit_code, says in result.output) == (2, True)


def test_special_tokens_of_ones_own_and_padding(files, tmp_path):
    output = str(tmp_path / "out")
    wanted = ["--special", "<|user|>", "--special", "<|fim_prefix|>", "--reserved", "2", "--pad-to-multiple-of", "64"]
    result = run(app, ["train", files[1], "--vocab-size", "400", "--output", output, *wanted, "--json"])
    assert json.loads(result.output)["vocabulary_size"] == 448
    content = json.loads((tmp_path / "out" / "tokenizer.json").read_text())
    added = [token["content"] for token in content["added_tokens"]]
    own = ["<|user|>", "<|fim_prefix|>"]
    assert added[3:8] == [*own, "<|reserved_0|>", "<|reserved_1|>", "<|reserved_2|>"]
    assert len(added) == 3 + len(own) + 2 + 48
    text = "<|user|> <|reserved_40|>"
    ids = json.loads(run(app, ["encode", output, text, "--json"]).output)
    assert min(ids) >= 7
    assert max(ids) < 400


@pytest.mark.parametrize("model", ["wordpiece", "unigram"])
def test_other_models_are_learnt_from_the_texts_of_all_files(files, texts, tmp_path, model):
    output = str(tmp_path / "out")
    result = run(app, ["train", *files, "--model", model, "--vocab-size", "700", "--output", output, "--json"])
    assert result.exit_code == 0, result.output
    content = read_tokenizer(output)
    assert content["model"]["type"].lower() == model
    assert json.loads(result.output)["vocabulary_size"] == load(output).vocabulary_size <= 700
    if model == "wordpiece":
        read = (text for file in files for text in read_texts(Path(file)))
        save(train_wordpiece(read, 700), tmp_path / "reference")
        assert sha256(output) == sha256(tmp_path / "reference")
    for text in texts:
        ids = json.loads(run(app, ["encode", output, text, "--json"]).output)
        assert not set(ids) & set(load(output).special_ids.values())
        assert run(app, ["decode", output, *map(str, ids)]).stdout_bytes == text.encode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "bert"], "'bpe', 'wordpiece', 'unigram'"),
        (["--model", "unigram", "--min-frequency", "3"], "--min-frequency: unigram has no use"),
        (["--model", "unigram", "--min-count", "3"], "--min-count: unigram has no use"),
        (["--model", "wordpiece", "--tie-break", "greater_bytes"], "--tie-break: wordpiece has no use"),
        (["--model", "wordpiece", "--vocab-size", "400"], "515 entries"),
        (["--special", ""], "at least one character"),
    ],
)
def test_what_a_model_has_no_use_for_is_refused(files, tmp_path, arguments, says):
    result = run(app, ["train", files[0], "--output", str(tmp_path / "out"), *arguments])
    assert result.exit_code == 2
    assert says in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("model", ["bpe", "wordpiece", "unigram"])
def test_no_model_is_learnt_from_nothing(tmp_path, model):
    (tmp_path / "empty.jsonl").write_text('{"text": ""}\n{"text": null}\n')
    result = run(app, ["train", str(tmp_path / "empty.jsonl"), "--output", str(tmp_path / "out"), "--model", model])
    assert (result.exit_code, "there is no text" in result.output) == (2, True)
