"""A Llama-style decoder: RMSNorm before each block, rotary positions, SwiGLU, grouped-query attention.

Parameter names and shapes are those of Hugging Face's `LlamaForCausalLM`, so a state dict of one loads into the other;
with `qk_norm` those of `Qwen3ForCausalLM`, with `sliding_window` it computes what `MistralForCausalLM` does.
B is rows, L tokens of a row, H the hidden size, D = H / heads, V the vocabulary.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pretrain.attention import attend, document_offsets
from pretrain.config import ModelConfig
from pretrain.linear import Linear

Rotary = tuple[Tensor, Tensor]


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last dimension (Zhang and Sennrich 2019)."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and dtype as `x`."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def rotary(positions: Tensor, dim: int, theta: float, dtype: torch.dtype) -> Rotary:
    """Cosines and sines [B, L, 1, D] of the angles position * theta^(-2i/D), i < D/2, both halves alike.

    RoFormer (Su et al. 2021), in the half-split layout of Llama's Hugging Face weights.
    """
    exponents = torch.arange(0, dim, 2, device=positions.device, dtype=torch.float32) / dim
    angles = positions[:, :, None, None].float() * theta**-exponents
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair (x[i], x[i + D/2]) of [B, L, heads, D] by its angle."""
    low, high = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-high, low), dim=-1) * sine


class Attention(nn.Module):
    """Grouped-query self-attention with rotary positions.

    With `qk_norm` every head's query and key are normalised before they are turned (Henry et al. 2020; Qwen3).
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.dim = config.hidden // config.heads
        self.window = config.sliding_window
        self.q_proj = Linear(config.hidden, config.heads * self.dim)
        self.k_proj = Linear(config.hidden, config.kv_heads * self.dim)
        self.v_proj = Linear(config.hidden, config.kv_heads * self.dim)
        self.o_proj = Linear(config.heads * self.dim, config.hidden)
        self.q_norm = RMSNorm(self.dim, config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(self.dim, config.norm_eps) if config.qk_norm else nn.Identity()

    def forward(self, x: Tensor, angles: Rotary, offsets: Tensor | None) -> Tensor:
        """[B, L, H] to [B, L, H]."""
        query, key, value = (
            projection(x).unflatten(-1, (-1, self.dim)) for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = rotate(self.q_norm(query), *angles), rotate(self.k_norm(key), *angles)
        return self.o_proj(attend(query, key, value, offsets, self.window).flatten(-2))


class MLP(nn.Module):
    """SwiGLU (Shazeer 2020): down(silu(gate(x)) * up(x))."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_proj = Linear(config.hidden, config.intermediate)
        self.up_proj = Linear(config.hidden, config.intermediate)
        self.down_proj = Linear(config.intermediate, config.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """[B, L, H] to [B, L, H]."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention and MLP, each normalised before and added to the residual stream."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden, config.norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden, config.norm_eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, angles: Rotary, offsets: Tensor | None) -> Tensor:
        """[B, L, H] to [B, L, H]."""
        x = x + self.self_attn(self.input_layernorm(x), angles, offsets)
        return x + self.mlp(self.post_attention_layernorm(x))


class Trunk(nn.Module):
    """Everything between token ids and the last hidden states; Hugging Face's `model.` prefix."""

    def __init__(self, config: ModelConfig, vocab: int):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab, config.hidden)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.hidden, config.norm_eps)


class Decoder(nn.Module):
    """The language model. Weights are drawn from `seed` alone, the same on every device.

    With `checkpointing` the backward pass of a block computes again what it needs, from the block's input (Chen et al.
    2016, arXiv 1604.06174): the same numbers, memory for one block at a time.
    """

    checkpointing = False

    def __init__(self, config: ModelConfig, vocab: int, seed: int = 0):
        super().__init__()
        self.config = config
        self.model = Trunk(config, vocab)
        self.lm_head = Linear(config.hidden, vocab)
        if config.tied_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight
        self._initialise(seed)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        """Normal with std sqrt(2 / (5 H)) (Nguyen and Salazar 2019: the right scale at every width; 0.02 at H = 1000).

        The matrices that write to the residual stream are divided by sqrt(2 * layers), so that its variance does not
        grow with depth (GPT-2, Radford et al. 2019). Norm weights stay 1.
        """
        generator = torch.Generator().manual_seed(seed)
        std = math.sqrt(2 / (5 * self.config.hidden))
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                scale = std / math.sqrt(2 * self.config.layers) if residual else std
                parameter.copy_(torch.empty(parameter.shape, device="cpu").normal_(0.0, scale, generator=generator))

    def compile(self, *args: object, **options: object) -> None:
        """Compile block by block: they are alike, so one compilation serves all; what the data decides stays out."""
        for layer in self.model.layers:
            layer.compile(*args, **options)

    def forward(self, tokens: Tensor, documents: Tensor | None = None, positions: Tensor | None = None) -> Tensor:
        """Logits [B, L, V] of the next token.

        `tokens` int [B, L]; `documents` int [B, L]: a run of equal numbers is a document, and a token sees only earlier
        tokens of its own (None: the whole row is one), best left on the CPU; `positions` int [B, L]: place in the
        document (None: place in the row).
        """
        if positions is None:
            positions = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
        x = self.model.embed_tokens(tokens)
        angles = rotary(positions, self.config.hidden // self.config.heads, self.config.rope_theta, x.dtype)
        offsets = None  # once for all layers
        if documents is not None:
            offsets = document_offsets(documents).to(tokens.device, non_blocking=True)
        for layer in self.model.layers:
            if self.checkpointing and torch.is_grad_enabled():
                # nothing in a block draws random numbers, so there is no state of theirs to keep
                x = checkpoint(layer, x, angles, offsets, use_reentrant=False, preserve_rng_state=False)
            else:
                x = layer(x, angles, offsets)
        return self.lm_head(self.model.norm(x))


def parameter_count(model: nn.Module) -> int:
    """Trainable numbers of the model; tied matrices count once."""
    return sum(parameter.numel() for parameter in model.parameters())
