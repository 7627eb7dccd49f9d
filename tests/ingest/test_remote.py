"""Sources that lie on servers: a real S3 protocol (moto's server) and HTTP, on the loopback address."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
import yaml
from ingest_cases import members, page, response
from moto.server import ThreadedMotoServer

from jobs.whole import run_stages
from pipelines.datasets import scan
from pipelines.digest import digest
from pipelines.errors import ConfigError, GristmillError
from pipelines.ingest.files import Part, discover
from pipelines.ingest.records import Failure
from pipelines.ingest.source import reader_class, rows

KEYS = {"key": "testing", "secret": "not-a-secret"}


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, Any]]:
    """What fsspec needs to reach a server with a bucket `crawl`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    storage = {**KEYS, "endpoint_url": f"http://{host}:{port}"}
    fsspec.filesystem("s3", **storage).mkdir("crawl")
    yield storage
    server.stop()


def fill(folder: Path) -> None:
    """A few sources of different formats."""
    (folder / "texts" / "deep").mkdir(parents=True)
    for i in range(3):
        (folder / "texts" / f"{i}.txt").write_text(f"text {i}")
    (folder / "texts" / "deep" / "größe #1.txt").write_text("deep text")
    (folder / "web").mkdir()
    pages = [response(f"http://host.example/{j}", page(f"Page {j}")) for j in range(4)]
    (folder / "web" / "a.warc.gz").write_bytes(b"".join(members(pages)))


def read_all(format: str, paths: list[str], storage: dict[str, Any] | None = None, **source: Any) -> list[Any]:
    cls = reader_class(format)
    root, files = discover(paths, None, cls.suffixes, storage)
    parts = [Part(file.path, None, file.size) for file in files]
    return list(rows(cls, {"name": "s", "root": root, "storage": storage or {}, **source}, parts))


@pytest.mark.parametrize("format", ["text", "warc"])
def test_a_bucket_is_read_as_a_folder_is(s3: dict[str, Any], tmp_path: Path, format: str):
    fill(tmp_path / "crawl")
    fsspec.filesystem("s3", **s3).put(f"{tmp_path}/crawl/", "crawl/", recursive=True)
    folder = {"text": "texts", "warc": "web"}[format]
    local = read_all(format, [f"{tmp_path}/crawl/{folder}"])
    there = read_all(format, [f"s3://crawl/{folder}"], s3)
    assert len(local) == 4
    assert there == local
    assert read_all(format, [f"s3://crawl/{folder}/*.*"], s3) == [row for row in local if "deep" not in row.path]


def test_a_root_makes_ids_like_those_of_a_folder_with_this_root(s3: dict[str, Any], tmp_path: Path):
    fill(tmp_path / "crawl")
    fsspec.filesystem("s3", **s3).put(f"{tmp_path}/crawl/", "crawl/", recursive=True)
    _, files = discover(["s3://crawl/texts/deep"], "s3://crawl/", (".txt",), s3)
    assert [file.path for file in files] == ["texts/deep/größe #1.txt"]
    with pytest.raises(ConfigError, match="is not below the root"):
        discover(["s3://crawl/web"], "s3://crawl/texts", None, s3)


def test_a_changed_object_has_another_tag(s3: dict[str, Any]):
    system = fsspec.filesystem("s3", **s3)
    system.pipe("crawl/changing.txt", b"abc")
    _, (before,) = discover(["s3://crawl/changing.txt"], None, None, s3)
    _, (again,) = discover(["s3://crawl/changing.txt"], None, None, s3)
    system.pipe("crawl/changing.txt", b"xyz")
    _, (after,) = discover(["s3://crawl/changing.txt"], None, None, s3)
    assert before == again
    assert (before.size, before.mtime_ns) != (after.size, after.mtime_ns)
    assert before.size == after.size == 3


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["s3://crawl/nothing/*"], "nothing matches"),
        (["s3://no-such-bucket/a"], "nothing matches|no-such-bucket"),
        (["s3://crawl/a", "/tmp"], "are all URLs"),
        (["nope://crawl/a"], "nope"),
    ],
)
def test_what_is_not_there_is_named(s3: dict[str, Any], paths: list[str], message: str):
    with pytest.raises(ConfigError, match=message):
        discover(paths, None, None, s3 if paths[0].startswith("s3") else {})


