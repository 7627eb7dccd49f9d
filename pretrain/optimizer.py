"""AdamW for all parameters, or Muon for hidden matrices beside it; the learning rate as a pure function of the step.

A run has a list of optimizers: one, or two with Muon. Each group of parameters keeps its peak as `initial_lr`, as
PyTorch's schedulers do, and every step sets `lr` to a fraction of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from pretrain.config import OptimizerConfig, ScheduleConfig

WSD_DECAY = 0.2  # of the run: enough to match cosine (Hägele et al. 2024, arXiv 2405.18392)
FUSED = {"cpu", "cuda", "mps", "xpu"}  # devices on which AdamW is one kernel for all parameters


def build_optimizers(model: nn.Module, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
    """AdamW, or with `config.muon` Muon for the matrices of `model.layers` and AdamW for all else.

    Weight decay is decoupled (Loshchilov and Hutter 2019): each step takes lr * weight_decay of a matrix, embeddings
    among them; vectors (norms) do not decay. Embedding and output matrix are AdamW's under Muon too, as both map
    single tokens, not hidden states (Jordan et al. 2024).
    """
    named = dict(model.named_parameters())
    hidden = {n for n, p in named.items() if p.ndim == 2 and ".layers." in n} if config.muon is not None else set()
    optimizers: list[torch.optim.Optimizer] = [_adamw([p for n, p in named.items() if n not in hidden], config)]
    if config.muon is not None:
        muon = torch.optim.Muon(
            [named[n] for n in named if n in hidden],
            lr=config.muon.lr or config.lr,
            weight_decay=config.weight_decay,
            momentum=config.muon.momentum,
            adjust_lr_fn=config.muon.adjust_lr_fn,
        )
        optimizers.append(muon)
    for group in parameter_groups(optimizers):
        group["initial_lr"] = group["lr"]
    return optimizers


def _adamw(parameters: list[Tensor], config: OptimizerConfig) -> torch.optim.AdamW:
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in FUSED for p in parameters)
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=config.lr, betas=config.betas, eps=config.eps, fused=fused
    )


def parameter_groups(optimizers: Iterable[torch.optim.Optimizer]) -> list[dict]:
    """The groups of all optimizers."""
    return [group for optimizer in optimizers for group in optimizer.param_groups]


def set_learning_rate(optimizers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Give every group `factor` of its peak."""
    for group in parameter_groups(optimizers):
        group["lr"] = group["initial_lr"] * factor


def learning_rate_factor(step: int, steps: int, config: ScheduleConfig) -> float:
    """Fraction of the peak learning rate in the update number `step` (from 0) of a run of `steps`.

    Warm-up: (step + 1) / warmup, so that the first update is not lost. Then, with `final` = f, f + (1 - f) s(u):
    cosine: s(u) = (1 + cos(pi u)) / 2 over the rest of the run (Loshchilov and Hutter 2017);
    wsd: 1 until the last `decay` of the run, and over that s(u) is 1 - u ("linear"), 1 - sqrt(u) ("1-sqrt", the best
    of those that Hägele et al. 2024 compare) or that of cosine (Hu et al. 2024).
    u rises to 1 at the last update.
    """
    warmup = config.warmup_of(steps)
    if step < warmup:
        return (step + 1) / warmup
    stable, shape = warmup, "cosine"
    if config.kind == "wsd":
        decay = WSD_DECAY if config.decay is None else config.decay
        stable, shape = max(stable, steps - max(1, round(decay * steps))), config.decay_shape or "1-sqrt"
    if step < stable:
        return 1.0
    done = min(1.0, (step - stable + 1) / max(1, steps - stable))
    return config.final + (1 - config.final) * _remaining(done, shape)


def _remaining(done: float, shape: str) -> float:
    """1 at `done` = 0, 0 at 1."""
    if shape == "linear":
        return 1 - done
    return 1 - math.sqrt(done) if shape == "1-sqrt" else (1 + math.cos(math.pi * done)) / 2
