"""Signals: the first is noted, the second obeyed, and afterwards all is as before."""

import os
import signal
import threading

import pytest

from pretrain.interruption import StoppedError, interruptible


def test_the_first_signal_is_noted():
    before = signal.getsignal(signal.SIGTERM)
    with interruptible() as found:
        assert found.number == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert found.number == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == before  # a second one would end the process
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_interrupt_is_obeyed():
    # A process in the background may have been started with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _interrupt_twice()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt_twice() -> None:
    with interruptible() as found:
        os.kill(os.getpid(), signal.SIGINT)
        assert found.number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_other_threads_leave_signals_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with interruptible() as found:
            seen.append((found.number, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(0, before)]


def test_the_status_is_that_of_the_signal():
    error = StoppedError(signal.SIGTERM, 7)
    assert error.status == 143
    assert "SIGTERM after step 7" in str(error)
