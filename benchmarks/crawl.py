"""The clean job on a crawl of real pages: pages and megabytes a second in each stage, archives to corpus.

The crawl is made of the HTML of Debian's documentation packages: up to `--pages` pages, in an order that mixes the
packages, in WARC files of a thousand, one gzip member a record. The packages are fetched with apt-get into the folder
`--cache`, or taken from it; the crawl stays there. There is no peer here, so no `ratio`. The last line is a JSON
object: seconds, pages and megabytes of HTML a second by stage, what came in and what is kept.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xxhash
import yaml
from peers.process import measured

LANGUAGES = ("cs", "da", "de", "el", "en-gb", "en-us", "es", "fr", "hu", "it", "ja", "ko", "pl", "pt-br", "ru", "sv")
PACKAGES = (
    "installation-guide-amd64",
    "debian-handbook",
    *(f"libreoffice-help-{language}" for language in LANGUAGES),
)
PER_ARCHIVE = 1_000
STAGES = ("ingest", "annotate", "match", "judge", "corpus")


def fetch(cache: Path, packages: Iterable[str] = PACKAGES) -> None:
    """Put the packages into `cache`/debs, unless they are there, and unpack them. Exits with 1 where it cannot."""
    (cache / "debs").mkdir(parents=True, exist_ok=True)
    for package in packages:
        if (cache / "tree" / package).exists():
            continue
        try:
            if not list((cache / "debs").glob(f"{package}_*.deb")):
                command = ["apt-get", "download", "--quiet", package]
                subprocess.run(command, cwd=cache / "debs", check=True, stdout=subprocess.DEVNULL)
            (deb,) = (cache / "debs").glob(f"{package}_*.deb")
            subprocess.run(["dpkg-deb", "-x", deb, cache / "part"], check=True)
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            sys.exit(f"{package}: {error}; put its .deb into {cache / 'debs'} by other means")
        (cache / "tree").mkdir(exist_ok=True)
        (cache / "part").rename(cache / "tree" / package)


def pages(cache: Path) -> list[tuple[str, Path]]:
    """(URL, file) of all pages, in an order by hash."""
    found = [
        (f"http://{package}.example/{path.relative_to(cache / 'tree' / package).as_posix()}", path)
        for package in PACKAGES
        for path in (cache / "tree" / package).rglob("*.htm*")
        if path.is_file() and not path.is_symlink()
    ]
    return sorted(found, key=lambda item: (xxhash.xxh3_64_intdigest(item[0].encode()), item[0]))


def write_crawl(folder: Path, found: list[tuple[str, Path]]) -> int:
    """The pages as archives in `folder`; their bytes."""
    folder.mkdir(parents=True)
    total = 0
    for start in range(0, len(found), PER_ARCHIVE):
        with (folder / f"crawl-{start // PER_ARCHIVE:03}.warc.gz").open("wb") as archive:
            for url, path in found[start : start + PER_ARCHIVE]:
                body = path.read_bytes()
                total += len(body)
                archive.write(gzip.compress(record(url, body), 6, mtime=0))
    return total


def record(url: str, body: bytes) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    head = (
        f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2025-01-01T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:xxh3:{xxhash.xxh3_128_hexdigest(url.encode())}>\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def crawl(cache: Path, count: int) -> tuple[Path, int, int]:
    """The folder of archives, pages and bytes of a crawl of up to `count` pages, made unless it is there."""
    folder = cache / f"crawl-{count}"
    facts = folder / "facts.json"
    if not facts.exists():
        fetch(cache)
        found = pages(cache)[:count]
        shutil.rmtree(folder, ignore_errors=True)
        total = write_crawl(folder / "web", found)
        facts.write_text(json.dumps([len(found), total]))
    number, total = json.loads(facts.read_text())
    return folder / "web", number, total


def run(archives: Path, work: Path, cores: int) -> tuple[dict[str, Any], float, float]:
    """What stages.json says, the seconds of the whole command and its peak memory in MB."""
    source = {"name": "crawl", "format": "warc", "paths": [str(archives)]}
    page = {"name": "crawl", "sources": [source], "spark": {"master": f"local[{cores}]"}}
    (work / "config.yaml").write_text(yaml.safe_dump(page))
    program = Path(sys.executable).parent / "gristmill"
    command = [program, "run", work / "config.yaml", "--output", work / "output", "--until", "corpus"]
    found = measured(command, work / "log", cores, limit=24 * 3600)
    stages = json.loads((work / "output" / "stages.json").read_text())["stages"]
    return stages, found.seconds, found.peak_mb


def figures(stages: dict[str, Any], number: int, total: int) -> Iterator[tuple[str, dict[str, float]]]:
    for name in STAGES:
        seconds = stages[name]["seconds"]
        per_second = {"pages_per_second": number / seconds, "mb_per_second": total / 1e6 / seconds}
        yield name, {"seconds": round(seconds, 1), **{key: round(value, 1) for key, value in per_second.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=40_000)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "gristmill" / "benchmarks")
    given = parser.parse_args()
    archives, number, total = crawl(given.cache, given.pages)
    with tempfile.TemporaryDirectory() as work:
        stages, seconds, peak = run(archives, Path(work), given.cores)
    by_stage = dict(figures(stages, number, total))
    for name, row in by_stage.items():
        print(
            f"{name:10}{row['seconds']:8.1f} s {row['pages_per_second']:8.1f} pages/s {row['mb_per_second']:7.1f} MB/s"
        )
    (funnel,) = stages["judge"]["facts"]["funnel"].values()
    facts = {
        "pages": number,
        "html_mb": round(total / 1e6, 1),
        "seconds": round(seconds, 1),
        "pages_per_second": round(number / seconds, 1),
        "peak_mb": round(peak),
        "stages": by_stage,
        "funnel": {key: value for key, value in funnel.items() if value},
        "cores": given.cores,
        "versions": {name: version(name) for name in ("pyspark", "FastWARC", "selectolax")},
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
