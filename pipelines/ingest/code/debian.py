"""debian/copyright in its machine-readable form (Debian's copyright format 1.0, DEP-5): a licence for each file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pipelines.ingest.code.licence_names import UNKNOWN, joined, spdx
from pipelines.ingest.code.licence_texts import recognise


class Stanza(NamedTuple):
    """The files that a paragraph is about, as one pattern over paths, and their licence (an SPDX expression).

    `is_rest`: the paragraph is about all files that no later one names (`Files: *`).
    """

    files: re.Pattern[str]
    licence: str
    is_rest: bool


def stanzas(text: str) -> list[Stanza]:
    """The paragraphs on files, in order: the last one that matches a path counts. Empty where the form is another."""
    paragraphs = [_fields(paragraph) for paragraph in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n"))]
    if not any("format" in fields for fields in paragraphs[:1]):
        return []
    texts: dict[str, str] = {}
    for fields in paragraphs:
        name, _, body = fields.get("license", "").partition("\n")
        if body.strip():
            texts.setdefault(name.strip().lower(), body)
    found = []
    for fields in paragraphs:
        if "files" in fields and "license" in fields:
            name = fields["license"].partition("\n")[0].strip()
            found.append(Stanza(_pattern(fields["files"]), _licence(name, texts), fields["files"].strip() == "*"))
    return found


def _licence(name: str, texts: dict[str, str]) -> str:
    """By its text, where that is one that we know, else by its name; each part of `A or B` and `A and B` alike."""
    if known := spdx(name):
        return known
    for operator, pattern in (("AND", r",? and |, "), ("OR", r",? or ")):
        parts = re.split(pattern, name)
        if len(parts) > 1:
            return joined(operator, [_licence(part, texts) for part in parts])
    found = recognise(texts.get(name.lower(), ""))
    if found:
        return joined("AND", [one.licence for one in found])
    spelled = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")
    return f"LicenseRef-{spelled}" if spelled else UNKNOWN


def _pattern(globs: str) -> re.Pattern[str]:
    """`*` and `?` match any characters, `/` too; a backslash guards the next one."""
    return re.compile("|".join("".join(_parts(glob)) for glob in globs.split()), re.DOTALL)


def _parts(glob: str) -> Iterator[str]:
    for part in re.findall(r"\\.|\*+|.", glob):
        yield {"*": ".*", "?": "."}.get(part[0], re.escape(part.removeprefix("\\")))


def _fields(paragraph: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in paragraph.split("\n"):
        if line.startswith((" ", "\t")):
            fields[name] = fields.get(name, "") + "\n" + line
        elif not line.startswith("#"):
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields.setdefault(name, value.strip())
    return fields
