"""The texts that models of quality are made from: files, folders, a run's corpus, documents that a predicate picks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines import datasets, judge, session
from pipelines.config import Spark
from pipelines.errors import ConfigError, GristmillError
from pipelines.lookup import Finished, batches_where, signals_read
from pipelines.quantiles import calls, filled, measure
from pipelines.rules import check_names
from tokenizer.texts import read_texts


@dataclass(frozen=True)
class Side:
    """What the user calls by a `name`, such as good: paths, and a predicate over the signals of runs among them."""

    name: str
    paths: list[Path]
    where: str | None = None
    column: str = "text"

    def __str__(self) -> str:
        which = f", documents where `{self.where}`" if self.where else ""
        return ", ".join(f"`{path}`" for path in self.paths) + which


def texts(sides: list[Side], master: str | None = None) -> list[Iterator[str]]:
    """The texts of each side, read as they are asked for; Spark runs only where there is a predicate, and only now.

    A directory with a stages.json is a run: its corpus, or with a predicate those of its documents that fulfil it. Any
    other directory stands for all files in it but hidden ones. Files are read by `tokenizer.texts.read_texts`.

    Raises ConfigError for a path that is not there, for a predicate without a run or over unknown signals, and for a
    run without the stage that is needed; GristmillError, while reading, for a file that is damaged.
    """
    for side in sides:
        _check(side)
    if not any(side.where for side in sides):
        return [_read(side, {}) for side in sides]
    spark = session.start(Spark(), master)
    try:
        chosen = [_chosen(spark, side) for side in sides]
    finally:
        session.stop(spark)
    return [_read(side, ids) for side, ids in zip(sides, chosen)]


def _check(side: Side) -> None:
    for path in side.paths:
        if not path.exists():
            raise ConfigError(f"{side.name}: there is no {path}")
        if not _is_run(path):
            if side.where:
                raise ConfigError(f"{side.name}: {path} is no run's output directory, so there are no signals to ask")
            continue
        needed, done = ("annotate" if side.where else "corpus"), Finished.read(path).facts
        if needed not in done:
            raise ConfigError(f"{side.name}: in {path} the stage `{needed}` is not finished")
        if side.where:
            check_names(side.name, side.where, _schemas(path))
            calls(side.where)


def _is_run(path: Path) -> bool:
    return (path / "stages.json").is_file()


def _schemas(run: Path) -> dict[str, pa.Schema]:
    """The schemas of the families of signals that a run has."""
    families = sorted(folder.name for folder in (run / "signals").iterdir() if folder.is_dir())
    found = {name: datasets.files(run, f"signals/{name}") for name in families}
    return {name: pq.read_schema(files[0]) for name, files in found.items() if files}


def _chosen(spark: SparkSession, side: Side) -> dict[Path, list[str]]:
    """By run, the ids of the documents that fulfil the side's predicate."""
    return {run: matching(spark, run, side.where) for run in side.paths} if side.where else {}


def matching(spark: SparkSession, run: Path, where: str) -> list[str]:
    """The ids of a run's documents for which a predicate, as in rules, is true; quantiles are of all its documents.

    Raises ConfigError where the predicate is no valid SQL.
    """
    documents = spark.read.schema("doc_id string, source string, uri string, meta map<string, string>")
    frame = documents.parquet(*datasets.files(run, "documents"))
    asked = [where, *(name for call in calls(where) for name in (call.signal, *call.groups))]
    for family in sorted({name.split(".")[0] for text in asked for name in signals_read(text)}):
        frame = frame.join(judge.signals(spark, run, family), "doc_id", how="inner")
    try:
        found = frame.where(F.expr(filled(where, measure(frame, calls(where))))).select("doc_id").toArrow()
    except (AnalysisException, ParseException) as error:
        raise ConfigError(f"{where!r} is no valid predicate: {str(error).splitlines()[0]}") from error
    ids: list[str] = found["doc_id"].to_pylist()
    return ids


def _read(side: Side, chosen: dict[Path, list[str]]) -> Iterator[str]:
    try:
        for path in side.paths:
            if path in chosen:
                for batch in batches_where(datasets.files(path, "documents"), "doc_id", chosen[path], ["text"]):
                    yield from (text for text in batch["text"].to_pylist() if text is not None)
            else:
                column = "text" if _is_run(path) else side.column
                for file in _files(path / "corpus" if _is_run(path) else path):
                    yield from read_texts(file, column)
    except (ValueError, OSError) as error:
        raise GristmillError(f"{side.name}: {error}") from error


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    below = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in below if not any(p[0] in "._" for p in file.relative_to(path).parts))
