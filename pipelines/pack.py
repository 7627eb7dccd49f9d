"""Pack: the corpus as tokens, shuffled by a seeded hash, in shards of fixed-length rows.

1. Each document's bucket, by an expression over what is known of it: see pipelines/traits.py.
2. `tokens/`: every document encoded, with its split and bucket, in chunks that are committed one by one. Documents that
   are to have their middle last are encoded so.
3. Documents are spread over shards by their hash, sorted by it within a shard, and packed. How many shards a bucket
   has follows from its tokens alone, so shards are the same bytes at any parallelism.

`tokens/` is removed when the shards are committed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines import encoded, texts, traits
from pipelines.encoded import Sums
from pipelines.errors import ConfigError
from pipelines.sink import Transform
from shards import fill_in_the_middle
from shards.fill_in_the_middle import Ids, Units
from shards.fingerprint import fingerprints, shard_fingerprint
from shards.format import Header, SetHeader
from shards.manifest import FileEntry
from shards.packing_report import PackingReport, read_layout, report
from shards.write import write_shard
from tokenizer import encode, vocabulary

VERSION = 4
MAX_BUCKETS: Final = 1_000  # each is at least a file in every split, and a weight to choose when training

TOKENS = pa.schema(
    [
        ("document", pa.binary()),  # 16 bytes
        ("cluster", pa.binary()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("bucket", pa.string()),
        ("count", pa.int64()),
        ("kept", pa.int64()),  # of them, those that are to be in the shards
        ("fingerprint", pa.int64()),  # of the kept tokens
        ("tokens", pa.binary()),  # little-endian, as wide as the shards' own; with begin and end tokens
        ("pieces", pa.list_(pa.int64())),  # of a document with its middle last: see shards/fill_in_the_middle.py
        ("suffix_first", pa.bool_()),
    ]
)


class Packed(NamedTuple):
    """A shard that was written, and what was found when it was read again."""

    entry: FileEntry
    report: PackingReport
    fingerprint: int


def write_buckets(spark: SparkSession, output: Path, expression: str, folder: Path) -> None:
    """The bucket of every document of the corpus, by a Spark SQL expression, into `folder` for `traits.lookup`.

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


def encoder(
    tasks: list[list[texts.RowGroup]],
    tokenizer: str,
    header: dict[str, Any],
    buckets: str | None,
    middle_last: list[str],
    seed: int,
    engine: str = "reference",
) -> Transform:
    """The transform of the sink: the corpus' texts of a task to `tokens`.

    `buckets`: what `write_buckets` wrote, None where a document's bucket is its source. `middle_last`: sources, of
    which the header's share has its middle last.
    """
    bucket_of = None if buckets is None else traits.lookup(buckets)
    encoding = DocumentEncoder(tokenizer, SetHeader(**header), seed, engine)

    def write(batch: pa.RecordBatch) -> Iterator[dict[str, pa.RecordBatch]]:
        found: list[Sums] = []
        for number in batch["id"].to_pylist():
            for file, group in tasks[number]:
                split, source = (folder.partition("=")[2] for folder in Path(file).parts[-3:-1])
                for documents in texts.batches(file, group, ["doc_id", "cluster", "text"]):
                    sources = pa.repeat(source, len(documents))
                    columns = {
                        **encoding.columns(documents, source in middle_last),
                        "split": pa.repeat(split, len(documents)),
                        "source": sources,
                        "bucket": sources
                        if bucket_of is None
                        else bucket_of(file, documents["doc_id"])["bucket"].combine_chunks(),
                    }
                    tokens = pa.RecordBatch.from_pydict(columns, schema=TOKENS)
                    found.extend(encoded.sums(tokens, encoding.places(tokens)))
                    yield {"tokens": tokens}
                    del documents  # it holds its whole row group: the next one is read without it
        yield encoded.row(encoding.encoding.engine, encoded.add_up(found))

    return write


@lru_cache(maxsize=1)
def _encoding(tokenizer: str, sha256: str, engine: str) -> encode.Encoder:
    """The tokenizer of that digest, which a worker keeps from task to task: to load and compare it takes a second."""
    return encode.load(Path(tokenizer), engine)


