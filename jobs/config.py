"""The whole page of a run's config: sources to shards, and the training run."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pipelines import annotate, config_file, judge, languages
from pipelines.config import Config
from pipelines.dedup import places
from pipelines.errors import ConfigError
from pipelines.ingest.source import check_options, reader_class
from pretrain import tensorboard
from pretrain.config import PretrainConfig


class RunConfig(Config):
    """A run from sources to a trained model."""

    pretrain: PretrainConfig | None = Field(None, description="the training run; left out, the run ends with shards")


def load(path: str | Path) -> RunConfig:
    """Read a config and check all that can be checked without Spark and without reading a text.

    Raises ConfigError: unknown keys, wrong types, unknown signals, options and patterns.
    """
    config = config_file.load(path, RunConfig)
    for i, source in enumerate(config.sources):
        try:
            check_options(source.format, source.options)
        except ConfigError as error:
            raise ConfigError(f"{path}: sources.{i}.options: {error}") from error
    try:
        judge.check(config)
        languages.check(config, annotate.build(config).get("language"))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def check_inputs(config: RunConfig) -> None:
    """Raise ConfigError where a source's path matches nothing, an index is none that this run can use, or a package
    that is asked for is not there.
    """
    try:
        tensorboard.required(config.pretrain is not None and config.pretrain.tensorboard)
    except ValueError as error:
        raise ConfigError(f"pretrain.{error}") from error
    places.check(config.dedup.indexes, annotate.shingles(config))
    for i, source in enumerate(config.sources):
        try:
            reader_class(source.format).discover(source)
        except ConfigError as error:
            raise ConfigError(f"sources.{i}.paths: {error}") from error
