"""The process that extracts: pages come in through a socket, texts go out, and limits of the system end what hangs.

`python -m pipelines.ingest.extraction.child SOCKET NAME SECONDS MEGABYTES`, started by pipelines.ingest.web.html. A
page may take so much processor time, after which SIGPROF ends the process, wherever it is; and so much more memory than
the process has after its first page, after which allocation fails. Both are the kernel's doing, so that no code of a
parser needs to cooperate.
"""

from __future__ import annotations

import resource
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from pipelines.ingest.extraction.extractors import attempt, extractor

_STATM = Path("/proc/self/statm")
_WARM_UP = b"<html><head><title>Warm up</title></head><body><h1>Warm up</h1><p>So that kernels are loaded.</p></body>"


def main(socket: int, name: str, seconds: float, megabytes: int) -> None:
    """Answer until the other side is closed."""
    connection = Connection(socket)
    extract = extractor(name)  # type: ignore[arg-type]
    extract(_WARM_UP, None, "")
    _limit_memory(megabytes)
    connection.send(None)  # ready
    while True:
        try:
            charset, url = connection.recv()
            body = connection.recv_bytes()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, seconds)
        page = attempt(extract, body, charset, url)
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send(page)


def _limit_memory(megabytes: int) -> None:
    """Let the process's address space grow by so much."""
    if _STATM.exists():  # macOS has none, and no such limit
        pages = int(_STATM.read_text().split()[0])
        limit = pages * resource.getpagesize() + megabytes * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
