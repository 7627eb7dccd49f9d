"""datatrove's tokenization as its example runs it: `python run_datatrove_tokens.py TOKENIZER TEXTS WORK CORES`.

TEXTS is a folder of Parquet files (id, text). DocumentTokenizer in a process per core, its documents shuffled within
each file, which is its default; then DocumentTokenizerMerger, which shuffles the files into one. The last line is a
JSON object: tokens (an end token a document), and seconds of both steps.
"""

import json
import sys
import time
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.tokens import DocumentTokenizer, DocumentTokenizerMerger

BATCH = 1_000  # documents; its default of 10,000 holds over 100 times their text in memory, in each process


def main(tokenizer: str, texts: str, work: Path, cores: int) -> None:
    apart, merged = str(work / "apart"), str(work / "merged")
    encode = DocumentTokenizer(
        apart,
        tokenizer,
        local_working_dir=str(work / "local"),
        save_filename="corpus",
        eos_token="<|endoftext|>",
        batch_size=BATCH,
        seed=1,
    )
    merge = DocumentTokenizerMerger(apart, merged, save_filename="corpus", seed=1, progress=False)
    reader = ParquetReader(texts, glob_pattern="*.parquet", read_metadata=False)
    steps = {"tokenize": ([reader, encode], cores), "merge": ([merge], 1)}
    seconds = {}
    for name, (pipeline, tasks) in steps.items():
        started = time.perf_counter()
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=tasks, logging_dir=str(work / "logs" / name)).run()
        seconds[name] = round(time.perf_counter() - started, 2)
    tokens = sum(path.stat().st_size for path in Path(merged).glob("*.ds")) // encode.token_size
    print(json.dumps({"tokens": tokens, "step_seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
