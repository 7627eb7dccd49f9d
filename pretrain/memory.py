"""Memory of a training step on one device, in bytes, for each way to spread the run.

What autograd keeps is counted in the manner of Korthikanti et al. 2022 (arXiv 2205.05198, section 4.1), for this
decoder: SwiGLU, no dropout, attention that keeps no scores, a residual stream in float32. It is the eager figure;
torch.compile needs less. Allocators waste some, so a tenth of the device is left free.
"""

from __future__ import annotations

from dataclasses import dataclass

from pretrain.config import ModelConfig
from pretrain.shape import count_parameters

USABLE = 0.9  # of a device's memory


@dataclass(frozen=True)
class Recipe:
    """Bytes per parameter that Adam's training keeps through a step."""

    name: str
    source: str
    weights: int
    gradients: int
    master: int  # float32 copy of half-precision weights
    moments: int = 8  # two in float32

    @property
    def bytes(self) -> int:
        """All of them."""
        return self.weights + self.gradients + self.master + self.moments


AUTOCAST = Recipe("float32 weights and gradients, bfloat16 by autocast", "pretrain.train", 4, 4, 0)
RECIPES = (
    AUTOCAST,
    Recipe("half-precision weights and gradients, float32 master weights", "ZeRO, arXiv 1910.02054", 2, 2, 4),
    Recipe("half-precision weights, float32 gradients and master weights", "Megatron-LM", 2, 4, 4),
    Recipe("half-precision weights, gradients in both, master weights", "MT-NLG, arXiv 2201.11990", 2, 6, 4),
)


def state_memory(parameters: float, recipe: Recipe = AUTOCAST) -> float:
    """Bytes of weights, gradients and Adam's moments: 16, 18 or 20 for each parameter, by recipe."""
    return parameters * recipe.bytes


@dataclass(frozen=True)
class Layout:
    """How a run is spread: `kind` is "one process", "ddp" (a replica each) or "fsdp2" (everything sharded)."""

    kind: str
    devices: int
    checkpointing: bool

    @property
    def shards(self) -> int:
        """Into how many parts weights, gradients and moments are cut."""
        return self.devices if self.kind == "fsdp2" else 1


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes on one device at the peak of a step."""

    state: float  # weights, gradients, moments
    working: float  # bfloat16 copies of weights; under FSDP2 of gathered blocks, with their gradients
    activations: float
    logits: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.state + self.working + self.activations + self.logits


def activation_bytes(config: ModelConfig) -> float:
    """Kept for the backward pass by one block, per token.

    Inputs of both norms in float32 (8 H); bfloat16 inputs of query, key and value, of gate and up, a copy each (10 H);
    query, the mix of values (4 H), key and value (4 H kv_heads/heads); gate, its SiLU, up, their product (8 I).
    """
    return (22.0 + 4.0 * config.kv_heads / config.heads) * config.hidden + 8.0 * config.intermediate


def logit_bytes(vocabulary: int) -> float:
    """Kept at the head, per token: logits in bfloat16 and float32, log-probabilities and their gradient in float32."""
    return 14.0 * vocabulary


def device_memory(config: ModelConfig, vocabulary: int, context: int, micro_batch: int, layout: Layout) -> DeviceMemory:
    """Of a step on `micro_batch` rows of `context` tokens.

    FSDP2 gathers a block while the one before computes (bfloat16), keeps what is outside the blocks gathered, and
    holds the gradients of one block in bfloat16 and float32 until they are reduced. With checkpointing only a block's
    input is kept (float32), and one block's activations at a time.
    """
    count = count_parameters(config, vocabulary)
    outside = count.all - config.layers * count.layer
    working = 2.0 * count.all
    if layout.shards > 1:
        working = min(working, 2.0 * (2 * count.layer + outside)) + 6.0 * max(count.layer, outside)
    tokens = context * micro_batch
    block = activation_bytes(config)
    kept = config.layers * 4.0 * config.hidden + block if layout.checkpointing else config.layers * block
    return DeviceMemory(
        state=state_memory(count.all) / layout.shards,
        working=working,
        activations=tokens * kept,
        logits=tokens * logit_bytes(vocabulary),
    )


def layouts(devices: int) -> list[Layout]:
    """One process, replicas, and FSDP2 over 2, 4, 8 ... devices up to all; each with checkpointing or not.

    Where there is one device only, the others are shown for eight.
    """
    many = devices if devices > 1 else 8
    degrees = sorted({*(2**k for k in range(1, 20) if 2**k <= many), many})
    kinds = [("one process", 1), ("ddp", many), *(("fsdp2", degree) for degree in degrees)]
    return [Layout(kind, n, checkpointing) for kind, n in kinds for checkpointing in (False, True)]
