"""Who is compared: the documents of this run that pass gates and the language rule, and what earlier runs keep."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines import datasets
from pipelines.dedup.places import Place, node

SCOPES = {"global": None, "source": "source"}


def frame(spark: SparkSession, places: list[Place], scope: str, passing: DataFrame | None) -> DataFrame:
    """(id: node of 16 bytes, doc_id, index, scope, content_hash, signature, sketch) of all that are compared.

    `places`: this run's, and those of earlier runs; `scope`: as in the config; `passing`: (doc_id) of this run, None
    for all that have text.
    """
    frames = [
        _of_place(spark, place, scope, passing if place.index is None else _staying(spark, place)) for place in places
    ]
    found = frames[0]
    for more in frames[1:]:
        found = found.unionByName(more)
    return found


def eligible(compared: DataFrame) -> pa.Table:
    """(id, scope) of the documents of `frame`, in memory."""
    return compared.select("id", "scope").toArrow()


def _of_place(spark: SparkSession, place: Place, scope: str, passing: DataFrame | None) -> DataFrame:
    index = F.lit(place.index).cast("string")
    sketches = spark.read.parquet(*datasets.files(place.output, "sketches"))
    if passing is not None:
        sketches = sketches.join(passing, "doc_id", how="left_semi")
    expression = SCOPES.get(scope, scope)
    value = F.lit(0).cast("long")
    if expression is not None:
        sketches = sketches.join(_scopes(spark, place.output, F.expr(expression)), "doc_id", how="inner")
        value = F.col("scope")
    return sketches.select(
        F.unhex(node(index, F.col("doc_id"))).alias("id"),
        "doc_id",
        index.alias("index"),
        value.alias("scope"),
        "content_hash",
        "signature",
        "sketch",
    )


def _scopes(spark: SparkSession, output: Path, value: Column) -> DataFrame:
    documents = spark.read.schema("doc_id string, source string, uri string, meta map<string, string>")
    frame = documents.parquet(*datasets.files(output, "documents"))
    return frame.select("doc_id", F.xxhash64(value.cast("string")).alias("scope"))


def _staying(spark: SparkSession, place: Place) -> DataFrame:
    return spark.read.parquet(*datasets.files(place.output, "verdicts")).where("stays").select("doc_id")
