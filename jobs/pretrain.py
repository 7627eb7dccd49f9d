"""Shards to a trained model: python jobs/pretrain.py --config CONFIG --output DIR, or under torchrun in many processes.

Reads what `gristmill run` or jobs/pack.py wrote to DIR; needs no Spark.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

# A script's own folder is on the path, not the repository that holds the packages.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from jobs.config import load
from pipelines.errors import ConfigError, GristmillError
from pipelines.ledger import Ledger
from pipelines.run import output_of
from pretrain.config import PretrainConfig
from pretrain.view import live_view


def asked_for(config_path: Path, output: str | None) -> tuple[PretrainConfig, Path]:
    """The page's section `pretrain`, and the output directory. Raises ConfigError where one has no such section, the
    other no shards.
    """
    config = load(config_path)
    if config.pretrain is None:
        raise ConfigError(f"{config_path}: there is no section `pretrain`")
    directory = output_of(config, output)
    if not (directory / "shards").is_dir():
        raise ConfigError(f"there are no shards in {directory}")
    return config.pretrain, directory


def pretrain(config_path: Path, output: str | None) -> dict[str, Any]:
    """Train the config's `pretrain` section on DIR/shards and return the run's summary. Raises GristmillError.

    On a terminal the run is shown as a table, elsewhere in lines.
    """
    from jobs.whole import train

    config, directory = asked_for(config_path, output)
    if int(os.environ.get("RANK", "0")) > 0:  # the first process holds the lock for all
        return train(config, directory)
    console = Console(stderr=True)
    with Ledger(directory) as ledger, live_view(console) if console.is_terminal else nullcontext() as on_event:
        return train(config, ledger.output, on_event)


def main() -> None:
    """Run the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the run's YAML page")
    parser.add_argument("--output", help="directory of the run; by default the config's")
    arguments = parser.parse_args()
    try:
        print(json.dumps(pretrain(arguments.config, arguments.output)))
    except GristmillError as error:
        print(f"gristmill: {error}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt:  # before training began, or after
        print("gristmill: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
