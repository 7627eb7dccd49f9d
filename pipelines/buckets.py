"""Buckets: by an expression over what is known of documents, for the shards to be apart and weighted when training."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines import traits
from pipelines.errors import ConfigError

MAX_BUCKETS: Final = 1_000  # each is at least a file in every split, and a weight to choose when training


def write(spark: SparkSession, output: Path, expression: str, folder: Path) -> None:
    """The bucket of every document of the corpus, by a Spark SQL expression, into `folder` for `trait_lookup.lookup`.

    Documents without a value are in the bucket `none`. Raises ConfigError for an expression with too many values.
    """
    found = F.nullif(F.col("bucket").cast("string"), F.lit(""))
    frame = traits.traits(spark, output, {"bucket": expression})
    traits.write(frame.withColumn("bucket", F.coalesce(found, F.lit("none"))), folder)
    names = spark.read.parquet(str(folder)).select("bucket").distinct().limit(MAX_BUCKETS + 1).collect()
    if len(names) > MAX_BUCKETS:
        some = ", ".join(sorted(repr(row["bucket"][:40]) for row in names)[:3])
        raise ConfigError(
            f"pack.bucket: too many buckets: {expression!r} has more than {MAX_BUCKETS:,} values, such as {some}"
        )