class DocumentEncoder:
    """Documents to tokens as a shard set's header wants them."""

    def __init__(self, tokenizer: str, header: SetHeader, seed: int, engine: str = "reference") -> None:
        self.encoding = _encoding(tokenizer, header.tokenizer_sha256, engine)
        self.encoding.engine.count_anew()
        self.header, self.seed = header, seed
        self.begin = np.array([header.bos_id] if header.adds_bos else [], header.dtype)
        self.end = np.array([header.eos_id] if header.adds_eos else [], header.dtype)
        policy = header.fill_in_the_middle
        self.byte_lengths = None if policy is None else vocabulary.token_bytes(tokenizer).astype(np.int64)

    def columns(self, documents: pa.RecordBatch, middle_last: bool) -> dict[str, pa.Array]:
        """The columns of TOKENS that documents (doc_id, cluster, text) and the tokenizer decide."""
        ids, clusters = ([bytes.fromhex(x) for x in documents[name].to_pylist()] for name in ("doc_id", "cluster"))
        plain = self._encode(documents["text"])
        units = self._units(ids, documents["text"], plain) if middle_last else [None] * len(ids)
        tokens = [
            np.concatenate([self.begin, body, self.end]) if unit is None else unit.tokens
            for body, unit in zip(plain, units)
        ]
        counts = np.array([len(each) for each in tokens], np.int64)
        kept = np.array([self._kept(len(each), unit) for each, unit in zip(tokens, units)], np.int64)
        flat = np.concatenate([np.empty(0, self.header.dtype), *tokens])
        found = fingerprints(np.frombuffer(b"".join(ids), "V16"), np.cumsum(counts) - counts, kept, flat)
        return {
            "document": pa.array(ids, pa.binary()),
            "cluster": pa.array(clusters, pa.binary()),
            "count": pa.array(counts),
            "kept": pa.array(kept),
            "fingerprint": pa.array(found),
            "tokens": pa.array([each.tobytes() for each in tokens], pa.binary()),
            "pieces": pa.array([unit.pieces if unit else [] for unit in units], pa.list_(pa.int64())),
            "suffix_first": pa.array([bool(unit and unit.suffix_first) for unit in units]),
        }

    def places(self, tokens: pa.RecordBatch) -> npt.NDArray[np.int64]:
        """How many places in rows each document takes: its tokens, or whole rows where it shares none, int64 [n]."""
        if self.header.packing != "one_per_row":
            return tokens["count"].to_numpy()
        units = pc.list_value_length(tokens["pieces"]).to_numpy() // 3  # pieces
        return self.header.width * np.maximum(1, units).astype(np.int64)

    def _encode(self, batch: list[str] | pa.Array) -> list[Ids]:
        values, offsets = self.encoding.encode_batch(batch)
        return [values[a:b] for a, b in pairwise(offsets)]

    def _units(self, ids: list[bytes], documents: pa.Array, plain: list[Ids]) -> list[Units | None]:
        """The documents that a hash chooses as units; None for one that stays as it is, as an empty one does."""
        assert self.byte_lengths is not None
        return [
            fill_in_the_middle.units(id_, text.as_py(), body, self.byte_lengths, self._encode, self.header, self.seed)
            if len(body) and fill_in_the_middle.draw(id_, self.header, self.seed) is not None
            else None
            for id_, text, body in zip(ids, documents, plain)
        ]

    def _kept(self, count: int, unit: Units | None) -> int:
        """How many of a document's tokens are to be in the shards."""
        return min(count, self.header.width) if self.header.truncates and unit is None else count


