"""A reader of databases whose worker is killed in the middle of a table, once: by the file that $KILLED_ONCE names."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import wraps
from typing import Any

from pipelines.ingest.records import Document, Failure
from pipelines.ingest.tables.database import DatabaseSource, read_database


@wraps(read_database)
def read_and_die(*arguments: Any, **options: Any) -> Iterator[Document | Failure]:
    for number, record in enumerate(read_database(*arguments, **options)):
        if number == 1000:
            _die_once()
        yield record


class KilledOnce(DatabaseSource):
    read = staticmethod(read_and_die)


def _die_once() -> None:
    try:
        os.close(os.open(os.environ["KILLED_ONCE"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
