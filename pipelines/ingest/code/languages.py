"""Which language a file is in: by modeline, name, shebang, extension, then content. Names are GitHub Linguist's.

The table (`languages.json`, made by pipelines.ingest.code.tables) is Linguist's own (MIT), as the npm package
linguist-languages ships it; the order of the steps is Linguist's, too. Extensions that several languages share are
told apart by filters of this project (`ambiguous.py`). What this adds to the table: common names that it lacks, and
templates of files (`setup.py.in`, `models.py-tpl`), which are in the language of what they become.
"""

from __future__ import annotations

import json
import posixpath
import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from pipelines.ingest.code.ambiguous import choose

HEAD = 16_000  # characters that content is judged by
_MODELINES = 5  # lines at either end of a file that hold modelines (Vim's own default)

_MORE_NAMES = {
    "Text": "AUTHORS AUTHORS.rst.in BUGS CHANGES CHANGELOG CONTRIBUTING CONTRIBUTORS CREDITS ChangeLog HACKING HISTORY"
    " MAINTAINERS MANIFEST MANIFEST.in METADATA NOTICE PATENTS PKG-INFO README RECORD RELEASE THANKS TODO VERSION WHEEL"
    " MANIFEST.SKIP Changes Changelog changelog copyright control LICENCE COPYRIGHT UNLICENSE SOURCES.txt"
    " entry_points.txt top_level.txt",
    "Makefile": "rules",  # debian/rules
    "Python": "wscript SConstruct SConscript",
    "Go Checksums": "go.sum",
}
_MORE_EXTENSIONS = {
    "M4Sugar": ".ac",
    "Makefile": ".am",
    "Python": ".py-tpl",
    "Text": ".text",
    "Jinja": ".j2 .jinja .jinja2",
}
_TEMPLATE = re.compile(
    r"(?:\.(?:in|tmpl|tpl|template|dist|example|sample|orig|bak|default|skel)|-tpl|~)$", re.IGNORECASE
)
_EMACS = re.compile(
    r"-\*-[ \t]*(?:[^*\n]*?\bmode[ \t]*:[ \t]*([\w+#-]+)|([\w+#-]+)[ \t]*)(?:[ \t]*;[^*\n]*)?[ \t]*-\*-", re.I
)
_VIM = re.compile(r"(?:^|\s)(?:vim?|ex):.*?\b(?:ft|filetype|syntax)=([\w+#-]+)", re.I)
_SHEBANG = re.compile(r"#!\s*(\S+)(.*)")
_MANPAGE = re.compile(r"^(?:\.TH\s|\.Dd\s|\.Dt\s|\.so man\d|'\\\" t)", re.MULTILINE)
_SECTION = re.compile(r"\A(?:[ \t]*(?:[#;][^\n]*)?\n)*\[[\w .:-]+\][ \t]*\r?\n[ \t]*(?:[#;\[]|[\w.-]+[ \t]*=)")
_VERSIONS = re.compile(r"[\d.]+$")


class _Table(NamedTuple):
    by_name: dict[str, list[str]]
    by_extension: dict[str, list[str]]
    by_interpreter: dict[str, list[str]]
    by_alias: dict[str, str]
    data: frozenset[str]


def language_of(path: str, text: str = "") -> str | None:
    """The language of a file; None where neither its name nor its text tells. `text` may be its beginning only."""
    table = _table()
    name = posixpath.basename(path)
    head = text[:HEAD]
    for candidates in (_by_modeline(table, text), _by_name(table, name), _by_shebang(table, head)):
        if len(candidates) == 1:
            return candidates[0]
    extension, candidates = _by_extension(table, name)
    if candidates:
        return candidates[0] if len(candidates) == 1 else choose(extension, candidates, head)
    template = _TEMPLATE.sub("", name)
    if template and template != name:
        return language_of(posixpath.join(posixpath.dirname(path), template), text)
    return _by_content(name, head)


def is_data(language: str) -> bool:
    """Whether a language is one of data by Linguist's word: JSON, YAML, CSV, SVG, ..."""
    return language in _table().data


