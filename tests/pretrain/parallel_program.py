"""A training run as torchrun starts it: CONFIG (JSON) CORPUS OUTPUT [STEP after which one process is asked to stop
["bad": with rows that spoil it]].
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from bad_rows import spoiled

from pretrain.config import PretrainConfig
from pretrain.data import Loader
from pretrain.interruption import StoppedError
from pretrain.train import run


def main(config: str, corpus: str, output: str, stop: str = "0", rows: str = "") -> None:
    def on_event(event: dict) -> None:
        if event["kind"] == "train" and event["step"] == int(stop):
            os.kill(os.getpid(), signal.SIGTERM)

    if rows == "bad":
        Loader.batch = spoiled
    shards, tokenizer = Path(corpus) / "shards", Path(corpus) / "tokenizer"
    try:
        run(PretrainConfig.model_validate(json.loads(config)), shards, tokenizer, Path(output), on_event)
    except StoppedError as error:
        print(error, file=sys.stderr)
        sys.exit(error.status)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
