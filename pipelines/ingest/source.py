"""The Spark side of every reader: files shared out to tasks, Arrow batches out, and a row for whatever goes wrong.

A reader is a subclass of `FileSource` with a function `read(path, name, *, max_text_bytes, ...)`: a plain generator of
documents and failures over one file. Formats are import paths, so a user's own reader is named in the config like ours.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import xxhash
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from filters.normalize import Normalizer, normalize_code
from pipelines.errors import ConfigError, GristmillError
from pipelines.ingest import files, remote
from pipelines.ingest.files import InputFile, Part, Span
from pipelines.ingest.options import parse
from pipelines.ingest.records import SCHEMA, Document, Failure, Row, batches, document_id, gated, too_large
from pipelines.source_config import Source

FORMATS = {
    "warc": "pipelines.ingest.web.warc:WarcSource",
    "text": "pipelines.ingest.books.text:TextSource",
    "epub": "pipelines.ingest.books.epub:EpubSource",
    "fb2": "pipelines.ingest.books.fictionbook:FictionBookSource",
    "tei": "pipelines.ingest.books.tei:TeiSource",
    "html_book": "pipelines.ingest.books.html_book:HtmlBookSource",
    "code": "pipelines.ingest.code:CodeSource",
    "jsonl": "pipelines.ingest.tables.jsonl:JsonlSource",
    "parquet": "pipelines.ingest.tables.parquet:ParquetSource",
    "arrow": "pipelines.ingest.tables.arrow:ArrowSource",
    "csv": "pipelines.ingest.tables.csv:CsvSource",
    "dialogue": "pipelines.ingest.tables.dialogue:DialogueSource",
    "database": "pipelines.ingest.tables.database:DatabaseSource",
}
MAX_TEXT_BYTES = 128_000_000

Read = Callable[..., Iterator[Document | Failure]]
# What a task is told of a source: name, root (a directory, or a URL), and optionally max_text_bytes, options (keyword
# arguments of `read`), normalize (those of `Normalizer`, or null for text that stays as it is), storage (what fsspec
# needs), limit (rows), sample (a share) and its seed.
Told = dict[str, Any]


class FileSource(DataSource):
    """A Spark data source over files. Subclasses set `read`, and where they differ what follows it here.

    Spark options, both JSON: `source` (see `Told`) and `parts` (for each partition a list of `files.Part`).
    A reader whose `read` takes `span` can be given a part of a large file: it yields the records that begin in these
    bytes. One whose `read` takes `wanted` passes over records whose position that function does not want; others are
    held to it afterwards. `normalize` is for sources that do not say. A source that is not `of_files` finds its
    parts and opens them itself; of one with `directories` a directory can be a file.
    """

    read: ClassVar[Read]
    suffixes: ClassVar[tuple[str, ...] | None] = None
    normalize: ClassVar[Normalizer | None] = Normalizer()
    of_files: ClassVar[bool] = True
    directories: ClassVar[bool] = False

    @classmethod
    def discover(cls, source: Source) -> tuple[str, list[InputFile]]:
        """The root of the config's source, and its files. Raises ConfigError where there is nothing."""
        return files.discover(source.paths, source.root, cls.suffixes, source.storage)

    @classmethod
    def spans(cls, source: Source, file: InputFile, target: int) -> list[Span | None]:
        """The parts of about `target` bytes in which tasks read a file; None is all of it."""
        return files.even_spans(file, target) if "span" in inspect.signature(cls.read).parameters else [None]

    @classmethod
    def name(cls) -> str:
        """The name under which Spark knows the source: import path and class, so that two readers never collide."""
        return f"{cls.__module__}_{cls.__qualname__}".replace(".", "_").lower()

    def schema(self) -> StructType:
        """SCHEMA in Spark's types."""
        return from_arrow_schema(SCHEMA)

    def reader(self, schema: StructType) -> DataSourceReader:
        """One reader for the job; its `read` runs in every task."""
        return _FileReader(type(self), json.loads(self.options["source"]), json.loads(self.options["parts"]))


def reader_class(format: str) -> type[FileSource]:
    """The reader of a format: a key of FORMATS, or `module:Class`. Raises ConfigError where there is none."""
    module, _, name = FORMATS.get(format, format).partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"format {format!r}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, FileSource)):
        raise ConfigError(f"format {format!r} is not a subclass of pipelines.ingest.source.FileSource")
    return found


def check_options(format: str, options: dict[str, Any]) -> None:
    """Raises ConfigError, naming the option and the nearest valid one, where the format's reader does not take it."""
    try:
        parse(reader_class(format).read, options)
    except ConfigError as error:
        raise ConfigError(f"format {format!r}: {error}") from error


