"""Sources to corpus, as a Spark job: spark-submit jobs/clean.py --config CONFIG --output DIR."""

from __future__ import annotations

import sys
from pathlib import Path

# spark-submit puts this file's folder on the path, not the repository that holds the packages.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from jobs.submit import main
from pipelines import stages

if __name__ == "__main__":
    main(stages.STEPS, __doc__)
