"""What the tokenizer is trained on: a deterministic sample of the training split, weighted by source."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines import corpus, datasets
from pipelines.config import Config

VERSION = 1


def shares(available: dict[str, int], weights: dict[str, float], budget: int) -> dict[str, float]:
    """Share of each source's bytes to sample, so that about `budget` bytes come together in the wanted weights.

    Without weights, sources count as much as they have. A source that has less than its part is taken whole: nothing
    is repeated, and what it lacks is not made up for by others.
    """
    named = {source: weights.get(source, 0.0) for source in available} if weights else dict(available)
    total = sum(named.values())
    return {
        source: min(1.0, budget * named[source] / total / size) if size and total else 0.0
        for source, size in available.items()
    }


def sample(spark: SparkSession, output: Path, config: Config) -> pa.Table:
    """(source, doc_id, text) of the sampled documents in the order of their hash: string columns, about
    `tokenizer.sample_bytes` bytes of text. There must be a training split.

    A document is taken where the fraction that its hash (xxhash64 of seed and doc_id) makes is below its source's
    share, so the choice depends on nothing but the document, the seed and the sources' sizes.
    """
    train = corpus.read(spark, output, datasets.files(output, "corpus/split=train"))
    sizes = train.groupBy("source").agg(F.sum(F.octet_length("text")).alias("bytes")).collect()
    available = {row["source"]: int(row["bytes"]) for row in sizes}
    chosen = shares(available, dict(config.tokenizer.weights), config.tokenizer.sample_bytes)
    share = F.create_map(*(F.lit(x) for pair in sorted(chosen.items()) for x in pair))
    key = F.shiftrightunsigned(F.xxhash64(F.lit(config.seed), "doc_id"), 11)
    picked = train.select("source", "doc_id", "text", key.alias("key")).where(
        F.col("key") / F.lit(float(2**53)) < share[F.col("source")]
    )
    table = picked.toArrow()
    return table.take(pc.sort_indices(table, [("key", "ascending"), ("doc_id", "ascending")])).drop_columns(["key"])
