"""datatrove's FineWeb recipe on extracted English pages: `python run_datatrove_fineweb.py POOL WORK OUT`.

POOL and OUT are Parquet of (name, text). What its published script does behind the language gate, with the default
settings of its blocks: Gopher's repetition and quality filters, C4's without the terminal-mark rule, FineWeb's own;
then the four MinHash steps over all that is left; then e-mail and public IP addresses are replaced. The URL filter
before extraction has nothing to do here, as the texts are given.
"""

import json
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import run_datatrove
from datatrove.data import Document
from datatrove.pipeline.formatters import PIIFormatter
from run_datatrove_filters import chain


def filtered(pool: Path) -> pa.Table:
    """The documents that pass all filters, as C4's line edits leave them."""
    filters = chain()
    kept = []
    for batch in pq.ParquetFile(pool).iter_batches(100, columns=["name", "text"]):
        for row in batch.to_pylist():
            document = Document(text=row["text"], id=row["name"])
            if all(filter_.filter(document) is True for filter_ in filters):
                kept.append({"id": document.id, "text": document.text})
    return pa.Table.from_pylist(kept, pa.schema([("id", pa.string()), ("text", pa.string())]))


def replace(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)


def main(pool: Path, work: Path, out: Path) -> None:
    passed = work / "passed" / "texts.parquet"
    passed.parent.mkdir(parents=True, exist_ok=True)
    if not passed.exists():
        replace(passed, filtered(pool))
    shutil.rmtree(work / "minhash", ignore_errors=True)  # signatures of a run that was killed count twice
    run_datatrove.main(str(passed.parent), work / "minhash", 1)
    formatter = PIIFormatter()
    kept = [json.loads(line) for path in (work / "minhash" / "kept").rglob("*.jsonl") for line in path.open()]
    rows = sorted((row["id"], formatter.format(row["text"])) for row in kept)
    replace(out, pa.table(list(zip(*rows)), schema=pa.schema([("name", pa.string()), ("text", pa.string())])))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
