"""Spark's classes as the JVM maps them into memory (class data sharing), so that a session starts in half the time.

`gristmill warm-up` makes the archive once for a Spark and a Java (JEP 350, Dynamic CDS Archives); without one, the JVM
loads its classes from the jars, as ever. The JVM itself refuses an archive of another Java or another class path.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyspark
import xxhash

QUIET = "-Xlog:cds=off,cds+dynamic=off"  # a class that cannot be archived, or an archive that does not fit, is no news


def path() -> Path:
    """Where the archive of this Spark and this Java lies, or would lie."""
    home = os.environ.get("JAVA_HOME")
    java = Path(shutil.which(f"{home}/bin/java" if home else "java") or "java").resolve()
    changed = java.stat().st_mtime_ns if java.exists() else 0
    made_of = f"{java} {changed} {os.environ.get('SPARK_HOME', pyspark.__path__[0])}".encode()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "gristmill" / f"spark-{pyspark.__version__}-{xxhash.xxh3_64_hexdigest(made_of)}.jsa"


def use() -> str:
    """The JVM's options that map the archive, none where there is none."""
    archive = path()
    return f"-XX:SharedArchiveFile={archive} {QUIET}" if archive.is_file() and " " not in str(archive) else ""


def make(archive: Path) -> str:
    """The JVM's options that write all classes that it has loaded to `archive` when it ends."""
    return f"-XX:ArchiveClassesAtExit={archive} {QUIET}"
