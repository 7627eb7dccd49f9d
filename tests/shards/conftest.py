from pathlib import Path

import pytest
from shard_cases import make_set


@pytest.fixture
def shard_set(tmp_path: Path) -> Path:
    make_set(tmp_path / "shards")
    return tmp_path / "shards"
