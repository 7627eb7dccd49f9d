"""Where a plan should not be believed, or not be followed: one sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pretrain.laws import LAWS
from pretrain.plan_request import PlanRequest

if TYPE_CHECKING:
    from pretrain.plan import Plan

TYPICAL_RATIO = 100  # tokens per parameter; Sardana et al. 2023 call more extreme
FREE_EPOCHS, LAST_EPOCHS = 4, 16  # Muennighoff et al. 2023: to 4 as good as new text, from about 16 on little left
EMBEDDING_SHARE = 0.3
SHAPE_ERROR = 0.05
FEW_STEPS = 1000
LARGE_MFU = 0.6  # PaLM had 46%, well-tuned dense models about 55%


def warnings_of(plan: Plan, request: PlanRequest, flops: float) -> list[str]:
    """All that apply; `flops` is the budget that was asked for."""
    return [*_range(plan), *_data(plan), *_shape(plan, request), *_run(plan, request, flops)]


def _range(plan: Plan) -> Iterator[str]:
    fitted = LAWS[plan.law].fitted
    for what, value, (least, most) in (
        ("parameters", plan.parameters, fitted.parameters),
        ("tokens", plan.tokens, fitted.tokens),
    ):
        if not least <= value <= most:
            side = f"below the {least:.2g} of the smallest" if value < least else f"above the {most:.2g} of the largest"
            yield f"{value:.2g} {what} are {side} run that {plan.law} was fitted on: its loss is extrapolated"
    if plan.tokens_per_parameter > TYPICAL_RATIO:
        yield (
            f"{plan.tokens_per_parameter:.0f} tokens per parameter: laws fitted at usual ratios (to {TYPICAL_RATIO}) "
            "promise more of further tokens than they bring (Sardana et al. 2023)"
        )


def _data(plan: Plan) -> Iterator[str]:
    epochs = plan.data.epochs if plan.data else 0
    if epochs > LAST_EPOCHS:
        yield f"{epochs:.1f} epochs: after about {LAST_EPOCHS}, repeating brings little; more text would"
    elif epochs > FREE_EPOCHS:
        yield f"{epochs:.1f} epochs: up to {FREE_EPOCHS} are nearly as good as new text, these are not"


def _shape(plan: Plan, request: PlanRequest) -> Iterator[str]:
    share = 1 - plan.shape_non_embedding / plan.shape_parameters
    if share > EMBEDDING_SHARE:
        yield (
            f"embeddings are {share:.0%} of the model: the laws' models had far fewer; take a smaller vocabulary "
            f"than {request.vocabulary:,}"
        )
    error = plan.shape_parameters / plan.parameters - 1
    if abs(error) > SHAPE_ERROR:
        yield f"no shape has the planned {plan.parameters:.3g} parameters; the nearest has {error:+.0%}"


def _run(plan: Plan, request: PlanRequest, flops: float) -> Iterator[str]:
    if plan.serving and plan.flops > 1.01 * flops:
        yield f"training takes {plan.flops / flops:.2f} times the budget, and serving saves it again"
    steps = plan.shape_tokens / plan.config.batch_tokens
    if steps < FEW_STEPS:
        yield f"{steps:.0f} optimizer steps are few: take fewer devices, or a smaller batch_tokens"
    if request.mfu > LARGE_MFU and request.speed:
        yield f"an MFU of {request.mfu:.0%} is more than large runs have reported"
    if request.memory and plan.layout is None:
        yield (
            f"no layout fits into {request.devices} x {request.memory / 1e9:.0f} GB, not even one row at a time with "
            "checkpointing: take more devices"
        )
