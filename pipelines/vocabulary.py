"""What the tokenizer is learnt from: how often each pre-token occurs in the training split, weighted by group.

1. Tasks read texts, split and count them (`tokenizer.count`), each text as often as its source and language weigh, and
   write partial counts. No text leaves its task.
2. Spark adds partial counts up, in 64 bits. The sums do not depend on who counted what.
3. The driver reads the sums and keeps the frequent ones (`tokenizer.tally`): all that it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from filters.language_codes import UNDETERMINED
from pipelines import corpus, texts, trait_lookup, traits
from pipelines.sink import Transform
from pipelines.tokenizer_config import DECIMALS, Weights
from tokenizer.count import COUNTS, count
from tokenizer.tally import Tally, keep

VERSION = 2
TASK_BYTES = 128_000_000  # of row groups: the more text a task counts, the fewer partial counts there are of it

COUNTED = pa.schema(
    [("source", pa.string()), ("language", pa.string()), ("texts", pa.int64()), ("bytes", pa.int64())],
)
"""What a task has counted: one row or more for each group."""

Groups = dict[tuple[str, str], tuple[int, int]]
"""Texts and their bytes by source and language."""


class Scaled(NamedTuple):
    """Weights as whole numbers, so that weighted counts are exact: a factor of 1 is `of_source` and `of_language`."""

    sources: dict[str, int]
    languages: dict[str, int]
    of_source: int
    of_language: int

    def weight(self, source: str, language: str) -> int:
        """How often a text counts, in units of `scale`."""
        return self.sources.get(source, self.of_source) * self.languages.get(language, self.of_language)

    @property
    def scale(self) -> int:
        """What a text without factors counts."""
        return self.of_source * self.of_language


def scaled(weights: Weights) -> Scaled:
    """The least whole numbers that have the proportions of the factors."""
    sources, of_source = _whole(weights.sources)
    languages, of_language = _whole(weights.languages)
    return Scaled(sources, languages, of_source, of_language)


def _whole(factors: dict[str, float]) -> tuple[dict[str, int], int]:
    exact = {name: Fraction(round(factor * 10**DECIMALS), 10**DECIMALS) for name, factor in factors.items()}
    one = lcm(*(factor.denominator for factor in exact.values()))
    return {name: int(factor * one) for name, factor in exact.items()}, one


def write_languages(spark: SparkSession, output: Path, folder: Path) -> bool:
    """Write the language of every document into `folder`, for `trait_lookup.lookup`; whether any is known."""
    if not (output / "signals" / "language").is_dir():
        return False
    expression = f"coalesce(language.code, '{UNDETERMINED}')"
    traits.write(traits.traits(spark, output, {"language": expression}), folder)
    return True


def sample_bound(spark: SparkSession, output: Path, files: list[str], sample_bytes: int) -> int:
    """The hash below which a document is in a sample of about so many bytes of the files' texts: at most 2^64."""
    size = corpus.read(spark, output, files).agg(F.sum(F.octet_length("text"))).collect()[0][0] or 0
    return min((sample_bytes << 64) // max(size, 1), 1 << 64)


def counter(
    tasks: list[list[texts.RowGroup]],
    pattern: str,
    weights: dict[str, Any],
    languages: str | None,
    bound: int,
    seed: int,
) -> Transform:
    """The transform of the sink: the texts of a task to `pretokens`, partial counts, and `counted`, what was counted.

    `languages`: what `write_languages` wrote; `bound`: documents whose hash (xxh3 of 64 bits of the id, with the seed)
    is below it are counted.
    """
    texts.give_back_large_blocks()
    factors = scaled(Weights(**weights))
    language_of = trait_lookup.lookup(languages) if languages else None

    def batches(number: int, groups: Groups) -> Iterator[tuple[pa.Array, np.ndarray]]:
        for file, group in tasks[number]:
            source = Path(file).parent.name.removeprefix("source=")
            for rows in texts.batches(file, group, ["doc_id", "text"]):
                rows = _sampled(rows, bound, seed)
                found = language_of(file, rows["doc_id"])["language"].to_pylist() if language_of else []
                codes = found or [UNDETERMINED] * len(rows)
                for code, size in zip(codes, pc.binary_length(rows["text"]).to_pylist()):
                    before = groups.get((source, code), (0, 0))
                    groups[source, code] = (before[0] + 1, before[1] + size)
                yield rows["text"], np.array([factors.weight(source, code) for code in codes], np.int64)

    def transform(batch: pa.RecordBatch) -> Iterator[dict[str, pa.RecordBatch]]:
        for number in batch["id"].to_pylist():
            groups: Groups = {}
            for partial in count(batches(number, groups), pattern):
                yield {"pretokens": partial}
            rows = [(*key, *sums) for key, sums in sorted(groups.items())]
            columns = [pa.array(column, kind) for column, kind in zip(zip(*rows), COUNTED.types)]
            if rows:
                yield {"counted": pa.record_batch(columns, schema=COUNTED)}

    return transform


def _sampled(rows: pa.RecordBatch, bound: int, seed: int) -> pa.RecordBatch:
    if bound == 1 << 64:
        return rows
    hashes = (xxhash.xxh3_64_intdigest(doc_id.encode(), seed=seed) for doc_id in rows["doc_id"].to_pylist())
    return rows.filter(pa.array([key < bound for key in hashes], pa.bool_()))


def groups(folder: Path) -> Groups:
    """What all tasks have counted, by source and language, in order."""
    total: Groups = {}
    for row in pq.read_table(folder, partitioning=None).to_pylist() if folder.is_dir() else []:
        before = total.get((row["source"], row["language"]), (0, 0))
        total[row["source"], row["language"]] = (before[0] + row["texts"], before[1] + row["bytes"])
    return dict(sorted(total.items()))


def tally(spark: SparkSession, files: list[str], folder: Path, min_count: int | None, scale: int) -> Tally:
    """Add the partial counts of files up, into `folder`, and keep those that `tokenizer.tally.keep` keeps."""
    partial = spark.read.schema("pretoken binary, count long").parquet(*files)
    partial.groupBy("pretoken").agg(F.sum("count").alias("count")).write.parquet(str(folder))
    sums = (
        batch.cast(COUNTS)
        for file in sorted(folder.glob("*.parquet"))
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1 << 18)
    )
    return keep(sums, min_count, scale)
