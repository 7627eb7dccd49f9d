"""Traits: what expressions of the config say of the corpus' documents, to be looked up where their texts are read.

An expression is Spark SQL over source, uri, meta, stands_for, copies and the signals by their full names, such as
`if(quality.words > 500, 'long', 'short')`. `corpus/` holds no signals, and its texts are not shuffled to join them:
a job without texts evaluates the expressions into a small dataset, sorted by the file of corpus/ that each document
lies in, and a task that reads texts takes from it the rows of its file: see pipelines/trait_lookup.py.
"""

from __future__ import annotations

from pathlib import Path

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines import corpus, datasets, judge
from pipelines.errors import ConfigError
from pipelines.lookup import signals_read


def traits(spark: SparkSession, output: Path, expressions: dict[str, str]) -> DataFrame:
    """(part, doc_id, and each expression's value under its name) of all documents of the corpus.

    `part` is the file that the text lies in, as `trait_lookup.part_of` names it. A signal that was not measured of a
    document is null. Raises ConfigError for an expression that Spark cannot evaluate.
    """
    part = F.format_string("split=%s/source=%s/%s", "split", "source", F.col("_metadata.file_name"))
    documents = corpus.read(spark, output, datasets.files(output, "corpus")).select(
        part.alias("part"), "doc_id", "source", "uri", "meta", "stands_for", "copies"
    )
    for family in _families(output, expressions):
        documents = documents.join(judge.signals(spark, output, family), "doc_id", how="left")
    # Within coalesce Spark refuses what makes several rows of one, such as explode.
    values = [F.coalesce(F.expr(text)).alias(name) for name, text in expressions.items()]
    try:
        return documents.select("part", "doc_id", *values)
    except (AnalysisException, ParseException) as error:
        named = ", ".join(map(repr, expressions.values()))
        raise ConfigError(f"{named}: not what a document can be asked: {str(error).splitlines()[0]}") from error


def _families(output: Path, expressions: dict[str, str]) -> list[str]:
    """The measured families whose signals the expressions name."""
    wanted = {name.partition(".")[0] for text in expressions.values() for name in signals_read(text)}
    return sorted(path.name for path in (output / "signals").glob("*") if path.is_dir() and path.name in wanted)


def write(frame: DataFrame, folder: Path) -> None:
    """Write what `traits` returns into `folder`, in the place of what is there, sorted for `trait_lookup.lookup`."""
    rows = frame.repartitionByRange("part").sortWithinPartitions("part", "doc_id")
    rows.write.mode("overwrite").parquet(str(folder))
