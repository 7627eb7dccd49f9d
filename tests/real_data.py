"""Where the real data are: $GRISTMILL_DATA, by default shared/data beside the repository."""

import os
from pathlib import Path

DATA = Path(os.environ.get("GRISTMILL_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()
MISSING = f"the real data are not in {DATA}: set GRISTMILL_DATA"