def plan(found: list[Sums], header: SetHeader, shard_bytes: int) -> list[tuple[str, str, int]]:
    """The shards of the set, (split, bucket, number): as many of each as fill at `shard_bytes`, at least one."""
    places: dict[tuple[str, str], int] = {}
    for row in found:
        places[row.split, row.bucket] = places.get((row.split, row.bucket), 0) + row.places
    size = header.dtype.itemsize
    return [
        (split, bucket, number)
        for (split, bucket), count in sorted(places.items())
        for number in range(max(1, -(-count * size // shard_bytes)))
    ]


def placed(tokens: DataFrame, shards: list[tuple[str, str, int]], seed: int) -> DataFrame:
    """The documents of `tokens`, with `key`, a hash of 53 bits by which they are spread and sorted, and `shard`.

    `shard` is the place in `shards` of the one that a document goes to.
    """
    counts = Counter((split, bucket) for split, bucket, _ in shards)
    spread = pa.table(
        {
            "split": pa.array([split for split, _ in counts], pa.string()),
            "bucket": pa.array([bucket for _, bucket in counts], pa.string()),
            "first": pa.array([shards.index((*each, 0)) for each in counts], pa.int64()),
            "shards": pa.array(counts.values(), pa.int64()),
        }
    )
    key = F.shiftrightunsigned(F.xxhash64(F.lit(seed), F.lit("shard"), "document"), 11)
    part = F.col("key") / F.lit(float(2**53))  # exact; the product of key and number would outgrow 64 bits
    return (
        tokens.join(F.broadcast(tokens.sparkSession.createDataFrame(spread)), ["split", "bucket"], how="inner")
        .withColumn("key", key)
        .withColumn("shard", (F.col("first") + F.floor(part * F.col("shards"))).cast("int"))
    )


def write(
    tokens: DataFrame, shards: list[tuple[str, str, int]], header: SetHeader, seed: int, folder: Path
) -> list[Packed]:
    """Pack the documents of `tokens` into shards below `folder`. Returns what is in each file."""
    documents = (
        placed(tokens, shards, seed)
        # A task for each shard: by a hash of their names some tasks would have several, others none.
        .repartitionById(max(1, len(shards)), F.col("shard"))
        .select("shard", "key", "document", "cluster", "tokens", "pieces", "suffix_first")
    )
    folder.mkdir(parents=True, exist_ok=True)
    columns = "entry string, report string, fingerprint long"
    written = documents.mapInArrow(_packer(str(folder), shards, header.model_dump(), seed), columns).collect()
    return [
        Packed(FileEntry(**json.loads(row["entry"])), PackingReport(**json.loads(row["report"])), row["fingerprint"])
        for row in written
    ]


def _packer(
    folder: str, shards: list[tuple[str, str, int]], shared: dict[str, Any], seed: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow over the documents of one shard: writes it, reads it again, and says so in one row."""

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = [batch for batch in batches if batch.num_rows]
        if not held:
            return
        documents = pa.Table.from_batches(held)
        split, bucket, number = shards[documents["shard"][0].as_py()]
        header = Header(**shared, split=split, bucket=bucket)
        name = f"{split}-{file_name(bucket)}-{number:05d}.arrow"
        table = _documents(documents, header)
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


def _documents(table: pa.Table, header: Header) -> pa.Table:
    """A shard's documents, sorted by key, as `write_shard` wants them: binary tokens as lists of integers."""
    wide = table.schema.get_field_index("tokens")
    table = table.set_column(wide, "tokens", table["tokens"].cast(pa.large_binary()))  # more than 2 GB have room
    table = table.sort_by([("key", "ascending"), ("document", "ascending")])
    column = table["tokens"].combine_chunks()
    offsets = np.frombuffer(column.buffers()[1], np.int64, len(column) + 1, column.offset * 8)
    data = np.frombuffer(column.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].view(header.dtype)
    lists = pa.LargeListArray.from_arrays(pa.array((offsets - offsets[0]) // header.dtype.itemsize), pa.array(data))
    fixed = pa.binary(16)
    ids = {name: table[name].cast(fixed) for name in ("document", "cluster")}
    return pa.table({**ids, "tokens": lists, "pieces": table["pieces"], "suffix_first": table["suffix_first"]})


def file_name(bucket: str) -> str:
    """A bucket's name as part of a file name: itself where it is plain, else made plain and told apart by a hash."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", bucket)[:64]
    return plain if plain == bucket else f"{plain}-{xxhash.xxh3_64_hexdigest(bucket.encode())[:8]}"
