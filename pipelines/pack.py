"""Pack: the corpus as tokens, shuffled by a seeded hash, in shards of fixed-length rows.

1. Each document's bucket, by an expression over what is known of it: see pipelines/buckets.py.
2. `tokens/`: every document encoded, with its split and bucket, in chunks that are committed one by one: see
   pipelines/encode.py. Documents that are to have their middle last are encoded so.
3. Documents are spread over shards by their hash, sorted by it within a shard, and packed: a task maps the files of
   `tokens/` and takes its shard's slice of each, so no token passes through a shuffle. How many shards a bucket has
   follows from its tokens alone, so shards are the same bytes at any parallelism.

`tokens/` is removed when the shards are committed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pyarrow import ipc
from pyspark.sql import SparkSession

from pipelines import spread
from pipelines.encode import TOKENS
from pipelines.encoded import Sums
from shards.fingerprint import shard_fingerprint
from shards.format import Header, SetHeader
from shards.manifest import FileEntry
from shards.packing_report import PackingReport, read_layout, report
from shards.write import write_shard

VERSION = 5


class Packed(NamedTuple):
    """A shard that was written, and what was found when it was read again."""

    entry: FileEntry
    report: PackingReport
    fingerprint: int


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


def write(
    spark: SparkSession,
    files: list[str],
    shards: list[tuple[str, str, int]],
    header: SetHeader,
    seed: int,
    folder: Path,
) -> list[Packed]:
    """Pack the documents of `tokens/`, which is in `files`, into shards below `folder`. Returns what is in each."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = spark.range(0, len(shards), 1, max(1, len(shards)))  # a task for each
    columns = "entry string, report string, fingerprint long"
    written = numbers.mapInArrow(_packer(files, str(folder), shards, header.model_dump(), seed), columns).collect()
    return [
        Packed(FileEntry(**json.loads(row["entry"])), PackingReport(**json.loads(row["report"])), row["fingerprint"])
        for row in written
    ]


def _packer(
    files: list[str], folder: str, shards: list[tuple[str, str, int]], shared: dict[str, Any], seed: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow over places in `shards`: writes each, reads it again, and says so in a row.

    A shard that no document falls to is not written.
    """
    counts = Counter((split, bucket) for split, bucket, _ in shards)

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for place in (place for batch in batches for place in batch["id"].to_pylist()):
            split, bucket, number = shards[place]
            header = Header(**shared, split=split, bucket=bucket)
            table = _documents(slices(files, split, bucket, number, counts[split, bucket]), header)
            if not len(table):
                continue
            name = f"{split}-{file_name(bucket)}-{number:05d}.arrow"
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


def slices(files: list[str], split: str, bucket: str, number: int, count: int) -> pa.Table:
    """The documents of one of a bucket's `count` shards: of every batch a slice, which is mapped and not copied."""
    found = [TOKENS.empty_table()]
    for file in files:
        reader = ipc.open_file(pa.memory_map(file))
        for batch in (reader.get_batch(place) for place in range(reader.num_record_batches)):
            same = pc.and_(pc.equal(batch["split"], split), pc.equal(batch["bucket"], bucket))
            begin, rows = pc.index(same, True).as_py(), pc.sum(same).as_py()
            if not rows:
                continue
            held = batch.slice(begin, rows)  # sorted by split and bucket, they stand together
            of = spread.numbers(held["key"].to_numpy(), count)
            first, last = np.searchsorted(of, [number, number + 1])
            found.append(pa.Table.from_batches([held.slice(first, last - first)]))
    return pa.concat_tables(found)


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
