"""Preprocessing as Megatron-LM's: `python run_megatron_style.py TOKENIZER TEXTS.jsonl PREFIX WORKERS`.

What tools/preprocess_data.py does without sentence splitting: a pool of processes is handed the lines of a JSONL file,
32 at once, encodes each and appends the end-of-document token; the first process writes PREFIX.bin (the tokens) and
PREFIX.idx (lengths, pointers, documents; see megatron/core/datasets/indexed_dataset.py for the layout). Megatron itself
needs PyTorch and is not installed; its tokenizer class is a layer over the library that is called here directly.
"""

import json
import multiprocessing
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

LINES = 32  # handed to a process at once, as there
UINT16, INT32 = 8, 4  # codes of token types
UINT16_VOCABULARY = 65_500


def start(path: str) -> None:
    from tokenizers import Tokenizer

    global tokenizer, end
    tokenizer = Tokenizer.from_file(path)
    end = tokenizer.token_to_id("<|endoftext|>")


def encode(line: str) -> list[int]:
    return [*tokenizer.encode(json.loads(line)["text"], add_special_tokens=False).ids, end]


def write(prefix: Path, documents: Iterator[list[int]], dtype: np.dtype) -> int:
    """Write the tokens of the documents, and their index; how many tokens they have."""
    lengths = []
    with prefix.with_suffix(".bin").open("wb") as tokens:
        for ids in documents:
            tokens.write(np.array(ids, dtype).tobytes())
            lengths.append(len(ids))
    sizes = np.array(lengths, np.int32)
    pointers = np.zeros(len(sizes), np.int64)
    np.cumsum(sizes[:-1] * np.int64(dtype.itemsize), out=pointers[1:])
    with prefix.with_suffix(".idx").open("wb") as index:
        index.write(b"MMIDIDX\0\0" + struct.pack("<QB", 1, UINT16 if dtype.itemsize == 2 else INT32))
        index.write(struct.pack("<QQ", len(sizes), len(sizes) + 1))
        index.write(sizes.tobytes() + pointers.tobytes() + np.arange(len(sizes) + 1, dtype=np.int64).tobytes())
    return int(sizes.sum(dtype=np.int64))


def main(path: str, texts: Path, prefix: Path, workers: int) -> None:
    from tokenizers import Tokenizer

    dtype = np.dtype(np.uint16 if Tokenizer.from_file(path).get_vocab_size() < UINT16_VOCABULARY else np.int32)
    with multiprocessing.Pool(workers, start, (path,)) as pool, texts.open(encoding="utf-8") as lines:
        print(json.dumps({"tokens": write(prefix, pool.imap(encode, lines, LINES), dtype)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
