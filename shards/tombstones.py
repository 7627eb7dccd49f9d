"""Tombstones: which documents were removed from a directory, why, and when; `removed/NNNN.json`, one file a removal."""

import datetime
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, ValidationError, model_validator

from shards.format import Model, ShardError, first_error

FOLDER: Final = "removed"
DOCUMENT: Final = re.compile("[0-9a-f]{32}")

_NAME: Final = re.compile(r"\d{4,}\.json")


class Tombstone(Model):
    """One removal. `asked` is what the user named, by option; `documents` are their ids, sorted.

    `digest` is SHA-256 of the ids, one a line.
    """

    number: Annotated[int, Field(ge=1)]
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    reason: str | None
    asked: dict[str, list[str]]
    with_duplicates: bool
    documents: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")], ...] = Field(strict=False)
    digest: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if list(self.documents) != sorted(set(self.documents)):
            raise ValueError("documents: must be sorted, each once")
        if self.digest != ids_digest(self.documents):
            raise ValueError("digest: not that of the documents: changed by hand, or damaged")
        return self


@dataclass(frozen=True)
class Request:
    """What is to be removed: documents by id, URI or domain (with all below it); with all that are in their clusters.

    `date`: YYYY-MM-DD, by default today's (UTC).
    """

    ids: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    with_duplicates: bool = False
    reason: str | None = None
    date: str | None = None


def tombstone(number: int, documents: Iterable[str], request: Request) -> Tombstone:
    """The tombstone of the documents that a request led to."""
    asked = {"ids": request.ids, "uris": request.uris, "domains": request.domains}
    sorted_ids = tuple(sorted(documents))
    return Tombstone(
        number=number,
        date=request.date or datetime.datetime.now(datetime.UTC).date().isoformat(),
        reason=request.reason,
        asked={name: list(values) for name, values in asked.items() if values},
        with_duplicates=request.with_duplicates,
        documents=sorted_ids,
        digest=ids_digest(sorted_ids),
    )


def ids_digest(documents: Iterable[str]) -> str:
    """SHA-256 of ids, one a line, in hex."""
    return hashlib.sha256("".join(f"{document}\n" for document in documents).encode()).hexdigest()


def file_name(number: int) -> str:
    """The name of a removal's file, relative to the directory."""
    return f"{FOLDER}/{number:04d}.json"


def read_folder(directory: Path) -> list[Tombstone]:
    """All removals of `directory`, in order; none where it has no folder `removed`. Raises ShardError."""
    folder = directory / FOLDER
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    found = sorted((read_file(folder / name) for name in names if _NAME.fullmatch(name)), key=lambda one: one.number)
    for number, tombstone in enumerate(found, 1):
        if tombstone.number != number:
            raise ShardError(file_name(number), f"missing in {directory}: there is a later removal")
    return found


def read_file(path: Path) -> Tombstone:
    """One removal. Raises ShardError where the file cannot be read, is none, or was changed by hand."""
    where = f"{path.parent.name}/{path.name}"
    try:
        content = json.loads(path.read_text("utf-8"))
        return Tombstone.model_validate(content)
    except ValidationError as error:
        raise ShardError(where, first_error(error)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ShardError(where, f"not readable: {error}") from None


def as_json(tombstone: Tombstone) -> str:
    """The content of a removal's file."""
    return json.dumps(tombstone.model_dump(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
