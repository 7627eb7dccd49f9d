"""One process or many: who they are, how the model is spread over them, and what they tell each other.

    none  one process
    ddp   every process holds the whole model, gradients are averaged (Li et al. 2020, arXiv 2006.15704)
    fsdp  parameters, gradients and moments are sharded over the processes (FSDP2, `fully_shard`; ZeRO-3, Rajbhandari
          et al. 2020, arXiv 1910.02054)

Processes are started by torchrun. All of them run the same program on the same config; each reads its own stretch of
every batch, so a run computes the same at any number of processes, within rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from pretrain.device import choose_device

Layout = Literal["none", "ddp", "fsdp"]


@dataclass(frozen=True)
class World:
    """This process among those of the run."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes files and reports."""
        return self.rank == 0

    def sums(self, *values: float) -> list[float]:
        """Each value added up over all processes, as float64; every process must call it."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def most(self, value: float) -> float:
        """The greatest of the processes' values; every process must call it."""
        if self.size == 1:
            return value
        greatest = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(greatest, op=dist.ReduceOp.MAX)
        return float(greatest)

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()


ALONE = World(torch.device("cpu"))


@contextmanager
def joined(device: str) -> Iterator[World]:
    """The processes that torchrun started, connected until the end of the block; one process where it started none.

    `device` as in the config. Raises ValueError for a device that is not there.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    chosen = choose_device(device)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    if size == 1:
        yield World(chosen)
        return
    # Gloo serves what lies in main memory: the checkpoints' bookkeeping, and everything where there is no GPU.
    dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield World(chosen, rank, size)
    finally:
        dist.destroy_process_group()


def layout_of(asked: Literal["auto", "none", "ddp", "fsdp"], world: World) -> Layout:
    """How the model is spread; auto: ddp where there are several processes. Raises ValueError where they do not fit."""
    if asked == "auto":
        return "ddp" if world.size > 1 else "none"
    if asked == "none" and world.size > 1:
        raise ValueError(f"parallel: none, but torchrun started {world.size} processes; use ddp, fsdp or auto")
    return asked if world.size > 1 else "none"


def spread(model: nn.Module, blocks: nn.ModuleList, layout: Layout, world: World) -> nn.Module:
    """The model as `layout` says. Its state is read and restored by `torch.distributed.checkpoint.state_dict` alone."""
    if layout == "ddp":
        devices = [world.device] if world.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)  # no second gradient
    if layout == "fsdp":
        half = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        policy = half if world.device.type == "cuda" else MixedPrecisionPolicy()
        mesh = dist.device_mesh.init_device_mesh(world.device.type, (world.size,))
        for block in blocks:
            fully_shard(block, mesh=mesh, mp_policy=policy)
        fully_shard(model, mesh=mesh, mp_policy=policy)
    return model


@contextmanager
def accumulating(model: nn.Module, last: bool) -> Iterator[None]:
    """Around forward and backward of one part of a batch: gradients meet in the last part only."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(last)
        yield
    elif isinstance(model, DistributedDataParallel) and not last:
        with model.no_sync():
            yield
    else:
        yield


def weight_norm(model: nn.Module) -> float:
    """L2 norm of all parameters, over all shards; every process must call it."""
    norm = nn.utils.get_total_norm(list(model.parameters()))
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def clip_gradient(model: nn.Module, most: float) -> float:
    """Scale the gradient down to an L2 norm of `most` where it is longer; returns its norm before, over all shards."""
    norm = nn.utils.clip_grad_norm_(model.parameters(), most)
    if isinstance(model, DistributedDataParallel):  # what is decided by it must be the same everywhere, to the last bit
        dist.all_reduce(norm, op=dist.ReduceOp.MAX)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
