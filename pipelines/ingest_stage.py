"""The stage from sources to documents/ and errors/: which files there are, how tasks share them, what is committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple
from functools import partial
from importlib.metadata import version
from typing import Any

from pipelines import datasets, funnel, sink
from pipelines.config import Config
from pipelines.errors import GristmillError
from pipelines.ingest.files import InputFile, Part, partitions
from pipelines.ingest.options import parse
from pipelines.ingest.source import reader_class
from pipelines.ledger import digest
from pipelines.run import Run, fill_empty
from pipelines.source_config import Source

# Extraction is a library's work, so another version of the library is another version of the stage.
_READERS = ("FastWARC", "Resiliparse", "selectolax", "ftfy", "chardet", "pygit2")
INGEST_CODE = [5, *map(version, _READERS)]
PARTITION_BYTES = 64_000_000


def ingest(run: Run) -> None:
    """Sources to documents/ and errors/."""
    found = {source.name: discover_files(source) for source in run.config.sources}
    stage = run.stage(
        "ingest",
        inputs={name: [astuple(file) for file in files] for name, (_, files) in found.items()},
        config=[ingest_print(run.config, source) for source in run.config.sources],
        code=INGEST_CODE,
    )
    if stage.is_fresh():
        check_required(run)
        return
    chunks = {
        digest([source.name, INGEST_CODE, ingest_print(run.config, source), tags]): (source, chunk)
        for source in run.config.sources
        for chunk, tags in _ingest_chunks(source, found[source.name][1], run.config.chunk_bytes)
    }
    for key in stage.begin(chunks):
        source, chunk = chunks[key]
        told = {"name": source.name, "root": found[source.name][0], "storage": source.storage}
        told |= ingest_config(run.config, source)
        staging = stage.staging()
        arguments = {"format": source.format, "source": told, "parts": chunk}
        tasks = run.spark.range(0, len(chunk), 1, len(chunk))
        rows = sink.write(tasks, staging, key[:16], "pipelines.ingest.task:documents_and_errors", arguments)
        stage.commit(key, staging, {"source": source.name, "rows": rows})
        run.say(f"ingest: {source.name}: {rows.get('documents', 0):,} documents, {rows.get('errors', 0):,} errors")
    written: Counter[str] = Counter()
    for facts in stage.chunk_facts():
        written[facts["source"]] += facts["rows"].get("documents", 0)
    fill_empty(stage, {"documents": datasets.DOCUMENTS, "errors": datasets.ERRORS})
    stage.finish({"documents_in": funnel.documents_in(run.output, written)})
    check_required(run)


def check_required(run: Run) -> None:
    """Raise GristmillError where a source has fewer texts than its config requires."""
    if not any(source.required for source in run.config.sources):
        return
    texts = funnel.texts_in(run.output)
    for source in run.config.sources:
        if texts[source.name] < source.required:
            raise GristmillError(
                f"{source.name}: {texts[source.name]:,} documents have a text, but {source.required:,} are required"
            )


def discover_files(source: Source) -> tuple[str, list[InputFile]]:
    """The source's root and files."""
    return reader_class(source.format).discover(source)


def ingest_config(config: Config, source: Source) -> dict[str, Any]:
    """What of the config decides how a source is read, in the form that its reader takes; no path of a machine."""
    told = {"format": source.format, "options": source.options, "max_text_bytes": config.max_text_bytes}
    if source.sample is not None:
        told |= {"sample": source.sample, "seed": config.seed}
    if source.limit is not None:
        told["limit"] = source.limit
    if source.resolved_kind == "code":
        told["normalize"] = None
    elif source.normalize is not None:
        told["normalize"] = source.normalize.model_dump()
    return told


def ingest_print(config: Config, source: Source) -> dict[str, Any]:
    """`ingest_config`, with the contents of files that an option names in the place of their paths."""
    options = parse(reader_class(source.format).read, source.options)
    digests = {name: value.digests() for name, value in options.items() if hasattr(value, "digests")}
    return ingest_config(config, source) | {"options": source.options | digests}


def _ingest_chunks(source: Source, files: list[InputFile], limit: int) -> Iterator[tuple[list[list[Part]], list[Any]]]:
    """Runs of partitions of at most `limit` bytes, or one larger partition; and what stands for their contents.

    A source with a limit of rows is one partition: the first of them in order, whatever the parallelism.
    """
    reader = reader_class(source.format)
    parts = partitions(files, PARTITION_BYTES, spans=partial(reader.spans, source))
    if source.limit is not None:
        yield [[part for task in parts for part in task]], [astuple(file) for file in files]
        return
    tags = {file.path: astuple(file) for file in files}
    chunk: list[list[Part]] = []
    size = 0
    for task in [*parts, []]:
        more = sum(part.size for part in task)
        if chunk and (not task or size + more > limit):
            yield chunk, [[*tags[part.path], part.span] for done in chunk for part in done]
            chunk, size = [], 0
        chunk.append(task)
        size += more
