"""Reading and extraction on one core and on two: pages a second from one large archive, and from many small ones.

The archives hold the real pages under `$GRISTMILL_DATA`/web, several times over. Each figure is the slope between two
sizes, which leaves out what a run costs once (Spark's start, imports). There is no peer here: `ratio` is the lower of
the two speed-ups from one core to two. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml
from peers.process import measured

from pipelines.ingest.web.warc_records import Archive, WarcRecord

DATA = Path(os.environ.get("GRISTMILL_DATA", Path(__file__).parents[2] / "shared" / "data"))


def records() -> Iterator[bytes]:
    """All records of the pages, each as a gzip member."""
    for path in sorted((DATA / "web").glob("pages-*.warc.gz")):
        with Archive(path, 1 << 30) as archive:
            for record in archive:
                if isinstance(record, WarcRecord) and record.block is not None:
                    lines = "".join(f"{key}: {value}\r\n" for key, value in record.headers.items())
                    head = f"WARC/1.1\r\n{lines}\r\n".encode()
                    yield gzip.compress(head + record.block + b"\r\n\r\n", 1, mtime=0)


def write(folder: Path, members: list[bytes], copies: int, files: int) -> int:
    """`copies` of all members in `files` archives; pages."""
    folder.mkdir(parents=True)
    everything = members * copies
    for i in range(files):
        (folder / f"{i:04}.warc.gz").write_bytes(b"".join(everything[i::files]))
    return len(everything)


def ingest(folder: Path, work: Path, cores: int) -> float:
    """Seconds that the whole command takes to read `folder`."""
    source = {"name": "web", "format": "warc", "paths": [str(folder)]}
    page = {"name": "scaling", "sources": [source], "spark": {"master": f"local[{cores}]"}}
    work.mkdir()
    (work / "config.yaml").write_text(yaml.safe_dump(page))
    program = Path(sys.executable).parent / "gristmill"
    command = [program, "run", work / "config.yaml", "--output", work / "output", "--until", "ingest"]
    return measured(command, work / "log", cores).seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, nargs=2, default=(2, 10), help="of the pages, in the two sizes")
    given = parser.parse_args()
    members = list(records())
    speeds: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, each in (("one_large", 0), ("many_small", 60)):
            counts = []
            for copies in given.copies:
                files = max(1, len(members) * copies // each) if each else 1
                counts.append(write(folder / f"{kind}-{copies}", members, copies, files))
            ingest(folder / f"{kind}-{given.copies[0]}", folder / f"{kind}-warm", 2)
            speeds[kind] = {}
            for cores in (1, 2):
                small, large = (
                    ingest(folder / f"{kind}-{copies}", folder / f"{kind}-{copies}-{cores}", cores)
                    for copies in given.copies
                )
                speeds[kind][f"{cores}_cores"] = (counts[1] - counts[0]) / (large - small)
                print(f"{kind:12}{cores} cores {small:8.1f} s {large:8.1f} s", flush=True)
    gains = {kind: row["2_cores"] / row["1_cores"] for kind, row in speeds.items()}
    rounded = {kind: {cores: round(speed, 1) for cores, speed in row.items()} for kind, row in speeds.items()}
    facts = {"pages_per_second": rounded, "gain": {k: round(v, 2) for k, v in gains.items()}}
    print(json.dumps({**facts, "ratio": round(min(gains.values()), 2), "cores": 2}))


if __name__ == "__main__":
    main()
