from pathlib import Path

import pytest
from hypothesis import settings
from shard_cases import make_set

settings.register_profile("compiling", deadline=None)  # the first call of a kernel compiles it
settings.load_profile("compiling")


@pytest.fixture
def shard_set(tmp_path: Path) -> Path:
    make_set(tmp_path / "shards")
    return tmp_path / "shards"
