"""Runs that are killed at random moments: CONFIG (JSON) CORPUS OUTPUT KILLS SEED. Prints the finished runs' folders.

A process of its own, which has imported everything and computed nothing: its children begin at once.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from pretrain.config import PretrainConfig
from pretrain.train import run


def child(config: PretrainConfig, corpus: Path, output: Path) -> int:
    """Start or go on with the run of `output` in another process; its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        run(config, corpus / "shards", corpus / "tokenizer", output)
        status = 0
    finally:
        os._exit(status)


def ended(pid: int) -> int:
    """Wait for a child; its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(told: str, corpus: str, output: str, kills: str, seed: str) -> None:
    config, draw = PretrainConfig.model_validate_json(told), random.Random(int(seed))
    folders = [Path(output) / "uninterrupted"]
    started = time.monotonic()
    assert ended(child(config, Path(corpus), folders[0])) == 0
    length = time.monotonic() - started
    killed = 0
    while killed < int(kills):
        # A run that ends before it is killed counts as finished, and another one begins.
        folders.append(Path(output) / f"killed-{len(folders)}")
        status = -signal.SIGKILL
        while status == -signal.SIGKILL and killed < int(kills):
            pid = child(config, Path(corpus), folders[-1])
            time.sleep(draw.uniform(0, 0.7 * length))
            os.kill(pid, signal.SIGKILL)
            status = ended(pid)
            killed += status == -signal.SIGKILL
        if status == -signal.SIGKILL:
            status = ended(child(config, Path(corpus), folders[-1]))
        assert status == 0, status
    print(json.dumps([str(folder) for folder in folders]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
