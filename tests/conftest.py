"""What all tests share: one Spark session, the real data where they are, and Hypothesis without deadlines."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from real_data import DATA, MISSING

# Kernels compile at their first call, so an example's time says nothing. Where CI is set the examples are always the
# same: what new ones find is for a person at a terminal, no reason to refuse a change that has nothing to do with it.
settings.register_profile(
    "gristmill", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("gristmill")


@pytest.fixture(scope="session")
def data() -> Path:
    """The real data; a machine that lacks them skips the test."""
    if not DATA.is_dir():
        pytest.skip(MISSING)
    return DATA


@pytest.fixture(scope="session")
def spark() -> Iterator[object]:
    """One Spark session for all tests that can share it."""
    from pipelines import session
    from pipelines.config import Spark

    started = session.start(Spark(master="local[2]", memory="2g", conf={"spark.sql.shuffle.partitions": "3"}))
    yield started
    started.stop()
