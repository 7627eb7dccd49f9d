"""Being asked to stop: a scheduler's SIGTERM, a person's Ctrl-C. The step under way is finished and saved first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class StoppedError(RuntimeError):
    """The run was asked to stop, and has saved itself. `status`: what a process that a signal ends exits with."""

    def __init__(self, number: int, step: int):
        super().__init__(f"stopped by {signal.Signals(number).name} after step {step}, which is saved: start it again")
        self.status = 128 + number


class Interruption:
    """The first signal that came since the block was entered, 0 before any."""

    number = 0


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Until the end of the block the first signal is noted, not obeyed; a second one ends the process as ever.

    Outside the main thread, where Python takes no handlers, signals do what they did.
    """
    found = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        found.number = number
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield found
    finally:
        restore()
