"""The training loop: one function that starts a run, or goes on with it from its last checkpoint.

    DIR/runs/NAME/
      checkpoints/    see `pretrain.checkpoint`
      metrics.jsonl   a line per update: step, tokens, loss (nats per token, before the update), lr, grad_norm
                      (before clipping), tokens_per_second, mfu (null where the device's peak is unknown), data_seconds,
                      memory_mb; of a spike its z-scores, its first documents, and whether the update was skipped;
                      a line per evaluation, with above_forecast where its loss is too far above the forecast of
                      `gristmill pretrain ladder`, as a part of it (null: no number); of a rollback the step before it
                      (after), the rows passed over and the records of the spikes: the other lines of what was gone
                      back on are dropped
      tensorboard/    by option: the figures of metrics.jsonl, see `pretrain.tensorboard`
      samples.json    texts that the finished model wrote
      summary.json    what came out; written last

All steps count from 1 at the first update. On one CPU process the numbers repeat to the last bit, resumed or not. Under
torchrun every process runs this; one of them, which leads, writes the files.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pretrain import checkpoint, feasible, figures, tensorboard
from pretrain.checkpoint import Checkpoints, State
from pretrain.config import PretrainConfig
from pretrain.data import Loader, Prefetched
from pretrain.device import keep_freed_memory, precision_of
from pretrain.evaluate import evaluate
from pretrain.failures import explained
from pretrain.inputs import Inputs, open_inputs
from pretrain.interruption import Interruption, StoppedError, interruptible
from pretrain.ladder_forecast import Curve, forecast_path, off_forecast, read_forecast
from pretrain.metrics import Metrics, Record, calm_and_spikes
from pretrain.model import Decoder, parameter_count
from pretrain.optimizer import build_optimizers, learning_rate_factor, set_learning_rate
from pretrain.parallel import World, joined, layout_of, spread, weight_norm
from pretrain.resumption import newest_whole
from pretrain.rollback import recent_spikes, roll_back
from pretrain.spikes import Scores, SpikeWatch
from pretrain.summary import finish, finished
from pretrain.update import DivergedError, Loss, summed_loss, update

OnEvent = Callable[[Record], None]


def run(
    config: PretrainConfig, shards_dir: Path, tokenizer_dir: Path, output_dir: Path, on_event: OnEvent | None = None
) -> dict[str, Any]:
    """Train in `output_dir`/runs/NAME until the run's length is reached, and return its summary.

    A finished run returns its summary at once; an interrupted one goes on from its last checkpoint. `on_event` is
    called, in the process that leads, with each record as it happens: kind "start" (step, steps, parameters, device,
    processes), "train", "evaluation", "rollback", "checkpoint" (step), "damaged" (reason; of a checkpoint, and the run
    goes on from the one before), "end" (the summary). Raises MismatchError where the directory holds a run of other
    shards, another tokenizer, model or training config, ValueError for a config that does not fit the shards or the
    processes, StoppedError after a signal, ResourceError where memory or disk give out, DivergedError, CheckpointError,
    and what `open_inputs` raises.
    """
    tensorboard.required(config.tensorboard)
    inputs = open_inputs(shards_dir, tokenizer_dir)
    directory = output_dir / "runs" / config.name
    with explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
        summary = finished(directory, config, inputs.origin(config))
        if summary is not None:
            return summary
    with explained(directory), joined(config.device) as world, interruptible() as interruption:
        tell = on_event if on_event is not None and world.leads else lambda event: None
        return Training.start(config, inputs, directory, world, interruption, tell).run()


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
    summed: Loss  # `summed_loss`, compiled where the config asks for it
    checkpoints: Checkpoints
    metrics: Metrics
    parameters: int
    steps: int
    step: int  # updates done
    rollbacks: int  # so far
    forecast: Curve | None  # of its validation loss, where a ladder was climbed for it
    loader: Loader = field(init=False)
    batches: Prefetched = field(init=False)
    spikes: SpikeWatch = field(init=False)
    spiked: list[Record] = field(init=False)  # updates that were spikes

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
        """A fresh run, or one restored from the directory's newest checkpoint."""
        newest, state = newest_whole(directory / "checkpoints", world, on_event) or (None, None)
        step = 0 if state is None else state.step
        if state is not None:
            state.origin.so_far(step).refuse(inputs.origin(config).so_far(step), f"{directory}")
        jumps = () if state is None else state.jumps
        loader = Loader(inputs.train, config.reading(inputs.header.context_length, jumps))
        steps = inputs.steps(config)
        loader.reading.check(inputs.train, steps)
        feasible.check(config, loader.reading, steps, world.size)
        if world.device.type == "cpu":
            keep_freed_memory()
        decoder = Decoder(config.model, inputs.header.vocabulary_size, config.seed).to(world.device)
        decoder.checkpointing = config.activation_checkpointing
        parameters = parameter_count(decoder)
        if config.compile:
            decoder.compile()
        model = spread(decoder, decoder.model.layers, layout_of(config.parallel, world), world)
        optimizers = build_optimizers(model, config.optimizer)
        checkpoints = Checkpoints(directory / "checkpoints", world)
        if newest is not None:
            checkpoint.load(newest, model, optimizers)
            checkpoints.back_to(step)
        run = cls(
            config=config,
            inputs=inputs,
            directory=directory,
            world=world,
            interruption=interruption,
            on_event=on_event,
            model=model,
            optimizers=optimizers,
            summed=torch.compile(summed_loss, dynamic=False) if config.compile else summed_loss,
            checkpoints=checkpoints,
            metrics=Metrics(directory / "metrics.jsonl", step, world.leads, config.tensorboard),
            parameters=parameters,
            steps=steps,
            step=step,
            rollbacks=0 if state is None else state.rollbacks,
            forecast=read_forecast(forecast_path(directory.parent.parent, config.name), inputs.origin(config)),
        )
        run.watch_spikes()
        run.read_on(loader)
        return run

    def read_on(self, loader: Loader) -> None:
        """Read what `loader` has for the steps to come."""
        pin = self.world.device.type == "cuda"
        self.loader = loader
        self.batches = Prefetched(loader, self.step + 1, self.steps, self.world.rank, self.world.size, pin)

    def watch_spikes(self) -> None:
        """Begin with what the metrics say of the steps so far."""
        history, self.spiked = calm_and_spikes(self.diary, self.step)
        self.spikes = SpikeWatch(self.config.spikes.window, self.config.spikes.threshold, history)

    @property
    def diary(self) -> Path:
        """The file of the metrics."""
        return self.directory / "metrics.jsonl"

    @property
    def tokens(self) -> int:
        """Positions that the model has read, in all processes."""
        return self.loader.reading.rows(self.step) * self.inputs.header.context_length

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
                back = roll_back(self)  # to a checkpoint: there is nothing new to save
                self.checkpoints.check()
                stopped = self._asked()
                due = self.step % self.config.checkpoint.every == 0 or self.step == self.steps
                if (due or stopped) and not back:
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
        with self._heeding():
            summary = finish(self, validation)
        self.on_event({"kind": "end", **summary})
        return summary

    def _asked(self) -> int:
        """The signal that any process was asked to stop by, 0 for none; every process must call it."""
        return int(self.world.most(self.interruption.number))

    @contextmanager
    def _heeding(self) -> Iterator[None]:
        """Raise StoppedError before a forward pass where asked to stop: schedulers wait half a minute."""

        def heed(*forward: object) -> None:
            if number := self._asked():
                raise StoppedError(number, self.step)

        hook = self.model.register_forward_pre_hook(heed, prepend=True)
        try:
            yield
        finally:
            hook.remove()

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
                self.summed,
            )
        except DivergedError as error:
            raise DivergedError(f"step {self.step + 1}: {error}") from None
        self.step += 1
        seconds = time.perf_counter() - started
        record = self.record(
            "train",
            tokens=self.tokens,
            loss=loss,
            lr=self.config.optimizer.lr * factor,
            grad_norm=norm,
            **figures.speed(self, read, seconds),
            **(figures.spike(self, spike[0]) if spike else {}),
        )
        self.spiked += [record] if spike else []

    def _save(self) -> None:
        if not math.isfinite(weight_norm(self.model)):  # the loss that said so would come with the next step
            raise DivergedError(f"step {self.step}: the weights are no longer numbers: try a lower optimizer.lr")
        self.metrics.sync()
        reading, spikes = self.loader.reading, recent_spikes(self)
        state = State(
            step=self.step,
            position=sum(reading.at(self.step)),
            tokens=self.tokens,
            parameters=self.parameters,
            config=self.config,
            origin=self.inputs.origin(self.config),
            jumps=reading.jumps,
            rollbacks=self.rollbacks,
        )
        self.checkpoints.save(state, self.model, self.optimizers, spikes[0]["step"] if spikes else None)
        self.on_event({"kind": "checkpoint", "step": self.step})

    def _evaluate(self) -> Record:
        """Scores of the validation rows."""
        try:
            with self._heeding():
                scores = evaluate(self.model, self.inputs, self.config, self.world)
        except StoppedError:  # in all processes, before the same rows
            if self.checkpoints.newest != self.step:
                self._save()
            self.checkpoints.finish()
            raise
        above = None if self.forecast is None else off_forecast(self.forecast, self.step, scores["loss"])
        told = {} if above is None else {"above_forecast": above if math.isfinite(above) else None}
        self.record("evaluation", **scores, **told)
        return scores

    def record(self, kind: str, **values: object) -> Record:
        """Write down what happened at this step, and tell it."""
        record = {"kind": kind, "step": self.step, **values}
        self.metrics.write(record)
        self.on_event(record)
        return record
