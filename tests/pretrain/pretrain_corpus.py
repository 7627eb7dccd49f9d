"""A small corpus of sentences, and shards made of it."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from shards.format import Header
from shards.manifest import write_manifest
from shards.write import write_shard
from tokenizer.encode import load
from tokenizer.vocabulary import sha256, special_ids

CONTEXT = 24
SUBJECTS = ["the miller", "a raven", "the old ferryman", "naïve Zoë", "the 7th bell"]
VERBS = ["grinds", "watches", "forgets", "counts", "carries"]
OBJECTS = ["the grain.", "nothing — at all.", "a river of stars.", "41 stones.", "日本 tea."]


def sentences(count: int, seed: int) -> list[str]:
    """Documents of one to three sentences, so that rows hold several and cut some."""
    random = np.random.default_rng(seed)

    def sentence() -> str:
        return " ".join(str(random.choice(words)) for words in (SUBJECTS, VERBS, OBJECTS))

    return [" ".join(sentence() for _ in range(random.integers(1, 4))) for _ in range(count)]


def write_shards(directory: Path, tokenizer: Path, config_hash: str = "test", splits=("train", "validation")) -> Path:
    """Shards of two buckets in each split."""
    texts = {
        ("train", "mill"): sentences(90, 1),
        ("train", "river"): sentences(40, 2),
        ("validation", "mill"): sentences(20, 3),
        ("validation", "river"): sentences(9, 4),
    }
    chosen = {key: texts[key] for key in texts if key[0] in splits}
    return write_texts(directory, tokenizer, chosen, config_hash)


def write_texts(
    directory: Path, tokenizer: Path, texts: dict[tuple[str, str], list[str]], config_hash: str = "test"
) -> Path:
    """A shard of the texts of each split and bucket, context of CONTEXT tokens."""
    encoder, ids = load(tokenizer), special_ids(tokenizer)
    directory.mkdir(parents=True)
    entries = []
    for (split, bucket), own in texts.items():
        tokens = [[ids["<|bos|>"], *encoder.encode(text).tolist(), ids["<|endoftext|>"]] for text in own]
        keys = [hashlib.md5(f"{split}{bucket}{i}".encode()).digest() for i in range(len(own))]
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
            config_hash=config_hash,
            split=split,
            bucket=bucket,
        )
        entries.append(write_shard(directory / f"{split}-{bucket}-00000.arrow", documents, header, seed=7))
    write_manifest(directory, header.shared(), entries)
    return directory
