"""How much arithmetic a step is, and what part of the device's peak that comes to (MFU, Chowdhery et al. 2022, app. B).

Counted is what the model has to compute: 6 FLOPs per token and parameter of blocks and output matrix (forward 2,
backward 4), and for attention 12 D per head, layer and pair of a token with one that it sees, itself among
them. What a mask hides is not counted: tokens of other documents, the future, what lies before a sliding window.
"""

from __future__ import annotations

import torch

from pretrain.config import ModelConfig
from pretrain.data import Batch
from pretrain.devices import device_of
from pretrain.shape import count_parameters


def step_flops(config: ModelConfig, vocabulary: int, batch: Batch) -> float:
    """FLOPs of one update on a batch, padding not counted."""
    multiplied = count_parameters(config, vocabulary).non_embedding + vocabulary * config.hidden  # norms: under 1%
    seen = (batch.positions + 1)[batch.documents > 0]
    if config.sliding_window is not None:
        seen = seen.clamp(max=config.sliding_window)
    attention = 12.0 * config.layers * config.hidden * float(seen.sum(dtype=torch.int64))
    return 6.0 * multiplied * len(seen) + attention


def peak_flops(device: torch.device) -> float | None:
    """Peak of a device in bfloat16, FLOP/s; None for one that the table of `pretrain.devices` does not know."""
    known = device_of(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return None if known is None else known.flops
