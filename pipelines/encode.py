"""`corpus/` to `tokens/`: every document encoded, with its split, source, bucket, and the key that spreads it.

The documents of a task are sorted by split, bucket and key, so that those of a shard are a slice of every file.

What a worker needs to encode is here alone: it imports this file, and nothing of Spark's driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import encoded, spread, texts, trait_lookup
from pipelines.encoded import Sums
from pipelines.sink import Transform
from shards import fill_in_the_middle
from shards.fill_in_the_middle import Ids, Units
from shards.fingerprint import fingerprints
from shards.format import SetHeader
from tokenizer import encode, vocabulary

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
        ("key", pa.int64()),  # see pipelines/spread.py
    ]
)
ORDER = [(name, "ascending") for name in ("split", "bucket", "key", "document")]


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

    `buckets`: what `buckets.write` wrote, None where a document's bucket is its source. `middle_last`: sources, of
    which the header's share has its middle last.
    """
    bucket_of = None if buckets is None else trait_lookup.lookup(buckets)
    encoding = DocumentEncoder(tokenizer, SetHeader(**header), seed, engine)

    def write(batch: pa.RecordBatch) -> Iterator[dict[str, pa.RecordBatch]]:
        found: list[Sums] = []
        held: list[pa.RecordBatch] = []
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
                    held.append(tokens)
                    del documents  # it holds its whole row group: the next one is read without it
        for part in pa.Table.from_batches(held, TOKENS).sort_by(ORDER).to_batches():
            yield {"tokens": part}
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
        raw = np.frombuffer(b"".join(ids), "V16")
        found = fingerprints(raw, np.cumsum(counts) - counts, kept, flat)
        return {
            "document": pa.array(ids, pa.binary()),
            "cluster": pa.array(clusters, pa.binary()),
            "count": pa.array(counts),
            "kept": pa.array(kept),
            "fingerprint": pa.array(found),
            "tokens": pa.array([each.tobytes() for each in tokens], pa.binary()),
            "pieces": pa.array([unit.pieces if unit else [] for unit in units], pa.list_(pa.int64())),
            "suffix_first": pa.array([bool(unit and unit.suffix_first) for unit in units]),
            "key": pa.array(spread.keys(raw, self.seed)),
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
