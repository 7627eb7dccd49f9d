"""Where a model computes, and in what precision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

Precision = Callable[[], AbstractContextManager]


def choose_device(name: str) -> torch.device:
    """The device of the config's `device`. Raises ValueError for cuda where there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: cuda is asked for, but PyTorch finds no CUDA device; use auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def precision_of(device: torch.device) -> Precision:
    """What to compute the forward pass under: bfloat16 autocast over float32 weights on CUDA, float32 on CPU."""
    return (lambda: torch.autocast("cuda", torch.bfloat16)) if device.type == "cuda" else nullcontext
