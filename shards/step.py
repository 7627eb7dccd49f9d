"""Which rows and documents a training step reads, and at which steps a document is read: looked up, nothing is run."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.dataset as ds

from shards.format import kind_name
from shards.pieces import pieces_of_document
from shards.read import ShardSet, Split
from shards.reading import Reading, reading_of

TRAIN: Final = "train"
CHUNK: Final = 1 << 16  # positions looked through at a time


@dataclass(frozen=True)
class ReadPiece:
    """A piece of a document in a row: `offset` in the document, `start` and `length` in the row, in tokens."""

    document: str
    kind: str
    offset: int
    start: int
    length: int


@dataclass(frozen=True)
class ReadRow:
    """A row that a step reads: `position` counts the rows read before it; `epoch`, from 0, is that of its bucket where
    buckets are mixed by weights, else that of the split.
    """

    position: int
    row: int
    file: str
    row_in_file: int
    bucket: str
    epoch: int
    pieces: list[ReadPiece]


@dataclass(frozen=True)
class Occurrence:
    """One time that a row with a document is read: `tokens` of the document are in that row."""

    step: int
    position: int
    row: int
    epoch: int
    tokens: int


def rows_of_step(split: Split, reading: Reading, step: int) -> list[ReadRow]:
    """The rows of a step, in the order of the batch. Raises ValueError for a step below 1 or beyond the caps."""
    position, count = reading.at(step)
    epochs, rows = reading.order(split).at(np.arange(position, position + count))
    found = []
    for i, (epoch, row) in enumerate(zip(epochs.tolist(), rows.tolist())):
        file, nth = split.locate(row)
        pieces = [
            ReadPiece(
                piece["document"].tobytes().hex(),
                kind_name(int(piece["kind"])),
                *(int(piece[name]) for name in ("offset", "start", "length")),
            )
            for piece in file.pieces(nth)
        ]
        found.append(ReadRow(position + i, row, file.entry.name, nth, file.entry.bucket, epoch, pieces))
    return found


def steps_of_document(split: Split, reading: Reading, document: str, steps: int) -> Iterator[Occurrence]:
    """Every time that steps 1 to `steps` read a row with the document of this id (hex), in order.

    Looks through the pieces of the split, then through the rows of all steps, a chunk at a time.
    """
    tokens = _tokens_by_row(split, document)
    wanted = np.array(sorted(tokens), np.int64)
    order, end = reading.order(split), sum(reading.at(steps))
    for begin in range(0, end if tokens else 0, CHUNK):
        positions = np.arange(begin, min(begin + CHUNK, end))
        epochs, rows = order.at(positions)
        readers = reading.step_of(positions)
        hits = np.flatnonzero(np.isin(rows, wanted) & (readers > 0))
        found = (array[hits].tolist() for array in (readers, positions, rows, epochs))
        for step, position, row, epoch in zip(*found):
            yield Occurrence(step, position, row, epoch, tokens[row])


def _tokens_by_row(split: Split, document: str) -> dict[int, int]:
    """How many tokens of a document lie in each row that has some."""
    first, found = 0, dict[int, int]()
    for file in split.files:
        rows, pieces = pieces_of_document(file, document)
        for row, length in zip((first + rows).tolist(), pieces["length"].tolist()):
            found[row] = found.get(row, 0) + length
        first += file.entry.rows
    return found


def uris(corpus: Path, documents: set[str]) -> dict[str, str]:
    """URIs of documents by id, as far as `corpus`, a run's directory of that name, knows them; {} without one."""
    files = sorted(str(path) for path in (corpus / f"split={TRAIN}").rglob("*.parquet"))
    if not files:
        return {}
    table = ds.dataset(files).to_table(["doc_id", "uri"], filter=ds.field("doc_id").isin(sorted(documents)))
    return dict(zip(table["doc_id"].to_pylist(), table["uri"].to_pylist()))


def run_reading(directory: Path, name: str | None, shards: ShardSet) -> tuple[str, Reading, int]:
    """Name, reading and steps of the run `directory`/runs/NAME, or of the only one, as its files tell.

    Of the latest checkpoint, or of the summary where there is none. Raises FileNotFoundError where there is no such
    run, ValueError where a name is needed, where the run read other shards, or where a file is not what it should be.
    """
    found = sorted(path.name for path in (directory / "runs").glob("*") if path.is_dir())
    if name is None and len(found) > 1:
        raise ValueError(f"--run: there are {', '.join(found)}; name one")
    if not found or (name is not None and name not in found):
        raise FileNotFoundError(
            f"no run {f'{name} ' if name else ''}in {directory / 'runs'}; there are: {', '.join(found) or 'none'}"
        )
    file = _newest(directory / "runs" / (name or found[0]))
    try:
        content: dict[str, Any] = json.loads(file.read_text("utf-8"))
        config, origin = content["config"], content["origin"]
        reading = reading_of(config, shards.header.context_length, content.get("jumps") or ())
        steps = int(origin["trajectory"]["steps"])
        digest = origin["order_digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: not readable: {error!r}") from None
    if digest != shards.manifest.order_digest:
        raise ValueError(f"{file}: that run read other shards: order_digest is {digest}")
    return name or found[0], reading, steps


def _newest(run: Path) -> Path:
    """The file with config and origin: of the latest checkpoint, else the summary."""
    pointer = run / "checkpoints" / "latest"
    candidates = [run / "summary.json"]
    if pointer.is_file():
        candidates.insert(0, run / "checkpoints" / pointer.read_text("utf-8").strip() / "state.json")
    for file in candidates:
        if file.is_file():
            return file
    raise FileNotFoundError(f"{run} has no checkpoint and no summary yet")
