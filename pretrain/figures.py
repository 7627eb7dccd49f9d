"""What metrics.jsonl says of an update, besides its loss: how fast it was, and what a spike came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pretrain.data import Batch
from pretrain.flops import peak_flops, step_flops
from pretrain.metrics import Record, memory_mb
from pretrain.spikes import Scores, first_documents

if TYPE_CHECKING:
    from pretrain.train import Training


def speed(run: Training, batch: Batch, seconds: float) -> Record:
    """Of the latest update, on this process's `batch`; every process takes part."""
    flops = step_flops(run.config.model, run.inputs.header.vocabulary_size, batch)
    tokens, flops = run.world.sums(batch.inputs.numel(), flops)
    peak = peak_flops(run.world.device)
    return {
        "tokens_per_second": round(tokens / seconds, 1),
        "mfu": None if peak is None else round(flops / seconds / (peak * run.world.size), 4),
        "data_seconds": round(run.batches.waited, 6),
        "memory_mb": memory_mb(run.world.device),
    }


def spike(run: Training, scores: Scores) -> Record:
    """Of the latest update, which was one."""
    rows = run.loader.rows(*run.loader.reading.at(run.step)).tolist()
    documents = first_documents(run.inputs.train, rows)
    return {"spike": scores._asdict(), "documents": documents, "skipped": run.config.spikes.skip}
