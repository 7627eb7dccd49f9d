"""Vocabularies that others published, in and out: GPT-2's two files, and tiktoken's form."""

import base64
import json

import numpy as np
import pytest
from gpt2_files import IDS, gpt2_files
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tokenizer.cli import app
from tokenizer.encode import load
from tokenizer.export import export_tiktoken, tiktoken_ranks
from tokenizer.importer import from_merges, from_tiktoken
from tokenizer.patterns import GPT2, PATTERNS
from tokenizer.train import save, train
from tokenizer.vocabulary import SPECIAL_TOKENS, special_ids, tokens

run = CliRunner().invoke


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    directory = tmp_path_factory.mktemp("gpt2")
    vocabulary, merges = gpt2_files(directory)
    result = run(app, ["import", str(merges), str(vocabulary), "--output", str(directory), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["vocabulary_size"] == 50_257
    return directory


def test_gpt2s_vocabulary_gives_the_published_ids(gpt2):
    encoder = load(gpt2)
    assert encoder.special_ids == {"<|endoftext|>": 50_256}
    for text, ids in IDS.items():
        assert encoder.encode(text).tolist() == ids
        assert encoder.decode(ids) == text
    assert json.loads(run(app, ["encode", str(gpt2), "Hello!", "--json"]).output) == [15496, 0]
    assert encoder.decode([50_256]) == "<|endoftext|>"


def test_transformers_reads_what_was_imported(gpt2):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(gpt2)
    for text, ids in IDS.items():
        assert theirs.encode(text, add_special_tokens=False) == ids


def tiktoken_reads(file):
    """The encoding that tiktoken itself makes of an exported file."""
    tiktoken = pytest.importorskip("tiktoken")
    load_tiktoken_bpe = pytest.importorskip("tiktoken.load").load_tiktoken_bpe
    facts = json.loads(file.with_name(file.name + ".json").read_bytes())
    del facts["tokenizer_sha256"]
    return tiktoken.Encoding("ours", mergeable_ranks=load_tiktoken_bpe(str(file)), **facts)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_tiktoken_gives_the_ids_of_what_was_exported(texts, tmp_path, monkeypatch, pattern):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    save(train(texts, 600, pattern), tmp_path)
    file = tmp_path / "out" / "ours.tiktoken"
    result = run(app, ["export", str(tmp_path), "--format", "tiktoken", "--output", str(file)])
    assert result.exit_code == 0, result.output
    theirs, ours = tiktoken_reads(file), load(tmp_path)
    assert theirs.n_vocab == ours.vocabulary_size
    assert {token: theirs.encode_single_token(token) for token in SPECIAL_TOKENS} == ours.special_ids

    @settings(deadline=None, max_examples=200)
    @given(st.text() | st.lists(st.sampled_from([*texts, *SPECIAL_TOKENS, "  ", "\r\n", "'LL"])).map(" ".join))
    def same(text):
        ids = ours.encode(text).tolist()
        assert theirs.encode_ordinary(text) == ids
        assert theirs.decode(ids) == text

    same()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_was_exported_can_be_imported(texts, tmp_path, pattern):
    save(train(texts, 600, pattern), tmp_path / "a")
    export_tiktoken(tmp_path / "a", tmp_path / "ranks.tiktoken")
    result = run(app, ["import", str(tmp_path / "ranks.tiktoken"), "--output", str(tmp_path / "b")])
    assert result.exit_code == 0, result.output
    assert tokens(tmp_path / "b") == tokens(tmp_path / "a")
    assert special_ids(tmp_path / "b") == special_ids(tmp_path / "a")
    before, after = load(tmp_path / "a").encode_batch(texts), load(tmp_path / "b").encode_batch(texts)
    np.testing.assert_array_equal(before[0], after[0])
    model = json.loads((tmp_path / "b" / "tokenizer.json").read_bytes())["model"]
    assert model["merges"] == json.loads((tmp_path / "a" / "tokenizer.json").read_bytes())["model"]["merges"]


def test_gpt2_by_way_of_tiktokens_form(gpt2, tmp_path):
    export_tiktoken(gpt2, tmp_path / "gpt2.tiktoken")
    special = {"<|endoftext|>": 50_256, "<|end|>": 50_259}
    save(from_tiktoken(tmp_path / "gpt2.tiktoken", GPT2, special), tmp_path)
    encoder = load(tmp_path)
    assert encoder.special_ids == special | {f"<|reserved_{i}|>": i for i in (50_257, 50_258)}
    for text, ids in IDS.items():
        assert encoder.encode(text).tolist() == ids


def test_a_token_that_no_merge_makes_is_found_as_a_word(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    tokens = [*(bytes([byte]) for byte in range(256)), b"ab", b"xyz", b"abc"]
    lines = (f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens))
    (tmp_path / "few.tiktoken").write_text("".join(lines))
    special = {"<|end|>": 259}
    save(from_tiktoken(tmp_path / "few.tiktoken", PATTERNS["cl100k"], special), tmp_path)
    encoder = load(tmp_path)
    for text, ids in {"xyz": [257], "1xyz": [49, 257], "xyzz": [120, 121, 122, 122], "abcd": [258, 100]}.items():
        assert encoder.encode(text).tolist() == ids
    facts = {"pat_str": PATTERNS["cl100k"], "special_tokens": special, "explicit_n_vocab": 260, "tokenizer_sha256": ""}
    (tmp_path / "few.tiktoken.json").write_text(json.dumps(facts))
    theirs = tiktoken_reads(tmp_path / "few.tiktoken")
    for text in ("xyz", "1xyz", "xyzz", "abcd", "<|end|> xyz abc"):
        assert theirs.encode_ordinary(text) == encoder.encode(text).tolist()
    with pytest.raises(ValueError, match="'PAD' would be found in texts"):
        from_tiktoken(tmp_path / "few.tiktoken", PATTERNS["cl100k"], {"PAD": 259})


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.tiktoken", b"IQ== 0\n", "lacks 255 of the 256 bytes"),
        ("a.tiktoken", b"IQ== 0\n!! 1\n", "line 2: no base64 and rank"),
        ("a.tiktoken", b"IQ== nought\n", "line 1: no base64 and rank"),
        ("vocab.json", b"[]", "does not map tokens to ids"),
        ("vocab.json", b"{", "is not JSON"),
        ("vocab.json", b'{"a": 0}', "lacks 255 of the 256 byte letters"),
        ("vocab.bpe", "#version: 0.2\nĠ t\nh\n".encode(), "line 3: 'h' is no pair of tokens"),
        ("vocab.bpe", "#version: 0.2\nĠt qqqqq\n".encode(), "line 2: 'Ġt qqqqq' is no pair of tokens"),
    ],
)
def test_files_of_another_kind_are_named(tmp_path, name, content, says):
    paths = [tmp_path / name] if name == "a.tiktoken" else list(gpt2_files(tmp_path))
    (tmp_path / name).write_bytes(content)
    if name == "vocab.json":
        paths[0] = tmp_path / name
    result = run(app, ["import", *map(str, paths), "--output", str(tmp_path / "out")])
    assert (result.exit_code, says in result.output) == (1, True), result.output
    assert str(tmp_path / name).replace("\n", "") in result.output.replace("\n", "")


