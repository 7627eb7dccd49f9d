"""A run that has come to its end: samples.json and summary.json, which is written last."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretrain.config import PretrainConfig
from pretrain.evaluate import unigram_bits_per_byte
from pretrain.metrics import Record, read_metrics
from pretrain.origin import Origin
from pretrain.sample import write_samples
from shards.atomic import replacing

if TYPE_CHECKING:
    from pretrain.train import Training


def finished(directory: Path, config: PretrainConfig, origin: Origin) -> dict[str, Any] | None:
    """The summary of a run that is complete under this very config, else None."""
    path = directory / "summary.json"
    if not path.exists():
        return None
    try:  # of an earlier version, it may lack keys that have defaults; a damaged one is written again
        summary: dict[str, Any] = json.loads(path.read_text("utf-8"))
        Origin.model_validate(summary["origin"]).refuse(origin, f"{directory}")
        return summary if PretrainConfig.model_validate(summary["config"]) == config else None
    except (ValueError, KeyError, TypeError):
        return None


def finish(run: Training, validation: Record) -> dict[str, Any]:
    """Write samples and summary; every process must call it, one writes. Returns the summary."""
    config, inputs = run.config, run.inputs
    samples = write_samples(run.model, inputs.encoder, inputs.header, config.sample, config.seed)
    if run.world.leads:
        _write_json(run.directory / "samples.json", samples)
        _write_json(run.directory / "summary.json", _summary(run, validation))
    run.world.barrier()
    summary: dict[str, Any] = json.loads((run.directory / "summary.json").read_text("utf-8"))
    return summary


def _summary(run: Training, validation: Record) -> dict[str, Any]:
    updates = [r for r in read_metrics(run.directory / "metrics.jsonl") if r["kind"] == "train"]
    return {
        "name": run.config.name,
        "steps": run.steps,
        "tokens": run.tokens,
        "parameters": run.parameters,
        "device": str(run.world.device),
        "processes": run.world.size,
        "train_loss": updates[-1]["loss"] if updates else None,  # metrics.jsonl was removed
        "tokens_per_second": statistics.median(r["tokens_per_second"] for r in updates) if updates else None,
        "validation_loss": validation["loss"],
        "validation_bits_per_byte": validation["bits_per_byte"],
        "unigram_bits_per_byte": unigram_bits_per_byte(run.inputs, run.config),
        "validation": validation,
        "config": run.config.model_dump(mode="json"),
        "rollbacks": run.rollbacks,
        "jumps": run.loader.reading.jumps,
        "origin": run.inputs.origin(run.config).model_dump(mode="json"),
    }


def _write_json(path: Path, value: object) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
