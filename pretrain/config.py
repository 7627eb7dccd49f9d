"""What a training run is told: one frozen model per concern, every field with its unit and its reason."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    """Unknown keys are errors, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(Frozen):
    """Shape of the decoder. Vocabulary size and context length are facts of the shards, not choices made here."""

    layers: int = Field(default=4, ge=1, description="Transformer blocks.")
    hidden: int = Field(default=128, ge=8, description="Width of the residual stream; a multiple of `heads`.")
    heads: int = Field(default=4, ge=1, description="Query heads of every layer.")
    kv_heads: int = Field(
        default=2, ge=1, description="Key and value heads; divides `heads` (equal to it: no grouping)."
    )
    intermediate: int = Field(
        default=384, ge=8, description="Width of the SwiGLU block; about 8/3 of `hidden` is customary."
    )
    rope_theta: float = Field(default=10_000.0, gt=0, description="Base of the rotary frequencies (RoFormer: 10,000).")
    tied_embeddings: bool = Field(default=True, description="Use the embedding matrix as output matrix: saves it once.")
    norm_eps: float = Field(default=1e-5, gt=0, description="Added to the mean square in RMSNorm.")

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise ValueError(f"hidden ({self.hidden}) must be an even multiple of heads ({self.heads})")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        return self


Decay = Annotated[float, Field(ge=0, lt=1)]


class OptimizerConfig(Frozen):
    """AdamW with decoupled weight decay (Loshchilov and Hutter 2019)."""

    lr: float = Field(default=4e-3, gt=0, description="Peak learning rate.")
    betas: tuple[Decay, Decay] = Field(
        default=(0.9, 0.95), description="Decay of the first and second moments, per step."
    )
    eps: float = Field(default=1e-8, gt=0, description="Added to the root of the second moment.")
    weight_decay: float = Field(
        default=0.1, ge=0, description="Decay of matrices, times the learning rate; norms get none."
    )
    clip: float = Field(
        default=1.0, gt=0, description="Largest L2 norm of the whole gradient; a larger one is scaled down."
    )


class ScheduleConfig(Frozen):
    """How the learning rate moves over the run; formulas in `pretrain.optimizer`."""

    kind: Literal["cosine", "wsd"] = Field(default="cosine", description="Shape after the warm-up.")
    warmup: int = Field(default=40, ge=0, description="Steps of linear rise to the peak.")
    decay: float = Field(
        default=0.2, ge=0, le=1, description="Last part of the run that decays (wsd only), as a fraction."
    )
    final: float = Field(default=0.1, ge=0, le=1, description="Learning rate at the end, as a fraction of the peak.")


class EvaluationConfig(Frozen):
    """Measuring on the validation split."""

    every: int = Field(
        default=200, ge=1, description="Steps between two evaluations; the end of the run has one anyhow."
    )
    rows: int = Field(default=256, ge=1, description="At most this many rows, evenly spaced over the split.")


class CheckpointConfig(Frozen):
    """Saving the run."""

    every: int = Field(
        default=200, ge=1, description="Steps between two checkpoints; the end of the run has one anyhow."
    )
    keep: int = Field(
        default=2, ge=1, description="Checkpoints kept; older ones are deleted after a new one is complete."
    )


class SampleConfig(Frozen):
    """Texts written by the trained model at the end of the run."""

    prompts: tuple[str, ...] = Field(
        default=("", "The ", "It was a", "In the year"), description="Beginnings; an empty one starts a new document."
    )
    tokens: int = Field(default=64, ge=1, description="At most this many tokens after each prompt.")
    temperature: float = Field(default=0.8, ge=0, description="Divides the logits; 0 takes the likeliest token.")
    top_k: int = Field(default=50, ge=1, description="Choose among this many likeliest tokens.")


class PretrainConfig(Frozen):
    """One training run on one set of shards."""

    name: str = Field(
        default="small", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Directory of the run: runs/NAME."
    )
    model: ModelConfig = Field(default=ModelConfig(), description="Shape of the decoder.")
    batch_tokens: int = Field(default=1024, ge=1, description="Tokens per optimizer step, rounded down to whole rows.")
    micro_batch: int = Field(default=4, ge=1, description="Rows in one forward pass; a larger batch is accumulated.")
    steps: int | None = Field(default=None, ge=1, description="Length of the run in optimizer steps.")
    tokens: int | None = Field(
        default=None, ge=1, description="Length of the run in tokens, rounded up to whole steps."
    )
    epochs: float | None = Field(default=None, gt=0, description="Length of the run in passes over the train split.")
    optimizer: OptimizerConfig = Field(default=OptimizerConfig(), description="AdamW.")
    schedule: ScheduleConfig = Field(default=ScheduleConfig(), description="Learning rate over the run.")
    evaluation: EvaluationConfig = Field(default=EvaluationConfig(), description="Validation.")
    checkpoint: CheckpointConfig = Field(default=CheckpointConfig(), description="Saving.")
    sample: SampleConfig = Field(default=SampleConfig(), description="Texts at the end.")
    seed: int = Field(
        default=1, ge=0, lt=2**63, description="Of the initial weights, the order of rows and the samples."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto: CUDA where there is one, else CPU."
    )
    compile: bool = Field(
        default=False, description="torch.compile the model: a minute at the start, faster steps after."
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        given = [name for name in ("steps", "tokens", "epochs") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"the run's length is given more than once: {', '.join(given)}; keep one of them")
        return self

    def batch_rows(self, context: int) -> int:
        """Rows of `context` tokens in one optimizer step, at least one."""
        return max(1, self.batch_tokens // context)

    def total_steps(self, train_rows: int, context: int) -> int:
        """Optimizer steps of the run over `train_rows` rows of `context` tokens; one epoch if no length is given."""
        if self.steps is not None:
            return self.steps
        batch_rows = self.batch_rows(context)
        if self.tokens is not None:
            return math.ceil(self.tokens / (batch_rows * context))
        return max(1, math.ceil((self.epochs or 1.0) * train_rows / batch_rows))

    def trajectory(self) -> dict[str, object]:
        """The part of the config, but for its length, that decides which numbers training computes; JSON-ready.

        A run may be resumed when the rest has changed: how often it is measured, saved and sampled, and on what
        device. `micro_batch` and `compile` change rounding only.
        """
        length = {"steps", "tokens", "epochs"}
        rest = {"name", "micro_batch", "evaluation", "checkpoint", "sample", "device", "compile"}
        return self.model_dump(mode="json", exclude=length | rest)
