"""What would go wrong in a run that has begun, and can be known before its first step."""

from __future__ import annotations

from pretrain.config import PretrainConfig
from shards.reading import Reading


def check(config: PretrainConfig, reading: Reading, steps: int, processes: int) -> None:
    """Raise ValueError, naming the key, for a run of `steps` steps whose learning rate would never come to its peak,
    or one of whose batches has fewer rows than there are processes.
    """
    warmup = config.schedule.warmup_of(steps)
    if warmup >= steps:
        raise ValueError(
            f"schedule.warmup: {warmup:,} steps of warm-up in a run of {steps:,}: the learning rate would not come to "
            "its peak; lower it (a hundredth to a tenth of the run is customary) or train for longer"
        )
    for number, (step, rows) in enumerate(reading.batches):
        if step <= steps and rows < processes:
            key = f"batch_changes.{number - 1}.tokens" if number else "batch_tokens"
            raise ValueError(
                f"{key}: a batch of {rows} rows cannot be shared by {processes} processes: raise it, or start fewer"
            )
