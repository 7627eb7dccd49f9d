"""What only the first run pays, paid beforehand: kernels are compiled, and Spark's classes are archived.

A small run over texts made up here, through the stages that every run has, loads and compiles what runs use.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from jobs.whole import run_stages
from pipelines import class_archive, session
from pipelines.errors import GristmillError
from shards import read
from shards.verify import verify

SENTENCE = "the mill grinds what the field gives and nothing of the grain is lost on its way to the bread"


def warm_up() -> Path:
    """Compile the kernels and write the class archive.

    Returns the archive's path. Raises GristmillError where Java wrote none.
    """
    archive = class_archive.path()
    archive.parent.mkdir(parents=True, exist_ok=True)
    # Written beside its place and moved there whole: a JVM that maps half an archive dies.
    made = archive.with_suffix(f".{os.getpid()}.part")
    with tempfile.TemporaryDirectory() as folder, _working_directory(Path(folder)):
        Path("config.yaml").write_text(yaml.safe_dump(_config(Path(folder), made)), encoding="utf-8")
        run_stages(Path("config.yaml"), "out", until="pack")
        _read(Path("out") / "shards")
    if not made.is_file():
        raise GristmillError("Java wrote no class archive: it needs a Java 17 or newer with class data sharing")
    made.replace(archive)
    return archive


def _read(shards: Path) -> None:
    """What verifies and reads shards."""
    verify(shards)
    train = read.open(shards).split("train")
    train.rows(train.order(seed=0).at([0])[1])


def _config(folder: Path, archive: Path) -> dict[str, object]:
    """A config of default families and rules, over documents some of which are near duplicates."""
    words = SENTENCE.split()
    texts = [" ".join(words[(i + k * (1 + i % 3)) % len(words)] for k in range(200 + i % 7)) + "." for i in range(64)]
    lines = [json.dumps({"text": text}) for text in texts]
    (folder / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = f"{session.JAVA} {session.log_settings()} {class_archive.make(archive)}"
    return {
        "name": "warm-up",
        "sources": [{"name": "made-up", "format": "jsonl", "paths": [str(folder / "texts.jsonl")]}],
        "rules": {"sets": {"text": []}},
        "language": {"keep": []},
        "split": {"validation": 0, "test": 0},
        "tokenizer": {"vocab_size": 400},
        "pack": {"context": 64},
        "spark": {"master": "local[2]", "conf": {"spark.driver.extraJavaOptions": options}},
    }


@contextmanager
def _working_directory(folder: Path) -> Iterator[None]:
    """In `folder` for a while: Spark may leave a warehouse where it works."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
