"""Our own run over texts as Parquet: its config, its command, and which documents it keeps."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from peers.process import Measured, measured

DECIDING = ("annotate", "match", "judge")  # the stages that find out which documents stay


def run(texts: Path, work: Path, cores: int, limit: float) -> tuple[Measured, dict[str, Any]]:
    """Run all stages from `texts/*.parquet` (id, text) to the corpus, no signals and no rules; time, stages.json."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    columns = {"columns": {"uri": "id", "meta": []}}
    source = {"name": "planted", "format": "parquet", "kind": "text", "paths": [str(texts)], "options": columns}
    config = {
        "name": "dedup",
        "sources": [source],
        "annotate": {"families": []},
        "rules": {"sets": {"text": []}},
        "split": {"validation": 0, "test": 0},
        "spark": {"master": f"local[{cores}]"},
    }
    (work / "config.yaml").write_text(yaml.safe_dump(config))
    program = Path(sys.executable).parent / "gristmill"
    command: list[str | Path] = [program, "run", work / "config.yaml", "--output", work / "output", "--until", "corpus"]
    found = measured(command, work / "log", cores, limit=limit)
    stages: dict[str, Any] = json.loads((work / "output" / "stages.json").read_text())["stages"]
    return found, stages


def kept(work: Path) -> np.ndarray:
    """Ids of the documents that stay: int64[...]."""
    verdicts = _read(work, "verdicts", ["doc_id", "kept"])
    return _ids(verdicts.filter(verdicts["kept"]).join(_read(work, "documents", ["doc_id", "uri"]), "doc_id"))


def duplicates(work: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the documents that are duplicates, and of the documents that they are duplicates of: int64[...] each."""
    documents = _read(work, "documents", ["doc_id", "uri"])
    verdicts = _read(work, "verdicts", ["doc_id", "duplicate_of"])
    pairs = verdicts.filter(verdicts["duplicate_of"].is_valid()).join(documents, "doc_id")
    pairs = pairs.rename_columns({"uri": "of"}).join(documents, "duplicate_of", "doc_id")
    return _ids(pairs, "of"), _ids(pairs)


def _read(work: Path, dataset: str, columns: list[str]) -> pa.Table:
    return pq.read_table(work / "output" / dataset, columns=columns, partitioning=None)


def _ids(table: pa.Table, column: str = "uri") -> np.ndarray:
    return table[column].to_numpy().astype(np.int64)
