"""What a training run is told: one frozen model per concern, every field with its unit and its reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shards.reading import Reading, reading_of


class Frozen(BaseModel):
    """Unknown keys are errors, numbers are finite, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


MOST: Final = 10**18  # tokens; more than all text there is


def _whole(value: object) -> object:
    """2e9 is text to YAML, and a number to all others."""
    if isinstance(value, str):
        with suppress(ValueError):
            number = float(value)
            return int(number) if number.is_integer() else value
    return value


Count = Annotated[int, BeforeValidator(_whole)]


class ModelConfig(Frozen):
    """Shape of the decoder. Vocabulary size and context length are facts of the shards, not choices made here."""

    layers: int = Field(default=4, ge=1, le=2**31, description="Transformer blocks.")
    hidden: int = Field(default=128, ge=8, le=2**31, description="Width of the residual stream; a multiple of `heads`.")
    heads: int = Field(default=4, ge=1, description="Query heads of every layer.")
    kv_heads: int = Field(
        default=2, ge=1, description="Key and value heads; divides `heads` (equal to it: no grouping)."
    )
    intermediate: int = Field(
        default=384, ge=8, le=2**31, description="Width of the SwiGLU block; about 8/3 of `hidden` is customary."
    )
    rope_theta: float = Field(default=10_000.0, gt=0, description="Base of the rotary frequencies (RoFormer: 10,000).")
    tied_embeddings: bool = Field(default=True, description="Use the embedding matrix as output matrix: saves it once.")
    norm_eps: float = Field(default=1e-5, gt=0, description="Added to the mean square in RMSNorm.")
    qk_norm: bool = Field(default=False, description="RMSNorm of every head's query and key; exported as Qwen3.")
    sliding_window: int | None = Field(
        default=None,
        ge=1,
        description="Tokens that a token sees, itself among them; none: its whole document. Exported as Mistral.",
    )

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise ValueError(f"hidden ({self.hidden}) must be an even multiple of heads ({self.heads})")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        return self


Decay = Annotated[float, Field(ge=0, lt=1)]


class MuonConfig(Frozen):
    """Muon (Jordan et al. 2024): the momentum of a hidden matrix, made orthogonal by five Newton-Schulz iterations."""

    lr: float | None = Field(default=None, gt=0, description="Peak learning rate of those matrices; none: AdamW's.")
    momentum: Decay = Field(default=0.95, description="Decay of the mean gradient, per step; Nesterov's.")
    adjust_lr_fn: Literal["match_rms_adamw", "original"] = Field(
        default="match_rms_adamw",
        description="Of an A x B matrix, lr times 0.2 sqrt(max(A, B)), which suits AdamW's learning rate "
        "(Liu et al. 2025, arXiv 2502.16982), or times sqrt(max(1, A / B)), which needs one of its own, about 0.02.",
    )

    @model_validator(mode="after")
    def _own_rate(self) -> Self:
        if self.adjust_lr_fn == "original" and self.lr is None:
            raise ValueError("adjust_lr_fn: original needs an lr of its own, AdamW's does not suit it")
        return self


class OptimizerConfig(Frozen):
    """AdamW with decoupled weight decay (Loshchilov and Hutter 2019), with Muon for hidden matrices or without."""

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
    muon: MuonConfig | None = Field(
        default=None, description="Muon for the matrices of the blocks, `{}` with its defaults; none: AdamW for all."
    )


