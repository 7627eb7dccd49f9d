"""Shards of real texts, made without Spark: novels and main texts of web pages below $GRISTMILL_DATA.

Two buckets, `books` and `pages`; one document in `HELD_OUT` is validation.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from shards.format import Header
from shards.manifest import write_manifest
from shards.write import write_shard
from tokenizer.encode import load
from tokenizer.train import save, train
from tokenizer.vocabulary import sha256, special_ids

DATA = Path(os.environ.get("GRISTMILL_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
HELD_OUT = 20
TRAINED_ON = 500  # documents, for the tokenizer


def texts(piece: int = 2_000) -> Iterator[tuple[str, str]]:
    """Bucket and text of every document, in an order that is always the same.

    `piece`: characters of a novel that are one document; a page of the web has about 2,000.
    """
    for path in sorted((DATA / "books").glob("eltec/*/*.txt.gz")):
        novel = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        yield from (("books", novel[begin : begin + piece]) for begin in range(0, len(novel), piece))
    with gzip.open(DATA / "web" / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from (("pages", text) for line in lines if (text := json.loads(line)["text"]))


def pack(found: Iterator[tuple[str, str]], work: Path, vocabulary: int, context: int) -> None:
    """Write `work`/tokenizer, `work`/shards, and `work`/whole, the same rows as if each were one document.

    The two shard sets have the same rows, bytes and order of reading; only where documents begin differs.
    """
    documents = list(dict.fromkeys(found))
    sample = (text for _, text in documents[:: max(1, len(documents) // TRAINED_ON)])
    save(train(sample, vocab_size=vocabulary), work / "tokenizer")
    encoder, ids = load(work / "tokenizer"), special_ids(work / "tokenizer")
    groups: dict[tuple[str, str], list[list[int]]] = {}
    for bucket, text in documents:
        split = "validation" if hashlib.md5(text.encode()).digest()[0] % HELD_OUT == 0 else "train"
        tokens = [ids["<|bos|>"], *encoder.encode(text).tolist(), ids["<|endoftext|>"]]
        groups.setdefault((split, bucket), []).append(tokens)
    shared = {
        "tokenizer_sha256": sha256(work / "tokenizer"),
        "vocabulary_size": encoder.vocabulary_size,
        "context_length": context,
        "special_ids": ids,
        "bos": "<|bos|>",
        "eos": "<|endoftext|>",
        "padding": "<|padding|>",
        "adds_bos": True,
        "adds_eos": True,
        "packing": "concatenate",
        "config_hash": "benchmark",
    }
    for name, whole in (("shards", False), ("whole", True)):
        (work / name).mkdir(parents=True, exist_ok=True)
        entries = []
        for (split, bucket), lists in sorted(groups.items()):
            header = Header.model_validate({**shared, "split": split, "bucket": bucket})
            table = _table(_rows(lists, header.width) if whole else lists)
            entries.append(write_shard(work / name / f"{split}-{bucket}-00000.arrow", table, header, seed=1))
        write_manifest(work / name, header.shared(), entries)


def _rows(lists: list[list[int]], width: int) -> list[list[int]]:
    """The rows that concatenation makes of documents."""
    flat = np.concatenate(lists)
    return [flat[begin : begin + width].tolist() for begin in range(0, len(flat), width)]


def _table(lists: list[list[int]]) -> pa.Table:
    keys = [number.to_bytes(16) for number in range(len(lists))]
    ids = pa.array(keys, pa.binary(16))
    return pa.table({"document": ids, "cluster": ids, "tokens": pa.array(lists, pa.list_(pa.uint16()))})