def test_vocabularies_with_holes_and_tokenizers_that_tiktoken_cannot_read(gpt2, texts, tmp_path):
    vocabulary, merges = gpt2_files(tmp_path)
    holed = json.loads(vocabulary.read_bytes()) | {"<|endoftext|>": 60_000}
    vocabulary.write_text(json.dumps(holed))
    with pytest.raises(ValueError, match="not 0 to 50256"):
        from_merges(vocabulary, merges, GPT2)
    # Ids in another order than merges: tiktoken would merge by ids.
    content = json.loads((gpt2 / "tokenizer.json").read_bytes())
    content["model"]["merges"].reverse()
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="do not follow its merges"):
        tiktoken_ranks(tmp_path)
    content = json.loads((gpt2 / "tokenizer.json").read_bytes()) | {"normalizer": {"type": "NFC"}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="has a normalizer"):
        tiktoken_ranks(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export", "DIR", "--format", "gguf", "--output", "x"], "none of: tiktoken"),
        (["import", "DIR/tokenizer.json", "--output", "x", "--pattern", "gpt9"], "gpt2"),
        (["import", "DIR/tokenizer.json", "--output", "x", "--special", "<|a|>"], "TOKEN=ID"),
        (["import", *["DIR/tokenizer.json"] * 3, "--output", "x"], "one file of ranks"),
        (["export", "absent", "--output", "x"], "absent"),
    ],
)
def test_wrong_arguments(texts, tmp_path, arguments, says):
    save(train(texts, 300), tmp_path)
    result = run(app, [argument.replace("DIR", str(tmp_path)) for argument in arguments])
    assert (result.exit_code, says in result.output) == (2, True), result.output
