"""Shards of three buckets that learn from each other differently, and a config's page that trains on them."""

import shutil
from pathlib import Path

import numpy as np
import yaml
from pretrain_corpus import sentences, write_texts

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
    found = {
        (split, bucket): texts(bucket, count, seed=sum(f"{bucket} {split}".encode()))
        for bucket in buckets
        for split, count in zip(("train", "validation"), BUCKETS[bucket])
        if split in splits
    }
    write_texts(output / "shards", tokenizer, found)
    return output


def write_page(path: Path, pretrain: dict) -> Path:
    """A config whose sources are of no matter: nothing but the section `pretrain` is read."""
    sources = [{"name": "text", "format": "text", "paths": ["nowhere/*.txt"]}]
    path.write_text(yaml.safe_dump({"name": "case", "sources": sources, "pretrain": pretrain}), "utf-8")
    return path
