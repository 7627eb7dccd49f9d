"""Language and licence of each file of five source packages, as the code reader tells them, against a listed truth.

The packages: the sdists of Django, SymPy, Flask and Requests from the Python package index (pinned by SHA-256) and
the Debian source package libzstd, which is C, C++ and scripts under six licences; its debian/copyright lies beside
the archive. The truth is benchmarks/labels/code.tsv, written from the trees' listings, the licence files and what
grep finds of licences in headers, with none of the reader's code; it was not changed after the reader's misses
against it were seen, so some of them are the truth's. The reader had been run on these packages, and rules of it fixed
on what was seen, before the truth was written: judge it on others. Where sources disagree a file's own words count,
then those of a licence file or of a README on its folder. `-` is no language: binary files, empty ones without a name
that tells, and text in no language that GitHub Linguist knows.

`language` is the share of all files that get the language of the truth (none where it says `-`), `licence` the same of
files that have a language by the truth; sides of an OR count in any order. Each miss is printed. Packages that are not
in the folder are downloaded there. The last line is a JSON object; the status is 1 where a share is below 0.98.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import planted

from jobs import pip_index
from pipelines.ingest.code import read_code
from pipelines.ingest.records import Document

TRUTH = Path(__file__).parent / "labels" / "code.tsv"
LEAST = 0.98
SDISTS = {
    "django": ("django-6.1.3.tar.gz", "b5d2d9e35295065d13b1927b3f19a59bd119f737aa6299def14ccca1ae3c8c0d"),
    "sympy": ("sympy-1.14.0.tar.gz", "d3d3fe8df1e5a0b42f0e7bdf50541697dbe7d23746e894990c030e2b05e72517"),
    "flask": ("flask-3.1.3.tar.gz", "0ef0e52b8a9cd932855379197dd8f94047b359ca0a78695144304cb45f87c9eb"),
    "requests": ("requests-2.34.2.tar.gz", "f288924cae4e29463698d6d60bc6a4da69c89185ad1e0bcc4104f584e960b9ed"),
}
DEBIAN = ("zstd", "libzstd=1.5.4+dfsg2-5", "libzstd_1.5.4+dfsg2.orig.tar.xz")
APT = Path("/etc/apt/sources.list.d/debian.sources")


def archives(folder: Path) -> Iterator[tuple[str, Path]]:
    for name, (file, sha256) in SDISTS.items():
        if not (folder / file).exists():
            (folder / file).write_bytes(pip_index.fetch(file, sha256, 1 << 25))
        yield name, folder / file
    name, package, file = DEBIAN
    if not (folder / file).exists():
        download(package, folder)
    yield name, folder / file


def download(package: str, folder: Path) -> None:
    """A Debian source package, by apt, from the mirror that the machine has, without a change of its settings."""
    with tempfile.TemporaryDirectory() as scratch:
        sources = Path(scratch, "debian.sources")
        sources.write_text(re.sub(r"^Types: deb$", "Types: deb-src", APT.read_text(), flags=re.MULTILINE))
        options = [f"Dir::Etc::sourcelist={sources}", "Dir::Etc::sourceparts=/dev/null", f"Dir::State::lists={scratch}"]
        apt = ["apt-get", "-qq", *(part for option in options for part in ("-o", option))]
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "source", "--download-only", package], check=True, cwd=folder)


def truth_of(name: str, paths: list[str]) -> dict[str, tuple[str, str]]:
    """Language and licence of each path, by the last line of each that matches."""
    with TRUTH.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if row[0] == name]
    rules = [(re.compile(fnmatch.translate(pattern)), language, licence) for _, pattern, language, licence in rows]
    found = {}
    for path in paths:
        language = licence = ""
        for pattern, its_language, its_licence in rules:
            if pattern.match(path):
                language, licence = its_language or language, its_licence or licence
        found[path] = (language, licence)
    return found


def sides(expression: str) -> tuple[str, ...]:
    return tuple(sorted(expression.split(" OR ")))


def judge(name: str, archive: Path) -> dict[str, float]:
    started = time.process_time()
    documents = list(read_code(archive, archive.name, max_text_bytes=128_000_000, licences=("any",)))
    seconds = time.process_time() - started
    read = {d.meta["path"].partition("/")[2]: d.meta for d in documents if isinstance(d, Document)}
    right: dict[str, list[bool]] = defaultdict(list)
    for path, (language, licence) in truth_of(name, list(read)).items():
        meta = read[path]
        told = meta.get("language", "-")
        right["language"].append(told == language)
        if language != "-":
            right["licence"].append(sides(meta.get("licence", "-")) == sides(licence))
        if told != language or (language != "-" and not right["licence"][-1]):
            print(f"{name}/{path}: {told}, {meta.get('licence', '-')}; truth: {language}, {licence}")
    shares = {f"{kind}": round(sum(found) / len(found), 4) for kind, found in right.items()}
    failures = len(documents) - len(read)
    return {"files": len(read), "failures": failures, **shares, "ms_per_file": round(1000 * seconds / len(read), 3)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=planted.CACHE / "code", help="of the packages")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: judge(name, archive) for name, archive in archives(folder)}
    files = sum(of["files"] for of in found.values())
    shares = {
        kind: round(sum(of[kind] * of["files"] for of in found.values()) / files, 4) for kind in ("language", "licence")
    }
    told = {"files": files, **shares, "packages": found, "cores": 1, "versions": {"gristmill": version("gristmill")}}
    print(json.dumps(told))
    return int(any(of[kind] < LEAST for of in found.values() for kind in ("language", "licence")))


if __name__ == "__main__":
    sys.exit(main())
