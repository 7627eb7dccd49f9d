"""Which layouts fit a run into the devices that it is planned for, and with how many rows at once."""

from __future__ import annotations

from pretrain.config import Frozen, PretrainConfig
from pretrain.memory import RECIPES, USABLE, device_memory, layouts, state_memory
from pretrain.plan_request import PlanRequest

MOST_ROWS = 64  # in one forward pass: more do not make a device faster
UNKNOWN_MEMORY_ROWS = 4  # where nothing is known, few


class State(Frozen):
    """Bytes of weights, gradients and Adam's moments on all devices together, under one recipe."""

    recipe: str
    source: str
    bytes_per_parameter: int
    bytes: float


class Fit(Frozen):
    """Bytes on each device under one layout; `fits` is None where the device's memory is not known."""

    layout: str
    devices: int
    checkpointing: bool
    state: float
    working: float
    activations: float
    logits: float
    total: float
    fits: bool | None


def states(parameters: float) -> list[State]:
    """What training `parameters` keeps, under each recipe in use; that of this trainer first."""
    return [
        State(
            recipe=recipe.name,
            source=recipe.source,
            bytes_per_parameter=recipe.bytes,
            bytes=state_memory(parameters, recipe),
        )
        for recipe in RECIPES
    ]


def fit(config: PretrainConfig, request: PlanRequest) -> tuple[int, list[Fit], Fit | None]:
    """Rows at once, memory of all layouts at that many, and the simplest layout on all devices that fits.

    Without checkpointing, which costs a third more compute, wherever that is possible; then as many rows as fit. None
    where nothing fits even with one row, or the device's memory is not known.
    """
    if request.memory is None:
        rows = min(config.micro_batch, UNKNOWN_MEMORY_ROWS)
        return rows, fits(config, request, rows), None
    rows = min(config.micro_batch, MOST_ROWS)
    halvings = [rows >> k for k in range(rows.bit_length())]
    for checkpointing in (False, True):
        for rows in halvings:
            found = fits(config, request, rows)
            for one in found:
                if one.fits and one.devices == request.devices and one.checkpointing == checkpointing:
                    return rows, found, one
    return 1, fits(config, request, 1), None


def fits(config: PretrainConfig, request: PlanRequest, rows: int) -> list[Fit]:
    """All layouts with `rows` rows in one forward pass."""
    found = []
    for layout in layouts(request.devices):
        need = device_memory(config.model, request.vocabulary, request.context, rows, layout)
        found.append(
            Fit(
                layout=layout.kind,
                devices=layout.devices,
                checkpointing=layout.checkpointing,
                state=need.state,
                working=need.working,
                activations=need.activations,
                logits=need.logits,
                total=need.total,
                fits=None if request.memory is None else need.total <= USABLE * request.memory,
            )
        )
    return found
