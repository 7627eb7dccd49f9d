"""What the Spark jobs have in common: arguments, exit status, and the stages that they run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from jobs.whole import run_stages
from pipelines.errors import GristmillError
from pipelines.run import Step


def main(steps: dict[str, Step], description: str | None) -> None:
    """Run the steps under the session that spark-submit has started."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", type=Path, required=True, help="the run's YAML page")
    parser.add_argument("--output", help="directory of the run; by default the config's")
    arguments = parser.parse_args()
    try:
        print(json.dumps(run_stages(arguments.config, arguments.output, steps=steps)))
    except GristmillError as error:
        print(f"gristmill: {error}", file=sys.stderr)
        sys.exit(error.status)
