import datetime
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ingest_cases import SENTENCE, members, page, response

from pipelines.errors import ConfigError
from pipelines.ingest import source
from pipelines.ingest.files import InputFile, Part, discover, even_spans, partitions
from pipelines.ingest.options import parse
from pipelines.ingest.records import Document, Failure, document_id
from pipelines.ingest.source import FORMATS, FileSource, check_options, reader_class, rows


def read_thrice(path: Path, name: str, *, max_text_bytes: int, prefix: str = "") -> Iterator[Document | Failure]:
    """A reader of a user's own: one document, then an error."""
    yield Document("1", name, prefix + path.read_text(), {"group": name})
    yield Document("2", name, "x" * (max_text_bytes + 1), {"group": name})
    raise RuntimeError(f"lost at {path}")


def whole(*paths: str) -> list[Part]:
    return [Part(path, None, 0) for path in paths]


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
        ("test_ingest_source:LinesSource", {"path": "x"}, "path: this format has no options"),
    ],
)
def test_a_wrong_option_is_named(format: str, options: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        check_options(format, options)


def test_options_reach_the_reader(tmp_path: Path):
    (tmp_path / "a.txt").write_text("text")
    source = {"name": "s", "root": str(tmp_path), "options": {"prefix": "con"}}
    assert next(rows(ThriceSource, source, whole("a.txt"))).text == b"context"


def test_a_reader_may_take_any_option_and_name_types_that_only_checkers_see():
    def read(path: "Unseen", _: str, *, max_text_bytes: int, **more: object) -> None:  # noqa: F821
        """Reads nothing."""

    assert parse(read, {"colour": [1, "b"]}) == {"colour": [1, "b"]}


def test_what_a_reader_throws_is_a_row_without_paths_of_the_machine(tmp_path: Path):
    (tmp_path / "a.txt").write_text("text")
    result = list(
        rows(ThriceSource, {"name": "s", "root": str(tmp_path), "max_text_bytes": 10}, whole("a.txt", "b.txt"))
    )
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
    parts = [whole(*(file.path for file in files[i : i + each])) for i in range(0, len(files), each)]
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
    assert {row["failure"]["path"] for row in first if row["failure"]} == {"cut.warc.gz", "empty.warc.gz"}
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


def read_lines(
    path: Path,
    name: str,
    *,
    max_text_bytes: int,
    span: tuple[int, int] | None = None,
    wanted: Callable[[str], bool] | None = None,
) -> Iterator[Document | Failure]:
    """A reader that can begin anywhere: a document for each line that begins in the span, and a damaged last one."""
    data = path.read_bytes()
    begin, end = span or (0, len(data))
    at = 0
    for line in data.splitlines(keepends=True):
        if begin <= at < end and (wanted is None or wanted(str(at))):
            yield Document(str(at), f"{name}#{at}", line.decode(), {"group": name})
        at += len(line)


class LinesSource(FileSource):
    """Spark data source of lines."""

    read = staticmethod(read_lines)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    for i in range(2):
        (tmp_path / f"{i}.txt").write_text("".join(f"line {j} of {i}\n" for j in range(1000)))
    return tmp_path


@pytest.mark.parametrize("cls", [LinesSource, reader_class("jsonl")])
def test_a_sample_is_a_share_of_the_records_by_their_ids_alone(cls: type[FileSource], lines: Path):
    if cls is not LinesSource:
        for path in lines.iterdir():
            path.write_text("".join(f'{{"text": "{line}"}}\n' for line in path.read_text().splitlines()))
    told = {"name": "s", "root": str(lines)}
    everything = list(rows(cls, told, whole("0.txt", "1.txt")))
    sampled = list(rows(cls, {**told, "sample": 0.3}, whole("0.txt", "1.txt")))
    assert 500 < len(sampled) < 700
    assert all(row in everything for row in sampled)
    assert sampled == list(rows(cls, {**told, "sample": 0.3}, whole("0.txt"))) + list(
        rows(cls, {**told, "sample": 0.3}, whole("1.txt"))
    )
    smaller = list(rows(cls, {**told, "sample": 0.1}, whole("0.txt", "1.txt")))
    assert smaller
    assert all(row in sampled for row in smaller)
    assert list(rows(cls, {**told, "sample": 0.3, "seed": 1}, whole("0.txt", "1.txt"))) != sampled


def test_a_limit_is_of_records_in_the_order_of_files(lines: Path):
    told = {"name": "s", "root": str(lines), "limit": 1003}
    found = list(rows(LinesSource, told, whole("0.txt", "missing.txt", "1.txt")))
    assert [row.path for row in found] == ["0.txt"] * 1000 + ["missing.txt"] + ["1.txt"] * 3


@pytest.mark.parametrize("target", [1, 10_000_000, 30_000_000, 10**12])
def test_spans_tile_a_file(target: int):
    file = InputFile("a", 123_456_789, 0)
    spans = even_spans(file, target)
    if spans == [None]:
        assert target * 2 > file.size
        return
    assert spans[0][0] == 0
    assert spans[-1][1] == file.size
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert min(end - begin for begin, end in spans) >= min(target, 4_000_000)


def test_a_large_file_is_cut_for_readers_that_can_begin_anywhere(lines: Path):
    file = InputFile("0.txt", (lines / "0.txt").stat().st_size, 0)
    told = {"name": "s", "root": str(lines)}
    everything = list(rows(LinesSource, told, whole("0.txt")))
    borders = [0, 1, 13, 500, 501, 7_000, file.size]
    cut = [Part("0.txt", span, 0) for span in pairwise(borders)]
    assert list(rows(LinesSource, told, cut)) == everything
    huge = InputFile("0.txt", 100_000_000, 0)
    parts = partitions([huge, file], spans=partial(LinesSource.spans, None))
    assert len(parts) > 10
    assert parts[-1][-1] == Part("0.txt", None, file.size)
    assert partitions([huge], spans=partial(ThriceSource.spans, None)) == [[Part("0.txt", None, huge.size)]]