def test_files_over_http(tmp_path: Path):
    fill(tmp_path)
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        found = read_all("warc", [f"{base}/web/a.warc.gz"])
        assert found == read_all("warc", [f"{tmp_path}/web/a.warc.gz"])
        with pytest.raises(ConfigError, match="nothing matches"):
            discover([f"{base}/web/b.warc.gz"], None, None, {})
        server.shutdown()


def test_a_server_that_fails_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fill(tmp_path)
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/web/a.warc.gz"
        monkeypatch.setattr(_Quiet, "do_GET", lambda self: self.send_error(503))
        with pytest.raises(GristmillError, match=r"a\.warc\.gz cannot be reached"):
            list(rows(reader_class("warc"), {"name": "s", "root": url[:-14]}, [Part("web/a.warc.gz", None, 1)]))
        (row,) = rows(reader_class("warc"), {"name": "s", "root": url[:-14]}, [Part("web/gone.warc.gz", None, 1)])
        assert row.record == Failure("file", "", "unreadable", row.record.detail)
        assert "FileNotFoundError" in row.record.detail
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    """A web server that writes no log and, unlike its parent, serves ranges."""

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        path = Path(self.translate_path(self.path))
        if not asked or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()
        first, _, last = asked.partition("-")
        begin, end = int(first), min(int(last or len(data)), len(data) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{end}/{len(data)}")
        self.send_header("Content-Length", str(end + 1 - begin))
        self.end_headers()
        self.wfile.write(data[begin : end + 1])


@pytest.mark.spark
def test_a_run_over_a_bucket_keeps_its_keys_to_itself(
    spark: Any, s3: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fill(tmp_path / "crawl")
    fsspec.filesystem("s3", **s3).put(f"{tmp_path}/crawl/", "crawl/", recursive=True)
    monkeypatch.setenv("BUCKET_SECRET", s3["secret"])
    source = {"name": "web", "format": "warc", "paths": ["s3://crawl/web"]}
    config = tmp_path / "config.yaml"
    for name, changed in (
        ("there", {"storage": {**s3, "secret": "${BUCKET_SECRET}"}}),
        ("here", {"paths": [f"{tmp_path}/crawl/web"]}),
    ):
        config.write_text(yaml.safe_dump({"name": "remote", "sources": [{**source, **changed}]}))
        run_stages(config, str(tmp_path / name), until="ingest")
    assert digest(tmp_path / "there") == digest(tmp_path / "here")
    written = b"".join(path.read_bytes() for path in (tmp_path / "there").rglob("*") if path.is_file())
    assert b"web" in written
    assert s3["secret"].encode() not in written


@pytest.mark.spark
def test_a_source_is_limited_sampled_and_required(spark: Any, tmp_path: Path):
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "line {i}"}}\n' for i in range(200)))
    (tmp_path / "b.jsonl").write_text("".join(f'{{"text": "other {i}"}}\n' for i in range(200)))

    def texts(**source: Any) -> list[str]:
        page = {"name": "s", "sources": [{"name": "s", "format": "jsonl", "paths": [f"{tmp_path}/*.jsonl"], **source}]}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(page))
        output = tmp_path / "output"
        shutil.rmtree(output, ignore_errors=True)
        run_stages(tmp_path / "config.yaml", str(output), until="ingest")
        return sorted(scan(output, "documents", ["text"])["text"].to_pylist())

    assert texts(limit=203) == sorted([*(f"line {i}" for i in range(200)), "other 0", "other 1", "other 2"])
    half = texts(sample=0.5)
    assert 150 < len(half) < 250
    assert texts(sample=0.5, limit=10) == [text for text in half if text in texts(sample=0.5, limit=10)]
    assert len(texts(required=400)) == 400
    with pytest.raises(GristmillError, match="s: 400 documents have a text, but 401 are required"):
        texts(required=401)
    with pytest.raises(GristmillError, match="required"):  # a stage that is finished is held to it again
        run_stages(tmp_path / "config.yaml", str(tmp_path / "output"), until="ingest")