class ScheduleConfig(Frozen):
    """How the learning rate moves over the run; formulas in `pretrain.optimizer`."""

    kind: Literal["cosine", "wsd"] = Field(default="cosine", description="Shape after the warm-up.")
    warmup: int | None = Field(
        default=None,
        ge=0,
        description="Steps of linear rise to the peak, fewer than the run has; none: a tenth of the run, 40 at most.",
    )
    decay: float | None = Field(
        default=None, gt=0, le=1, description="Last part of the run that decays, as a fraction (wsd only; none: 0.2)."
    )
    decay_shape: Literal["linear", "1-sqrt", "cosine"] | None = Field(
        default=None, description="How the learning rate falls there (wsd only; none: 1-sqrt)."
    )
    final: float = Field(default=0.1, ge=0, le=1, description="Learning rate at the end, as a fraction of the peak.")

    def warmup_of(self, steps: int) -> int:
        """Steps of warm-up in a run of `steps`."""
        return min(40, steps // 10) if self.warmup is None else self.warmup

    @model_validator(mode="after")
    def _decays(self) -> Self:
        for key in ("decay", "decay_shape"):
            if self.kind == "cosine" and getattr(self, key) is not None:
                raise ValueError(f"{key}: is for kind: wsd; a cosine falls over the whole run")
        return self


class EvaluationConfig(Frozen):
    """Measuring on the validation split."""

    every: int = Field(
        default=200, ge=1, description="Steps between two evaluations; the end of the run has one anyhow."
    )
    rows: int = Field(
        default=256,
        ge=1,
        description="At most this many rows, evenly spaced; and one of a bucket that has none of these.",
    )


class CheckpointConfig(Frozen):
    """Saving the run."""

    every: int = Field(
        default=200, ge=1, description="Steps between two checkpoints; the end of the run has one anyhow."
    )
    keep: int = Field(
        default=2, ge=1, description="Checkpoints kept; older ones are deleted after a new one is complete."
    )


class SpikeConfig(Frozen):
    """Steps whose loss or gradient norm is far above those before: see `pretrain.spikes`."""

    window: int = Field(default=128, ge=8, description="Steps that a step is compared with.")
    threshold: float = Field(default=6.0, gt=0, description="Standard deviations above their mean that make a spike.")
    skip: bool = Field(default=False, description="Leave the weights as they are in a step that is a spike.")
    rollback_after: int | None = Field(
        default=None,
        ge=1,
        description="So many spikes among the last `window` steps take the run back to the newest checkpoint from "
        "before the first of them, and on without the rows that were read since; none: never.",
    )
    rollbacks: int = Field(default=3, ge=1, description="Rollbacks at most; the next one would end the run.")


class SampleConfig(Frozen):
    """Texts written by the trained model at the end of the run."""

    prompts: tuple[str, ...] = Field(
        default=("", "The ", "It was a", "In the year"), description="Beginnings; an empty one starts a new document."
    )
    tokens: int = Field(default=64, ge=1, description="At most this many tokens after each prompt.")
    temperature: float = Field(default=0.8, ge=0, description="Divides the logits; 0 takes the likeliest token.")
    top_k: int = Field(default=50, ge=1, description="Choose among this many likeliest tokens.")


Weights = dict[str, Annotated[float, Field(ge=0)]]


class WeightChange(Frozen):
    """Other weights from a step on."""

    step: int = Field(ge=2, description="The first step that reads under them.")
    weights: Weights = Field(min_length=1, description="Of every bucket that is read from then on.")


class DataConfig(Frozen):
    """How the buckets of the shards are mixed; left out, all rows are read in one order, epoch after epoch."""

    weights: Weights = Field(
        default={}, description="Of buckets: shares of the tokens read, padding included; one not named is not read."
    )
    caps: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="Of buckets: read for at most so many epochs, then the others in proportion."
    )
    changes: tuple[WeightChange, ...] = Field(
        default=(), description="Other weights from later steps on; a run that is resumed may have new ones ahead."
    )

    @model_validator(mode="after")
    def _weighted(self) -> Self:
        if not self.weights and (self.caps or self.changes):
            raise ValueError(f"{'caps' if self.caps else 'changes'}: need weights to begin with")
        for weights in (self.weights, *(change.weights for change in self.changes)):
            if weights and not any(weights.values()):
                raise ValueError("weights: at least one must be above 0")
        return self


class BatchChange(Frozen):
    """Another batch size from a step on."""

    step: int = Field(ge=2, description="The first step of that size.")
    tokens: int = Field(ge=1, description="Tokens per optimizer step, as `batch_tokens`.")


