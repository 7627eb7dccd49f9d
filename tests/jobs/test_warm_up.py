"""`gristmill warm-up` leaves an archive that Java takes, and a session asks for it from then on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import class_archive


def test_no_archive_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert class_archive.use() == ""


def test_the_name_tells_java_and_spark_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = class_archive.path()
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    assert class_archive.path() != here
    assert class_archive.path().parent == tmp_path / "gristmill"


@pytest.mark.spark
def test_warm_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program = Path(sys.executable).with_name("gristmill")
    made = subprocess.run([program, "warm-up"], capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert made.returncode == 0, made.stderr
    archive = class_archive.path()
    assert made.stdout.strip() == str(archive)
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]  # nothing is left where it was called
    assert f"-XX:SharedArchiveFile={archive}" in class_archive.use()
    started = subprocess.run(
        [sys.executable, "-c", LOADED],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "JAVA_TOOL_OPTIONS": f"-Xlog:class+load:file={tmp_path}/classes.txt"},
        timeout=600,
    )
    assert started.returncode == 0, started.stderr
    loaded = (tmp_path / "classes.txt").read_text().splitlines()
    spark = [line for line in loaded if " org.apache.spark." in line]
    shared = [line for line in spark if "shared objects file (top)" in line]
    assert len(shared) > 0.5 * len(spark) > 1_000  # lambdas and proxies are not archived


LOADED = """
from pipelines import session
from pipelines.config import Spark
spark = session.start(Spark(master="local[1]", memory="1g"))
assert spark.range(3).count() == 3
session.stop(spark)
"""
