"""A run: a config, an output directory, and the stages that turn the one into the other.

Each stage is a function of a `Run`. It opens its `Stage` in the ledger with the fingerprints of what it depends on,
returns at once where that is fresh, and otherwise does the chunks that are missing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from pipelines import datasets, judge, session
from pipelines.config import Config
from pipelines.errors import ConfigError
from pipelines.ledger import STAGES, Ledger, Stage, digest

Say = Callable[[str], None]


class Run:
    """What the stages of one run share. Spark starts when the first stage asks for it."""

    def __init__(self, config: Config, ledger: Ledger, master: str | None, say: Say) -> None:
        self.config, self.ledger, self.master, self.say = config, ledger, master, say
        self.output = ledger.output
        self.prints: dict[str, str] = {}
        self.found_spark = SparkSession.getActiveSession() is not None

    @cached_property
    def spark(self) -> SparkSession:
        """The Spark session: the one that is there already, or a new one."""
        if not self.found_spark:
            self.say("starting Spark")
        spark = session.start(self.config.spark, self.master)
        judge.check_expressions(spark, self.config)
        return spark

    def stop_spark(self) -> None:
        """Stop Spark if it was started here, and give its memory back."""
        self.__dict__.pop("spark", None)
        active = SparkSession.getActiveSession()
        if active is not None and not self.found_spark:
            session.stop(active)

    def stage(self, name: str, *, config: Any, code: Any, inputs: Any = None) -> Stage:
        """The stage in the ledger. It depends on the stage before it, besides what is given."""
        before = list(self.prints.items())[-1:]
        stage = self.ledger.stage(name, inputs=[inputs, before], config=config, code=code)
        self.prints[name] = stage.fingerprint
        self.say(f"{name}: up to date" if stage.is_fresh() else f"{name}: at work")
        return stage


Step = Callable[[Run], None]


def execute(run: Run, steps: dict[str, Step], until: str | None = None) -> None:
    """Run the steps in order, up to and including `until`."""
    for name, step in steps.items():
        step(run)
        if name == until:
            break


def output_of(config: Config, given: str | None) -> Path:
    """The run's directory. Raises ConfigError where neither the config nor --output names one."""
    if not (given or config.output):
        raise ConfigError("no output directory: give --output DIR, or `output:` in the config")
    output = Path(given or config.output or "").expanduser().absolute()
    special = sorted(set(str(output)) & set("{}[]*?\\:"))
    if special:
        raise ConfigError(
            f"the output directory {output} has {special[0]!r} in its name, which Spark takes for a pattern"
        )
    return output


def check_stage(name: str | None) -> None:
    """Raise ConfigError where `name` is no stage."""
    if name is not None and name not in STAGES:
        raise ConfigError(f"no stage is named {name!r}; stages are: {', '.join(STAGES)}")


def fill_empty(stage: Stage, schemas: dict[str, pa.Schema]) -> None:
    """Give a dataset that got no file one without rows, so that every dataset of a finished stage can be opened."""
    missing = {name: schema for name, schema in schemas.items() if not datasets.files(stage.output, name)}
    if missing:
        staging = stage.staging()
        for name, schema in missing.items():
            (staging / name).mkdir(parents=True)
            pq.write_table(schema.empty_table(), staging / name / "empty.parquet")
        stage.commit("empty-" + digest(sorted(missing)), staging)
