"""Shards of three buckets that learn from each other differently, and a config's page that trains on them."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from pretrain_corpus import sentences

from shards.format import Header
from shards.manifest import write_manifest
from shards.write import write_shard
from tokenizer.encode import load
from tokenizer.vocabulary import sha256, special_ids

CONTEXT = 24
BUCKETS = {"mill": (120, 24), "digits": (60, 24), "river": (40, 24)}  # documents in train and in validation


def texts(bucket: str, count: int, seed: int) -> list[str]:
    """Sentences; in `digits`, numbers, whose tokens the others hardly have."""
    if bucket != "digits":
        return sentences(count, seed)
    random = np.random.default_rng(seed)
    return [" ".join(str(number) for number in random.integers(0, 99, 12)) for _ in range(count)]


def write_case(output: Path, tokenizer: Path, buckets=tuple(BUCKETS), splits=("train", "validation")) -> Path:
    """An output directory with tokenizer/ and shards/."""
    shutil.copytree(tokenizer, output / "tokenizer")
    encoder, ids = load(tokenizer), special_ids(tokenizer)
    (output / "shards").mkdir()
    entries = []
    for bucket in buckets:
        for split, count in zip(("train", "validation"), BUCKETS[bucket]):
            if split not in splits:
                continue
            found = texts(bucket, count, seed=sum(f"{bucket} {split}".encode()))
            tokens = [[ids["<|bos|>"], *encoder.encode(text).tolist(), ids["<|endoftext|>"]] for text in found]
            keys = [hashlib.md5(f"{split}{bucket}{i}".encode()).digest() for i in range(count)]
            documents = pa.table(
                {
                    "document": pa.array(keys, pa.binary(16)),
                    "cluster": pa.array(keys, pa.binary(16)),
                    "tokens": pa.array(tokens, pa.list_(pa.uint16())),
                }
            )
            header = Header(
                tokenizer_sha256=sha256(tokenizer),
                vocabulary_size=encoder.vocabulary_size,
                context_length=CONTEXT,
                special_ids=ids,
                bos="<|bos|>",
                eos="<|endoftext|>",
                padding="<|padding|>",
                adds_bos=True,
                adds_eos=True,
                packing="concatenate",
                config_hash="test",
                split=split,
                bucket=bucket,
            )
            path = output / "shards" / f"{split}-{bucket}-00000.arrow"
            entries.append(write_shard(path, documents, header, seed=7))
    write_manifest(output / "shards", header.shared(), entries)
    return output


def write_page(path: Path, pretrain: dict) -> Path:
    """A config whose sources are of no matter: nothing but the section `pretrain` is read."""
    sources = [{"name": "text", "format": "text", "paths": ["nowhere/*.txt"]}]
    path.write_text(yaml.safe_dump({"name": "case", "sources": sources, "pretrain": pretrain}), "utf-8")
    return path
