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
Lists = list[list[int]]  # tokens of documents


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
    groups = tokenized(found, work / "tokenizer", vocabulary)
    write(work / "shards", {group: numbered(lists) for group, lists in groups.items()}, work / "tokenizer", context)
    rows = {group: numbered(_rows(lists, context + 1)) for group, lists in groups.items()}
    write(work / "whole", rows, work / "tokenizer", context)


def tokenized(found: Iterator[tuple[str, str]], tokenizer: Path, vocabulary: int) -> dict[tuple[str, str], Lists]:
    """Tokens of every document by split and bucket; the tokenizer is trained on some of them where there is none."""
    documents = list(dict.fromkeys(found))
    if not tokenizer.exists():
        sample = (text for _, text in documents[:: max(1, len(documents) // TRAINED_ON)])
        save(train(sample, vocab_size=vocabulary), tokenizer)
    encoder, ids = load(tokenizer), special_ids(tokenizer)
    groups: dict[tuple[str, str], Lists] = {}
    for bucket, text in documents:
        split = "validation" if hashlib.md5(text.encode()).digest()[0] % HELD_OUT == 0 else "train"
        tokens = [ids["<|bos|>"], *encoder.encode(text).tolist(), ids["<|endoftext|>"]]
        groups.setdefault((split, bucket), []).append(tokens)
    return groups


def write(directory: Path, groups: dict[tuple[str, str], pa.Table], tokenizer: Path, context: int) -> None:
    """One shard of each split and bucket, and their manifest."""
    shared = {
        "tokenizer_sha256": sha256(tokenizer),
        "vocabulary_size": load(tokenizer).vocabulary_size,
        "context_length": context,
        "special_ids": special_ids(tokenizer),
        "bos": "<|bos|>",
        "eos": "<|endoftext|>",
        "padding": "<|padding|>",
        "adds_bos": True,
        "adds_eos": True,
        "packing": "concatenate",
        "config_hash": "benchmark",
    }
    directory.mkdir(parents=True, exist_ok=True)
    entries = []
    for (split, bucket), table in sorted(groups.items()):
        header = Header.model_validate({**shared, "split": split, "bucket": bucket})
        entries.append(write_shard(directory / f"{split}-{bucket}-00000.arrow", table, header, seed=1))
    write_manifest(directory, header.shared(), entries)


def numbered(lists: Lists) -> pa.Table:
    """What `write_shard` takes: tokens of documents whose ids are their numbers."""
    keys = [number.to_bytes(16) for number in range(len(lists))]
    ids = pa.array(keys, pa.binary(16))
    return pa.table({"document": ids, "cluster": ids, "tokens": pa.array(lists, pa.list_(pa.uint16()))})


def _rows(lists: Lists, width: int) -> Lists:
    """The rows that concatenation makes of documents."""
    flat = np.concatenate(lists)
    return [flat[begin : begin + width].tolist() for begin in range(0, len(flat), width)]
