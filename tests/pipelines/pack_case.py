"""A small corpus with signals and a tokenizer, as the stages before `pack` leave them, and the stage run on it."""

import hashlib
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from small_run import prose

from pipelines import datasets, shard_stages
from pipelines.config import Config
from pipelines.ledger import Ledger, read_stages
from pipelines.run import Run
from tokenizer import train
from tokenizer.vocabulary import FILL_IN_THE_MIDDLE, SPECIAL_TOKENS

SOURCES = [
    {"name": "web", "format": "warc", "paths": ["*.warc.gz"]},
    {"name": "modules", "format": "code", "paths": ["*.tar"]},
]


def texts(seed: int, count: int) -> list[str]:
    """Short and long texts, many scripts, a special token spelled out, and an empty one."""
    generator = random.Random(seed)
    odd = ["", "x", "日本語の文章。" * 40, "🧶🧵" * 9, "says <|endoftext|> and <|fim_middle|> here", "é" * 500]
    return odd + [prose(1000 * seed + i, 3 * generator.choice([1, 1, 1, 2, 9])) for i in range(count - len(odd))]


def make_corpus(output: Path, sentinels: bool = True) -> dict[str, dict[str, Any]]:
    """corpus/, signals/quality and tokenizer/ below `output`. Returns the documents by id."""
    documents = {}
    for source in ("web", "modules"):
        for split in ("train", "validation", "test"):
            folder = output / "corpus" / f"split={split}" / f"source={source}"
            folder.mkdir(parents=True)
            for file in range(3 if split == "train" else 1):
                key = f"{source} {split} {file}"
                rows = [
                    {"doc_id": hashlib.md5(f"{key} {i}".encode()).hexdigest(), "text": text}
                    for i, text in enumerate(texts(sum(key.encode()), 30 if split == "train" else 12))
                ]
                for row in rows:
                    documents[row["doc_id"]] = row | {"source": source, "split": split}
                    row |= {"uri": "uri", "meta": [], "cluster": row["doc_id"], "stands_for": 1, "copies": 1}
                table = pa.Table.from_pylist(rows, datasets.CORPUS)
                pq.write_table(table, folder / f"{file:016x}-00000.parquet", row_group_size=8)
    (output / "signals" / "quality").mkdir(parents=True)
    words = [len(row["text"].split()) for row in documents.values()]
    pq.write_table(pa.table({"doc_id": list(documents), "words": words}), output / "signals" / "quality" / "a.parquet")
    special = (*SPECIAL_TOKENS, *FILL_IN_THE_MIDDLE) if sentinels else SPECIAL_TOKENS
    train.save(
        train.train([row["text"] for row in documents.values()], 700, special_tokens=special), output / "tokenizer"
    )
    return documents


def make_config(**changes: Any) -> Config:
    pack = {
        "context": 64,
        "policy": "best_fit",
        "shard_bytes": 6_000,
        "bucket": "concat(source, if(quality.words > 60, '-long', ''))",
        "fill_in_the_middle": {"rate": 0.5},
    }
    page = {"name": "small", "seed": 3, "sources": SOURCES, "chunk_bytes": 20_000, "pack": pack}
    page["tokenizer"] = {"special_tokens": list(FILL_IN_THE_MIDDLE)}
    return Config.model_validate({**page, **changes, "pack": {**pack, **changes.get("pack", {})}})


def run_pack(output: Path, config: Config) -> dict[str, Any]:
    """The facts of the stage."""
    with Ledger(output) as ledger:
        shard_stages.packed(Run(config, ledger, None, lambda line: None))
    return read_stages(output)["pack"]["facts"]


def contents(output: Path) -> dict[str, str]:
    """The digest of every file of shards/, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (output / "shards").iterdir()}
