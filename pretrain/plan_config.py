"""A plan as a training config: batch, learning rate and lengths from the budget, and the page to run it with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml

from pretrain.config import ModelConfig, PretrainConfig
from pretrain.laws import Allocation
from pretrain.plan_fit import Fit
from pretrain.plan_request import PlanRequest

MOST_WARMUP = 2000  # steps (DeepSeek LLM, section 2.3); a fiftieth of a short run
MEASURED = 20  # times in a run that it is evaluated and saved


def batch_tokens(flops: float) -> float:
    """Best batch in tokens: 0.2920 C^0.3271 (DeepSeek LLM, arXiv 2401.02954, equation 1; fitted at 1e17 to 2e19)."""
    return 0.2920 * flops**0.3271


def peak_learning_rate(flops: float) -> float:
    """Best peak learning rate of AdamW: 0.3118 C^-0.1250 (the same equation)."""
    return 0.3118 * flops**-0.1250


def ready_config(request: PlanRequest, model: ModelConfig, spent: Allocation) -> PretrainConfig:
    """The run that trains `model` on the tokens of `spent`; every device gets equally many rows of a batch."""
    each = max(1, round(batch_tokens(spent.flops) / (request.context * request.devices)))
    batch = each * request.devices * request.context
    tokens = max(1, round(spent.tokens))
    steps = math.ceil(tokens / batch)
    every = max(1, steps // MEASURED)
    return PretrainConfig.model_validate(
        {
            "name": request.name,
            "model": model,
            "batch_tokens": batch,
            "micro_batch": 2 ** int(math.log2(each)),
            "tokens": tokens,
            "optimizer": {"lr": float(f"{peak_learning_rate(spent.flops):.2g}")},
            "schedule": {"kind": "cosine", "warmup": min(MOST_WARMUP, max(1, steps // 50), steps - 1), "final": 0.1},
            "evaluation": {"every": every},
            "checkpoint": {"every": every},
        }
    )


def laid_out(config: PretrainConfig, rows: int, layout: Fit | None) -> PretrainConfig:
    """The run with `rows` rows in a forward pass, spread over the devices as `layout`, if one fits, says."""
    changes: dict[str, Any] = {"micro_batch": rows}
    if layout is not None and layout.devices > 1:
        changes["parallel"] = "fsdp" if layout.layout == "fsdp2" else "ddp"
    if layout is not None:
        changes["activation_checkpointing"] = layout.checkpointing
    return config.model_copy(update=changes)


def page(config: PretrainConfig, comment: str, rest: Mapping[str, Any] | None = None) -> str:
    """The YAML page of a run: `rest`, the config that made the shards, with `config` as its section `pretrain`.

    Without `rest` it is that section alone, to be added to the page of one's corpus.
    """
    told = config.model_dump(mode="json", exclude_defaults=True)
    told["model"] = config.model.model_dump(mode="json")
    section = {key: told[key] for key in PretrainConfig.model_fields if key in told}
    text = yaml.safe_dump({**(rest or {}), "pretrain": section}, sort_keys=False, allow_unicode=True)
    return "".join(f"# {line}\n" for line in comment.splitlines()) + text
