"""The small runs that a large one is forecast from: their shapes, lengths, batches and learning rates.

Every rung is the run at a smaller scale: it has the run's own tokens per parameter, number of steps and schedule, and
its learning rate follows its size. The largest has a tenth of the run's compute, each next one half of that of the one
before.
"""

from __future__ import annotations

from typing import Any, Final

from pretrain.config import ModelConfig, PretrainConfig
from pretrain.shape import count_parameters

PARTS: Final = 10  # of a rung, after each of which it is measured
LARGEST: Final = 10**-0.5  # of the run's parameters, and of its tokens: a tenth of its compute
FALL: Final = 2**-0.5  # parameters of a rung, of those of the one before; its tokens fall alike
WIDTH: Final = 4  # widths are multiples of it
HEAD: Final = 8  # dimensions of a head, at least
BLOCKS: Final = 4  # at least, where the run has as many: rungs of a shallow run have its depth
# Exponents of the best learning rate in parameters without embeddings and in tokens (Li et al. 2025, arXiv 2503.04715,
# equation 1). The batch falls as the tokens do: a rung then takes as many steps as the run, and what any run does in
# its first ones is the same part of each. With the best batch of that paper, D^0.571, rungs of a run with too large a
# batch end before they have begun to learn.
RATE: Final = (-0.713, 0.307)
# Learning rate that no rung is raised above: at higher ones attention's logits grow (Wortsman et al. 2023, arXiv
# 2309.14322). Of benchmarks/ladder.py's smallest rungs, two at 0.017 and 0.018 differed by 3%; six seeds at 0.0115 had
# a standard deviation of 0.65%.
STABLE: Final = 1e-2


def rungs(
    config: PretrainConfig, vocabulary: int, context: int, steps: int, count: int, most: int
) -> list[PretrainConfig]:
    """`count` runs like `config`, which is one of `steps` steps; the largest first, none above `most` parameters.

    Data, seed and the schedule's shape are the run's own.
    Raises ValueError for a config whose weights or batch change on the way, and where there are too few such shapes.
    """
    if config.batch_changes or config.data.changes:
        name = "batch_changes" if config.batch_changes else "data.changes"
        raise ValueError(f"{name}: runs that change on the way cannot be forecast from shorter ones")
    whole = count_parameters(config.model, vocabulary)
    rows = max(1, config.batch_tokens // context)
    largest = min(float(most), LARGEST * whole.all)
    shapes = _shapes(config.model, vocabulary, most)
    if len(shapes) < count:
        raise ValueError(
            f"no {count} smaller models than the config's have at most {most:,} parameters with a vocabulary of "
            f"{vocabulary:,}: raise --parameters or ask for fewer rungs"
        )
    sizes, found = sorted(shapes), list[PretrainConfig]()
    for number in range(count):
        wanted = largest * FALL**number
        size = min(sizes[count - 1 - number :], key=lambda size: abs(size / wanted - 1))
        sizes = sizes[: sizes.index(size)]  # so many smaller ones are left as there are rungs to come
        scale = size / whole.all
        batch = max(1, round(rows * scale))
        each = max(1, round(steps * rows * scale / batch / PARTS))
        blocks = count_parameters(shapes[size], vocabulary).non_embedding / whole.non_embedding
        rate = max(1.0, min(blocks ** RATE[0] * scale ** RATE[1], STABLE / config.optimizer.lr))
        found.append(_rung(config, f"rung-{number}", shapes[size], rate, batch * context, each, steps))
    return found


def _rung(
    config: PretrainConfig, name: str, model: ModelConfig, rate: float, batch: int, each: int, steps: int
) -> PretrainConfig:
    """`PARTS` times `each` steps of `batch` tokens at `rate` times the learning rate."""
    warmup = round(config.schedule.warmup_of(steps) * each * PARTS / steps)
    optimizer = config.optimizer.model_dump()
    optimizer["lr"] *= rate
    if optimizer["muon"] and optimizer["muon"]["lr"]:
        optimizer["muon"]["lr"] *= rate
    changes: dict[str, Any] = {
        "name": name,
        "model": model.model_dump(),
        "batch_tokens": batch,
        "steps": each * PARTS,
        "tokens": None,
        "epochs": None,
        "optimizer": optimizer,
        "schedule": {**config.schedule.model_dump(), "warmup": warmup},
        "evaluation": {**config.evaluation.model_dump(), "every": each},
        "checkpoint": {**config.checkpoint.model_dump(), "keep": 1},
        "sample": {**config.sample.model_dump(), "prompts": ()},
    }
    return PretrainConfig.model_validate({**config.model_dump(), **changes})


def _shapes(model: ModelConfig, vocabulary: int, most: int) -> dict[int, ModelConfig]:
    """The model at smaller widths, by number of parameters up to `most`: depth and SwiGLU in proportion."""
    found = {}
    for hidden in range(HEAD, model.hidden, WIDTH):
        heads = max(1, min(model.heads, hidden // HEAD))
        while hidden % (2 * heads):
            heads -= 1
        groups = model.heads // model.kv_heads
        changes = {
            "hidden": hidden,
            "heads": heads,
            "kv_heads": heads // groups if heads % groups == 0 else heads,
            "layers": max(min(BLOCKS, model.layers), round(model.layers * hidden / model.hidden)),
            "intermediate": max(HEAD, round(model.intermediate * hidden / model.hidden)),
        }
        shape = ModelConfig.model_validate({**model.model_dump(), **changes})
        size = count_parameters(shape, vocabulary).all
        if size <= most:
            found[size] = shape
    return found
