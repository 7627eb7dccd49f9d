import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    path = Path(os.environ.get("GRISTMILL_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not path.is_dir():
        pytest.skip("real data not found: set GRISTMILL_DATA to its directory")
    return path
