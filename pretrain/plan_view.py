"""A plan to look at: Rich tables, and the loss over the model's size as a plot of characters."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pretrain.laws import FLOPS_PER_PARAMETER
from pretrain.plan import Cost, Data, Plan, Serving
from pretrain.plan_fit import Fit

PLOT_ROWS = 9


def number(value: float) -> str:
    """Three digits and a unit: 1.33e12 is 1.33T, 0.5 is 0.5; below one million, all digits."""
    if 10 <= value < 1e6:
        return f"{value:,.0f}"
    rounded = float(f"{value:.3g}")
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if size <= rounded < 1000 * size:
            return f"{rounded / size:.3g}{suffix}"
    return f"{value:.3g}"


def as_renderables(plan: Plan) -> Iterator[RenderableType]:
    """The whole plan, from what it is to what speaks against it."""
    yield _laws(plan)
    yield _summary(plan)
    if plan.data:
        yield _sources(plan.data, plan.tokens)
    yield _states(plan)
    yield _layouts(plan)
    yield _plot(plan)
    yield Text(
        "Losses are nats per token of the papers' texts and tokenizers: they compare plans, they forecast nothing on "
        "shards of your own.",
        style="dim",
    )
    for warning in plan.warnings:
        yield Text(f"warning: {warning}", style="yellow")


def headline(plan: Plan) -> str:
    """The plan in a line."""
    return (
        f"{number(plan.shape_parameters)} parameters on {number(plan.shape_tokens)} tokens, {plan.flops:.3g} FLOPs: "
        f"expected loss {plan.shape_loss:.3f} nats per token by {plan.law}"
    )


def _laws(plan: Plan) -> Table:
    table = Table("law", "parameters", "tokens", "loss", "source", title="Compute-optimal", box=box.SIMPLE)
    for best in plan.optima:
        parameters = number(best.parameters) + ("" if best.counts == "all" else " (no embeddings)")
        name = f"{best.law}{' <' if best.law == plan.law else ''}{'' if best.in_range else ' *'}"
        table.add_row(name, parameters, number(best.tokens), f"{best.loss:.3f}", best.source)
    table.caption = "< followed by this plan; * outside the runs that it was fitted on"
    return table


def _summary(plan: Plan) -> Table:
    model = plan.config.model
    tied = "tied" if model.tied_embeddings else "untied"
    table = Table(show_header=False, title="The plan", box=box.SIMPLE)
    rows = [
        ("training", f"{plan.flops:.3g} FLOPs"),
        ("parameters", f"{number(plan.parameters)}, {plan.tokens_per_parameter:.1f} tokens each"),
        ("tokens", number(plan.tokens)),
        ("expected loss", f"{plan.loss:.3f} nats per token"),
        (
            "shape",
            f"{model.layers} layers, width {model.hidden:,}, {model.heads} heads ({model.kv_heads} for keys), SwiGLU "
            f"{model.intermediate:,}, {tied} embeddings",
        ),
        (
            "which has",
            f"{plan.shape_parameters:,} parameters ({plan.shape_non_embedding:,} without embeddings), for "
            f"{plan.shape_tokens:,} tokens: loss {plan.shape_loss:.3f}",
        ),
        *_data_rows(plan.data),
        *_serving_rows(plan.serving, plan),
        *_cost_rows(plan.cost),
    ]
    for row in rows:
        table.add_row(*row)
    return table


def _data_rows(data: Data | None) -> Iterator[tuple[str, str]]:
    if data:
        worth = data.worth / data.unique
        yield "epochs", f"{data.epochs:.2f} of {number(data.unique)} tokens, worth {worth:.2f} of new text"


def _serving_rows(serving: Serving | None, plan: Plan) -> Iterator[tuple[str, str]]:
    if serving:
        yield (
            "serving",
            f"{number(serving.tokens)} tokens: {serving.flops:.3g} FLOPs in a life; the compute-optimal "
            f"{number(serving.optimal_parameters)} on {number(serving.optimal_tokens)} takes "
            f"{serving.optimal_flops:.3g} ({1 - serving.flops / serving.optimal_flops:.0%} saved)",
        )


def _cost_rows(cost: Cost | None) -> Iterator[tuple[str, str]]:
    if cost:
        name = cost.device or f"{cost.peak:.3g} FLOP/s"
        yield (
            "time",
            f"{number(cost.hours)} hours on {cost.devices} x {name} ({number(cost.device_hours)} device hours)",
        )
        yield "MFU", f"{cost.mfu:.1%} by 6 x parameters; {cost.mfu_with_attention:.1%} with causal attention"
        if cost.total is not None:
            yield "cost", f"{cost.total:,.2f} at {cost.price:,.2f} for a device hour"


def _sources(data: Data, tokens: float) -> Table:
    table = Table("source", title="Data", box=box.SIMPLE)
    for name in ("tokens", "share", "read"):
        table.add_column(name, justify="right")
    for source, count in sorted(data.sources.items(), key=lambda item: (-item[1], item[0])):
        share = count / data.unique
        table.add_row(source, f"{count:,}", f"{share:.1%}", number(tokens * share))
    return table


def _states(plan: Plan) -> Table:
    title = f"Weights, gradients and Adam of {number(plan.parameters)} parameters, on all devices together"
    table = Table("bytes each", "GB", "recipe", "source", title=title, box=box.SIMPLE)
    for state in plan.states:
        table.add_row(f"{state.bytes_per_parameter}", f"{state.bytes / 1e9:,.1f}", state.recipe, state.source)
    return table


def _layouts(plan: Plan) -> Table:
    rows = plan.config.micro_batch
    table = Table(
        "layout",
        "checkpointing",
        title=f"GB on each device, {rows} row{'' if rows == 1 else 's'} at once",
        box=box.SIMPLE,
    )
    for name in ("weights, gradients, Adam", "working copies", "activations", "logits", "total"):
        table.add_column(name, justify="right")
    table.add_column("fits")
    for fit in plan.layouts:
        name = fit.layout if fit.devices == 1 else f"{fit.layout} x {fit.devices}"
        table.add_row(name, "yes" if fit.checkpointing else "no", *_gigabytes(fit), _fits(fit, plan.layout))
    return table


def _gigabytes(fit: Fit) -> list[str]:
    return [f"{part / 1e9:,.1f}" for part in (fit.state, fit.working, fit.activations, fit.logits, fit.total)]


def _fits(fit: Fit, chosen: Fit | None) -> str:
    if fit.fits is None:
        return "?"
    return ("yes <" if fit == chosen else "yes") if fit.fits else "no"


def _plot(plan: Plan) -> Text:
    """Loss over parameters, all at the plan's FLOPs: a column per model of the curve, `o` for the plan's own size."""
    losses = [loss for _, loss in plan.curve]
    low, high = min(losses), max(losses)
    step = (high - low) / (PLOT_ROWS - 1) or 1.0
    compute = FLOPS_PER_PARAMETER * plan.parameters * plan.tokens
    lines = [f"Expected loss by size, all at {compute:.3g} FLOPs (o: this plan)"]
    middle = len(losses) // 2
    levels = [round((loss - low) / step) for loss in losses]
    for row in reversed(range(PLOT_ROWS)):
        marks = "".join(
            ("o" if column == middle else ".") if level == row else " " for column, level in enumerate(levels)
        )
        lines.append(f"{low + row * step:8.3f} |{marks}".rstrip())
    lines.append(" " * 9 + "+" + "-" * len(losses))
    first, last = number(plan.curve[0][0]), number(plan.curve[-1][0])
    centre = number(plan.parameters)
    gap = max(1, math.floor(len(losses) / 2 - len(first) - len(centre) / 2))
    rest = max(1, len(losses) - len(first) - gap - len(centre) - len(last))
    lines.append(" " * 10 + first + " " * gap + centre + " " * rest + last + " parameters")
    return Text("\n".join(lines) + "\n")
