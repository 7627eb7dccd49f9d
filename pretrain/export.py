"""A run's model in a directory that Hugging Face transformers loads: weights, configs, tokenizer.

Plain decoders are `LlamaForCausalLM`, those with `qk_norm` `Qwen3ForCausalLM`, those with `sliding_window`
`MistralForCausalLM`. Both at once are refused: Qwen3's config has a sliding window, but not all that reads it heeds it
in the same layers, and a model that computes something else without a word is worse than none.

The tokenizer begins a text as the documents of the shards begin: with the bos token or without. Special tokens that a
text spells out are ordinary tokens, as in training.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from pretrain.config import ModelConfig
from pretrain.runs import SavedRun, open_run
from shards.format import SetHeader
from tokenizer.vocabulary import read_tokenizer

Dtype = Literal["float32", "bfloat16"]


def export(directory: Path, output: Path, name: str | None = None, dtype: Dtype = "float32") -> SavedRun:
    """Write the latest checkpoint of `directory`/runs/`name` to `output`, which appears when it is whole.

    Raises ValueError where `output` holds something already or no architecture fits the model, OSError where it cannot
    be written, and what `open_run` raises.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"output: {output} is not empty; name a new directory")
    run = open_run(directory, name)
    config, header = run.state.config.model, run.inputs.header
    documents = {
        "config.json": model_config(config, header, dtype),
        "generation_config.json": generation_config(header),
        "tokenizer_config.json": tokenizer_config(header),
        "tokenizer.json": tokenizer_with_policy(read_tokenizer(directory / "tokenizer"), header),
    }
    weights = {
        name: parameter.detach().to("cpu", getattr(torch, dtype)).contiguous()
        for name, parameter in run.model.named_parameters()
    }
    temporary = output.absolute().with_name(f".{output.absolute().name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        save_file(weights, temporary / "model.safetensors", metadata={"format": "pt"})  # transformers wants to know
        for file, content in documents.items():
            (temporary / file).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
        temporary.replace(output)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, SafetensorError):  # how the library says that the disk is full
            raise OSError(f"{output}: {error}") from None
        if isinstance(error, OSError) and error.errno:  # it names a temporary file, or none
            raise OSError(error.errno, error.strerror, str(output)) from None
        raise
    return run


def architecture(config: ModelConfig) -> tuple[str, dict[str, Any]]:
    """The model type of transformers that computes what this decoder does, with the fields that only it has.

    Raises ValueError where none does.
    """
    if config.qk_norm and config.sliding_window is not None:
        raise ValueError(
            f"model.qk_norm with model.sliding_window ({config.sliding_window}): transformers has Qwen3 for the one, "
            "Mistral for the other, and no model for both that all its readers compute alike"
        )
    if config.sliding_window == 1:
        raise ValueError(
            "model.sliding_window (1): the cache with which transformers generates holds a window of 2 or more"
        )
    if config.qk_norm:
        return "qwen3", {"attention_bias": False, "use_sliding_window": False}
    if config.sliding_window is not None:
        return "mistral", {"sliding_window": config.sliding_window}
    return "llama", {"attention_bias": False, "mlp_bias": False}


def model_config(config: ModelConfig, header: SetHeader, dtype: Dtype) -> dict[str, Any]:
    """config.json. Every field is written, as defaults differ between the architectures."""
    kind, fields = architecture(config)
    return {
        "architectures": [f"{kind.capitalize()}ForCausalLM"],
        "model_type": kind,
        "transformers_version": "5.0.0",  # whose form this is; version 4 reads it as well
        "dtype": dtype,
        "vocab_size": header.vocabulary_size,
        "hidden_size": config.hidden,
        "intermediate_size": config.intermediate,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.hidden // config.heads,
        "hidden_act": "silu",
        "max_position_embeddings": header.context_length,
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "rope_theta": config.rope_theta,  # where version 4 looks for it
        "tie_word_embeddings": config.tied_embeddings,
        "attention_dropout": 0.0,
        "use_cache": True,
        **fields,
        **_special_ids(header),
    }


def generation_config(header: SetHeader) -> dict[str, Any]:
    """generation_config.json: as `pretrain.sample`, no special token is written but the end of the document."""
    barred = sorted(i for i in header.special_ids.values() if i != header.eos_id)
    return {"do_sample": False, **_special_ids(header), "suppress_tokens": barred}


def tokenizer_config(header: SetHeader) -> dict[str, Any]:
    """tokenizer_config.json. A bos token that no document began with is not named, as the model never saw it."""
    roles = {"bos_token": header.bos if header.adds_bos else None, "eos_token": header.eos, "pad_token": header.padding}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
        "model_max_length": header.context_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "add_bos_token": header.adds_bos,
        "add_eos_token": False,  # the end of a text to go on with is not the end of a document
        **{role: token for role, token in roles.items() if token is not None},
    }


def tokenizer_with_policy(content: dict[str, Any], header: SetHeader) -> dict[str, Any]:
    """A parsed tokenizer.json that puts the bos token before each text, or nothing; the rest stays as it is."""
    first: list[dict[str, Any]] = []
    special: dict[str, Any] = {}
    if header.adds_bos and header.bos is not None:
        first = [{"SpecialToken": {"id": header.bos, "type_id": 0}}]
        special = {header.bos: {"id": header.bos, "ids": [header.bos_id], "tokens": [header.bos]}}
    one = [*first, {"Sequence": {"id": "A", "type_id": 0}}]
    two = [*one, *first, {"Sequence": {"id": "B", "type_id": 0}}]
    template = {"type": "TemplateProcessing", "single": one, "pair": two, "special_tokens": special}
    return {**content, "truncation": None, "padding": None, "post_processor": template}


def _special_ids(header: SetHeader) -> dict[str, int | None]:
    bos = header.bos_id if header.adds_bos else None
    return {"bos_token_id": bos, "eos_token_id": header.eos_id, "pad_token_id": header.padding_id}
