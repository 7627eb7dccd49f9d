"""The loss, and one optimizer step on one batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.data import IGNORE, Batch
from pretrain.device import Precision
from pretrain.parallel import ALONE, World, accumulating, clip_gradient

Accept = Callable[[float, float], bool]
Loss = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]


class DivergedError(RuntimeError):
    """The loss or the gradient is no longer a number."""


def summed_loss(logits: Tensor, targets: Tensor, z_loss: float) -> tuple[Tensor, Tensor]:
    """Two sums over the counted targets, float32: -ln p(target), and `z_loss` * ln(Z)^2.

    `logits` [B, L, V], `targets` int [B, L]. Z is the sum of exp(logits); PaLM (Chowdhery et al. 2022, section 5) keeps
    it near 1 with a coefficient of 1e-4, so that logits do not drift away in half precision.
    """
    logits, targets = logits.float().flatten(0, 1), targets.flatten()
    if z_loss == 0:
        nats = F.cross_entropy(logits, targets, reduction="sum")
        return nats, torch.zeros_like(nats)
    losses = F.cross_entropy(logits, targets, reduction="none")
    counted = targets != IGNORE
    log_z = losses + logits.gather(1, targets.clamp(min=0)[:, None])[:, 0]  # as -ln p is ln Z - logit
    return losses.sum(), z_loss * log_z.where(counted, 0).square().sum()


def update(
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    batch: Batch,
    micro_batch: int,
    clip: float,
    precision: Precision,
    z_loss: float = 0.0,
    world: World = ALONE,
    accept: Accept = lambda loss, norm: True,
    summed: Loss = summed_loss,
) -> tuple[float, float]:
    """One optimizer step on `batch`, `micro_batch` rows at a time. Returns loss and gradient norm, both from before it.

    `batch` is this process's stretch of the step's rows. The loss is the mean over the counted targets of all
    processes, so that it depends neither on their number nor on `micro_batch`; the gradient is that of loss and z-loss.
    Where `accept` refuses loss and norm, the weights stay as they are. `summed` is `summed_loss` or what it is compiled
    to. Raises DivergedError, the weights untouched, where either is infinite or no number.
    """
    targets = max(1.0, world.sums(int((batch.targets != IGNORE).sum()))[0])
    parts = _parts(batch, micro_batch, int(world.most(len(batch.inputs))))
    loss = torch.zeros((), device=batch.inputs.device)
    for number, part in enumerate(parts, 1):
        with accumulating(model, last=number == len(parts)):
            with precision():
                logits = model(part.inputs, part.documents, part.positions)
            nats, penalty = summed(logits, part.targets, z_loss)
            ((nats + penalty) * world.size / targets).backward()  # processes average their gradients: this adds them up
        loss += nats.detach() / targets
    total, norm = world.sums(loss.item())[0], clip_gradient(model, clip)
    if not (math.isfinite(total) and math.isfinite(norm)):
        raise DivergedError(f"loss is {total}, gradient norm {norm}: try a lower optimizer.lr")
    accepted = accept(total, norm)
    for optimizer in optimizers:
        if accepted:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return total, norm


def _parts(batch: Batch, micro_batch: int, rows: int) -> list[Batch]:
    """The batch in parts, as many as a process with `rows` rows has: sharded processes go forward together or hang."""
    parts = list(batch.split(micro_batch))
    nothing = parts[0]._replace(targets=torch.full_like(parts[0].targets, IGNORE))
    return parts + [nothing] * (-(-rows // micro_batch) - len(parts))
