"""Lists of domains and words that keep URLs out before their pages are extracted."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from filters.urls import Urls
from pipelines.source_config import expand

Paths = Annotated[tuple[str, ...], Field(description="text files, one entry a line; # begins a comment")]


class UrlLists(BaseModel):
    """Files that a user names; none is shipped. What they mean: filters/urls.py, after RefinedWeb."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domains: Paths = ()
    strict: Annotated[Paths, Field(description="files of words that block a URL anywhere in it")] = ()
    hard: Annotated[Paths, Field(description="files of words that block a URL as a word of it")] = ()
    soft: Annotated[Paths, Field(description="files of words two of which block a URL")] = ()

    @model_validator(mode="after")
    def _can_be_read(self) -> UrlLists:
        _matcher(self)
        return self

    def gate(self, url: str) -> str | None:
        """The gate that stops a URL: url_domain, url_hard, url_soft or url_strict; None where it passes."""
        reason: str | None = _matcher(self).reasons(pa.array([url], pa.string()))[0].as_py()
        return reason

    def digests(self) -> dict[str, list[str]]:
        """SHA-256 of the files, by list: what a run depends on, wherever they lie."""
        return {
            name: [hashlib.sha256(Path(expand(path)).read_bytes()).hexdigest() for path in paths]
            for name, paths in self
        }


@lru_cache(maxsize=8)  # a list may hold millions of domains, and each file of a source asks for it
def _matcher(lists: UrlLists) -> Urls:
    return Urls(**{name: [expand(path) for path in paths] for name, paths in lists})
