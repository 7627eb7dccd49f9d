import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from ingest_cases import failures, gates, mutations, texts
from ingest_cases import read_all as read_any
from mutations import FILES as FUZZED
from mutations import survives

from pipelines.ingest.code import containers, decode_code, read_code
from pipelines.ingest.files import Part, discover
from pipelines.ingest.records import Document, Failure
from pipelines.ingest.source import Row, reader_class, rows

FILES = {
    "mill-1.0/setup.py": b"from setuptools import setup\r\nsetup()\r\n",
    "mill-1.0/src/mill.c": b"int main(void)\n{\n\treturn 0;\n}\n",
    "mill-1.0/README": b"# Mill\n",
    "mill-1.0/logo.png": b"\x89PNG\r\n",
    "mill-1.0/empty.py": b"",
    "mill-1.0/blob.c": b"\x7fELF\0\0\0",
}


DAMAGED = ("file", "damaged or refused tree")
ANY = {"licences": ["any"]}


def read_all(format: str, path: Path, **options: object) -> list[Row]:
    return read_any(format, path, **{**ANY, **options})


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
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
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
        ("mill.tar.zst", zstandard.compress(tar(FILES))),
        ("mill.crate", gzip.compress(tar(FILES))),
        ("mill.whl", wheel(FILES)),
        ("mill.zip", wheel(FILES)),
        ("mill.zip", lzma.compress(tar(FILES))),  # what it is counts, not what it is called
        ("mill.tar.gz", wheel(FILES)),
        ("mill.tar.gz", tar(FILES)),
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
    result = list(
        rows(
            reader_class("code"),
            {"name": "s", "root": root, "options": ANY},
            [Part(file.path, None, 0) for file in files],
        )
    )
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
    out, what, special = "name leads out of the archive", "link leads out of the archive", "special file"
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
    assert failures(read_all("code", write(tmp_path, "x.zip", packed.getvalue()))) == [
        ("record", "link leads out of the archive")
    ]


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
        for row in rows(
            reader_class("code"), {"name": "s", "root": root, "options": ANY}, [Part(f.path, None, 0) for f in files]
        )
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
    assert failures(result) == [DAMAGED]


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
    assert failures(result) == [DAMAGED]


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


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.tar.gz", gzip.compress(tar(FILES), mtime=0)),
        ("x.tar.bz2", bz2.compress(tar(FILES))),
        ("x.tar.xz", lzma.compress(tar(FILES))),
        ("x.tar.zst", zstandard.compress(tar(FILES))),
        ("x.tar", tar(FILES)),
        ("x.zip", wheel(FILES)),
    ],
)
def test_mutated_archives_come_to_an_end(tmp_path: Path, name: str, data: bytes):
    def read(damaged: bytes) -> Iterator[Document | Failure]:
        return read_code(write(tmp_path, name, damaged), name, max_text_bytes=10_000, licences=("any",))

    for seed in range(FUZZED):
        assert survives(read, data, seed)


def test_links_within_an_archive_are_passed_over(tmp_path: Path):
    entries = [
        link("a/same.py", tarfile.SYMTYPE, "../b/own.py"),
        link("a/hard.py", tarfile.LNKTYPE, "b/own.py"),
        link("a/out.py", tarfile.SYMTYPE, "../../own.py"),
    ]
    result = read_all("code", write(tmp_path, "x.tar", tar(entries)))
    assert gates(result) == ["link", "link"]
    assert failures(result) == [("record", "link leads out of the archive")]


def test_archives_in_archives_are_not_opened(tmp_path: Path):
    inner = {"a/inner.zip": wheel(FILES), "a/inner.tar.gz": gzip.compress(tar(FILES)), "a/x.py": b"x = 1\n"}
    result = read_all("code", write(tmp_path, "x.zip", wheel(inner)))
    assert gates(result) == ["binary", "binary"]
    assert texts(result) == ["x = 1\n"]


