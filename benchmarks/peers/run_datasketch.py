"""datasketch as its users write it, in one process: `python run_datasketch.py TEXTS KEPT`.

Word 5-grams of the lower-cased text, MinHash of 128 permutations, MinHashLSH at threshold 0.8; a document stays unless
the index holds one that it meets. Nothing is verified. The ids of those that stay are written to KEPT, one a line.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from datasketch import MinHash, MinHashLSH

WORD = re.compile(r"\w+")
NGRAM = 5


def shingles(text: str) -> list[bytes]:
    words = WORD.findall(text.lower())
    return [" ".join(words[at : at + NGRAM]).encode() for at in range(len(words) - NGRAM + 1)]


def rows(texts: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(texts.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(1000):
            yield from zip(batch["id"].to_pylist(), batch["text"].to_pylist())


def main(texts: Path, kept: Path) -> None:
    index = MinHashLSH(threshold=0.8, num_perm=128)
    staying = []
    empty = MinHash(num_perm=128)
    for key, text in rows(texts):
        signature = empty.copy()  # as MinHash.generator does: the permutations are made once
        signature.update_batch(shingles(text))
        if not index.query(signature):
            index.insert(key, signature, check_duplication=False)
            staying.append(key)
    kept.write_text("\n".join(staying) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
