"""Main text of web pages; what may take too long or too much is extracted in a process of its own that can be ended.

Parsers of HTML are not linear in all input, and are written in C: a page can stall them for hours, make gigabytes of
kilobytes, or crash them. Limits within a process cannot hold that; those of the system can. Our extractor reads pages
in this process that are too small to be dear whatever is in them, since handing a page over takes a tenth of its time.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from importlib import import_module
from multiprocessing import Pipe

from pipelines.errors import ConfigError
from pipelines.ingest.extraction.extractors import Extract, Name, Page, attempt, extractor

__all__ = ["Extractor", "Name", "Page"]

SECONDS = 10.0
MEGABYTES = 2_000
SMALL_BYTES, SMALL_TAGS = 250_000, 2_500
"""What our extractor reads in this process: four pages of five. The worst of that size that were found: 48,000
attributes of one element, 4 s; formatting elements that are opened again in each of 1,250 paragraphs, 12 MB, 0.4 s."""
PATIENCE = 6
"""Seconds by the clock, for each second of processor time, after which a process counts as hanging that waits."""


class Extractor:
    """Main text of pages: `gristmill` (ours), `fast` (Resiliparse) or `trafilatura`.

    Made once for a task; the other process starts with the first page for it (about a second) and serves all extractors
    of the same name and limits in this process. It is not for several threads.
    """

    def __init__(self, name: Name = "gristmill", *, seconds: float = SECONDS, megabytes: int = MEGABYTES) -> None:
        """`seconds` of processor time and `megabytes` of memory that one page may take.

        Raises ConfigError where trafilatura is asked for and not installed.
        """
        try:
            installed(name)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self._key = (name, seconds, megabytes)
        self._small: Extract | None = None

    def __call__(self, body: bytes, charset: str | None = None, url: str = "") -> Page:
        """The main text of a page, from its bytes and the charset that HTTP declares. A page never makes it raise."""
        if self._key[0] == "gristmill" and len(body) <= SMALL_BYTES and body.count(b"<") <= SMALL_TAGS:
            self._small = self._small or extractor("gristmill")
            return attempt(self._small, body, charset, url)
        child = _running.get(self._key)
        if child is None or not child.is_ours():
            child = _running[self._key] = _Child(*self._key)
        try:
            return child.extract(body, charset, url)
        except (EOFError, ConnectionError, TimeoutError):
            del _running[self._key]
            return Page(None, child.end())


def installed(name: Name) -> Name:
    """The name of an extractor. Raises ValueError where it is trafilatura's, which is not installed."""
    if name == "trafilatura":
        try:
            import_module("trafilatura")
        except ImportError as error:
            extra = "pip install gristmill[trafilatura]"
            raise ValueError(f"extractor 'trafilatura' needs the extra of that name ({extra}): {error}") from error
    return name


class _Child:
    """A running process, and this side of its socket."""

    def __init__(self, name: Name, seconds: float, megabytes: int) -> None:
        self._patience = PATIENCE * seconds
        self._parent = os.getpid()
        self._connection, other = Pipe()
        arguments = [str(other.fileno()), name, str(seconds), str(megabytes)]
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipelines.ingest.extraction.child", *arguments],
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                # As this process finds its modules, and nothing of the folder that it happens to be in.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"},
            )
        try:
            self._connection.recv()
        except EOFError:
            raise RuntimeError(f"the process of extractor {name!r} does not start: {self.end()}") from None

    def is_ours(self) -> bool:
        """Whether this process started it; after a fork, two would talk to it at once."""
        return self._parent == os.getpid()

    def extract(self, body: bytes, charset: str | None, url: str) -> Page:
        """Raises EOFError or ConnectionError where the process died, TimeoutError where it waits for ever."""
        self._connection.send((charset, url))
        self._connection.send_bytes(body)
        if not self._connection.poll(self._patience):
            raise TimeoutError
        page = self._connection.recv()
        assert isinstance(page, Page)
        return page

    def end(self) -> str:
        """End the process; the gate that says how it came to its end."""
        self._connection.close()
        try:
            status = self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return "too_slow"
        return "too_slow" if status == -signal.SIGPROF else "crashed"


_running: dict[tuple[Name, float, int], _Child] = {}


@atexit.register
def _end_all() -> None:
    for child in _running.values():
        if child.is_ours():
            child.end()