@pytest.mark.parametrize("pack", [tar, wheel])
def test_an_archive_that_unpacks_to_too_much_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Any):
    monkeypatch.setattr(containers, "UNPACKED", 500_000)
    monkeypatch.setattr(containers, "RATIO", 10)
    bomb = {f"{number}.py": b"#" * 90_000 for number in range(9)}
    packed = pack(bomb)
    data = packed if pack is wheel else gzip.compress(packed)
    result = read_all("code", write(tmp_path, "x.zip", data), max_text_bytes=100_000)
    assert 0 < len(texts(result)) < 6
    assert failures(result) == [DAMAGED]
    assert isinstance(result[-1].record, Failure)
    assert "unpacks to much more than its size" in result[-1].record.detail


def test_encrypted_entries_are_refused_by_name(tmp_path: Path):
    data = bytearray(wheel({"a.py": b"a = 1\n"}))
    data[6] |= 1  # the flag, in the entry's header and in the directory
    data[data.index(b"PK\1\2") + 8] |= 1
    assert failures(read_all("code", write(tmp_path, "x.zip", bytes(data)))) == [("record", "encrypted entry")]


def test_the_commit_that_git_archive_notes_is_the_revision(tmp_path: Path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": commit}) as archive:
        archive.addfile(tarfile.TarInfo("a.py"), io.BytesIO())
    (row,) = read_all("code", write(tmp_path, "x.tar", packed.getvalue()))
    assert isinstance(row.record, Document)
    assert row.record.meta["revision"] == commit


def test_notebooks_become_scripts(tmp_path: Path):
    cells = [
        {"cell_type": "markdown", "source": ["# Mill\n", "Grinds."]},
        {"cell_type": "code", "source": "x = 1", "outputs": [{"text": "a long output"}]},
    ]
    good = {"metadata": {"kernelspec": {"language": "python"}}, "nbformat": 4, "cells": cells}
    rust = {"metadata": {"language_info": {"name": "Rust"}}, "nbformat": 4, "cells": cells}
    files = {"a.ipynb": json.dumps(good), "b.ipynb": json.dumps(rust), "c.ipynb": "{", "d.ipynb": "[" * 100_000}
    result = read_all("code", write(tmp_path, "x.zip", wheel({name: text.encode() for name, text in files.items()})))
    assert texts(result) == ["# # Mill\n# Grinds.\n\nx = 1\n", "// # Mill\n// Grinds.\n\nx = 1\n"]
    assert [row.record.meta["language"] for row in result if isinstance(row.record, Document)] == ["Python", "Rust"]
    assert failures(result) == [("record", "unreadable notebook")] * 2


def test_large_file_pointers_are_marked(tmp_path: Path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    assert gates(read_all("code", write(tmp_path, "x.zip", wheel({"model.csv": pointer})))) == ["lfs_pointer"]


def test_marks_by_path_and_header(tmp_path: Path):
    files = {
        "p/vendor/x.go": b"package x\n",
        "p/node_modules/a/i.js": b"a()\n",
        "p/a.min.js": b"a()\n",
        "p/b.js": b"f();" * 100,
        "p/api.pb.go": b"package x\n",
        "p/gen.py": b"# Generated by a tool. DO NOT EDIT.\nx = 1\n",
        "p/data.json": b"{}\n",
        "p/main.py": b"x = 1\n",
    }
    result = read_all("code", write(tmp_path, "x.zip", wheel(files)))
    names = ("vendored", "generated", "minified", "data")
    assert [[name for name in names if name in row.record.meta] for row in result] == [
        ["vendored"], ["vendored"], ["minified"], ["minified"], ["generated"], ["generated"], ["data"], [],
    ]  # fmt: skip


def test_only_licences_of_the_list_are_let_through(tmp_path: Path):
    files = {
        "p/a.py": b"# SPDX-License-Identifier: MIT\n",
        "p/b.py": b"# SPDX-License-Identifier: GPL-3.0-or-later\n",
        "p/c.py": b"x = 1\n",
        "p/d.py": b"# SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0\n",
    }
    path = write(tmp_path, "x.zip", wheel(files))

    def let_through(**options: object) -> list[str]:
        return [row.record.meta["path"][2] for row in read_any("code", path, **options) if row.text]

    assert let_through() == ["a", "d"]
    assert let_through(licences=["permissive", "unknown"]) == ["a", "c", "d"]
    assert let_through(licences=["GPL-3.0-or-later"]) == ["b"]
    assert let_through(licences=["any"]) == ["a", "b", "c", "d"]
    stopped = [row.record for row in read_any("code", path) if row.text is None]
    assert [(one.meta["gate"], one.meta["licence"]) for one in stopped if isinstance(one, Document)] == [
        ("licence", "GPL-3.0-or-later"),
        ("licence", "unknown"),
    ]


def test_a_tree_as_one_document_in_order_of_its_imports(tmp_path: Path):
    files = {"p/a.py": b"import b\n", "p/b.py": b"from p import c\n", "p/c.py": b"x = 1\n", "p/logo.bin": b"\0"}
    path = write(tmp_path, "x.zip", wheel(files))
    gate, whole = read_all("code", path, documents="repository")
    assert texts([whole]) == ["==> p/c.py <==\nx = 1\n\n==> p/b.py <==\nfrom p import c\n\n==> p/a.py <==\nimport b\n"]
    assert isinstance(whole.record, Document)
    assert (whole.record.meta["files"], whole.record.meta["language"]) == ("3", "Python")
    assert gates([gate]) == ["binary"]
    parts = read_all("code", path, documents="repository", max_text_bytes=60)
    assert len(texts(parts)) == 3  # each is too long to stand beside another


def test_licences_of_a_directory_are_looked_for_upwards(tmp_path: Path):
    mit = (Path(__file__).parents[2] / "filters" / "code.py").read_text()  # no licence of its own
    (tmp_path / "mill/src/part").mkdir(parents=True)
    (tmp_path / "mill/src/a.py").write_text(mit)
    (tmp_path / "mill/src/part/b.py").write_text("b = 1\n")
    (tmp_path / "mill/package.json").write_text('{"license": "ISC"}')
    (tmp_path / "mill/src/part/setup.cfg").write_text("[metadata]\nlicense = Apache-2.0\n")
    root, files = discover([str(tmp_path)])
    found = rows(
        reader_class("code"), {"name": "s", "root": root, "options": ANY}, [Part(f.path, None, 0) for f in files]
    )
    told = {row.path: (row.record.meta["licence"], row.record.meta["licence_from"]) for row in found}
    assert told["mill/src/a.py"] == ("ISC", "package.json")
    assert told["mill/src/part/b.py"] == ("Apache-2.0", "src/part/setup.cfg")


def test_upstream_of_a_debian_package_is_read_with_its_copyright_file(tmp_path: Path):
    copyright = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: A
License: Expat

Files: src/*.c
 src/extra/?.h
Copyright: B
License: GPL-2+ or BSD-3-clause
"""
    names = ["mill-1.0/main.c", "mill-1.0/src/a.c", "mill-1.0/src/extra/b.h", "mill-1.0/src/extra/bb.h"]
    write(tmp_path, "mill_1.0.orig.tar.xz", lzma.compress(tar(dict.fromkeys(names, b"int x;\n"))))
    write(tmp_path, "mill_1.0-2.debian.tar.xz", lzma.compress(tar({"debian/copyright": copyright.encode()})))
    result = read_all("code", tmp_path / "mill_1.0.orig.tar.xz")
    dual = "GPL-2.0-or-later OR BSD-3-Clause"
    assert [row.record.meta["licence"] for row in result] == ["MIT", dual, dual, "MIT"]


def test_this_project_reads_itself():
    path = Path(__file__)
    (record,) = read_code(path, "tests/ingest/" + path.name, max_text_bytes=1_000_000, licences=("any",))
    assert isinstance(record, Document)
    assert record.text == path.read_text()
