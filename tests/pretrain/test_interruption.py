"""Signals: the first is noted, a later one obeyed, and afterwards all is as before."""

import os
import signal
import threading

import pytest

from pretrain.interruption import ONE_REQUEST, StoppedError, interruptible


def test_the_first_signal_is_noted():
    before = signal.getsignal(signal.SIGTERM)
    with interruptible() as found:
        assert found.number == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert found.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.fixture
def interrupt():
    """Send SIGINT; a process in the background may have been started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_signals_that_come_together_are_one_request_and_a_later_one_is_obeyed(interrupt):
    now = 0.0
    with interruptible(lambda: now) as found:
        interrupt()
        now = ONE_REQUEST
        interrupt()
        os.kill(os.getpid(), signal.SIGTERM)
        assert found.number == signal.SIGINT
        now += 0.1
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        with pytest.raises(KeyboardInterrupt):
            interrupt()


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
