"""The Spark side of every reader: files shared out to tasks, Arrow batches out, and a row for whatever goes wrong.

A reader is a subclass of `FileSource` with a function `read(path, name, *, max_text_bytes, ...)`: a plain generator of
documents and failures over one file. Formats are import paths, so a user's own reader is named in the config like ours.
"""

from __future__ import annotations

import importlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from filters.normalize import Normalizer, normalize_code
from pipelines.errors import ConfigError
from pipelines.ingest.files import InputFile
from pipelines.ingest.options import parse
from pipelines.ingest.records import SCHEMA, Document, Failure, Row, batches, gated, too_large

FORMATS = {
    "warc": "pipelines.ingest.warc:WarcSource",
    "text": "pipelines.ingest.text:TextSource",
    "epub": "pipelines.ingest.epub:EpubSource",
    "code": "pipelines.ingest.code:CodeSource",
    "jsonl": "pipelines.ingest.jsonl:JsonlSource",
    "parquet": "pipelines.ingest.parquet:ParquetSource",
}
MAX_TEXT_BYTES = 128_000_000

Read = Callable[..., Iterator[Document | Failure]]


class FileSource(DataSource):
    """A Spark data source over files. Subclasses set `read`, and where they differ `suffixes` and `normalize`.

    Spark options, both JSON: `source` (name, root, and optionally max_text_bytes, options, the keyword arguments of
    `read`, and normalize, those of `Normalizer`, or null for text that stays as it is) and `files` (a list of paths
    relative to the root for each partition). `normalize` of the class is for sources that do not say.
    """

    read: ClassVar[Read]
    suffixes: ClassVar[tuple[str, ...] | None] = None
    normalize: ClassVar[Normalizer | None] = Normalizer()

    @classmethod
    def name(cls) -> str:
        """The name under which Spark knows the source: import path and class, so that two readers never collide."""
        return f"{cls.__module__}_{cls.__qualname__}".replace(".", "_").lower()

    def schema(self) -> StructType:
        """SCHEMA in Spark's types."""
        return from_arrow_schema(SCHEMA)

    def reader(self, schema: StructType) -> DataSourceReader:
        """One reader for the job; its `read` runs in every task."""
        return _FileReader(type(self), json.loads(self.options["source"]), json.loads(self.options["files"]))


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


def read(spark: SparkSession, format: str, source: dict[str, Any], partitions: list[list[InputFile]]) -> DataFrame:
    """Rows of SCHEMA, one for each candidate record of the files, one Spark partition for each list of files.

    `source`: "name", "root" (a directory), optionally "max_text_bytes" and "options" (keyword arguments of the
    format's `read`). Raises ConfigError for an unknown format or option.
    """
    check_options(format, source.get("options", {}))
    cls = reader_class(format)
    spark.dataSource.register(cls)
    files = json.dumps([[file.path for file in part] for part in partitions])
    return spark.read.format(cls.name()).option("source", json.dumps(source)).option("files", files).load()


def rows(cls: type[FileSource], source: dict[str, Any], paths: list[str]) -> Iterator[Row]:
    """The rows of some files, read in this process. What a file throws becomes its failure, never the task's."""
    limit = source.get("max_text_bytes", MAX_TEXT_BYTES)
    options = parse(cls.read, source.get("options", {}))
    chosen = source.get("normalize", cls.normalize)
    normalizer = Normalizer(**chosen) if isinstance(chosen, dict) else chosen
    for path in paths:
        found = False
        try:
            for record in _records(cls, source["root"], path, {"max_text_bytes": limit, **options}):
                found = True
                yield _finish(normalizer, path, record, limit)
            if not found:
                yield Row(path, Failure("file", "", "no records"))
        except Exception as error:
            yield Row(path, Failure("file", "", "unreadable", _explain(error, source["root"])))


class _Files(InputPartition):
    def __init__(self, paths: list[str]) -> None:
        self.paths = paths


class _FileReader(DataSourceReader):
    def __init__(self, cls: type[FileSource], source: dict[str, Any], files: list[list[str]]) -> None:
        self.cls, self.source, self.files = cls, source, files

    def partitions(self) -> list[InputPartition]:
        return [_Files(paths) for paths in self.files]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, _Files)
        return batches(self.source["name"], rows(self.cls, self.source, partition.paths))


def _records(cls: type[FileSource], root: str, name: str, arguments: dict[str, Any]) -> Iterator[Document | Failure]:
    path = Path(root) / name
    # Before opening: a pipe would block for ever, and a link may lead to what the source's owner did not mean to give.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        return iter([Failure("file", "", "symbolic link out of the root")])
    if not stat.S_ISREG(path.stat().st_mode):
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
