"""A run's directory to look into: a byte-level tokenizer without merges, shards of real-looking documents, a corpus."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from shard_cases import make_header, make_id, make_table
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from shards.fill_in_the_middle import Units, units
from shards.format import FillInTheMiddle
from shards.manifest import write_manifest
from shards.write import write_shard

SPECIALS = ("<bos>", "<eos>", "<padding>", "<prefix>", "<middle>", "<suffix>")
Document = tuple[str, str, str, str]  # split, source, language, text


def make_tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate([*SPECIALS, *alphabet])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.encode_special_tokens = True
    return tokenizer


def make_run(directory: Path, documents: Sequence[Document], fill: bool = False, corpus: bool = True) -> Path:
    """Document i has the id `make_id(i)`; a bucket is a source. With `fill` all documents have their middle last."""
    tokenizer = make_tokenizer()
    (directory / "tokenizer").mkdir(parents=True)
    (directory / "shards").mkdir()
    tokenizer.save(str(directory / "tokenizer" / "tokenizer.json"))
    policy = FillInTheMiddle(rate=1.0, spm_rate=0.5, prefix="<prefix>", middle="<middle>", suffix="<suffix>")
    shared = {
        "tokenizer_sha256": hashlib.sha256((directory / "tokenizer" / "tokenizer.json").read_bytes()).hexdigest(),
        "vocabulary_size": tokenizer.get_vocab_size(),
        "special_ids": {token: i for i, token in enumerate(SPECIALS)},
        "context_length": 63,
        "packing": "best_fit",
        **({"fill_in_the_middle": policy} if fill else {}),
    }
    entries = []
    for split, source in sorted({document[:2] for document in documents}):
        header = make_header(**shared, split=split, bucket=source)
        numbers = [i for i, document in enumerate(documents) if document[:2] == (split, source)]
        table = make_table([[0, *tokenizer.encode(documents[i][3]).ids, 1] for i in numbers], numbers)
        if fill:
            table = with_middle_last(table, [documents[i][3] for i in numbers], numbers, tokenizer, header)
        entries.append(write_shard(directory / "shards" / f"{split}-{source}.arrow", table, header, 0))
    write_manifest(directory / "shards", header.shared(), entries, ("train", "validation", "test"))
    if corpus:
        make_corpus(directory, documents)
    return directory


def with_middle_last(
    table: pa.Table, texts: Sequence[str], numbers: Sequence[int], tokenizer: Tokenizer, header
) -> pa.Table:
    def encode(parts: list[str]) -> list[np.ndarray]:
        return [np.array(tokenizer.encode(part).ids, header.dtype) for part in parts]

    lengths = np.array([0] * len(SPECIALS) + [1] * 256)
    made: list[Units] = [
        units(make_id(number), text, encode([text])[0], lengths, encode, header, 0)
        for number, text in zip(numbers, texts)
    ]
    columns = {
        "tokens": pa.array([one.tokens for one in made], pa.list_(pa.uint32())),
        "pieces": pa.array([one.pieces for one in made], pa.list_(pa.int64())),
        "suffix_first": pa.array([one.suffix_first for one in made], pa.bool_()),
    }
    kept = table.select(["document", "cluster"])
    for name, column in columns.items():
        kept = kept.append_column(name, column)
    return kept


def make_corpus(directory: Path, documents: Sequence[Document]) -> None:
    """corpus/ and signals/language/, whose order is not that of the shards."""
    for split, source in {document[:2] for document in documents}:
        folder = directory / "corpus" / f"split={split}" / f"source={source}"
        folder.mkdir(parents=True)
        ids = [make_id(i).hex() for i, document in enumerate(documents) if document[:2] == (split, source)]
        pq.write_table(pa.table({"doc_id": ids[::-1], "text": ids}), folder / "0.parquet")
    folder = directory / "signals" / "language"
    folder.mkdir(parents=True)
    ids = [make_id(i).hex() for i in range(len(documents))] + [make_id("not in the shards").hex()]
    codes = [document[2] for document in documents] + ["xxx"]
    pq.write_table(pa.table({"doc_id": ids[::-1], "code": codes[::-1]}), folder / "0.parquet")
