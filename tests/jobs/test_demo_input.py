import functools
import gzip
import hashlib
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from importlib.resources import files
from urllib.parse import urlsplit

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from jobs import demo_input, pip_index
from jobs.demo_input import Archive, prepare, read_list
from jobs.pip_index import InputError

PAGES = {
    "site-1.0/doc/index.html": "<p>Grüße".encode("latin-1"),
    "site-1.0/doc/a b/ü.html": b"<p>two",
    "site-1.0/x.html": b"no",
}


def tar_gz(members, extra=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return buffer.getvalue()


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


class Index:
    """A package index of the test's own, served on this machine, to which pip's settings point."""

    def __init__(self, root):
        self.root = root
        self.requests = []
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(root))

        def log(_, *arguments):
            self.requests.append(arguments)

        http.server.SimpleHTTPRequestHandler.log_message = log
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def offer(self, kind, name, content, members="", address="", **changes):
        line = Archive(kind, name, hashlib.sha256(content).hexdigest(), len(content), "MIT", members, address)
        page = self.root / "simple" / pip_index.project(name)
        page.mkdir(parents=True, exist_ok=True)
        (page / name).write_bytes(content)
        links = "".join(f'<a href="{file.name}#sha256=0">{file.name}</a>' for file in page.iterdir())
        (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
        return Archive(**(vars(line) | changes))


@pytest.fixture
def index(tmp_path, monkeypatch):
    original = http.server.SimpleHTTPRequestHandler.log_message
    index = Index(tmp_path / "index")
    point_pip_at(index.url, monkeypatch)
    yield index
    index.server.shutdown()
    index.server.server_close()
    http.server.SimpleHTTPRequestHandler.log_message = original


def point_pip_at(url, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("PIP_PROXY", raising=False)
    pip_index._pip_settings.cache_clear()
    pip_index._opener.cache_clear()


@pytest.fixture(autouse=True)
def forget_settings():
    yield
    pip_index._pip_settings.cache_clear()
    pip_index._opener.cache_clear()


@pytest.fixture
def archives(index):
    return [
        index.offer("pages", "Site_x-1.0.tar.gz", tar_gz(PAGES), "site-1.0/doc/*.html", "https://site.example/docs/"),
        index.offer(
            "web", "old-2.tar.bz2", tar_gz({"old-2/w/a.warc": b"WARC", "old-2/setup.py": b"!"}), "old-2/w/*arc*"
        ),
        index.offer("books", "plays-0.6.zip", zipped({"plays-0.6/t/lear.txt": b"Howl"}), "plays-0.6/*.txt"),
        index.offer("code", "tool-3.whl", b"whatever it is"),
    ]


def state(directory):
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def contents(directory):
    return {name: content for name, (content, _) in state(directory).items()}


def test_layout(archives, tmp_path):
    output = tmp_path / "out"
    assert prepare(output, archives, say=str) == 4
    assert set(state(output)) == {
        "README", "demo-input.json", "web/Site_x-1.0.warc.gz", "web/a.warc", "books/lear.txt", "code/tool-3.whl",
    }  # fmt: skip
    assert (output / "books/lear.txt").read_bytes() == b"Howl"
    readme = (output / "README").read_text()
    assert all(archive.name in readme and archive.licence in readme for archive in archives)


def test_pages_are_warc_responses(archives, tmp_path):
    prepare(tmp_path, archives[:1], say=str)
    with (tmp_path / "web/Site_x-1.0.warc.gz").open("rb") as file:
        kinds, found = [], {}
        for record in ArchiveIterator(file, verify_digests=True):
            kinds.append(record.record_type)
            if record.record_type == WarcRecordType.response:
                found[record.headers["WARC-Target-URI"]] = record.reader.read()
                assert record.http_headers.status_code == 200
                assert record.http_content_type == "text/html"
                assert record.headers["WARC-Date"] == "2024-01-01T00:00:00Z"
    assert kinds == [WarcRecordType.warcinfo, WarcRecordType.response, WarcRecordType.response]
    assert found == {
        "https://site.example/docs/a%20b/%C3%BC.html": b"<p>two",
        "https://site.example/docs/index.html": "<p>Grüße".encode("latin-1"),
    }
    assert gzip.decompress((tmp_path / "web/Site_x-1.0.warc.gz").read_bytes()).count(b"WARC/1.0\r\n") == 3


def test_same_bytes_wherever_it_is_made(archives, tmp_path):
    prepare(tmp_path / "a", archives, say=str)
    prepare(tmp_path / "b", archives, say=str)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_what_is_complete_is_left_alone(index, archives, tmp_path):
    output = tmp_path / "out"
    prepare(output, archives, say=str)
    before = state(output)
    index.requests.clear()
    assert prepare(output, archives, say=str) == 0
    assert state(output) == before
    assert not index.requests


def test_a_partial_run_is_finished(index, archives, tmp_path):
    output = tmp_path / "out"
    prepare(tmp_path / "whole", archives, say=str)
    broken = [*archives[:2], index.offer("code", "late-1.whl", b"x", sha256="0" * 64), archives[3]]
    with pytest.raises(InputError, match=r"late-1\.whl .* SHA-256 differs"):
        prepare(output, broken, say=str)
    assert not (output / "code").exists()
    done = state(output)["web/a.warc"]
    (output / "web/Site_x-1.0.warc.gz").write_bytes(b"cut")  # as a full disk might leave it
    assert prepare(output, archives, say=str) == 3
    assert state(output)["web/a.warc"] == done
    assert contents(output) == contents(tmp_path / "whole")


def test_what_is_no_longer_listed_is_removed(archives, tmp_path):
    prepare(tmp_path, archives, say=str)
    assert prepare(tmp_path, archives[1:], say=str) == 0
    prepare(tmp_path, archives[2:], say=str)
    assert not list((tmp_path / "web").iterdir())
    assert (tmp_path / "books/lear.txt").is_file()


@pytest.mark.parametrize("name", ["../evil.txt", "/abs/evil.txt", "p-1/../../evil.txt", "p-1/x/evil.txt"])
@pytest.mark.parametrize("pack", [tar_gz, zipped])
def test_no_member_leaves_the_output_directory(index, tmp_path, name, pack):
    suffix = "zip" if pack is zipped else "tar.gz"
    line = index.offer("books", f"p-1.{suffix}", pack({name: b"evil", "p-1/good.txt": b"good"}), "*.txt")
    output = tmp_path / "deep" / "out"
    prepare(output, [line], say=str)
    inside = {name for name in state(tmp_path / "deep") if name.startswith("out/books/")}
    assert "out/books/good.txt" in inside
    assert set(state(tmp_path / "deep")) - inside == {"out/README", "out/demo-input.json"}
    assert not (tmp_path / "evil.txt").exists()


def test_links_in_archives_are_not_followed(index, tmp_path):
    link = tarfile.TarInfo("p-1/passwd.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    line = index.offer("books", "p-1.tar.gz", tar_gz({"p-1/good.txt": b"good"}, [link]), "*.txt")
    prepare(tmp_path / "out", [line], say=str)
    assert [path.name for path in (tmp_path / "out/books").iterdir()] == ["good.txt"]


def test_sizes_are_bounded(index, tmp_path, monkeypatch):
    monkeypatch.setattr(demo_input, "MOST_BYTES_MEMBER", 1_000)
    for name, pack in (("p-1.tar.gz", tar_gz), ("p-1.zip", zipped)):
        line = index.offer("books", name, pack({"p-1/bomb.txt": bytes(1_001)}), "*.txt")
        with pytest.raises(InputError, match=r"more than the demo accepts, at p-1/bomb\.txt"):
            prepare(tmp_path / "out", [line], say=str)
    line = index.offer("code", "q-1.whl", b"longer than it should be", size=5)
    with pytest.raises(InputError, match="serves more than the 5 bytes"):
        prepare(tmp_path / "out", [line], say=str)


def test_lists_that_do_not_fit_the_archive_are_refused(index, tmp_path):
    content = zipped({"p-1/a/x.txt": b"1", "p-1/b/x.txt": b"2"})
    with pytest.raises(InputError, match=r"called x\.txt"):
        prepare(tmp_path, [index.offer("books", "p-1.zip", content, "*.txt")], say=str)
    with pytest.raises(InputError, match=r"no member that matches \*\.md"):
        prepare(tmp_path, [index.offer("books", "p-1.zip", content, "*.md")], say=str)
    with pytest.raises(InputError, match=r"None of pip's package indexes offers absent-1\.zip"):
        prepare(tmp_path, [Archive("code", "absent-1.zip", "0", 1, "MIT")], say=str)


def test_other_indexes_of_pip_are_asked_too(index, archives, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    first = Index(tmp_path / "empty")
    point_pip_at(first.url, monkeypatch)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index.url)
    assert prepare(tmp_path / "out", archives, say=str) == 4
    first.server.shutdown()
    first.server.server_close()


def test_without_a_network_one_sentence_and_exit_status_1(tmp_path, monkeypatch):
    point_pip_at("http://user:secret@127.0.0.1:9/simple", monkeypatch)
    command = [sys.executable, "-m", "jobs.demo_input", "--output", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "127.0.0.1 cannot be reached" in result.stderr
    assert "secret" not in result.stderr + result.stdout
    assert not (tmp_path / "out").exists()


def test_the_projects_own_list():
    archives = read_list((files("configs") / "demo-input.txt").read_text(encoding="utf-8"))
    assert {archive.kind for archive in archives} == {"pages", "web", "books", "code"}
    assert len({archive.name for archive in archives}) == len(archives)
    assert sum(archive.size for archive in archives) < 80e6
    for archive in archives:
        assert len(archive.sha256) == 64
        if archive.kind == "pages":
            assert urlsplit(archive.address).scheme in ("http", "https")
            assert archive.address.endswith("/")
            assert archive.members.partition("*")[0].endswith("/")


@pytest.mark.parametrize("line", ["pages a-1.zip 00 1 MIT a/*", "films a-1.zip 00 1 MIT", "code a-1.zip 00"])
def test_a_wrong_line_is_named(line):
    with pytest.raises(ValueError, match="line 2"):
        read_list(f"# head\n{line}\n")
