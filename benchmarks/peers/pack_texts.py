"""A corpus as programs that tokenize read it: Parquet of (id, text) in small row groups, and JSONL."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

CHUNK_BYTES = 4_000_000  # of text, in a row group
FILES = 8


@dataclass(frozen=True)
class Texts:
    """A corpus, or a part of it, as peers read it: `folder`/*.parquet and `folder`/texts.jsonl."""

    folder: Path
    documents: int
    bytes: int


def write_texts(output: Path, work: Path, part_bytes: int) -> tuple[Texts, Texts]:
    """The corpus of `output` as peers read it, all of it and a part of about `part_bytes` with the same mix."""
    files = sorted((output / "corpus").rglob("*.parquet"))
    total = sum(pc.sum(pc.binary_length(pq.read_table(file, columns=["text"])["text"])).as_py() for file in files)
    share = min(1.0, part_bytes / total)
    writers = {"all": _Writer(work / "all"), "part": _Writer(work / "part")}
    number = 0
    for file in files:
        for chunk in _chunks(file):
            number += 1
            writers["all"].append(chunk)
            if int(number * share) > int((number - 1) * share):
                writers["part"].append(chunk)
    return writers["all"].close(), writers["part"].close()


def _chunks(file: Path) -> list[pa.Table]:
    table = pq.ParquetFile(file).read(columns=["doc_id", "text"]).rename_columns(["id", "text"])
    ends = pc.cumulative_sum(pc.binary_length(table["text"]).cast(pa.int64())).to_numpy()
    borders = [0, *(ends.searchsorted(range(CHUNK_BYTES, int(ends[-1]), CHUNK_BYTES)) + 1), len(table)]
    return [table.slice(a, b - a) for a, b in pairwise(borders) if b > a]


class _Writer:
    """Row groups in turn into FILES files, and all lines into one JSONL."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        schema = pa.schema([("id", pa.string()), ("text", pa.string())])
        self.folder, self.chunks, self.documents, self.bytes = folder, 0, 0, 0
        self.writers = [pq.ParquetWriter(folder / f"{i}.parquet", schema, compression="zstd") for i in range(FILES)]
        self.lines = (folder / "texts.jsonl").open("w", encoding="utf-8")

    def append(self, table: pa.Table) -> None:
        self.writers[self.chunks % FILES].write_table(table)
        self.lines.writelines(json.dumps({"text": text}) + "\n" for text in table["text"].to_pylist())
        self.chunks += 1
        self.documents += len(table)
        self.bytes += pc.sum(pc.binary_length(table["text"])).as_py()

    def close(self) -> Texts:
        for file in (*self.writers, self.lines):
            file.close()
        return Texts(self.folder, self.documents, self.bytes)
