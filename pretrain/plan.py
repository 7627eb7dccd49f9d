"""What to train with a budget and a corpus: model, tokens, expected loss, memory, hours and cost, before anything runs.

plan = make_plan(ask(device="H100", devices=8, hours=24, tokens={"web": 20_000_000_000}))
plan.parameters, plan.tokens, plan.loss, plan.warnings, plan.config
"""

from __future__ import annotations

import math

from pretrain.allocate import SERVING_FLOPS, expected_loss, optimum, repeats, serving_optimum
from pretrain.config import Frozen, PretrainConfig
from pretrain.laws import (
    FLOPS_PER_PARAMETER,
    KAPLAN,
    LAWS,
    MUENNIGHOFF,
    Allocation,
    Chinchilla,
    Kaplan,
    Range,
    data_constrained_loss,
    effective_tokens,
)
from pretrain.plan_config import laid_out, ready_config
from pretrain.plan_fit import Fit, State, fit, states
from pretrain.plan_request import PlanRequest
from pretrain.plan_warnings import warnings_of
from pretrain.shape import attention_flops, count_parameters, match_shape


class Optimum(Frozen):
    """What one law makes of the budget, had it all the tokens that it wants. `counts`: which parameters it means."""

    law: str
    source: str
    counts: str
    parameters: float
    tokens: float
    loss: float  # nats per token, of that law's texts and tokenizer
    in_range: bool  # both within the runs that the law was fitted on


class Data(Frozen):
    """The corpus under the plan. `worth` is how many new tokens the plan's tokens, repeated, are worth."""

    sources: dict[str, int]
    unique: int
    epochs: float
    worth: float


class Serving(Frozen):
    """A smaller model trained longer, beside the best one for training alone; both of the same loss.

    `flops` and `optimal_flops` are those of a life: training, and serving `tokens`.
    """

    tokens: float
    optimal_parameters: float
    optimal_tokens: float
    optimal_flops: float
    flops: float


class Cost(Frozen):
    """Time and money. `mfu_with_attention` is the same speed, as a meter has it that adds attention to 6 N."""

    device: str | None
    devices: int
    peak: float
    mfu: float
    mfu_with_attention: float
    hours: float
    device_hours: float
    price: float | None
    total: float | None


class Plan(Frozen):
    """All that is known of the run beforehand. Losses are nats per token.

    `parameters`, `tokens` and `loss` are the law's, `shape_*` those of the nearest shape with whole layers, which is
    what `config` trains: `flops`, its 6 N D, and `cost` are of that.
    """

    law: str
    flops: float
    parameters: float
    tokens: float
    tokens_per_parameter: float
    loss: float
    optima: list[Optimum]
    data: Data | None
    serving: Serving | None
    shape_parameters: int
    shape_non_embedding: int
    shape_tokens: int
    shape_loss: float
    states: list[State]
    layouts: list[Fit]
    layout: Fit | None  # the simplest on all devices that fits; None where nothing fits, or memory is not known
    cost: Cost | None
    warnings: list[str]
    curve: list[tuple[float, float]]  # parameters and loss, all at the 6 N D of `parameters` and `tokens`
    config: PretrainConfig


def make_plan(request: PlanRequest) -> Plan:
    """The plan for a request. Raises ValueError for one that cannot be met."""
    law, unique = LAWS[request.law], request.unique
    flops = budget(request, law)
    spent = optimum(law, flops, unique)
    if request.parameters:
        spent = Allocation(request.parameters, flops / (FLOPS_PER_PARAMETER * request.parameters))
    serving = None
    if request.serve:
        optimal = spent
        spent = serving_optimum(law, expected_loss(law, optimal, unique), request.serve, unique)
        serving = _serving(request.serve, optimal, spent)
    model = match_shape(spent.parameters, request.vocabulary)
    count = count_parameters(model, request.vocabulary)
    once = not (request.flops or request.hours or request.serve)  # the corpus is the budget
    tokens = spent.tokens if once else spent.flops / (FLOPS_PER_PARAMETER * count.all)
    built = Allocation(count.all, tokens)
    config = ready_config(request, model, built)
    if built.tokens < config.batch_tokens:
        raise ValueError(
            f"the budget pays for {built.tokens:,.0f} tokens of a model of {count.all:,} parameters, not for one step: "
            f"{config.batch_tokens:,} tokens on {request.devices:,} devices"
        )
    rows, fits, layout = fit(config, request)
    plan = Plan(
        law=law.name,
        flops=built.flops,
        parameters=spent.parameters,
        tokens=spent.tokens,
        tokens_per_parameter=spent.tokens / spent.parameters,
        loss=expected_loss(law, spent, unique),
        optima=optima(flops, unique),
        data=_data(request, spent),
        serving=serving,
        shape_parameters=count.all,
        shape_non_embedding=count.non_embedding,
        shape_tokens=round(built.tokens),
        shape_loss=expected_loss(law, built, unique),
        states=states(spent.parameters),
        layouts=fits,
        layout=layout,
        cost=_cost(request, built, config),
        warnings=[],
        curve=iso_flops(law, spent, unique),
        config=laid_out(config, rows, layout),
    )
    return plan.model_copy(update={"warnings": warnings_of(plan, request, flops)})


