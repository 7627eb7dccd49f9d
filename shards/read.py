"""Reading shards: memory-mapped, each file opened when a row of it is first asked for.

shards = open("run/shards")
train = shards.split("train")
epochs, rows = train.order(seed=1).at(range(32))
batch = train.rows(rows)                           # [32, L + 1]
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import ipc

from shards.format import PIECE_DTYPE, Header, SetHeader, ShardError
from shards.manifest import FileEntry, Manifest, check_files, read_manifest, size_fault
from shards.order import Int64, Order

Tokens = npt.NDArray[np.uint16 | np.uint32]


def open(directory: str | Path) -> "ShardSet":
    """Open the shard set in `directory`, which holds its manifest.json.

    Checks the manifest, and name and size of every file; a file's header is checked when its first row is read.
    Raises ShardError, which names the file: missing, extra, truncated, or of another tokenizer. What is mapped may be
    replaced or removed, but not cut short: the system ends a process that reads beyond the end of a mapped file.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    errors = check_files(directory, manifest)
    if errors:
        raise errors[0]
    return ShardSet(directory, manifest)


@dataclass(frozen=True)
class ShardSet:
    """A checked directory of shards."""

    directory: Path
    manifest: Manifest

    @property
    def header(self) -> SetHeader:
        """What all files share."""
        return self.manifest.header

    def split(self, name: str) -> "Split":
        """The rows of one split, over all its files. Raises KeyError for a split that the manifest does not list."""
        if name not in self.manifest.splits:
            raise KeyError(f"no split {name!r}; there are: {', '.join(self.manifest.splits)}")
        return Split(name, self.manifest, [self.file(entry) for entry in self.manifest.files if entry.split == name])

    def file(self, entry: FileEntry) -> "ShardFile":
        """One of the manifest's files."""
        return ShardFile(self.directory, entry, self.header)


class ShardFile:
    """One file of a set, mapped at first use; its methods number its own rows from 0."""

    def __init__(self, directory: Path, entry: FileEntry, shared: SetHeader) -> None:
        self.directory = directory
        self.entry = entry
        self.shared = shared
        self._mapped: Mapped | None = None

    def row(self, i: int) -> Tokens:
        """One row, [L + 1], a read-only view of the mapped file."""
        mapped = self.mapped()
        begin = mapped.begin(i)
        return mapped.tokens[begin : begin + self.shared.width]

    def pieces(self, i: int) -> npt.NDArray[np.void]:
        """The pieces of one row, a structured array of PIECE_DTYPE sorted by start."""
        mapped = self.mapped()
        batch = int(np.searchsorted(mapped.first_row, i, "right")) - 1
        nth = i - int(mapped.first_row[batch])
        try:
            return batch_pieces(mapped.batches[batch].slice(nth, 1))[1]
        except ValueError as error:
            raise ShardError(self.entry.name, f"damaged pieces: {error}") from None

    def mapped(self) -> "Mapped":
        """The mapped file. Raises ShardError where it is missing, truncated, or not what the manifest describes."""
        if self._mapped is None:
            self._mapped = _map_file(self.directory, self.entry, self.shared)
        return self._mapped


class Split:
    """The rows of a split, numbered 0..n-1 through its files in the manifest's order."""

    def __init__(self, name: str, manifest: Manifest, files: list[ShardFile]) -> None:
        self.name = name
        self.files = files
        self._manifest = manifest
        self._first_row = np.concatenate([[0], np.cumsum([file.entry.rows for file in files], dtype=np.int64)])

    def __len__(self) -> int:
        """Rows."""
        return int(self._first_row[-1])

    def order(self, seed: int) -> Order:
        """The order in which training reads these rows."""
        header = self._manifest.header
        return Order(self._manifest.order_digest, self.name, len(self), header.row_bytes, seed)

    def locate(self, i: int) -> tuple[ShardFile, int]:
        """The file that holds row i, and the row's number in it. Raises IndexError outside 0..n-1."""
        if not 0 <= i < len(self):
            raise self._outside()
        file = bisect_right(self._first_row, i) - 1  # on one number several times as fast as NumPy's
        return self.files[file], int(i - self._first_row[file])

    def locate_rows(self, indices: Int64) -> tuple[Int64, Int64]:
        """Of each row [n]: the place of its file in `files`, its number in that; [n] each. Errors as `locate`."""
        if indices.size and (indices.min() < 0 or indices.max() >= len(self)):
            raise self._outside()
        files = np.searchsorted(self._first_row, indices, "right") - 1
        return files, indices - self._first_row[files]

    def row(self, i: int) -> Tokens:
        """Row i, [L + 1] of uint16 or uint32, a read-only view of the mapped file."""
        file, nth = self.locate(i)
        return file.row(nth)

    def pieces(self, i: int) -> npt.NDArray[np.void]:
        """The pieces of row i: a structured array of PIECE_DTYPE (document, cluster, kind, offset, start, length)."""
        file, nth = self.locate(i)
        return file.pieces(nth)

    def rows(self, indices: npt.ArrayLike) -> Tokens:
        """Rows `indices` [n], in that order, repeats allowed, as a new array [n, L + 1] of uint16 or uint32."""
        header = self._manifest.header
        chosen = np.asarray(indices, np.int64)
        out = np.empty((len(chosen), header.width), header.dtype)
        for slot, i in enumerate(chosen.tolist()):
            out[slot] = self.row(i)
        return out

    def _outside(self) -> IndexError:
        return IndexError(f"split {self.name!r} has rows 0 to {len(self) - 1}")


