"""Train a byte-level BPE: `python run_tokenizer_train.py TRAINER VOCABULARY PATTERN OUT FILES...`.

TRAINER is ours, huggingface or rustbpe. FILES are Parquet files with a column `text`; PATTERN is the split pattern as a
regular expression, for ours its name. OUT gets a JSON object: `tokens`, the learnt ones in their order, in hex, and
`merges`, the pairs that they were made of, or null. The last line is a JSON object: seconds from the first text to the
last merge, and those of its steps.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Learnt = tuple[list[bytes], list[tuple[bytes, bytes]] | None]


def texts(files: list[str]) -> Iterator[str]:
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(1_000, columns=["text"]):
            yield from batch["text"].to_pylist()


def ours(size: int, pattern: str, files: list[str], steps: dict[str, float]) -> Learnt:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tokenizer.merges import train_merges
    from tokenizer.tally import count_texts

    started = time.perf_counter()
    tally = count_texts(texts(files), pattern)
    steps["count_seconds"] = round(time.perf_counter() - started, 2)
    learnt = train_merges(tally.pretokens, tally.counts, size)
    steps["merge_seconds"] = round(time.perf_counter() - started - steps["count_seconds"], 2)
    return learnt.tokens[256:], learnt.merges


def huggingface(size: int, pattern: str, files: list[str], steps: dict[str, float]) -> Learnt:
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    split = Split(Regex(pattern), behavior="isolated")
    tokenizer.pre_tokenizer = Sequence([split, ByteLevel(add_prefix_space=False, use_regex=False)])
    alphabet = sorted(ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=size, min_frequency=2, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts(files), trainer=trainer)
    # The letters of the alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 and on, in order.
    others = iter(range(256))
    plain = {ord(letter) for letter in alphabet if ord(letter) < 256}
    byte = {chr(code): code for code in plain}
    byte |= {chr(256 + i): code for i, code in enumerate(code for code in others if code not in plain)}
    merges = [
        tuple(bytes(byte[letter] for letter in part) for part in pair)
        for pair in json.loads(tokenizer.to_str())["model"]["merges"]
    ]
    return [left + right for left, right in merges], merges


def rustbpe(size: int, pattern: str, files: list[str], steps: dict[str, float]) -> Learnt:
    import rustbpe as library

    tokenizer = library.Tokenizer()
    tokenizer.train_from_iterator(texts(files), vocab_size=size, pattern=pattern)
    ranks = sorted(tokenizer.get_mergeable_ranks(), key=lambda entry: entry[1])
    return [bytes(token) for token, rank in ranks if rank >= 256], None


TRAINERS = {"ours": ours, "huggingface": huggingface, "rustbpe": rustbpe}


def main(name: str, size: str, pattern: str, out: str, *files: str) -> None:
    steps: dict[str, Any] = {}
    started = time.perf_counter()
    tokens, merges = TRAINERS[name](int(size), pattern, list(files), steps)
    seconds = round(time.perf_counter() - started, 2)
    pairs = merges and [[left.hex(), right.hex()] for left, right in merges]
    Path(out).write_text(json.dumps({"tokens": [token.hex() for token in tokens], "merges": pairs}))
    print(json.dumps({"seconds": seconds, **steps}))


if __name__ == "__main__":
    main(*sys.argv[1:])
