"""mimalloc as the memory allocator of Spark's Python workers.

`tokenizers` makes several allocations for each token: with glibc's malloc they take a third of its time. An allocator
has to be there before a program starts, so the workers are started with it preloaded (ld.so(8), LD_PRELOAD).
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

VARIABLE = "spark.executorEnv.LD_PRELOAD"


def settings(master: str) -> dict[str, str]:
    """The Spark setting by which workers of a local master start with mimalloc; none where it cannot be had.

    On a cluster the file may lie elsewhere, and who sets LD_PRELOAD has reasons: both are left as they are.
    """
    found = library() if master.startswith("local") and "LD_PRELOAD" not in os.environ else None
    return {} if found is None else {VARIABLE: found}


def library() -> str | None:
    """Where the package cmeel-mimalloc has put libmimalloc.so; None without it, and where the loader is not Linux's."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        installed = files("cmeel-mimalloc") or []
    except PackageNotFoundError:
        return None
    paths = (str(path.locate()) for path in installed if path.name == "libmimalloc.so")
    # ld.so takes a space or a colon for the end of a name.
    return next((path for path in paths if Path(path).is_file() and not {" ", ":"} & set(path)), None)