@cache
def _table() -> _Table:
    rows = json.loads(files("pipelines.ingest.code").joinpath("languages.json").read_text("utf-8"))
    table = _Table({}, {}, {}, {}, frozenset(name for name, row in rows.items() if row["type"] == "data"))
    for name, row in rows.items():
        for kind, where in (("filenames", table.by_name), ("interpreters", table.by_interpreter)):
            for value in row.get(kind, []):
                where.setdefault(value, []).append(name)
        for extension in row.get("extensions", []):
            sharing = table.by_extension.setdefault(extension.lower(), [])
            if name not in sharing:
                sharing.append(name)
        for alias in (name.lower(), *row.get("aliases", [])):
            table.by_alias.setdefault(alias.replace(" ", "-"), name)
    for name, values in _MORE_NAMES.items():
        for value in values.split():
            table.by_name.setdefault(value, [name])
    for name, values in _MORE_EXTENSIONS.items():
        for value in values.split():
            table.by_extension.setdefault(value, [name])
    return table


def _by_modeline(table: _Table, text: str) -> list[str]:
    first = text[:2_000].split("\n", _MODELINES)[:_MODELINES]
    last = text[-2_000:].rsplit("\n", _MODELINES)[-_MODELINES:]
    found = [match[1] or match[2] for line in first if "-*-" in line and (match := _EMACS.search(line))]
    found += [match[1] for line in (*first, *last) if ":" in line and (match := _VIM.search(line))]
    known = [table.by_alias[one.lower()] for one in found if one.lower() in table.by_alias]
    return known[:1]


def _by_name(table: _Table, name: str) -> list[str]:
    stem, dot, _ = name.partition(".")
    return table.by_name.get(name) or ([stem] if dot and stem in ("Dockerfile", "Makefile") else [])


def _by_shebang(table: _Table, head: str) -> list[str]:
    match = _SHEBANG.match(head.removeprefix("\ufeff"))
    if not match:
        return []
    words = [posixpath.basename(match[1]), *match[2].split()]
    if words[0] == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word] or [""]
    if words[0] in ("sh", "bash") and (run := re.search(r"^\s*exec\s+(\w+)\b.*\$0", head[:1000], re.MULTILINE)):
        words[0] = run[1]  # a script that hands itself to another interpreter
    interpreter = words[0].rsplit("/", 1)[-1]
    found = table.by_interpreter.get(interpreter) or table.by_interpreter.get(_VERSIONS.sub("", interpreter), [])
    return found[:1] if len(found) > 1 and "Python" not in found else [one for one in found if one == "Python"] or found


def _by_extension(table: _Table, name: str) -> tuple[str, list[str]]:
    """The longest extension that is known (`.html.erb` before `.erb`), and its languages."""
    lower = name.lower()
    at = lower.find(".", 1) if lower.startswith(".") and lower.count(".") > 1 else lower.find(".")
    while at >= 0:
        if found := table.by_extension.get(lower[at:]):
            return lower[at:], found
        at = lower.find(".", at + 1)
    if found := next(
        (found for end, found in table.by_extension.items() if end == ".py-tpl" and lower.endswith(end)), None
    ):
        return ".py-tpl", found
    return "", []


def _by_content(name: str, head: str) -> str | None:
    """For names that say nothing."""
    start = head.lstrip("\ufeff \t\r\n")[:1000]
    lower = start.lower()
    if start.startswith("<?xml"):
        return "SVG" if "<svg" in lower else "XML"
    if lower.startswith(("<!doctype html", "<html")):
        return "HTML"
    if start.startswith("<?php"):
        return "PHP"
    if re.match(r"diff --git |Index: |--- \S+.*\n\+\+\+ ", start):
        return "Diff"
    if re.search(r"\.(?:[1-9]\w{0,3}|man|mdoc)$", name) and _MANPAGE.search(head):
        return "Roff Manpage"
    if _SECTION.match(head):
        return "INI"
    stem = re.split(r"[._-]", name)[0]
    is_prose = stem.isupper() and len(stem) > 3 and "\n" in head and not re.search(r"[{};]\s*$", start, re.MULTILINE)
    return "Text" if is_prose else None
