"""Which sources and languages the documents of shards are of, by the corpus that lies beside them.

`../corpus/split=SPLIT/source=SOURCE/*.parquet` names the source of each document (doc_id, 32 hex digits), and
`../signals/language/*.parquet` its language (code).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shards.format import ID_BYTES, ShardError
from shards.order import Int64
from shards.pieces import Documents, documents
from shards.read import ShardSet


@dataclass(frozen=True)
class Origin:
    """Documents of one split, source and language, and their tokens; None where that is not known of them."""

    split: str
    source: str | None
    language: str | None
    documents: int
    tokens: int


def origins(shards: ShardSet) -> list[Origin] | None:
    """The documents by split, source and language, most tokens first in each split; None without a corpus beside them.

    Reads pieces and ids, no tokens and no texts. Memory: 33 bytes a document, a few times that while they are sorted.
    Raises ShardError for a damaged file, of the corpus too.
    """
    run = shards.directory.absolute().parent
    corpus = sorted((run / "corpus").rglob("*.parquet"))
    if not corpus:
        return None
    found = documents(shards)
    sources: dict[str | None, int] = {None: 0}
    source = np.zeros(len(found.ids), np.int32)
    for file in corpus:
        number = sources.setdefault(file.parent.name.removeprefix("source="), len(sources))
        for place, _ in _matches(found, file, "doc_id"):
            source[place] = number
    languages: dict[str | None, int] = {None: 0}
    language = np.zeros(len(found.ids), np.int32)
    for file in sorted((run / "signals" / "language").rglob("*.parquet")):
        for place, codes in _matches(found, file, "code"):
            encoded = codes.dictionary_encode()
            numbers = [languages.setdefault(code, len(languages)) for code in encoded.dictionary.to_pylist()]
            language[place] = np.array(numbers, np.int32)[encoded.indices.to_numpy()]
    return _counted(list(shards.manifest.splits), found, (list(sources), source), (list(languages), language))


def _counted(
    splits: list[str],
    found: Documents,
    sources: tuple[list[str | None], npt.NDArray[np.int32]],
    languages: tuple[list[str | None], npt.NDArray[np.int32]],
) -> list[Origin]:
    """The documents added up by split, source and language; names, and which of them each document has."""
    shape = (len(splits), len(sources[0]), len(languages[0]))
    counts, tokens = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    kind = (found.split, sources[1], languages[1])
    np.add.at(counts, kind, 1)
    np.add.at(tokens, kind, found.tokens)
    rows = [
        Origin(splits[a], sources[0][b], languages[0][c], int(counts[a, b, c]), int(tokens[a, b, c]))
        for a, b, c in zip(*counts.nonzero())
    ]
    return sorted(rows, key=lambda row: (splits.index(row.split), -row.tokens, row.source or "", row.language or ""))


def _matches(found: Documents, file: Path, column: str) -> Iterator[tuple[Int64, pa.Array]]:
    """For each batch of a Parquet file: where its documents stand among `found`, and their values in `column`."""
    try:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=1 << 16, columns=list({"doc_id", column})):
                ids = bytes.fromhex("".join(batch["doc_id"].to_pylist()))
                wanted = np.frombuffer(ids, f"S{ID_BYTES}")
                place = np.minimum(np.searchsorted(found.ids, wanted), max(0, len(found.ids) - 1))
                here = found.ids[place] == wanted if len(found.ids) else np.zeros(len(wanted), np.bool_)
                yield place[here], batch[column].filter(pa.array(here))
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise ShardError(str(file), f"not readable: {error}") from None
