"""The training loop: one function that starts a run, or goes on with it from its last checkpoint.

    DIR/runs/NAME/
      checkpoints/    see `pretrain.checkpoint`
      metrics.jsonl   a line per update: step, tokens, loss (nats per token, before the update), lr, grad_norm
                      (before clipping), tokens_per_second, data_seconds; a line per evaluation
      samples.json    texts that the finished model wrote
      summary.json    what came out; written last

All steps count from 1 at the first update. On one CPU the numbers repeat to the last bit, resumed or not.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pretrain import checkpoint
from pretrain.checkpoint import Origin, State
from pretrain.config import PretrainConfig
from pretrain.data import Loader
from pretrain.device import choose_device, precision_of
from pretrain.evaluate import evaluate, unigram_bits_per_byte
from pretrain.inputs import Inputs, open_inputs
from pretrain.metrics import Metrics, Record, read_metrics
from pretrain.model import Decoder, parameter_count
from pretrain.optimizer import adamw, learning_rate_factor, set_learning_rate
from pretrain.sample import write_samples
from pretrain.update import DivergedError, update
from shards.atomic import replacing

OnEvent = Callable[[Record], None]


def run(
    config: PretrainConfig, shards_dir: Path, tokenizer_dir: Path, output_dir: Path, on_event: OnEvent | None = None
) -> dict[str, Any]:
    """Train in `output_dir`/runs/NAME until the run's length is reached, and return its summary.

    A finished run returns its summary at once; an interrupted one goes on from its last checkpoint. `on_event` is
    called with each record as it happens: kind "start" (step, steps, parameters, device), "train", "evaluation",
    "checkpoint" (step), "end" (the summary). Raises MismatchError where the directory holds a run of other shards,
    another tokenizer, model or training config, DivergedError, CheckpointError, and what `open_inputs` raises.
    """
    inputs = open_inputs(shards_dir, tokenizer_dir)
    directory = output_dir / "runs" / config.name
    directory.mkdir(parents=True, exist_ok=True)
    summary = finished(directory, config, inputs.origin(config))
    if summary is None:
        training = Training.start(config, inputs, directory, on_event or (lambda event: None))
        summary = training.run()
    return summary


def finished(directory: Path, config: PretrainConfig, origin: Origin) -> dict[str, Any] | None:
    """The summary of a run that is complete under this very config, else None."""
    path = directory / "summary.json"
    if not path.exists():
        return None
    summary = json.loads(path.read_text("utf-8"))
    same = summary["config"] == config.model_dump(mode="json") and summary["origin"] == origin.model_dump(mode="json")
    return summary if same else None


@dataclass
class Training:
    """A run under way."""

    config: PretrainConfig
    inputs: Inputs
    directory: Path
    on_event: OnEvent
    device: torch.device
    model: Decoder
    optimizer: torch.optim.Optimizer
    loader: Loader
    metrics: Metrics
    steps: int
    saved: int  # step of the newest checkpoint
    step: int  # updates done
    position: int  # rows consumed

    @classmethod
    def start(cls, config: PretrainConfig, inputs: Inputs, directory: Path, on_event: OnEvent) -> Training:
        """A fresh run, or one restored from the directory's latest checkpoint."""
        device = choose_device(config.device)
        newest = checkpoint.latest(directory / "checkpoints")
        state = None if newest is None else checkpoint.read_state(newest)
        if state is not None:
            state.origin.refuse(inputs.origin(config), f"{directory}")
        torch.manual_seed(config.seed)
        model = Decoder(config.model, inputs.header.vocabulary_size, config.seed).to(device)
        optimizer = adamw(model, config.optimizer)
        if newest is not None:
            checkpoint.load_weights(newest, model)
            checkpoint.load_optimizer(newest, optimizer)
        if config.compile:
            model.compile()
        step = 0 if state is None else state.step
        return cls(
            config=config,
            inputs=inputs,
            directory=directory,
            on_event=on_event,
            device=device,
            model=model,
            optimizer=optimizer,
            loader=Loader(inputs.train, config.seed, config.batch_rows(inputs.header.context_length)),
            metrics=Metrics(directory / "metrics.jsonl", step),
            steps=inputs.steps(config),
            saved=step,
            step=step,
            position=0 if state is None else state.position,
        )

    @property
    def tokens(self) -> int:
        """Positions that the model has read."""
        return self.position * self.inputs.header.context_length

    def run(self) -> dict[str, Any]:
        """Update, save and evaluate until the end; then write samples and the summary."""
        self.on_event(
            {
                "kind": "start",
                "step": self.step,
                "steps": self.steps,
                "parameters": parameter_count(self.model),
                "device": str(self.device),
            }
        )
        try:
            while self.step < self.steps:
                if self.step and self.step % self.config.evaluation.every == 0:
                    self._evaluate()
                self._update()
                if self.step % self.config.checkpoint.every == 0 or self.step == self.steps:
                    self._save()
            validation = self._evaluate()
        finally:
            self.metrics.close()
        return self._finish(validation)

    def _update(self) -> None:
        started = time.perf_counter()
        batch = self.loader.batch(self.position).to(self.device)
        loaded = time.perf_counter()
        rate = self.config.optimizer.lr * learning_rate_factor(self.step, self.steps, self.config.schedule)
        set_learning_rate(self.optimizer, rate)
        try:
            loss, norm = update(
                self.model,
                self.optimizer,
                batch,
                self.config.micro_batch,
                self.config.optimizer.clip,
                precision_of(self.device),
            )
        except DivergedError as error:
            rest = f"the checkpoint of step {self.saved} is intact" if self.saved else "there is no checkpoint yet"
            raise DivergedError(f"step {self.step + 1}: {error}; {rest}") from None
        self.step += 1
        self.position += len(batch.inputs)
        ended = time.perf_counter()
        self._record(
            "train",
            tokens=self.tokens,
            loss=loss,
            lr=rate,
            grad_norm=norm,
            tokens_per_second=round(batch.inputs.numel() / (ended - started), 1),
            data_seconds=round(loaded - started, 6),
        )

    def _save(self) -> None:
        self.metrics.sync()
        state = State(
            step=self.step,
            position=self.position,
            tokens=self.tokens,
            parameters=parameter_count(self.model),
            config=self.config,
            origin=self.inputs.origin(self.config),
        )
        checkpoint.save(self.directory / "checkpoints", state, self.model, self.optimizer)
        self.saved = self.step
        self.on_event({"kind": "checkpoint", "step": self.step})

    def _evaluate(self) -> Record:
        scores = evaluate(self.model, self.inputs, self.config, self.device)
        self._record("evaluation", **scores)
        return scores

    def _record(self, kind: str, **values: object) -> None:
        record = {"kind": kind, "step": self.step, **values}
        self.metrics.write(record)
        self.on_event(record)

    def _finish(self, validation: Record) -> dict[str, Any]:
        samples = write_samples(
            self.model, self.inputs.encoder, self.inputs.header, self.config.sample, self.config.seed
        )
        _write_json(self.directory / "samples.json", samples)
        updates = [r for r in read_metrics(self.directory / "metrics.jsonl") if r["kind"] == "train"]
        summary = {
            "name": self.config.name,
            "steps": self.steps,
            "tokens": self.tokens,
            "parameters": parameter_count(self.model),
            "device": str(self.device),
            "train_loss": updates[-1]["loss"],
            "tokens_per_second": statistics.median(r["tokens_per_second"] for r in updates),
            "validation_loss": validation["loss"],
            "validation_bits_per_byte": validation["bits_per_byte"],
            "unigram_bits_per_byte": unigram_bits_per_byte(self.inputs, self.config),
            "validation": validation,
            "config": self.config.model_dump(mode="json"),
            "origin": self.inputs.origin(self.config).model_dump(mode="json"),
        }
        _write_json(self.directory / "summary.json", summary)
        self.on_event({"kind": "end", **summary})
        return summary


def _write_json(path: Path, value: object) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
