"""A small corpus, its tokenizer and its shards, made once for all tests of the room."""

from pathlib import Path

import pytest
import torch
from pretrain_corpus import CONTEXT, sentences, write_shards

from pretrain.config import PretrainConfig
from tokenizer.train import save, train

torch.set_num_threads(1)  # matrices this small gain nothing from more, and lose much on a busy machine


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A directory with tokenizer/ and shards/. Read only: tests copy what they change."""
    root = tmp_path_factory.mktemp("corpus")
    save(train(sentences(200, 0), vocab_size=320), root / "tokenizer")
    write_shards(root / "shards", root / "tokenizer")
    return root


@pytest.fixture(scope="session")
def config() -> PretrainConfig:
    """A run of 12 steps in about a second."""
    return PretrainConfig.model_validate(
        {
            "name": "tiny",
            "model": {"layers": 2, "hidden": 32, "heads": 4, "kv_heads": 2, "intermediate": 64},
            "batch_tokens": 4 * CONTEXT,
            "micro_batch": 3,
            "steps": 12,
            "optimizer": {"lr": 1e-2},
            "schedule": {"warmup": 2},
            "evaluation": {"every": 3, "rows": 10},
            "checkpoint": {"every": 4, "keep": 2},
            "sample": {"prompts": ["", "the miller"], "tokens": 5},
        }
    )
