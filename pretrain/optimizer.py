"""AdamW in two groups, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math

import torch
from torch import nn

from pretrain.config import OptimizerConfig, ScheduleConfig


def adamw(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over all parameters: matrices (embeddings among them) decay, vectors (norms) do not. One fused kernel."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)


def learning_rate_factor(step: int, steps: int, config: ScheduleConfig) -> float:
    """Fraction of the peak learning rate in the update number `step` (from 0) of a run of `steps`.

    Warm-up: (step + 1) / warmup, so that the first update is not lost. Then, with `final` = f and u in [0, 1]:
    cosine: f + (1 - f) (1 + cos(pi u)) / 2 over the rest of the run (Loshchilov and Hutter 2017);
    wsd: 1 until the last `decay` of the run, then f + (1 - f) (1 - sqrt(u)) (Hägele et al. 2024).
    u is 1 at the last update.
    """
    if step < config.warmup:
        return (step + 1) / config.warmup
    stable = config.warmup if config.kind == "cosine" else max(config.warmup, steps - round(config.decay * steps))
    if step < stable:
        return 1.0
    done = min(1.0, (step - stable + 1) / max(1, steps - stable))
    shape = (1 + math.cos(math.pi * done)) / 2 if config.kind == "cosine" else 1 - math.sqrt(done)
    return config.final + (1 - config.final) * shape


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group the same learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