def batch_pieces(batch: pa.RecordBatch) -> tuple[Int64, npt.NDArray[np.void]]:
    """Where each row's pieces begin, int64 [rows + 1], and all pieces of `batch`, a structured array of PIECE_DTYPE."""
    column = batch.column("pieces")
    begins = column.offsets.to_numpy().astype(np.int64)
    struct = column.values.slice(begins[0], begins[-1] - begins[0])
    pieces = np.empty(len(struct), PIECE_DTYPE)
    for name in PIECE_DTYPE.names or ():
        values = struct.field(name)
        raw = np.frombuffer(values.buffers()[1], PIECE_DTYPE[name]) if len(values) else pieces[name]
        pieces[name] = raw[values.offset : values.offset + len(values)]
    return begins - begins[0], pieces


@dataclass(frozen=True)
class Mapped:
    """A mapped file: record batches, all of it as an array of tokens, and where each batch begins in it (`base`)."""

    batches: list[pa.RecordBatch] = field(repr=False)
    tokens: Tokens = field(repr=False)
    width: int
    first_row: Int64  # of each batch
    base: Int64

    def begin(self, row: int) -> int:
        """Where one row of the file begins in `tokens`."""
        batch = bisect_right(self.first_row, row) - 1
        return int(self.base[batch] + (row - self.first_row[batch]) * self.width)


def open_file(directory: Path, entry: FileEntry, shared: SetHeader) -> tuple[ipc.RecordBatchFileReader, pa.Buffer]:
    """Map one file and check its header against the set's; the reader, and the bytes that it reads from.

    Raises ShardError for a file that is missing, truncated, no Arrow file, or not the one that the manifest describes.
    """
    try:
        with pa.memory_map(str(directory / entry.name)) as file:
            buffer = file.read_buffer()  # outlives the file handle: thousands of mapped shards hold no descriptor
        reader = ipc.open_file(pa.BufferReader(buffer))
        check_header(Header.from_arrow(reader.schema, entry.name), entry, shared)
    except ShardError:
        raise
    except FileNotFoundError:
        raise ShardError(entry.name, "missing") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        fault = size_fault(entry, (directory / entry.name).stat().st_size)
        raise ShardError(entry.name, fault or f"not readable as Arrow: {error}") from None
    return reader, buffer


def _map_file(directory: Path, entry: FileEntry, shared: SetHeader) -> Mapped:
    """Map one file for reading. Raises ShardError."""
    reader, buffer = open_file(directory, entry, shared)
    try:
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate()  # that its buffers are as long as its rows need: rows are copied without further checks
    except (pa.ArrowException, OSError) as error:
        raise ShardError(entry.name, f"not readable as Arrow: {error}") from None
    rows = np.array([batch.num_rows for batch in batches], np.int64)
    if rows.sum() != entry.rows:
        raise ShardError(entry.name, f"{rows.sum()} rows, the manifest says {entry.rows}")
    batches, rows = [batch for batch in batches if batch.num_rows], rows[rows > 0]
    size = shared.dtype.itemsize
    addresses = [batch.column("tokens").values.buffers()[1].address - buffer.address for batch in batches]
    tokens = np.frombuffer(buffer, shared.dtype, buffer.size // size)
    return Mapped(batches, tokens, shared.width, np.cumsum(rows) - rows, np.array(addresses, np.int64) // size)


def check_header(header: Header, entry: FileEntry, shared: SetHeader) -> None:
    """Raise ShardError where a file's header is not the one that the manifest gives it."""
    for key in Header.model_fields:
        value, expected = getattr(header, key), getattr(entry if key in ("split", "bucket") else shared, key)
        if value != expected:
            what = "of another tokenizer: " if key == "tokenizer_sha256" else ""
            raise ShardError(entry.name, f"{what}header: {key}: {value!r}, the manifest says {expected!r}")
