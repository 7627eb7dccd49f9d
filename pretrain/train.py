"""The training loop: one function that starts a run, or goes on with it from its last checkpoint.

    DIR/runs/NAME/
      checkpoints/    see `pretrain.checkpoint`
      metrics.jsonl   a line per update: step, tokens, loss (nats per token, before the update), lr, grad_norm
                      (before clipping), tokens_per_second, mfu (null where the device's peak is unknown), data_seconds,
                      memory_mb; of a spike its z-scores, and whether the update was skipped; a line per evaluation
      samples.json    texts that the finished model wrote
      summary.json    what came out; written last

All steps count from 1 at the first update. On one CPU process the numbers repeat to the last bit, resumed or not. Under
torchrun every process runs this; one of them, which leads, writes the files.
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
from torch import nn

from pretrain import checkpoint
from pretrain.checkpoint import Checkpoints, Origin, State
from pretrain.config import PretrainConfig, so_far
from pretrain.data import Batch, Loader, Prefetched
from pretrain.device import precision_of
from pretrain.evaluate import evaluate, unigram_bits_per_byte
from pretrain.flops import peak_flops, step_flops
from pretrain.inputs import Inputs, open_inputs
from pretrain.interruption import Interruption, StoppedError, interruptible
from pretrain.metrics import Metrics, Record, calm, memory_mb, read_metrics
from pretrain.model import Decoder, parameter_count
from pretrain.optimizer import build_optimizers, learning_rate_factor, set_learning_rate
from pretrain.parallel import World, joined, layout_of, spread
from pretrain.sample import write_samples
from pretrain.spikes import Scores, SpikeWatch
from pretrain.update import DivergedError, update
from shards.atomic import replacing

OnEvent = Callable[[Record], None]


def run(
    config: PretrainConfig, shards_dir: Path, tokenizer_dir: Path, output_dir: Path, on_event: OnEvent | None = None
) -> dict[str, Any]:
    """Train in `output_dir`/runs/NAME until the run's length is reached, and return its summary.

    A finished run returns its summary at once; an interrupted one goes on from its last checkpoint. `on_event` is
    called, in the process that leads, with each record as it happens: kind "start" (step, steps, parameters, device,
    processes), "train", "evaluation", "checkpoint" (step), "end" (the summary). Raises MismatchError where the
    directory holds a run of other shards, another tokenizer, model or training config, StoppedError after a signal,
    DivergedError, CheckpointError, and what `open_inputs` raises.
    """
    inputs = open_inputs(shards_dir, tokenizer_dir)
    directory = output_dir / "runs" / config.name
    directory.mkdir(parents=True, exist_ok=True)
    summary = finished(directory, config, inputs.origin(config))
    if summary is not None:
        return summary
    with joined(config.device) as world, interruptible() as interruption:
        tell = on_event if on_event is not None and world.leads else lambda event: None
        return Training.start(config, inputs, directory, world, interruption, tell).run()


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
    """A run under way, in one of its processes."""

    config: PretrainConfig
    inputs: Inputs
    directory: Path
    world: World
    interruption: Interruption
    on_event: OnEvent
    model: nn.Module  # as the processes share it
    optimizers: list[torch.optim.Optimizer]
    batches: Prefetched
    checkpoints: Checkpoints
    metrics: Metrics
    spikes: SpikeWatch
    parameters: int
    steps: int
    saved: int  # step of the newest checkpoint
    step: int  # updates done
    position: int  # rows consumed

    @classmethod
    def start(
        cls,
        config: PretrainConfig,
        inputs: Inputs,
        directory: Path,
        world: World,
        interruption: Interruption,
        on_event: OnEvent,
    ) -> Training:
        """A fresh run, or one restored from the directory's latest checkpoint."""
        newest = checkpoint.latest(directory / "checkpoints")
        state = None if newest is None else checkpoint.read_state(newest)
        step = 0 if state is None else state.step
        if state is not None:
            _so_far(state.origin, step).refuse(_so_far(inputs.origin(config), step), f"{directory}")
        loader, steps = Loader(inputs.train, config.reading(inputs.header.context_length)), inputs.steps(config)
        loader.reading.check(inputs.train, steps)
        decoder = Decoder(config.model, inputs.header.vocabulary_size, config.seed).to(world.device)
        parameters = parameter_count(decoder)
        if config.compile:
            decoder.compile()
        model = spread(decoder, decoder.model.layers, layout_of(config.parallel, world), world)
        optimizers = build_optimizers(model, config.optimizer)
        if newest is not None:
            checkpoint.load(newest, model, optimizers)
        diary = directory / "metrics.jsonl"
        pin = world.device.type == "cuda"
        return cls(
            config=config,
            inputs=inputs,
            directory=directory,
            world=world,
            interruption=interruption,
            on_event=on_event,
            model=model,
            optimizers=optimizers,
            batches=Prefetched(loader, step + 1, steps, world.rank, world.size, pin),
            checkpoints=Checkpoints(directory / "checkpoints", world),
            metrics=Metrics(diary, step, world.leads),
            spikes=SpikeWatch(config.spikes.window, config.spikes.threshold, calm(diary, step)),
            parameters=parameters,
            steps=steps,
            saved=step,
            step=step,
            position=0 if state is None else state.position,
        )

    @property
    def tokens(self) -> int:
        """Positions that the model has read, in all processes."""
        return self.position * self.inputs.header.context_length

    def run(self) -> dict[str, Any]:
        """Update, save and evaluate until the end; then write samples and the summary."""
        self.on_event(
            {
                "kind": "start",
                "step": self.step,
                "steps": self.steps,
                "parameters": self.parameters,
                "device": str(self.world.device),
                "processes": self.world.size,
            }
        )
        try:
            while self.step < self.steps:
                if self.step and self.step % self.config.evaluation.every == 0:
                    self._evaluate()
                self._update()
                stopped = int(self.world.most(self.interruption.number))
                if self.step % self.config.checkpoint.every == 0 or self.step == self.steps or stopped:
                    self._save()
                if stopped and self.step < self.steps:
                    self.checkpoints.finish()
                    raise StoppedError(stopped, self.step)
            validation = self._evaluate()
            self.checkpoints.finish()
        finally:
            self.batches.close()
            self.checkpoints.close()
            self.metrics.close()
        return self._finish(validation)

    def _update(self) -> None:
        started = time.perf_counter()
        read = next(self.batches)
        factor = learning_rate_factor(self.step, self.steps, self.config.schedule)
        set_learning_rate(self.optimizers, factor)
        spike: list[Scores] = []

        def accept(loss: float, norm: float) -> bool:
            scores = self.spikes.judge(loss, norm)
            spike.extend([] if scores is None else [scores])
            return scores is None or not self.config.spikes.skip

        try:
            batch = read.to(self.world.device)
            loss, norm = update(
                self.model,
                self.optimizers,
                batch,
                self.config.micro_batch,
                self.config.optimizer.clip,
                precision_of(self.world.device),
                self.config.z_loss,
                self.world,
                accept,
            )
        except DivergedError as error:
            rest = f"the checkpoint of step {self.saved} is intact" if self.saved else "there is no checkpoint yet"
            raise DivergedError(f"step {self.step + 1}: {error}; {rest}") from None
        self.step += 1
        self.position = sum(self.batches.reading.at(self.step))
        seconds = time.perf_counter() - started
        self._record(
            "train",
            tokens=self.tokens,
            loss=loss,
            lr=self.config.optimizer.lr * factor,
            grad_norm=norm,
            **self._speed(read, seconds),
            **({"spike": spike[0]._asdict(), "skipped": self.config.spikes.skip} if spike else {}),
        )

    def _speed(self, batch: Batch, seconds: float) -> Record:
        """Of an update; every process takes part."""
        flops = step_flops(self.config.model, self.inputs.header.vocabulary_size, batch)
        tokens, flops = self.world.sums(batch.inputs.numel(), flops)
        peak = peak_flops(self.world.device)
        return {
            "tokens_per_second": round(tokens / seconds, 1),
            "mfu": None if peak is None else round(flops / seconds / (peak * self.world.size), 4),
            "data_seconds": round(self.batches.waited, 6),
            "memory_mb": memory_mb(self.world.device),
        }

    def _save(self) -> None:
        self.metrics.sync()
        state = State(
            step=self.step,
            position=self.position,
            tokens=self.tokens,
            parameters=self.parameters,
            config=self.config,
            origin=self.inputs.origin(self.config),
        )
        self.checkpoints.save(state, self.model, self.optimizers)
        self.saved = self.step
        self.on_event({"kind": "checkpoint", "step": self.step})

    def _evaluate(self) -> Record:
        scores = evaluate(self.model, self.inputs, self.config, self.world)
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
        if self.world.leads:
            _write_json(self.directory / "samples.json", samples)
            _write_json(self.directory / "summary.json", self._summary(validation))
        self.world.barrier()
        summary: dict[str, Any] = json.loads((self.directory / "summary.json").read_text("utf-8"))
        self.on_event({"kind": "end", **summary})
        return summary

    def _summary(self, validation: Record) -> dict[str, Any]:
        updates = [r for r in read_metrics(self.directory / "metrics.jsonl") if r["kind"] == "train"]
        return {
            "name": self.config.name,
            "steps": self.steps,
            "tokens": self.tokens,
            "parameters": self.parameters,
            "device": str(self.world.device),
            "processes": self.world.size,
            "train_loss": updates[-1]["loss"],
            "tokens_per_second": statistics.median(r["tokens_per_second"] for r in updates),
            "validation_loss": validation["loss"],
            "validation_bits_per_byte": validation["bits_per_byte"],
            "unigram_bits_per_byte": unigram_bits_per_byte(self.inputs, self.config),
            "validation": validation,
            "config": self.config.model_dump(mode="json"),
            "origin": self.inputs.origin(self.config).model_dump(mode="json"),
        }


def _so_far(origin: Origin, step: int) -> Origin:
    """What the first `step` steps come from: a run may go on under other changes to come."""
    return origin.model_copy(update={"trajectory": so_far(origin.trajectory, step)})


def _write_json(path: Path, value: object) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
