import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from ingest_cases import failures, gates, mutations, read_all, texts

from pipelines.ingest.code import decode_code, read_code
from pipelines.ingest.files import Part, discover
from pipelines.ingest.languages import language_of
from pipelines.ingest.records import Document
from pipelines.ingest.source import reader_class, rows

FILES = {
    "mill-1.0/setup.py": b"from setuptools import setup\r\nsetup()\r\n",
    "mill-1.0/src/mill.c": b"int main(void)\n{\n\treturn 0;\n}\n",
    "mill-1.0/README": b"# Mill\n",
    "mill-1.0/logo.png": b"\x89PNG\r\n",
    "mill-1.0/empty.py": b"",
    "mill-1.0/blob.c": b"\x7fELF\0\0\0",
}


def tar(entries: dict[str, bytes] | list[tarfile.TarInfo], mode: str = "w:") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        if isinstance(entries, list):
            for info in entries:
                archive.addfile(info, io.BytesIO(bytes(info.size)))
        else:
            for name, data in entries.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def wheel(entries: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return packed.getvalue()


def write(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("mill.tar", tar(FILES)),
        ("mill.tar.gz", gzip.compress(tar(FILES))),
        ("mill.tgz", gzip.compress(tar(FILES))),
        ("mill.tar.bz2", bz2.compress(tar(FILES))),
        ("mill.tar.xz", lzma.compress(tar(FILES))),
        ("mill.whl", wheel(FILES)),
        ("mill.zip", wheel(FILES)),
    ],
)
def test_every_packing_gives_every_entry(tmp_path: Path, name: str, data: bytes):
    result = read_all("code", write(tmp_path, name, data))
    assert [row.record.position for row in result] == list(FILES)
    assert texts(result) == [FILES[key].decode() for key in list(FILES)[:3]]  # byte for byte, CRLF too
    assert gates(result) == ["file_type", "no_text", "binary"]
    record = result[1].record
    assert isinstance(record, Document)
    assert record.uri == f"{name}!/mill-1.0/src/mill.c"
    facts = {"language": "C", "path": "mill-1.0/src/mill.c", "repository": name, "group": name, "charset": "utf-8"}
    assert facts.items() <= record.meta.items()


def test_files_of_a_directory(tmp_path: Path):
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    root, files = discover([str(tmp_path)])
    result = list(rows(reader_class("code"), {"name": "s", "root": root}, [Part(file.path, None, 0) for file in files]))
    assert len(result) == len(FILES)
    record = next(row.record for row in result if row.path == "mill-1.0/src/mill.c")
    assert isinstance(record, Document)
    assert (record.meta["repository"], record.meta["path"], record.uri) == (
        "mill-1.0",
        "src/mill.c",
        "mill-1.0/src/mill.c",
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("naïve".encode(), ("naïve", "utf-8", "utf-8")),
        ("\ufeffnaïve".encode(), ("naïve", "utf-8", "bom")),
        ("naïve".encode("utf-16"), ("naïve", "utf-16-le", "bom")),
        (
            "#!/bin/x\n# -*- coding: koi8-r -*-\nмир".encode("koi8-r"),
            ("#!/bin/x\n# -*- coding: koi8-r -*-\nмир", "koi8-r", "cookie"),
        ),
        ("# coding: no-such\nnaïve".encode(), ("# coding: no-such\nnaïve", "utf-8", "utf-8")),
        ("naïve".encode("latin-1"), ("naïve", "latin-1", "fallback")),
        (b"a\0b", None),
        (b"", ("", "utf-8", "utf-8")),
    ],
)
def test_decoding(data: bytes, expected: tuple[str, str, str] | None):
    assert decode_code(data) == expected


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b.PY", "Python"),
        ("Makefile", "Makefile"),
        ("x/CMakeLists.txt", "CMake"),
        ("a.tar", None),
        ("LICENSE", "Text"),
        ("a", None),
    ],
)
def test_languages(path: str, language: str | None):
    assert language_of(path) == language


