"""A decoder's shape and its number of parameters: how many it has, and which shape has a given number."""

from __future__ import annotations

import math
from typing import NamedTuple

from pretrain.config import ModelConfig

WIDE = 2048  # from this width on, matrices are multiples of 128 and key heads are shared
WIDEST = 32_768
UNTIED = (
    4e9  # parameters from which on the output matrix is worth being one of its own (Llama 3: tied to 3B, not at 8B)
)


class Parameters(NamedTuple):
    """Trainable numbers: `embedding` are those of the embedding and, where it is not the same, the output matrix."""

    layer: int  # of one block
    non_embedding: int
    embedding: int

    @property
    def all(self) -> int:
        """All of them, each once."""
        return self.non_embedding + self.embedding


def count_parameters(config: ModelConfig, vocabulary: int) -> Parameters:
    """Of `pretrain.model.Decoder(config, vocabulary)`, without building it.

    A block has 2 H^2 (query, output) + 2 H^2 kv_heads/heads (key, value) + 3 H I (SwiGLU) + 2 H (norms), with
    `qk_norm` 2 H/heads more.
    """
    hidden = config.hidden
    norms = 2 * hidden + (2 * (hidden // config.heads) if config.qk_norm else 0)
    attention = 2 * hidden**2 + 2 * hidden * (hidden // config.heads) * config.kv_heads
    layer = attention + 3 * hidden * config.intermediate + norms
    embedding = vocabulary * hidden * (1 if config.tied_embeddings else 2)
    return Parameters(layer, config.layers * layer + hidden, embedding)


def attention_flops(config: ModelConfig, context: int) -> float:
    """FLOPs per token of a training step that 6 N leaves out: 6 layers H L, scores and values of causal attention.

    PaLM (Chowdhery et al. 2022, appendix B) has 12, for queries that see the whole row; a causal one sees half of it
    on average.
    """
    return 6.0 * config.layers * config.hidden * context


def match_shape(parameters: float, vocabulary: int) -> ModelConfig:
    """The shape whose number of parameters, embeddings included, is nearest to `parameters` at a usual proportion.

    Widths are multiples of 64, from 1024 on of 128, from 2048 on of 512; heads have 64, then 128 dimensions; SwiGLU is
    8/3 as wide as the model. A tenth off the usual width per layer weighs as much as 1% off the number of parameters:
    loss hardly depends on the proportion (Kaplan et al. 2020, section 3.1).
    """
    widths = [*range(64, 1024, 64), *range(1024, WIDE, 128), *range(WIDE, WIDEST + 1, 512)]
    shapes = (_shape(hidden, parameters, vocabulary) for hidden in widths)

    def distance(shape: ModelConfig) -> float:
        found = count_parameters(shape, vocabulary).all
        proportion = shape.hidden / shape.layers / usual_proportion(shape.hidden)
        return 10 * abs(math.log(found / parameters)) + abs(math.log(proportion))

    return min(shapes, key=distance)


def usual_proportion(hidden: int) -> float:
    """Width per layer: 64 as GPT-2 small has it, rising from a width of 2048 to the 128 of Llama 7B and 13B."""
    return min(128.0, max(64.0, hidden / 32))


def _shape(hidden: int, parameters: float, vocabulary: int) -> ModelConfig:
    """The shape of this width with as many layers as `parameters` allow, at least one."""
    wide = hidden >= WIDE
    heads = hidden // (128 if wide else 64)
    multiple = 128 if wide else 64
    shape = ModelConfig(
        layers=1,
        hidden=hidden,
        heads=heads,
        kv_heads=heads // 4 if wide else heads,
        intermediate=round(hidden * 8 / 3 / multiple) * multiple,
        tied_embeddings=parameters < UNTIED,
    )
    one = count_parameters(shape, vocabulary)
    layers = round((parameters - one.all + one.layer) / one.layer)
    return shape.model_copy(update={"layers": max(1, layers)})
