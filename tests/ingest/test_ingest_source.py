import datetime
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ingest_cases import SENTENCE, members, page, response

from pipelines.errors import ConfigError
from pipelines.ingest import source
from pipelines.ingest.files import InputFile, discover, partitions
from pipelines.ingest.options import parse
from pipelines.ingest.records import Document, Failure, document_id
from pipelines.ingest.source import FORMATS, FileSource, check_options, reader_class, rows


def read_thrice(path: Path, name: str, *, max_text_bytes: int, prefix: str = "") -> Iterator[Document | Failure]:
    """A reader of a user's own: one document, then an error."""
    yield Document("1", name, prefix + path.read_text(), {"group": name})
    yield Document("2", name, "x" * (max_text_bytes + 1), {"group": name})
    raise RuntimeError(f"lost at {path}")


class ThriceSource(FileSource):
    """A user's own source."""

    read = staticmethod(read_thrice)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_has_a_reader(format: str):
    assert issubclass(reader_class(format), FileSource)
    check_options(format, {})


def test_a_reader_of_a_user_s_own_is_named_by_import_path():
    assert reader_class("test_ingest_source:ThriceSource").__name__ == "ThriceSource"
    names = {reader_class(format).name() for format in (*FORMATS, "test_ingest_source:ThriceSource")}
    assert len(names) == len(FORMATS) + 1


@pytest.mark.parametrize("format", ["nope", "json:JSONDecoder", "json:Nope", "no.such.module:X", ":"])
def test_formats_that_are_none(format: str):
    with pytest.raises(ConfigError, match="format"):
        reader_class(format)


@pytest.mark.parametrize(
    ("format", "options", "message"),
    [
        ("warc", {"html_bytes": 3}, "html_bytes: .*'max_html_bytes'"),
        ("warc", {"max_text_bytes": 3}, "max_text_bytes: unknown"),
        ("test_ingest_source:ThriceSource", {"prefx": "a"}, "prefx: .*'prefix'"),
        ("test_ingest_source:ThriceSource", {"prefix": 1}, "prefix: "),
        ("test_ingest_source:ThriceSource", {"prefix": datetime.date(2024, 1, 1)}, "options are text"),
        ("epub", {"path": "x"}, "path: this format has no options"),
    ],
)
def test_a_wrong_option_is_named(format: str, options: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        check_options(format, options)


def test_options_reach_the_reader(tmp_path: Path):
    (tmp_path / "a.txt").write_text("text")
    source = {"name": "s", "root": str(tmp_path), "options": {"prefix": "con"}}
    assert next(rows(ThriceSource, source, ["a.txt"])).text == b"context"


def test_a_reader_may_take_any_option_and_name_types_that_only_checkers_see():
    def read(path: "Unseen", _: str, *, max_text_bytes: int, **more: object) -> None:  # noqa: F821
        """Reads nothing."""

    assert parse(read, {"colour": [1, "b"]}) == {"colour": [1, "b"]}


def test_what_a_reader_throws_is_a_row_without_paths_of_the_machine(tmp_path: Path):
    (tmp_path / "a.txt").write_text("text")
    result = list(rows(ThriceSource, {"name": "s", "root": str(tmp_path), "max_text_bytes": 10}, ["a.txt", "b.txt"]))
    assert [row.path for row in result] == ["a.txt", "a.txt", "a.txt", "b.txt"]
    assert result[0].text == b"text"
    assert result[1].record == Failure("record", "2", "text too large", "more than 10 bytes")
    assert result[2].record == Failure("file", "", "unreadable", "RuntimeError: lost at /a.txt")
    assert result[3].record == Failure("file", "", "unreadable", "FileNotFoundError: No such file or directory")


def write_inputs(folder: Path) -> None:
    folder.mkdir(parents=True)
    for i in range(4):
        pages = [response(f"http://host{i}.example/{j}", page(f"Page {i} {j}", SENTENCE * 9)) for j in range(6)]
        (folder / f"{i}.warc.gz").write_bytes(b"".join(members(pages)))
    (folder / "cut.warc.gz").write_bytes(members([response("http://cut.example/", page("Cut"))])[0][:-30])
    (folder / "empty.warc.gz").write_bytes(b"")


def collect(spark: Any, folder: Path, each: int) -> list[dict[str, Any]]:
    root, files = discover([str(folder)], None, reader_class("warc").suffixes)
    parts = [files[i : i + each] for i in range(0, len(files), each)]
    frame = source.read(spark, "warc", {"name": "web", "root": root}, parts)
    assert frame.rdd.getNumPartitions() == len(parts)
    return sorted((row.asDict(recursive=True) for row in frame.collect()), key=lambda row: row["doc_id"])


@pytest.mark.spark
def test_spark_gives_the_rows_of_a_bare_loop_however_files_are_shared_out(spark: Any, tmp_path: Path):
    write_inputs(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "far" / "there")
    first = collect(spark, tmp_path / "here", 1)
    assert collect(spark, tmp_path / "far" / "there", 4) == first
    documents = [row for row in first if row["failure"] is None]
    assert len(documents) == 24
    assert {row["uri"] for row in documents} == {f"http://host{i}.example/{j}" for i in range(4) for j in range(6)}
    assert sorted(row["failure"]["path"] for row in first if row["failure"]) == ["cut.warc.gz", "empty.warc.gz"]
    for row in documents:
        assert row["doc_id"] == document_id("web", row["meta"]["file"], row["meta"]["position"])
        assert row["meta"]["group"] in row["uri"]


@pytest.mark.spark
def test_spark_reads_names_and_texts_that_are_hard_to_carry(spark: Any, tmp_path: Path):
    name = "süß \u2028 'x\".jsonl"
    (tmp_path / name).write_text(json.dumps({"text": "a\ud800 \U0001f600\0b"}) + "\n{\n")
    frame = source.read(
        spark, "jsonl", {"name": "t", "root": str(tmp_path), "max_text_bytes": 100}, partitions([InputFile(name, 1, 0)])
    )
    first, second = sorted(frame.collect(), key=lambda row: row.failure is not None)
    assert first.text == "a\ufffd \U0001f600b"
    assert first.meta["file"] == name
    assert second.failure.reason == "broken JSON"
    assert second.doc_id == document_id("t", name, "2")


@pytest.mark.spark
def test_spark_reads_real_pages(spark: Any, data: Path):
    root, files = discover([str(data / "web/pages-00.warc.gz")])
    frame = source.read(spark, "warc", {"name": "web", "root": root}, partitions(files))
    (facts,) = frame.selectExpr(
        "count(*) n", "count(text) texts", "count(failure) failures", "count(distinct doc_id) ids"
    ).collect()
    assert (facts.n, facts.ids, facts.failures) == (189, 189, 0)
    assert facts.texts >= 184
