"""The clean job, archives to corpus: pages a second as the slope between 1,511 real pages and eight times as many.

The same archives lie eight times under other names, so seven of eight documents of the larger run are exact copies
of others: reading, extraction and annotation see eight times the work, the corpus grows little. There is no
peer here, so no `ratio`. The last line is a JSON object.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import yaml

DATA = Path(os.environ.get("GRISTMILL_DATA", Path(__file__).parents[2] / "shared" / "data"))
COPIES = 8


def run(folder: Path, name: str, copies: int) -> tuple[float, dict[str, float], int]:
    """Seconds of the whole command, seconds by stage, and documents."""
    web = folder / name / "web"
    web.mkdir(parents=True)
    for archive in sorted((DATA / "web").glob("pages-*.warc.gz")):
        for copy in range(copies):
            shutil.copy(archive, web / f"copy-{copy}-{archive.name}")
    config = folder / name / "config.yaml"
    source = {"name": "web", "format": "warc", "paths": [f"{web}/*.warc.gz"]}
    config.write_text(yaml.safe_dump({"name": "clean", "sources": [source]}))
    output = folder / name / "output"
    started = time.perf_counter()
    command = [Path(sys.executable).parent / "gristmill", "run", config, "--output", output, "--until", "corpus"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    stages = json.loads((output / "stages.json").read_text())["stages"]
    documents = sum(row["documents_in"] for row in stages["judge"]["facts"]["funnel"].values())
    return seconds, {stage: entry["seconds"] for stage, entry in stages.items()}, documents


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), "warm", 1)  # kernels compile once, files come into the page cache
        small_seconds, small_stages, small = run(Path(folder), "small", 1)
        large_seconds, large_stages, large = run(Path(folder), "large", COPIES)
    slope = (large_seconds - small_seconds) / (large - small)
    for stage in large_stages:
        print(f"{stage:10} {small_stages[stage]:6.1f} s {large_stages[stage]:6.1f} s")
    facts = {
        "pages": [small, large],
        "seconds": [round(small_seconds, 1), round(large_seconds, 1)],
        "pages_per_second": round(1 / slope, 1),
        "fixed_seconds": round(small_seconds - slope * small, 1),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("pyspark", "FastWARC", "Resiliparse")},
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