class PretrainConfig(Frozen):
    """One training run on one set of shards."""

    name: str = Field(
        default="small", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Directory of the run: runs/NAME."
    )
    model: ModelConfig = Field(default=ModelConfig(), description="Shape of the decoder.")
    batch_tokens: Count = Field(
        default=1024, ge=1, le=MOST, description="Tokens per optimizer step, rounded down to whole rows."
    )
    batch_changes: tuple[BatchChange, ...] = Field(
        default=(), description="Other sizes from later steps on: batch-size warm-up."
    )
    data: DataConfig = Field(default=DataConfig(), description="Weights of the buckets.")
    micro_batch: int = Field(default=4, ge=1, description="Rows in one forward pass; a larger batch is accumulated.")
    steps: Count | None = Field(default=None, ge=1, le=MOST, description="Length of the run in optimizer steps.")
    tokens: Count | None = Field(
        default=None, ge=1, le=MOST, description="Length of the run in tokens, rounded up to whole steps."
    )
    epochs: float | None = Field(
        default=None, gt=0, le=1e9, description="Length of the run in passes over the train split."
    )
    optimizer: OptimizerConfig = Field(default=OptimizerConfig(), description="AdamW or Muon.")
    z_loss: float = Field(
        default=0.0, ge=0, description="Added to the loss: this times ln(Z)^2, Z the sum of exp(logits). PaLM: 1e-4."
    )
    schedule: ScheduleConfig = Field(default=ScheduleConfig(), description="Learning rate over the run.")
    evaluation: EvaluationConfig = Field(default=EvaluationConfig(), description="Validation.")
    checkpoint: CheckpointConfig = Field(default=CheckpointConfig(), description="Saving.")
    spikes: SpikeConfig = Field(
        default=SpikeConfig(), description="Spikes of the loss: noted, skipped, gone back from."
    )
    sample: SampleConfig = Field(default=SampleConfig(), description="Texts at the end.")
    seed: int = Field(
        default=1, ge=0, lt=2**63, description="Of the initial weights, the order of rows and the samples."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto: CUDA where there is one, else CPU."
    )
    parallel: Literal["auto", "none", "ddp", "fsdp"] = Field(
        default="auto",
        description="How torchrun's processes share the model: ddp, a copy each; fsdp, sharded; auto: ddp.",
    )
    tensorboard: bool = Field(
        default=False,
        description="Write the figures of metrics.jsonl also to runs/NAME/tensorboard (extra `tensorboard`).",
    )
    compile: bool = Field(
        default=False, description="torch.compile the model and its loss: a minute at the start, faster steps after."
    )
    activation_checkpointing: bool = Field(
        default=False,
        description="Keep only what goes into each block, compute the rest again in the backward pass: less memory, "
        "up to a third more time.",
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        given = [name for name in ("steps", "tokens", "epochs") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"the run's length is given more than once: {', '.join(given)}; keep one of them")
        return self

    @model_validator(mode="after")
    def _changes_in_order(self) -> Self:
        for name, changes in (("data.changes", self.data.changes), ("batch_changes", self.batch_changes)):
            steps = [change.step for change in changes]
            if steps != sorted(set(steps)):
                raise ValueError(f"{name}: steps must rise, not {', '.join(map(str, steps))}")
        return self

    def reading(self, context: int, jumps: Sequence[tuple[int, int]] = ()) -> Reading:
        """Which rows of `context` tokens each step reads, `jumps` passed over."""
        return reading_of(self.model_dump(mode="json"), context, jumps)

    def total_steps(self, train_rows: int, context: int) -> int:
        """Optimizer steps of the run over `train_rows` rows of `context` tokens; one epoch if no length is given."""
        if self.steps is not None:
            return self.steps
        rows = math.ceil((self.epochs or 1.0) * train_rows) if self.tokens is None else -(-self.tokens // context)
        return self.reading(context).steps(rows)

    def trajectory(self) -> dict[str, object]:
        """The part of the config, but for its length, that decides which numbers training computes; JSON-ready.

        A run may be resumed when the rest has changed: how often it is measured, saved and sampled, and on what
        device. `micro_batch`, `parallel`, `compile` and `activation_checkpointing` change rounding only.
        """
        length = {"steps", "tokens", "epochs"}
        watching = {"name", "evaluation", "checkpoint", "sample", "tensorboard"}
        machine = {"micro_batch", "device", "parallel", "compile", "activation_checkpointing"}
        return self.model_dump(mode="json", exclude=length | watching | machine)
