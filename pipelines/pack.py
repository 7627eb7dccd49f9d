"""Pack: the corpus as tokens, shuffled by a seeded hash, in shards of fixed-length rows.

1. `tokens/`: every document encoded, with its split and bucket, in chunks that are committed one by one.
2. Documents are spread over shards by their hash, sorted by it within a shard, and packed. How many shards a bucket
   has follows from its tokens alone, so shards are the same bytes at any parallelism.

`tokens/` is removed when the shards are committed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines import corpus
from pipelines.config import Config
from pipelines.sink import Transform
from shards.fingerprint import fingerprints, shard_fingerprint
from shards.format import Header, SetHeader
from shards.manifest import FileEntry
from shards.packing_report import PackingReport, read_layout, report
from shards.write import write_shard
from tokenizer import encode

VERSION = 2

TOKENS = pa.schema(
    [
        ("document", pa.binary()),  # 16 bytes
        ("cluster", pa.binary()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("bucket", pa.string()),
        ("count", pa.int64()),
        ("fingerprint", pa.int64()),  # of the tokens that are to be in the shards
        ("tokens", pa.binary()),  # little-endian, as wide as the shards' own; with begin and end tokens
    ]
)


class Packed(NamedTuple):
    """A shard that was written, and what was found when it was read again."""

    entry: FileEntry
    report: PackingReport
    fingerprint: int


def documents(spark: SparkSession, output: Path, files: list[str], config: Config) -> DataFrame:
    """Some files of the corpus, each document with its bucket."""
    bucket = F.coalesce(F.expr(config.pack.bucket).cast("string"), F.lit("none"))
    return corpus.read(spark, output, files).withColumn("bucket", bucket)


def encoder(tokenizer: str, header: dict[str, Any]) -> Transform:
    """The transform of the sink: a batch of documents (doc_id, cluster, split, bucket, text) to `tokens`."""
    encoding, shared = encode.load(Path(tokenizer)), SetHeader(**header)
    begin = np.array([shared.bos_id] if shared.adds_bos else [], shared.dtype)
    end = np.array([shared.eos_id] if shared.adds_eos else [], shared.dtype)

    def encode_batch(batch: pa.RecordBatch) -> Iterator[dict[str, pa.RecordBatch]]:
        values, offsets = encoding.encode_batch(batch["text"])
        encoded = [np.concatenate([begin, values[a:b], end]) for a, b in pairwise(offsets)]
        ids = [bytes.fromhex(doc_id) for doc_id in batch["doc_id"].to_pylist()]
        columns = [
            pa.array(ids, pa.binary()),
            pa.array([bytes.fromhex(cluster) for cluster in batch["cluster"].to_pylist()], pa.binary()),
            batch["split"],
            batch["source"],
            batch["bucket"],
            pa.array([len(tokens) for tokens in encoded], pa.int64()),
            pa.array(_fingerprints(ids, encoded, shared)),
            pa.array([tokens.tobytes() for tokens in encoded], pa.binary()),
        ]
        yield {"tokens": pa.RecordBatch.from_arrays(columns, schema=TOKENS)}

    return encode_batch


def _fingerprints(ids: list[bytes], encoded: list[np.ndarray], shared: SetHeader) -> np.ndarray:
    """Of each document of a batch, the fingerprint of what is to be in the shards, int64 [n]."""
    lengths = np.array([len(tokens) for tokens in encoded], np.int64)
    flat = np.concatenate([np.empty(0, shared.dtype), *encoded])
    kept = np.minimum(lengths, shared.width) if shared.truncates else lengths
    return fingerprints(np.frombuffer(b"".join(ids), "V16"), np.cumsum(lengths) - lengths, kept, flat)


def plan(tokens: DataFrame, header: SetHeader, shard_bytes: int) -> dict[tuple[str, str], int]:
    """How many shards each (split, bucket) gets: as many as its rows fill at `shard_bytes` each, at least one."""
    places = F.lit(header.width) if header.packing == "one_per_row" else F.col("count")
    sums = tokens.groupBy("split", "bucket").agg(F.sum(places).alias("tokens")).collect()
    size = header.dtype.itemsize
    return {(row["split"], row["bucket"]): max(1, -(-row["tokens"] * size // shard_bytes)) for row in sums}


def write(
    tokens: DataFrame, shards: dict[tuple[str, str], int], header: SetHeader, seed: int, folder: Path
) -> list[Packed]:
    """Pack the documents of `tokens` into shards below `folder`. Returns what is in each file."""
    spark = tokens.sparkSession
    counts = spark.createDataFrame(
        [(split, bucket, count) for (split, bucket), count in sorted(shards.items())],
        "split string, bucket string, shards long",
    )
    key = F.shiftrightunsigned(F.xxhash64(F.lit(seed), F.lit("shard"), "document"), 11)
    placed = (
        tokens.join(F.broadcast(counts), ["split", "bucket"], how="inner")
        .withColumn("key", key)
        .withColumn("shard", F.floor(F.col("key") * F.col("shards") / F.lit(float(2**53))).cast("long"))
        .repartition(max(1, sum(shards.values())), "split", "bucket", "shard")
        .sortWithinPartitions("split", "bucket", "shard", "key", "document")
        .select("split", "bucket", "shard", "document", "cluster", "tokens")
    )
    folder.mkdir(parents=True, exist_ok=True)
    columns = "entry string, report string, fingerprint long"
    written = placed.mapInArrow(_packer(str(folder), header.model_dump(), seed), columns).collect()
    return [
        Packed(FileEntry(**json.loads(row["entry"])), PackingReport(**json.loads(row["report"])), row["fingerprint"])
        for row in written
    ]


def _packer(
    folder: str, shared: dict[str, Any], seed: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow over documents sorted by shard: writes each shard, reads it again, and says so in one row."""

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        slices = (piece for batch in batches for piece in _by_shard(batch))
        for (split, bucket, shard), group in groupby(slices, key=lambda piece: piece[0]):
            header = Header(**shared, split=split, bucket=bucket)
            name = f"{split}-{file_name(bucket)}-{shard:05d}.arrow"
            table = _documents(pa.Table.from_batches([batch for _, batch in group]), header)
            shuffle = xxhash.xxh3_64_intdigest(f"{seed}\0{name}".encode()) >> 1
            path = Path(folder) / name
            entry = write_shard(path, table, header, shuffle)
            dropped = pc.sum(pc.list_value_length(table["tokens"])).as_py() - entry.tokens
            found = report(read_layout(path), dropped)
            yield pa.RecordBatch.from_pydict(
                {
                    "entry": [entry.model_dump_json()],
                    "report": [found.model_dump_json()],
                    "fingerprint": [shard_fingerprint(path)],
                }
            )

    return pack


