"""A process killed between two changes of the file system."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHANGES = ("replace", "rename", "unlink", "remove", "mkdir", "rmdir")


class Killed(BaseException):
    """What ends the work; no handler can undo anything after it."""


@contextmanager
def killed_at(step: int) -> Iterator[list[str]]:
    """Let `step` changes of the file system happen, and none after, not even those of cleaning up. Yields them."""
    done: list[str] = []

    def limited(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if len(done) >= step:
                raise Killed
            done.append(name)
            return change(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, limited(name, getattr(os, name)))
        yield done