def read(spark: SparkSession, format: str, source: Told, partitions: list[list[Part]]) -> DataFrame:
    """Rows of SCHEMA, one for each candidate record of the files, one Spark partition for each list of parts.

    Raises ConfigError for an unknown format or option.
    """
    check_options(format, source.get("options", {}))
    cls = reader_class(format)
    spark.dataSource.register(cls)
    loaded = spark.read.format(cls.name()).option("source", json.dumps(source)).option("parts", json.dumps(partitions))
    return loaded.load()


def rows(cls: type[FileSource], source: Told, parts: Iterable[Part]) -> Iterator[Row]:
    """The rows of parts of files, read in this process. What a file throws becomes its failure, never the task's."""
    left = source.get("limit")
    reading = _Reading(cls, source)
    for part in parts:
        for row in reading.part(part):
            yield row
            if left is not None and not _is_of_file(row.record):
                left -= 1
                if not left:
                    return


class _Files(InputPartition):
    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts


class _FileReader(DataSourceReader):
    def __init__(self, cls: type[FileSource], source: Told, parts: list[list[Part]]) -> None:
        self.cls, self.source, self.parts = cls, source, parts

    def partitions(self) -> list[InputPartition]:
        return [_Files(parts) for parts in self.parts]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, _Files)
        return batches(self.source["name"], rows(self.cls, self.source, partition.parts))


class _Reading:
    """How a task reads a source: what is the same for all its files, of which there may be many small ones."""

    def __init__(self, cls: type[FileSource], source: Told) -> None:
        self.cls, self.source = cls, source
        self.limit = source.get("max_text_bytes", MAX_TEXT_BYTES)
        self.arguments = {"max_text_bytes": self.limit, **parse(cls.read, source.get("options", {}))}
        chosen = source.get("normalize", cls.normalize)
        self.normalizer = Normalizer(**chosen) if isinstance(chosen, dict) else chosen
        self.taken = inspect.signature(cls.read).parameters

    def part(self, part: Part) -> Iterator[Row]:
        """The rows of a part of a file."""
        path, span, _ = part
        wanted = self._sample(path)
        own = {name: value for name, value in (("span", span), ("wanted", wanted)) if name in self.taken}
        found = False
        try:
            for record in _records(self.cls, self.source, path, self.arguments | own):
                found = True
                if wanted is None or wanted(record.position) or _is_of_file(record):
                    yield _finish(self.normalizer, path, record, self.limit)
            if not found and span is None and wanted is None:
                yield Row(path, Failure("file", "", "no records"))
        except GristmillError:  # a place that cannot be reached: the task fails, and Spark tries it again
            raise
        except Exception as error:
            yield Row(path, Failure("file", "", "unreadable", _explain(error, self.source["root"])))

    def _sample(self, path: str) -> Callable[[str], bool] | None:
        """Which positions of a file are in the sample: those whose document's id has a hash below the share."""
        share = self.source.get("sample")
        if share is None:
            return None
        seed, below, name = self.source.get("seed", 0), int(share * 2**64), self.source["name"]
        return lambda position: xxhash.xxh3_64_intdigest(document_id(name, path, position).encode(), seed) < below


def _is_of_file(record: Document | Failure) -> bool:
    return isinstance(record, Failure) and record.level == "file"


def _records(cls: type[FileSource], source: Told, name: str, arguments: dict[str, Any]) -> Iterator[Document | Failure]:
    root = source["root"]
    if not cls.of_files:
        return cls.read(root, name, **arguments)
    if remote.is_url(root):
        return cls.read(remote.RemoteFile(f"{root}/{name}", source.get("storage", {})), name, **arguments)
    path = Path(root) / name
    # Before opening: a pipe would block for ever, and a link may lead to what the source's owner did not mean to give.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        return iter([Failure("file", "", "symbolic link out of the root")])
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or (cls.directories and stat.S_ISDIR(mode))):
        return iter([Failure("file", "", "not a regular file")])
    return cls.read(path, name, **arguments)


def _finish(normalizer: Normalizer | None, path: str, record: Document | Failure, limit: int) -> Row:
    """Normalize the text and hold it to the limit; `meta` says how many characters each step changed."""
    if isinstance(record, Failure) or record.text is None:
        return Row(path, record)
    normal, counts = normalizer(record.text) if normalizer else (normalize_code(record.text), {})
    text = normal.encode()
    if len(text) > limit:
        return Row(path, too_large(record.position, limit))
    if not text.strip():
        return Row(path, gated(record.position, record.uri, "no_text", record.meta))
    if counts:
        record.meta.update({f"normalized.{step}": str(count) for step, count in counts.items()})
    return Row(path, record, text)


def _explain(error: Exception, root: str) -> str:
    """What an exception says, without the machine's paths: errors have digests too."""
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    return f"{type(error).__name__}: {error}".replace(root, "").strip()