def link(name: str, kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_entries_that_lead_out_are_refused_by_name(tmp_path: Path):
    entries = [
        tarfile.TarInfo("../../x.py"),
        tarfile.TarInfo("/abs.py"),
        tarfile.TarInfo("a\\..\\..\\x.py"),
        link("link.py", tarfile.SYMTYPE),
        link("hard.py", tarfile.LNKTYPE),
        link("dev.py", tarfile.CHRTYPE),
        link("pipe.py", tarfile.FIFOTYPE),
    ]
    result = read_all("code", write(tmp_path, "x.tar", tar(entries)))
    out, what, special = "name leads out of the archive", "link", "special file"
    assert [reason for _, reason in failures(result)] == [out, out, out, what, what, special, special]
    assert [row.record.position for row in result] == [entry.name for entry in entries]
    (row,) = read_all("code", write(tmp_path, "x.zip", wheel({"../../x.py": b"x = 1\n"})))
    assert failures([row]) == [("record", out)]


def test_a_link_in_a_zip_is_refused(tmp_path: Path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        info = zipfile.ZipInfo("link.py")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert failures(read_all("code", write(tmp_path, "x.zip", packed.getvalue()))) == [("record", "link")]


def test_links_and_pipes_in_a_directory(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.py").write_text("x = 1\n")
    (tmp_path / "in/out.py").symlink_to(tmp_path / "secret.py")
    (tmp_path / "in/own.py").write_text("y = 1\n")
    (tmp_path / "in/same.py").symlink_to("own.py")
    (tmp_path / "in/gone.py").symlink_to("nothing")
    os.mkfifo(tmp_path / "in/pipe.py")
    root, files = discover([str(tmp_path / "in")])
    result = {
        row.path: row
        for row in rows(reader_class("code"), {"name": "s", "root": root}, [Part(f.path, None, 0) for f in files])
    }
    assert {path: bool(row.text) for path, row in result.items()} == {
        "gone.py": False, "out.py": False, "own.py": True, "pipe.py": False, "same.py": True,
    }  # fmt: skip
    assert failures([result["out.py"], result["pipe.py"]]) == [
        ("file", "symbolic link out of the root"),
        ("file", "not a regular file"),
    ]
    detail = result["gone.py"].record.detail
    assert detail == "FileNotFoundError: No such file or directory"  # no path of this machine


def test_a_name_that_occurs_twice_is_two_records(tmp_path: Path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in (("a.py", b"a = 1\n"), ("a.py", b"a = 2\n"), ("a.py#2", b"a"), ("2:a.py", b"a")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    result = read_all("code", write(tmp_path, "x.tar", packed.getvalue()))
    assert [row.record.position for row in result] == ["a.py", "2:a.py", "a.py#2", "2:a.py"]
    assert failures(result) == [("record", "name leads out of the archive")]


def test_sizes_are_bounded_whatever_headers_say(tmp_path: Path):
    bomb = {"big.py": b"#" * 3_000_000, "a.py": b"a = 1\n"}
    for name, data in (("x.tar.gz", gzip.compress(tar(bomb))), ("x.whl", wheel(bomb))):
        result = read_all("code", write(tmp_path, name, data), max_text_bytes=1_000_000)
        assert failures(result) == [("record", "text too large")]
        assert texts(result) == ["a = 1\n"]


def test_a_header_that_would_fill_memory_is_refused(tmp_path: Path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    header = info.tobuf(tarfile.GNU_FORMAT)
    result = read_all(
        "code", write(tmp_path, "x.tar.gz", gzip.compress(header + bytes(10_000_000))), max_text_bytes=1000
    )
    assert failures(result) == [("file", "unreadable")]


@pytest.mark.parametrize("name", ["x.tar.gz", "x.whl", "x.tar", "x.tar.xz"])
@pytest.mark.parametrize("data", [b"", b"garbage" * 999, gzip.compress(tar(FILES))[:150]])
def test_broken_archives_are_failures(tmp_path: Path, name: str, data: bytes):
    result = read_all("code", write(tmp_path, name, data))
    assert [level for level, _ in failures(result)] == ["file"]


def test_a_broken_header_within_a_tar_is_told(tmp_path: Path):
    data = bytearray(tar(FILES))
    data[1024 + 148 : 1024 + 156] = b"\xff" * 8  # the second header's checksum
    result = read_all("code", write(tmp_path, "x.tar", bytes(data)))
    assert len(texts(result)) == 1
    assert failures(result) == [("file", "unreadable")]


def test_a_wrong_extension_is_read_for_what_it_says(tmp_path: Path):
    assert gates(read_all("code", write(tmp_path, "x.py", gzip.compress(tar(FILES))))) == ["binary"]
    assert len(failures(read_all("code", write(tmp_path, "x.zip", b"print()\n")))) == 1


@pytest.mark.parametrize(("name", "data"), [("x.tar", tar(FILES)), ("x.whl", wheel(FILES))])
def test_a_damaged_archive_never_throws_and_never_is_silent(tmp_path: Path, name: str, data: bytes):
    @settings(max_examples=100, deadline=None)
    @given(mutations(data))
    def check(damaged: bytes) -> None:
        result = read_all("code", write(tmp_path, name, damaged))
        assert len(result) >= len(FILES) or failures(result)

    check()


def test_this_project_reads_itself():
    path = Path(__file__)
    (record,) = read_code(path, "tests/ingest/" + path.name, max_text_bytes=1_000_000)
    assert isinstance(record, Document)
    assert record.text == path.read_text()
