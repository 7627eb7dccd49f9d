"""Blocks computed again in the backward pass: the same gradients from less memory."""

import pytest
import torch
from torch.nn import functional as F

from pretrain.config import ModelConfig
from pretrain.metrics import read_metrics
from pretrain.model import Decoder
from pretrain.train import run

LAYERS = 6


def kept_and_gradients(checkpointing: bool) -> tuple[int, float, list[torch.Tensor]]:
    """Bytes that the forward pass keeps for the backward, the loss, and all gradients."""
    model = Decoder(ModelConfig(layers=LAYERS, hidden=32, heads=4, kv_heads=2, intermediate=96), 50, seed=3)
    model.checkpointing = checkpointing
    tokens = torch.randint(50, (2, 40), generator=torch.Generator().manual_seed(1))
    documents = torch.tensor([[1] * 25 + [2] * 15, [3] * 40])
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = F.cross_entropy(model(tokens, documents).flatten(0, 1), tokens.flatten())
        size = sum(kept.values())
        loss.backward()
    return size, loss.item(), [parameter.grad for parameter in model.parameters()]


def test_the_same_gradients_from_less_memory():
    whole, loss, gradients = kept_and_gradients(False)
    less, same_loss, same = kept_and_gradients(True)
    assert loss == same_loss
    assert all(torch.equal(a, b) for a, b in zip(gradients, same, strict=True))
    assert less < whole / 3


@pytest.mark.parametrize("changes", [{}, {"optimizer": {"muon": {}}}])
def test_a_run_has_the_same_losses(corpus, config, tmp_path, changes):
    short = config.model_copy(update={"steps": 4})
    losses = []
    for checkpointing in (False, True):
        asked = {
            **short.model_dump(),
            **changes,
            "name": f"a{checkpointing}",
            "activation_checkpointing": checkpointing,
        }
        run(type(config).model_validate(asked), corpus / "shards", corpus / "tokenizer", tmp_path)
        records = read_metrics(tmp_path / "runs" / f"a{checkpointing}" / "metrics.jsonl")
        losses.append([record["loss"] for record in records])
    assert losses[0] == losses[1]
