"""A training run as a table on the terminal, one row a figure, drawn anew as events come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

Event = dict[str, Any]
RECENT: Final = 50  # steps that the time left is told from


@contextmanager
def live_view(console: Console) -> Iterator[Callable[[Event], None]]:
    """What to call with each event of `pretrain.train.run`; the table stays when the block ends."""
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        view = View()

        def on_event(event: Event) -> None:
            view.see(event)
            live.update(view.table())

        yield on_event


class View:
    """The latest figures of a run."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: deque[float] = deque(maxlen=RECENT + 1)
        self._facts: dict[str, str] = {}
        self._steps = 0

    def see(self, event: Event) -> None:
        """Take in one event."""
        kind, step = event["kind"], event.get("step")
        if kind == "start":
            self._steps = event["steps"]
            self._facts["run"] = f"{event['parameters']:,} parameters, {event['device']} x {event['processes']}"
            self._times.append(self._clock())
        elif kind == "train":
            self._times.append(self._clock())
            self._facts |= self._of_update(event)
        elif kind == "evaluation":
            if event["bits_per_byte"] is not None:
                self._facts["validation"] = f"{event['bits_per_byte']:.4f} bits per byte at step {step:,}"
            self._facts.pop("off forecast", None)
            if "above_forecast" in event:
                self._facts["off forecast"] = forecast_warning(event)
        elif kind == "rollback":
            self._times.clear()
            self._facts["rollback"] = f"from step {event['after']:,} to {step:,}, {event['rows']:,} rows passed over"
        elif kind == "checkpoint":
            self._facts["checkpoint"] = f"step {step:,}"
        elif kind == "damaged":
            self._facts["damaged checkpoint"] = event["reason"]

    def _of_update(self, event: Event) -> dict[str, str]:
        mfu = event["mfu"]
        facts = {
            "step": f"{event['step']:,} of {self._steps:,}",
            "loss": f"{event['loss']:.4f}",
            "gradient norm": f"{event['grad_norm']:.3f}",
            "tokens/s": f"{event['tokens_per_second']:,.0f}",
            "MFU": "unknown device" if mfu is None else f"{mfu:.1%}",
            "memory": f"{event['memory_mb']:,.0f} MB",
            "data wait": f"{1000 * event['data_seconds']:.1f} ms",
            "time left": self._left(event["step"]),
        }
        if "spike" in event:
            facts["latest spike"] = f"step {event['step']:,}, {max(event['spike'].values()):.1f} standard deviations"
        return facts

    def _left(self, step: int) -> str:
        """By the mean of the recent steps, what came between them included."""
        if len(self._times) < 2:
            return "unknown"
        seconds = (self._times[-1] - self._times[0]) / (len(self._times) - 1) * (self._steps - step)
        return str(timedelta(seconds=round(seconds)))

    def table(self) -> Table:
        """All figures so far."""
        table = Table(show_header=False)
        for name, value in self._facts.items():
            table.add_row(name, value)
        return table


def forecast_warning(event: Event) -> str:
    """How far an evaluation that has `above_forecast` is off."""
    above, step = event["above_forecast"], event["step"]
    return f"loss at step {step:,} is " + ("no number" if above is None else f"{above:.1%} above the forecast")
