"""Being asked to stop: a scheduler's SIGTERM, a person's Ctrl-C. The step under way is finished and saved first."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
# Seconds in which signals are one request: torchrun passes on to its processes what the terminal's Ctrl-C, or a
# scheduler that signals all processes of a job, has sent them already.
ONE_REQUEST: Final = 2.0


class StoppedError(RuntimeError):
    """The run was asked to stop, and has saved itself. `status`: what a process that a signal ends exits with."""

    def __init__(self, number: int, step: int):
        super().__init__(f"stopped by {signal.Signals(number).name} after step {step}, which is saved: start it again")
        self.status = 128 + number


class Interruption:
    """The first signal that came since the block was entered, 0 before any."""

    number = 0


@contextmanager
def interruptible(clock: Callable[[], float] = time.monotonic) -> Iterator[Interruption]:
    """Until the end of the block the first signal is noted, not obeyed; another one, more than `ONE_REQUEST` seconds
    of `clock` after it, ends the process as ever.

    Outside the main thread, where Python takes no handlers, signals do what they did.
    """
    found = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    noted: list[float] = []

    def note(number: int, frame: FrameType | None) -> None:
        if not noted:
            noted.append(clock())
            found.number = number
        elif clock() - noted[0] > ONE_REQUEST:
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield found
    finally:
        restore()
