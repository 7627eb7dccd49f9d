"""What all tests share: one Spark session, the real data where they are, and Hypothesis without deadlines."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Kernels compile at their first call, so an example's time says nothing.
settings.register_profile("gristmill", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gristmill")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The real data; a machine that lacks them skips the test."""
    folder = Path(os.environ.get("GRISTMILL_DATA", ROOT / ".." / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip("the real data are not here: set GRISTMILL_DATA")
    return folder


@pytest.fixture(scope="session")
def spark() -> Iterator[object]:
    """One Spark session for all tests that can share it."""
    from pipelines import session
    from pipelines.config import Spark

    started = session.start(Spark(master="local[2]", memory="2g", conf={"spark.sql.shuffle.partitions": "3"}))
    yield started
    started.stop()