def _by_shard(batch: pa.RecordBatch) -> Iterator[tuple[tuple[str, str, int], pa.RecordBatch]]:
    """The runs of rows of one shard in a sorted batch."""
    keys = list(zip(*(batch[name].to_pylist() for name in ("split", "bucket", "shard"))))
    start = 0
    for i in range(1, len(keys) + 1):
        if i == len(keys) or keys[i] != keys[start]:
            yield keys[start], batch.slice(start, i - start)
            start = i


def _documents(table: pa.Table, header: Header) -> pa.Table:
    """A shard's documents as `write_shard` wants them: binary tokens as lists of integers, without a copy of each."""
    column = table["tokens"].cast(pa.large_binary()).combine_chunks()
    offsets = np.frombuffer(column.buffers()[1], np.int64, len(column) + 1, column.offset * 8)
    data = np.frombuffer(column.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].view(header.dtype)
    lists = pa.LargeListArray.from_arrays(pa.array((offsets - offsets[0]) // header.dtype.itemsize), pa.array(data))
    fixed = pa.binary(16)
    return pa.table(
        {"document": table["document"].cast(fixed), "cluster": table["cluster"].cast(fixed), "tokens": lists}
    )


def file_name(bucket: str) -> str:
    """A bucket's name as part of a file name: itself where it is plain, else made plain and told apart by a hash."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", bucket)[:64]
    return plain if plain == bucket else f"{plain}-{xxhash.xxh3_64_hexdigest(bucket.encode())[:8]}"
