"""The export in Hugging Face transformers: the same logits, the same text, the same tokens."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from typer.testing import CliRunner

from pretrain.cli import app
from pretrain.config import ModelConfig, PretrainConfig, SampleConfig
from pretrain.export import architecture, model_config, tokenizer_config, tokenizer_with_policy
from pretrain.runs import SavedRun, open_run
from pretrain.sample import generate
from pretrain.train import run
from shards.format import SetHeader
from tokenizer.vocabulary import read_tokenizer

transformers = pytest.importorskip("transformers")

MODELS = {
    "llama": {},
    "untied": {"tied_embeddings": False, "rope_theta": 5000.0, "norm_eps": 1e-3},
    "qwen3": {"qk_norm": True},
    "mistral": {"sliding_window": 5},
}
KINDS = {"untied": "llama"}
PROMPTS = ["the miller", "a raven counts", "日本", "", "<|bos|>"]


@pytest.fixture(scope="module")
def output(corpus, config, tmp_path_factory):
    """An output directory with a short run of each architecture."""
    directory = tmp_path_factory.mktemp("output")
    for name in ("shards", "tokenizer"):
        (directory / name).symlink_to(corpus / name)
    for name, options in MODELS.items():
        settings = config.model_dump()
        settings["model"].update(options)
        settings |= {"name": name, "steps": 8}
        run(PretrainConfig.model_validate(settings), corpus / "shards", corpus / "tokenizer", directory)
    return directory


def export(output, target, *options: str):
    return CliRunner().invoke(app, ["export", str(output), "--output", str(target), *options])


class Exported(NamedTuple):
    """A run, where its export is, and what transformers makes of it."""

    run: SavedRun
    path: Path
    model: Any
    loading: dict[str, Any]
    tokenizer: Any


@pytest.fixture(scope="module", params=MODELS)
def exported(request, output, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "new" / request.param
    result = export(output, path, "--run", request.param)
    assert result.exit_code == 0, result.output
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(path, output_loading_info=True)
    return Exported(
        open_run(output, request.param), path, model, loading, transformers.AutoTokenizer.from_pretrained(path)
    )


def test_logits_agree(exported):
    name, model = exported.path.name, exported.model
    assert not any(exported.loading.values())  # no missing, unexpected or mismatched weight
    assert model.config.model_type == KINDS.get(name, name)
    assert type(model).__name__.lower() == f"{model.config.model_type}forcausallm"
    assert model.dtype == torch.float32
    vocabulary = exported.run.inputs.header.vocabulary_size
    tokens = torch.randint(0, vocabulary, (3, 24), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = exported.run.model(tokens), model(tokens).logits
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_text_is_the_same(exported, prompt):
    header, encoder = exported.run.inputs.header, exported.run.inputs.encoder
    given = exported.tokenizer(prompt, return_tensors="pt")
    tokens = [header.bos_id, *encoder.encode(prompt).tolist()]
    assert given.input_ids[0].tolist() == tokens
    settings = SampleConfig(tokens=header.context_length - len(tokens), temperature=0)
    expected = generate(exported.run.model, tokens, header, settings, torch.Generator())
    text = exported.model.generate(**given, max_new_tokens=settings.tokens)[0, len(tokens) :].tolist()
    if header.eos_id in text:
        text = text[: text.index(header.eos_id)]
    assert text == expected
    assert exported.tokenizer.decode(text) == encoder.decode(expected)


def test_the_tokenizer_knows_its_roles(exported):
    tokenizer, header = exported.tokenizer, exported.run.inputs.header
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (header.bos, header.eos, header.padding)
    assert tokenizer.model_max_length == header.context_length
    assert len(tokenizer) <= header.vocabulary_size
    batch = tokenizer(["the miller", "a"], padding=True)
    assert set(batch) == {"input_ids", "attention_mask"}
    assert all(row[0] == header.bos_id for row in batch["input_ids"])
    assert exported.model.generation_config.eos_token_id == header.eos_id
    assert header.eos_id not in exported.model.generation_config.suppress_tokens


def test_without_a_bos_policy_nothing_is_prepended(exported, tmp_path):
    shutil.copytree(exported.path, tmp_path, dirs_exist_ok=True)
    header = exported.run.inputs.header.model_copy(update={"adds_bos": False})
    plain = tokenizer_with_policy(read_tokenizer(exported.path), header)
    (tmp_path / "tokenizer.json").write_text(json.dumps(plain), "utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(header)), "utf-8")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("the miller").input_ids == exported.run.inputs.encoder.encode("the miller").tolist()
    assert tokenizer.bos_token is None
    assert model_config(ModelConfig(), header, "float32")["bos_token_id"] is None


def test_tokenizers_alone_prepends_the_same(exported, corpus):
    alone = Tokenizer.from_file(str(exported.path / "tokenizer.json"))
    for text in ("the miller", ""):
        assert alone.encode(text).ids == exported.tokenizer(text).input_ids
    assert alone.encode("a", "b").ids == exported.tokenizer("a", "b").input_ids
    written, original = read_tokenizer(exported.path), read_tokenizer(corpus / "tokenizer")
    assert {key for key in original | written if original.get(key) != written.get(key)} == {"post_processor"}


def test_bfloat16_by_option(output, tmp_path):
    from safetensors.torch import load_file

    result = export(output, tmp_path / "half", "--run", "qwen3", "--dtype", "bfloat16", "--json")
    assert json.loads(result.stdout) == {
        "directory": str(tmp_path / "half"),
        "run": "qwen3",
        "step": 8,
        "model_type": "qwen3",
        "dtype": "bfloat16",
    }
    weights = load_file(tmp_path / "half" / "model.safetensors")
    for name, parameter in open_run(output, "qwen3").model.named_parameters():
        assert torch.equal(weights[name], parameter.bfloat16())
    assert transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "half").dtype == torch.bfloat16


def test_a_window_of_one_is_refused_by_name():
    with pytest.raises(ValueError, match=r"model\.sliding_window \(1\)"):
        architecture(ModelConfig(sliding_window=1))


def test_what_no_architecture_computes_is_refused_by_name(corpus, config, tmp_path):
    for name in ("shards", "tokenizer"):
        (tmp_path / name).symlink_to(corpus / name)
    settings = config.model_dump()
    settings["model"].update(qk_norm=True, sliding_window=5)
    run(
        PretrainConfig.model_validate({**settings, "steps": 3, "z_loss": 1e-4}),
        corpus / "shards",
        corpus / "tokenizer",
        tmp_path,
    )
    result = export(tmp_path, tmp_path / "out")
    assert result.exit_code == 2
    assert "model.qk_norm with model.sliding_window (5)" in result.output
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_wrong_arguments_exit_with_2(output, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert "is not empty" in export(output, tmp_path / "full", "--run", "llama").output
    assert "name one" in export(output, tmp_path / "new").output
    for target, options in (
        ("full", ["--run", "llama"]),
        ("new", []),
        ("new", ["--run", "nowhere"]),
        ("new", ["--dtype", "int8"]),
    ):
        assert export(output, tmp_path / target, *options).exit_code == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), SafetensorError("I/O error: no space left")]
)
def test_a_full_disk_is_named_and_leaves_nothing(output, tmp_path, monkeypatch, failure):
    def full(*args, **options):
        raise failure

    monkeypatch.setattr("pretrain.export.save_file", full)
    result = export(output, tmp_path / "out", "--run", "llama")
    assert result.exit_code == 1
    assert "no space left" in result.output.lower()
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    result = export(output, tmp_path / "file" / "out", "--run", "llama")
    assert result.exit_code == 1
    assert f"error: {tmp_path / 'file' / 'out'}: Not a directory" in result.output


def test_every_field_that_decides_what_is_computed_is_read(exported):
    written = json.loads((exported.path / "config.json").read_text("utf-8"))
    loaded = exported.model.config
    for key in written.keys() - {"rope_theta", "transformers_version", "dtype"}:
        assert getattr(loaded, key) == written[key], key
    assert loaded.rope_parameters["rope_theta"] == written["rope_theta"]


def test_a_header_needs_no_bos_token(output):
    header = open_run(output, "llama").inputs.header
    bare = SetHeader.model_validate({**header.model_dump(), "bos": None, "adds_bos": False})
    template = tokenizer_with_policy({"post_processor": "another"}, bare)["post_processor"]
    assert template["special_tokens"] == {}
    assert template["single"] == [{"Sequence": {"id": "A", "type_id": 0}}]
