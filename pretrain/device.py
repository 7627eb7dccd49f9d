"""Where a model computes, and in what precision."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

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


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Have glibc's malloc keep what is freed, for the next step, whose tensors have the sizes of this one's.

    By default it gives large blocks back to the system, which then clears them anew in every step: of a model of 10M
    parameters 5,000 pages, 1 to 10% of the time (mallopt(3): M_MMAP_THRESHOLD is -3, M_TRIM_THRESHOLD -1). Does nothing
    where the C library has no mallopt.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-3, 1 << 30)
        mallopt(-1, (1 << 31) - 1)
