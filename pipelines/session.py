"""The Spark session: one way to start it, for the command line, for spark-submit and for tests."""

from __future__ import annotations

import os
import sys
from importlib.resources import files

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from pipelines import allocator, class_archive
from pipelines.config import Spark
from pipelines.errors import GristmillError

SUBMITTED = "PYSPARK_GATEWAY_PORT" in os.environ  # started by spark-submit, which also brought up the JVM

DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),  # a bar on a terminal only
    # Reused Python workers keep their imports and models from one task to the next.
    "spark.python.worker.reuse": "true",
    # Arrow batches are bounded in bytes, since documents differ in size by a factor of a million.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "2000",
    "spark.sql.execution.arrow.maxBytesPerBatch": "16000000",
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.session.timeZone": "UTC",
    # A Parquet file per task: small files are not merged beyond what keeps all cores busy.
    "spark.sql.files.maxPartitionBytes": "32000000",
    "spark.sql.files.openCostInBytes": "65536",
    # The driver has just listed the files that it reads: a Spark job that looks at them once more takes longer.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "10000",
}

# What is hot in our jobs runs in Python's native code; compiling Spark's own code twice costs more than it gives back.
# A single tier would also shrink the code cache to 48 MB, and a long session would end up interpreted.
JAVA = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseParallelGC"


def start(settings: Spark, master: str | None = None) -> SparkSession:
    """Start Spark, or take the session that spark-submit has started.

    Raises GristmillError where no Java is found.
    """
    # Workers must run this very Python; unset, they would take whichever `python3` comes first on the path.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    # Nor must a file that happens to lie in the working directory, such as html.py, take a module's place in a worker.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    builder = SparkSession.builder.appName("gristmill")
    given = dict(SparkConf().getAll()) if SUBMITTED else {}
    if master or not SUBMITTED:
        builder = builder.master(master or settings.master)
    preloaded = allocator.settings(master or given.get("spark.master", settings.master))
    if not SUBMITTED:
        builder = builder.config("spark.driver.memory", settings.memory)
        options = f"{JAVA} {log_settings()} {class_archive.use()}"
        builder = builder.config("spark.driver.extraJavaOptions", options)
    for key, value in {**DEFAULTS, **preloaded, **given, **settings.conf}.items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except Exception as error:
        if "JAVA_GATEWAY_EXITED" in str(error) or "Java gateway" in str(error):
            raise GristmillError(
                "Spark did not start: it needs Java 17 or newer (JAVA_HOME or `java` on the path)"
            ) from error
        raise
    session.sparkContext.setLogLevel("ERROR")
    return session


def log_settings() -> str:
    """The JVM's option that names our settings of Spark's log."""
    return f"-Dlog4j2.configurationFile=file:{files('pipelines').joinpath('log4j2.properties')}"


def stop(session: SparkSession) -> None:
    """Stop a session and the JVM behind it, which `session.stop()` alone would leave in memory."""
    session.stop()
    gateway = SparkContext._gateway
    if gateway is not None and not SUBMITTED:
        process = gateway.proc
        gateway.shutdown()
        SparkContext._gateway = SparkContext._jvm = None
        process.stdin.close()  # the JVM ends when its standard input does
        process.wait(timeout=600)  # it may have a class archive to write
