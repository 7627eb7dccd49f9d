"""What a plan is asked for: a budget, what it is spent on, and under which law. Nonsense is refused here, by name."""

from __future__ import annotations

import math
from difflib import get_close_matches
from typing import Any, Final, Self

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from pretrain.config import Frozen
from pretrain.devices import device_named
from pretrain.laws import BESIROGLU, LAWS
from shards.format import first_error

# Least, most, and the unit. What lies outside is most often a slip in the unit.
LIMITS: Final = {
    "flops": (1e9, 1e33, "FLOPs, 6 x parameters x tokens; a PF-day has 8.64e19"),
    "peak": (1e9, 1e18, "FLOP/s of one device; a GB200 has 2.5e15"),
    "devices": (1, 10_000_000, "devices"),
    "hours": (1e-3, 1e6, "hours by the clock, all devices at once"),
    "mfu": (1e-4, 1, "a share of the peak"),
    "price": (0, 1e6, "of one device for an hour"),
    "parameters": (1e3, 1e18, "parameters, not billions of them"),
    "serve": (0, 1e21, "tokens, not billions of them"),
    "vocabulary": (1, 1 << 32, "entries of the tokenizer"),
    "context": (1, (1 << 31) - 1, "tokens in a row"),
}
MOST_TOKENS: Final = 10**18  # of a source; more than all text there is


class PlanRequest(Frozen):
    """A budget (FLOPs; or a device with hours; or neither: one epoch of the corpus), and what it is spent on."""

    model_config = ConfigDict(allow_inf_nan=True)  # `LIMITS` refuses them, and says more

    law: str = Field(default=BESIROGLU.name, description="The scaling law to follow.")
    flops: float | None = Field(default=None, description="Training budget: 6 x parameters x tokens.")
    device: str | None = Field(default=None, description="Name in the table of devices.")
    peak: float | None = Field(default=None, description="FLOP/s of one device that is not in the table.")
    devices: int = Field(default=1, description="How many of them.")
    hours: float | None = Field(default=None, description="Wall-clock hours, all devices at once.")
    mfu: float = Field(default=0.4, description="Share of the peak that 6 x parameters x tokens gets.")
    price: float | None = Field(default=None, description="Of one device for an hour.")
    tokens: dict[str, int] | None = Field(default=None, description="Different train tokens, by source.")
    parameters: float | None = Field(default=None, description="A model size that is fixed beforehand.")
    serve: float = Field(default=0, description="Tokens that the model will read and write once it is trained.")
    vocabulary: int = Field(default=32_000, description="Tokens that the tokenizer knows.")
    context: int = Field(default=2048, description="Tokens in a row.")
    name: str = Field(default="plan", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Of the run in the config.")

    @field_validator(*LIMITS)
    @classmethod
    def _possible(cls, value: float | None, info: ValidationInfo) -> float | None:
        least, most, unit = LIMITS[info.field_name or ""]
        if value is not None and not least <= value <= most:
            raise ValueError(f"must be between {least:,.4g} and {most:,.4g}, not {value:,.4g} ({unit})")
        return value

    @field_validator("law")
    @classmethod
    def _known_law(cls, name: str) -> str:
        if name not in LAWS:
            near = get_close_matches(name, LAWS, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(LAWS)}"
            raise ValueError(f"{name!r} is no law to plan by; {hint}")
        return name

    @field_validator("device")
    @classmethod
    def _known_device(cls, name: str | None) -> str | None:
        return None if name is None else device_named(name).name

    @field_validator("tokens")
    @classmethod
    def _some_tokens(cls, tokens: dict[str, int] | None) -> dict[str, int] | None:
        for source, count in (tokens or {}).items():
            if not source:
                raise ValueError("a source has no name")
            if not 0 <= count <= MOST_TOKENS:
                raise ValueError(f"{source} has {count:.4g}: must be between 0 and {MOST_TOKENS:.4g}")
        if tokens is not None and not sum(tokens.values()):
            raise ValueError("there are none in the train split: nothing to learn from")
        return tokens

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.device and self.peak:
            raise ValueError("device and peak: give one of them")
        if self.flops and self.hours:
            raise ValueError("flops and hours: the budget is given twice; keep one of them")
        if self.hours and not self.speed:
            raise ValueError("hours: needs a device, or the peak of one, to be a budget")
        if self.price is not None and not self.speed:
            raise ValueError("price: needs a device, or the peak of one, to become a cost")
        if not (self.flops or self.hours or self.tokens):
            raise ValueError("there is no budget: give flops, or a device with hours, or a corpus to be read once")
        if self.parameters and self.serve:
            raise ValueError("parameters and serve: what is served decides about the size; give one of them")
        return self

    @property
    def speed(self) -> float | None:
        """Peak of one device in FLOP/s, None where none is given."""
        return device_named(self.device).flops if self.device else self.peak

    @property
    def memory(self) -> float | None:
        """Bytes of one device, None where it is not in the table."""
        return device_named(self.device).memory if self.device else None

    @property
    def unique(self) -> float:
        """Different tokens of all sources; infinite where no corpus is given."""
        return float(sum(self.tokens.values())) if self.tokens else math.inf


def ask(**fields: Any) -> PlanRequest:
    """A request from its fields. Raises ValueError: one line, the field at fault and what is wrong."""
    try:
        return PlanRequest(**fields)
    except ValidationError as error:
        raise ValueError(first_error(error)) from None
