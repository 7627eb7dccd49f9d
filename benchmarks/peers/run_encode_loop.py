"""A bare `encode_batch` loop: `python run_encode_loop.py TOKENIZER TEXTS CORES (threads | processes)`.

TEXTS is a folder of Parquet files with a column `text`. `threads`: one process, `tokenizers`' own thread pool.
`processes`: a process per core, one thread each, which take row groups as they come. `seconds` are those spent in
`encode_batch_fast` alone (by processes: their sum over the cores), so reading, waiting at the end and what one would do
with the ids are left out: with the same allocator, no program that encodes with this library can be faster. The last
line is a JSON object.
"""

import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

RowGroup = tuple[str, int]


def start(path: str) -> None:
    from tokenizers import Tokenizer

    global tokenizer
    tokenizer = Tokenizer.from_file(path)
    tokenizer.encode_special_tokens = True
    tokenizer.encode_batch_fast(["warm"] * 8, add_special_tokens=False)


def encode(place: RowGroup) -> tuple[int, float]:
    """Tokens of a row group, and seconds."""
    path, group = place
    texts = pq.ParquetFile(path).read_row_group(group, columns=["text"])["text"].to_pylist()
    started = time.perf_counter()
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    seconds = time.perf_counter() - started
    return sum(map(len, encodings)), seconds


def main(path: str, texts: Path, cores: int, how: str) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if how == "threads" else "false"
    os.environ["RAYON_NUM_THREADS"] = str(cores)
    places = [
        (str(file), group)
        for file in sorted(texts.glob("*.parquet"))
        for group in range(pq.read_metadata(file).num_row_groups)
    ]
    if how == "threads":
        start(path)
        found = list(map(encode, places))
        workers = 1
    else:
        with multiprocessing.Pool(cores, start, (path,)) as pool:
            found = list(pool.imap_unordered(encode, places))
        workers = cores
    tokens, seconds = map(sum, zip(*found))
    print(json.dumps({"tokens": tokens, "seconds": round(seconds / workers, 2)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
