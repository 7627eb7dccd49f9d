"""What a model is worth on held-out rows: nats per token, and bits per byte, which compare across tokenizers.

    loss           mean of -ln p(target) over all targets that `pretrain.data` counts, in nats per token
    bits_per_byte  sum of -ln p over the targets that stand for text / (ln 2 * sum of their bytes)

Special tokens stand for no bytes and are left out of both sums of bits per byte (as nanochat's loss_eval does). The
bytes of a token are those of the raw vocabulary entry, never of its decoded string.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from pretrain.config import PretrainConfig
from pretrain.data import IGNORE, Batch, read_batch, spread_rows
from pretrain.device import precision_of
from pretrain.inputs import Inputs
from pretrain.parallel import ALONE, World
from shards.read import Split

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Nats = Callable[[Batch], Float64]

COUNT_ROWS: Final = 4096  # rows read at a time when token frequencies are counted


def evaluate(model: nn.Module, inputs: Inputs, config: PretrainConfig, world: World) -> dict[str, Any]:
    """`score` of a model on the validation rows that the config asks for; zero targets where there is no such split.

    Every process must call it: each measures a part of the rows.
    """
    return _validate(model_nats(model, world.device), inputs, config, world)


def unigram_bits_per_byte(inputs: Inputs, config: PretrainConfig) -> float | None:
    """Bits per byte of the unigram baseline on the same rows, None where there is no validation split."""
    if inputs.validation is None:
        return None
    return _validate(unigram_nats(inputs.train, inputs.token_bytes), inputs, config)["bits_per_byte"]


def _validate(nats: Nats, inputs: Inputs, config: PretrainConfig, world: World = ALONE) -> dict[str, Any]:
    split = inputs.validation
    if split is None:
        return {**rates(np.zeros(4)), "buckets": {}}
    rows = spread_rows(split, config.evaluation.rows)
    return score(nats, split, rows, inputs.token_bytes, config.micro_batch, world)


def model_nats(model: nn.Module, device: torch.device) -> Nats:
    """A predictor: batch to -ln p(target), float64 [B, L], 0 where the target is not counted."""
    precision = precision_of(device)

    @torch.no_grad()
    def nats(batch: Batch) -> Float64:
        moved = batch.to(device)
        with precision():
            logits = model(moved.inputs, moved.documents, moved.positions)
        losses = F.cross_entropy(logits.float().flatten(0, 1), moved.targets.flatten(), reduction="none")
        return losses.view(moved.targets.shape).double().cpu().numpy()

    return nats


def unigram_nats(train: Split, token_bytes: npt.NDArray[np.integer]) -> Nats:
    """The baseline that knows only how often each token occurs in `train`, add-one smoothed, special tokens excluded.

    Leaving special tokens out gives their probability to text, so it is the strongest unigram baseline for bits per
    byte. Its nats on a special target are infinite.
    """
    counts = np.zeros(len(token_bytes), np.int64)
    for begin in range(0, len(train), COUNT_ROWS):
        rows = train.rows(np.arange(begin, min(begin + COUNT_ROWS, len(train))))
        counts += np.bincount(rows.reshape(-1), minlength=len(counts))
    smoothed = np.where(token_bytes > 0, counts + 1, 0)
    with np.errstate(divide="ignore"):
        table = -np.log(smoothed / smoothed.sum())
    return lambda batch: table[batch.targets.clamp(min=0).numpy()]


def score(
    nats: Nats,
    split: Split,
    rows: Int64,
    token_bytes: npt.NDArray[np.integer],
    micro_batch: int,
    world: World = ALONE,
) -> dict[str, Any]:
    """Score a predictor on rows `rows` of a split.

    Returns `loss` (nats per token; None without a target or for a predictor that excludes special tokens),
    `bits_per_byte` (None without a byte), `targets`, `bytes`, and `buckets`: the same four per bucket of the shards
    (by default the source). `token_bytes` int [V]: bytes of each token, 0 for special tokens.
    """
    # As many rows for every process, some of them twice: sharded processes go forward together or hang.
    share = rows[np.arange(world.rank, -(-len(rows) // world.size) * world.size, world.size) % max(1, len(rows))]
    found = measured(nats, split, share, token_bytes, micro_batch)
    own = np.concatenate([np.zeros((0, 4)), *(parts.sum(axis=1) for _, parts in found)])
    sums = np.zeros((len(rows), 4))
    mine = np.arange(world.rank, len(rows), world.size)
    sums[mine] = own[: len(mine)]
    sums = np.array(world.sums(*sums.reshape(-1))).reshape(-1, 4)
    buckets = np.array([split.locate(int(row))[0].entry.bucket for row in rows], dtype=np.str_)
    parts = {str(bucket): rates(sums[buckets == bucket].sum(axis=0)) for bucket in np.unique(buckets)}
    return {**rates(sums.sum(axis=0)), "buckets": parts}


def measured(
    nats: Nats, split: Split, rows: Int64, token_bytes: npt.NDArray[np.integer], micro_batch: int
) -> Iterator[tuple[Int64, Float64]]:
    """Rows [n] and of each target of theirs, float64 [n, L, 4]: nats, 1, nats of text, bytes; 0 where none counts."""
    for begin in range(0, len(rows), micro_batch):
        places = rows[begin : begin + micro_batch]
        batch = read_batch(split, places)
        targets = batch.targets.numpy()
        counted = targets != IGNORE
        sizes = np.where(counted, token_bytes[np.where(counted, targets, 0)], 0).astype(np.int64)
        losses = nats(batch)
        parts = (np.where(counted, losses, 0.0), counted, np.where(sizes > 0, losses, 0.0), sizes)
        yield places, np.stack(parts, axis=2).astype(np.float64)


def rates(sums: Float64) -> dict[str, float | int | None]:
    """`loss`, `bits_per_byte`, `targets` and `bytes` of sums [4] of what `measured` says of targets."""
    nats, targets, text_nats, size = (float(value) for value in sums)
    return {
        "loss": nats / targets if targets and math.isfinite(nats) else None,
        "bits_per_byte": text_nats / (math.log(2) * size) if size and math.isfinite(text_nats) else None,
        "targets": int(targets),
        "bytes": int(size),
    }
