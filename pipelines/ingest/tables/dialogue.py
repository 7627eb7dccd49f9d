"""Dialogue in JSON Lines or JSON arrays: one document a conversation, rendered by a template."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from pipelines.ingest.records import Document, Failure, gated
from pipelines.ingest.source import FileSource
from pipelines.ingest.tables.columns import OriginColumns, origin, with_unique_ids
from pipelines.ingest.tables.dialogue_templates import TemplateName
from pipelines.ingest.tables.jsonl import JSON_SUFFIXES, values
from pipelines.ingest.tables.messages import NotDialogue, conversation

DEFAULT_COLUMNS = OriginColumns()


class DialogueSource(FileSource):
    """Spark data source of conversations."""

    suffixes: ClassVar[tuple[str, ...]] = JSON_SUFFIXES


def read_dialogue(
    path: Path,
    name: str,
    *,
    max_text_bytes: int,
    template: Annotated[
        str,
        AfterValidator(TemplateName),
        Field(description="plain, markdown, alpaca, chatml, or the path of a Jinja2 file such as a chat template"),
    ] = "plain",
    columns: OriginColumns = DEFAULT_COLUMNS,
) -> Iterator[Document | Failure]:
    """Conversations of one file, by line, or by element where it is a .json file that begins with an array.

    Each record's form is told by its keys: see pipelines/ingest/messages.py. A list is taken for the messages
    themselves. `meta` holds form, turns (messages), roles, and how many parts of which kind were no text.
    Gate: `empty_conversation`. A record of unknown form, or one that the template refuses, is a failure, as are those
    of JSON Lines.
    """
    return with_unique_ids(_documents(path, name, max_text_bytes, TemplateName(template), columns), columns)


DialogueSource.read = staticmethod(read_dialogue)


def _documents(
    path: Path, name: str, max_text_bytes: int, template: TemplateName, columns: OriginColumns
) -> Iterator[Document | Failure]:
    for number, value in values(path, max_text_bytes):
        if isinstance(value, Failure):
            yield value
            continue
        record = {"messages": value} if isinstance(value, list) else value
        if isinstance(record, dict):
            yield _document(record, number, name, template, columns)
        else:
            yield Failure("record", str(number), "not a JSON object", type(value).__name__)


def _document(
    record: dict[str, Any], number: int, name: str, template: TemplateName, columns: OriginColumns
) -> Document | Failure:
    try:
        found = conversation(record)
    except NotDialogue as error:
        return Failure("record", str(number), "no known form of dialogue", str(error))
    place = origin(record, columns, number, name, found.keys)
    if isinstance(place, Failure):
        return place
    meta = place.meta | {
        "form": found.form,
        "turns": str(len(found.messages)),
        "roles": ", ".join(dict.fromkeys(message["role"] for message in found.messages)),
    }
    if found.other_parts:
        meta["other_parts"] = ", ".join(f"{kind} {count}" for kind, count in sorted(found.other_parts.items()))
    if not any(message["content"].strip() or message.get("tool_calls") for message in found.messages):
        return gated(place.position, place.uri, "empty_conversation", meta)
    try:
        text = template.render(found.messages, record.get("tools"))
    except Exception as error:  # whatever a template's expressions raise of what they did not expect
        return Failure("record", place.position, "the template failed", f"{type(error).__name__}: {error}")
    return Document(place.position, place.uri, text, meta)
