"""datatrove's four MinHash steps as its example runs them: `python run_datatrove.py TEXTS WORK CORES`.

The default config: word 5-grams by spaCy's English tokenizer, 14 buckets of 8 hashes of 64 bits, one document of each
connected component stays. Its filter step writes the texts that stay as plain JSONL, the cheapest of its writers.
The last line is a JSON object: seconds of each step.
"""

import json
import sys
import time
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.typeshelper import Languages


def main(texts: str, work: Path, cores: int) -> None:
    config = MinhashConfig()
    folders = {name: str(work / name) for name in ("signature", "buckets", "remove", "kept")}
    reader = ParquetReader(texts, read_metadata=False)
    steps = {
        "signature": (
            [reader, MinhashDedupSignature(folders["signature"], config=config, language=Languages.english)],
            cores,
        ),
        "buckets": (
            [MinhashDedupBuckets(folders["signature"], folders["buckets"], config=config)],
            config.num_buckets,
        ),
        "cluster": ([MinhashDedupCluster(folders["buckets"], folders["remove"], config=config)], 1),
        "filter": (
            [reader, MinhashDedupFilter(folders["remove"]), JsonlWriter(folders["kept"], compression=None)],
            cores,
        ),
    }
    seconds = {}
    for name, (pipeline, tasks) in steps.items():
        started = time.perf_counter()
        logs = str(work / "logs" / name)
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=min(tasks, cores), logging_dir=logs).run()
        seconds[name] = round(time.perf_counter() - started, 2)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
