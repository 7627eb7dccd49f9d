"""Archives for several tests: how they are packed, and where the real ones are."""

from __future__ import annotations

import functools
import gzip
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import lz4.frame
import pytest
import zstandard

from pipelines.ingest.web.html import Page
from pipelines.ingest.web.warc_records import Archive, Damage, WarcRecord

PACK = {
    "gzip": functools.partial(gzip.compress, mtime=0),
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "lz4": functools.partial(lz4.frame.compress, content_checksum=True),
}
PYWB = "pywb==2.10.0"


def tagless(body: bytes, _charset: str | None = None, _url: str = "") -> Page:
    """In place of an extractor, where a test is about archives: the page's text after its title, without tags."""
    return Page(re.sub("<[^>]*>", "\n", body.decode("utf-8", "replace")).strip())


def cut(path: Path, span: tuple[int, int] | None = None, max_block: int = 20_000_000) -> list[WarcRecord | Damage]:
    """All that is found in an archive."""
    with Archive(path, max_block, span) as archive:
        return list(archive)


def records(path: Path) -> list[WarcRecord]:
    return [found for found in cut(path) if isinstance(found, WarcRecord)]


def damages(path: Path) -> list[tuple[str, str]]:
    """(position, reason) of each."""
    return [(found.position, found.reason) for found in cut(path) if isinstance(found, Damage)]


@functools.cache
def pywb_archives(folder: Path) -> list[Path]:
    """The 17 sample archives in pywb's wheel, by name; skips the test where the wheel is not to be had."""
    options = ["--quiet", "--no-deps", "--retries", "1", "--timeout", "15"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), PYWB]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("pywb-*.whl"))
    if done.returncode or not wheels:
        pytest.skip(f"{PYWB} is neither in pip's cache nor on its index")
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = [name for name in wheel.namelist() if "sample_archive/warcs/" in name and not name.endswith("/")]
        for name in names:
            (folder / Path(name).name).write_bytes(wheel.read(name))
    return sorted(folder / Path(name).name for name in names)
