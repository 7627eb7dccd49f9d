"""Runs that are there: the model of the latest checkpoint, together with the shards and tokenizer it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pretrain import checkpoint
from pretrain.checkpoint import State
from pretrain.config import SampleConfig
from pretrain.data import spread_rows
from pretrain.device import choose_device
from pretrain.evaluate import evaluate, model_nats, unigram_bits_per_byte
from pretrain.inputs import Inputs, open_inputs
from pretrain.labels import documents_in, read_labels, score_by_label
from pretrain.model import Decoder
from pretrain.parallel import World
from pretrain.sample import write_samples


@dataclass(frozen=True)
class SavedRun:
    """A model to measure; training need not have reached its end."""

    path: Path
    state: State
    inputs: Inputs
    model: Decoder
    device: torch.device

    def evaluate(self, rows: int | None = None) -> dict[str, Any]:
        """Validation scores, with `step` and `unigram_bits_per_byte`, on at most `rows` rows (None: as the config)."""
        config = self.state.config
        if rows is not None:
            config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"rows": rows})})
        scores = evaluate(self.model, self.inputs, config, World(self.device))
        baseline = unigram_bits_per_byte(self.inputs, config)
        return {"step": self.state.step, **scores, "unigram_bits_per_byte": baseline}

    def evaluate_by(self, by: str, rows: int | None = None) -> dict[str, dict[str, Any]]:
        """Validation scores by a label of the documents, see `pretrain.labels`, which raises; {} without such rows."""
        split, config = self.inputs.validation, self.state.config
        if split is None:
            return {}
        chosen = spread_rows(split, config.evaluation.rows if rows is None else rows)
        labels = read_labels(self.path.parent.parent, by, documents_in(split, chosen))
        nats = model_nats(self.model, self.device)
        return score_by_label(nats, split, chosen, self.inputs.token_bytes, config.micro_batch, labels)

    def sample(self, changes: dict[str, Any], seed: int | None = None) -> list[dict[str, str]]:
        """Texts under the run's sampling config with `changes`. Raises ValidationError for a wrong field."""
        asked = SampleConfig.model_validate({**self.state.config.sample.model_dump(), **changes})
        seed = self.state.config.seed if seed is None else seed
        return write_samples(self.model, self.inputs.encoder, self.inputs.header, asked, seed)


def open_run(directory: Path, name: str | None = None) -> SavedRun:
    """Open `directory`/runs/NAME with `directory`/shards and `directory`/tokenizer; `name` None: the only run.

    Raises FileNotFoundError where there is no such run or no checkpoint, ValueError where a name is needed,
    MismatchError where the shards or the tokenizer have changed, CheckpointError where a file is damaged.
    """
    if not directory.is_dir():
        raise FileNotFoundError(f"there is no directory {directory}")
    runs = sorted(path.name for path in (directory / "runs").glob("*") if (path / "checkpoints").is_dir())
    if name is None and len(runs) > 1:
        raise ValueError(f"--run: there are {', '.join(runs)}; name one")
    if not runs or (name is not None and name not in runs):
        raise FileNotFoundError(
            f"no run {f'{name} ' if name else ''}in {directory / 'runs'}; there are: {', '.join(runs) or 'none'}"
        )
    path = directory / "runs" / (name or runs[0])
    newest = checkpoint.latest(path / "checkpoints")
    if newest is None:
        raise FileNotFoundError(f"{path} has no checkpoint yet")
    state = checkpoint.read_state(newest)
    inputs = open_inputs(directory / "shards", directory / "tokenizer")
    state.origin.refuse(inputs.origin(state.config), str(path))
    device = choose_device("auto")
    model = Decoder(state.config.model, inputs.header.vocabulary_size).to(device)
    checkpoint.load(newest, model)
    return SavedRun(path, state, inputs, model, device)
