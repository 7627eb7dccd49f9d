"""The whole path in one process: the stages of `pipelines`, the training run and the report, and a summary of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jobs.config import RunConfig, check_inputs, load
from pipelines import shard_stages, stages
from pipelines.errors import ConfigError, GristmillError
from pipelines.ledger import Ledger, read_stages, write_text
from pipelines.run import Run, Step, check_stage, execute, output_of
from pretrain.config import PretrainConfig
from pretrain.view import forecast_warning
from shards.format import ShardError

REPORT_VERSION = 2


def run_stages(
    config_path: Path,
    output: str | None,
    until: str | None = None,
    master: str | None = None,
    steps: dict[str, Step] | None = None,
) -> dict[str, Any]:
    """Run the stages that are not finished, in order, and return the summary of the output directory.

    Raises ConfigError before Spark starts where the config is wrong, GristmillError where a check of a stage fails.
    """
    check_stage(until)
    config = load(config_path)
    check_inputs(config)
    steps = STEPS if steps is None else steps
    with Ledger(output_of(config, output)) as ledger:
        # Without Spark's settings, which may hold credentials.
        told = config.model_dump_json(
            indent=1, exclude={"spark": True, "sources": {"__all__": {"storage": True, "options": {"uri"}}}}
        )
        write_text(ledger.output / "config.json", told)  # without credentials
        run = Run(config, ledger, master, say)
        try:
            execute(run, steps, until)
        finally:
            run.stop_spark()
        return summary(ledger.output)


def judge_again(output: Path, config_path: Path, master: str | None = None) -> dict[str, Any]:
    """Judge a finished run under another config. Raises ConfigError where the change needs an earlier stage."""
    if not (output / "stages.json").is_file():
        raise ConfigError(f"{output} is not the output directory of a run: it has no stages.json")
    config = load(config_path)
    with Ledger(output.absolute()) as ledger:
        run = Run(config, ledger, master, say)
        needed = stages.first_stage_changed(run)
        if needed:
            raise ConfigError(f"{config_path}: the change needs the stage `{needed}` again: use `gristmill run`")
        run.prints = {name: ledger.stages[name]["fingerprint"] for name in ("ingest", "annotate", "match")}
        try:
            stages.judged(run)
        finally:
            run.stop_spark()
        return summary(ledger.output)


def pretrain(run: Run) -> None:
    """shards/ to runs/NAME/, where the config has a training run."""
    assert isinstance(run.config, RunConfig)
    config = run.config.pretrain
    if config is None:
        run.ledger.stages.pop("pretrain", None)
        run.ledger.save()
        return
    told = config.model_dump(mode="json")
    stage = run.stage("pretrain", config=told, code=[version("torch")])
    if stage.is_fresh():
        return
    run.stop_spark()  # the JVM's memory is the model's now
    if stage.entry.get("fingerprint") != stage.fingerprint:
        stage.begin(folders=(f"runs/{config.name}",))
    result = train(config, run.output)
    stage.finish({"name": config.name, **{k: v for k, v in result.items() if isinstance(v, int | float | str)}})


def train(
    config: PretrainConfig, output: Path, on_event: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Train on `output`'s shards, or go on where an earlier call was stopped. Returns the run's summary.

    `on_event` sees what happens, see `pretrain.train.run`; by default it is told in lines.
    Raises ConfigError where the shards or the tokenizer are missing or the run's directory holds another run,
    GristmillError where shards or checkpoints are damaged, memory or disk give out, or the loss is no number any more.
    """
    from pretrain import train as loop

    with training_errors():
        return loop.run(config, output / "shards", output / "tokenizer", output, on_event or _tell)


@contextmanager
def training_errors() -> Iterator[None]:
    """What goes wrong in training, as an error with its exit status. Raises ConfigError and GristmillError."""
    from pretrain.checkpoint import CheckpointError
    from pretrain.failures import ResourceError
    from pretrain.interruption import StoppedError
    from pretrain.update import DivergedError

    try:
        yield
    except (CheckpointError, DivergedError, ResourceError, ShardError) as error:
        raise GristmillError(f"pretrain: {error}") from error
    except StoppedError as error:
        stopped = GristmillError(f"pretrain: {error}")
        stopped.status = error.status
        raise stopped from error
    except (ValueError, FileNotFoundError) as error:
        raise ConfigError(f"pretrain: {error}") from error


def _tell(event: dict[str, Any]) -> None:
    """Events of a training run as lines, one in fifty steps."""
    if event["kind"] == "train" and event["step"] % 50 == 0:
        speed = f"{event['tokens_per_second']:,.0f} tokens/s"
        say(f"pretrain: step {event['step']:,}, loss {event['loss']:.3f}, {speed}")
    elif event["kind"] == "evaluation":
        score = event["bits_per_byte"]
        say("pretrain: nothing is held out" if score is None else f"pretrain: validation {score:.3f} bits per byte")
        if "above_forecast" in event:
            say(f"pretrain: {forecast_warning(event)}")
    elif event["kind"] == "rollback":
        say(f"pretrain: back from step {event['after']:,} to {event['step']:,}, {event['rows']:,} rows passed over")
    elif event["kind"] == "damaged":
        say(f"pretrain: {event['reason']}: going on from the checkpoint before")


def report(run: Run) -> None:
    """Everything to report/."""
    from pipelines.report import write_report

    finished = {name: entry.get("fingerprint") for name, entry in run.ledger.stages.items() if name != "report"}
    stage = run.stage("report", inputs=finished, config={}, code=[REPORT_VERSION])
    if stage.is_fresh():
        return
    for key in stage.begin():
        staging = stage.staging()
        write_report(run.output, staging / "report")
        stage.commit(key, staging)
    stage.finish()


STEPS: dict[str, Step] = {**stages.STEPS, **shard_stages.STEPS, "pretrain": pretrain, "report": report}


def summary(output: Path) -> dict[str, Any]:
    """What came out, by the finished stages of an output directory."""
    done = {name: entry.get("facts", {}) for name, entry in read_stages(output).items() if entry.get("finished")}
    facts: dict[str, Any] = {"output": str(output)}
    if "judge" in done:
        rows = done["judge"]["funnel"].values()
        for name in ("documents_in", "kept", "dropped", "errors"):
            facts[name] = sum(row[name] for row in rows)
    elif "ingest" in done:
        facts["documents_in"] = sum(done["ingest"]["documents_in"].values())
    if "pack" in done:
        facts["tokens"], facts["shards"] = done["pack"]["tokens"], done["pack"]["files"]
    if "pretrain" in done:
        for name in ("validation_bits_per_byte", "unigram_bits_per_byte"):
            facts[name] = done["pretrain"].get(name)
    if "report" in done:
        facts["report"] = str(output / "report" / "report.html")
    return facts


def say(line: str) -> None:
    """A line of progress, on stderr: stdout is for results."""
    print(line, file=sys.stderr, flush=True)
