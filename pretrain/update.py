"""One optimizer step on one batch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from pretrain.data import IGNORE, Batch
from pretrain.device import Precision


class DivergedError(RuntimeError):
    """The loss or the gradient is no longer a number."""


def update(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    micro_batch: int,
    clip: float,
    precision: Precision,
) -> tuple[float, float]:
    """One optimizer step on `batch`, `micro_batch` rows at a time. Returns loss and gradient norm, both from before it.

    The loss is the mean over the counted targets of the whole batch, so that it does not depend on `micro_batch`.
    Raises DivergedError, the weights untouched, where either is infinite or no number.
    """
    targets = max(1, int((batch.targets != IGNORE).sum()))
    loss = torch.zeros((), device=batch.inputs.device)
    for part in batch.split(micro_batch):
        with precision():
            logits = model(part.inputs, part.documents, part.positions)
        nats = F.cross_entropy(logits.float().flatten(0, 1), part.targets.flatten(), reduction="sum") / targets
        nats.backward()
        loss += nats.detach()
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
    if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
        raise DivergedError(f"loss is {loss.item()}, gradient norm {norm.item()}: try a lower optimizer.lr")
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item(), norm.item()