def budget(request: PlanRequest, law: Chinchilla) -> float:
    """Training FLOPs asked for: as given, or devices x peak x MFU x seconds, or one epoch of the corpus."""
    if request.flops:
        return request.flops
    if request.hours and request.speed:
        return request.devices * request.speed * request.mfu * request.hours * 3600
    return FLOPS_PER_PARAMETER * (request.parameters or law.parameters_for(request.unique)) * request.unique


def optima(flops: float, unique: float) -> list[Optimum]:
    """Each law's best use of `flops`; only the data-constrained law knows that there are but `unique` tokens."""
    laws: list[Kaplan | Chinchilla] = [KAPLAN, *LAWS.values()]
    found = []
    for law in laws:
        if isinstance(law, Kaplan):
            best, loss = law.optimum(flops), law.loss_of_compute(flops)
        else:
            known = unique if law is MUENNIGHOFF else math.inf
            best = optimum(law, flops, known)
            loss = expected_loss(law, best, known)
        found.append(
            Optimum(
                law=law.name,
                source=law.source,
                counts=law.counts,
                parameters=best.parameters,
                tokens=best.tokens,
                loss=loss,
                in_range=within(law.fitted, best),
            )
        )
    return found


def within(fitted: Range, spent: Allocation) -> bool:
    """Whether a law was fitted on runs of this size and length."""
    return (
        fitted.parameters[0] <= spent.parameters <= fitted.parameters[1]
        and fitted.tokens[0] <= spent.tokens <= fitted.tokens[1]
    )


def iso_flops(law: Chinchilla, spent: Allocation, unique: float) -> list[tuple[float, float]]:
    """Parameters and expected loss of 41 models from a tenth to ten times the plan's size, all at its FLOPs.

    One law for all of them: the data-constrained one where the plan repeats tokens.
    """
    sizes = [spent.parameters * 10 ** (k / 20) for k in range(-20, 21)]
    product = spent.flops / FLOPS_PER_PARAMETER
    if not repeats(spent.tokens, unique):
        return [(size, law.loss(size, product / size)) for size in sizes]
    return [(size, data_constrained_loss(law, size, product / size, unique)) for size in sizes]


def _serving(served: float, optimal: Allocation, spent: Allocation) -> Serving:
    return Serving(
        tokens=served,
        optimal_parameters=optimal.parameters,
        optimal_tokens=optimal.tokens,
        optimal_flops=optimal.flops + SERVING_FLOPS * optimal.parameters * served,
        flops=spent.flops + SERVING_FLOPS * spent.parameters * served,
    )


def _data(request: PlanRequest, spent: Allocation) -> Data | None:
    if not request.tokens:
        return None
    unique = request.unique
    worth = effective_tokens(spent.tokens, unique)
    return Data(sources=request.tokens, unique=int(unique), epochs=spent.tokens / unique, worth=worth)


def _cost(request: PlanRequest, built: Allocation, config: PretrainConfig) -> Cost | None:
    if request.speed is None:
        return None
    device_hours = built.flops / (request.speed * request.mfu) / 3600
    attention = attention_flops(config.model, request.context) / (FLOPS_PER_PARAMETER * built.parameters)
    return Cost(
        device=request.device,
        devices=request.devices,
        peak=request.speed,
        mfu=request.mfu,
        mfu_with_attention=request.mfu * (1 + attention),
        hours=device_hours / request.devices,
        device_hours=device_hours,
        price=request.price,
        total=None if request.price is None else request.price * device_hours,
    )
