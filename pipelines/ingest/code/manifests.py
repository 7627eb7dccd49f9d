"""What the manifests of packages say of their licence: Python, npm, Cargo, Composer, Maven, gems and others."""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Callable
from email.parser import HeaderParser
from typing import Any, NamedTuple

from pipelines.ingest.code.licence_names import ANY_BSD, classifier, joined, spdx


class Said(NamedTuple):
    """A licence as a manifest names it (an SPDX expression), and how well that is said: 0 an expression, 1 a name."""

    licence: str
    rank: int


def is_manifest(path: str) -> bool:
    """Whether a file of this name may say the licence of a package."""
    return _parser(path) is not None


def licence_in(path: str, text: str) -> Said | None:
    """The licence that a manifest names; None where it names none, or none that is known. Never raises."""
    parser = _parser(path)
    try:
        return parser(text) if parser else None
    except (ValueError, TypeError, AttributeError, RecursionError):  # no valid JSON or TOML, or of another shape
        return None


def _metadata(text: str) -> Said | None:
    """Python's core metadata: License-Expression (PEP 639), License, classifiers."""
    fields = HeaderParser().parsestr(text.split("\n\n", 1)[0])
    if said := _said(fields.get("License-Expression"), 0):
        return said
    named = spdx(str(fields.get("License", "")).strip().split("\n")[0])
    classes = [found for one in fields.get_all("Classifier", []) if (found := classifier(str(one)))]
    if named and named != ANY_BSD:
        return Said(named, 1)
    return Said(joined("AND", classes), 1) if classes else Said(named, 1) if named else None


def _pyproject(text: str) -> Said | None:
    loaded = tomllib.loads(text)
    project = loaded.get("project") or loaded.get("tool", {}).get("poetry", {})
    licence = project.get("license")
    if isinstance(licence, dict):
        licence = licence.get("text")
    if said := _said(licence, 0):
        return said
    classes = [found for one in project.get("classifiers", []) if (found := classifier(str(one)))]
    return Said(joined("AND", classes), 1) if classes else None


def _package_json(text: str) -> Said | None:
    loaded = json.loads(text)
    licence = loaded.get("license") or loaded.get("licenses")
    if isinstance(licence, list):  # as npm once had it: one may choose
        names = [one.get("type") if isinstance(one, dict) else one for one in licence]
        known = [found for name in names if (found := spdx(str(name)))]
        return Said(joined("OR", known), 0) if known and len(known) == len(names) else None
    return _said(licence.get("type") if isinstance(licence, dict) else licence, 0)


def _cargo(text: str) -> Said | None:
    return _said(tomllib.loads(text).get("package", {}).get("license"), 0)


def _by_pattern(pattern: str, rank: int) -> Callable[[str], Said | None]:
    compiled = re.compile(pattern, re.MULTILINE | re.IGNORECASE)

    def parse(text: str) -> Said | None:
        match = compiled.search(text)
        return _said(match[1], rank) if match else None

    return parse


def _said(licence: Any, rank: int) -> Said | None:
    found = spdx(licence) if isinstance(licence, str) else None
    return Said(found, rank) if found and found != ANY_BSD else Said(found, 1) if found else None


_setup_cfg = _by_pattern(r"^license(?:_expression)?\s*=\s*([^\n]+)$", 1)
_setup_py = _by_pattern(r"\blicense(?:_expression)?\s*=\s*[\"']([^\"'\n]+)[\"']", 1)
_gemspec = _by_pattern(r"\.licenses?\s*=\s*\[?\s*[\"']([^\"'\n]+)[\"']", 0)
_cabal = _by_pattern(r"^license:\s*(\S[^\n]*)$", 0)
_maven = _by_pattern(r"<license>\s*<name>([^<]{1,200})</name>", 1)
_description = _by_pattern(r"^License:[ \t]*([^\n|]{1,200})(?:\|[ \t]*file[^\n]*)?$", 1)

_BY_NAME: dict[str, Callable[[str], Said | None]] = {
    "METADATA": _metadata,
    "PKG-INFO": _metadata,
    "pyproject.toml": _pyproject,
    "setup.cfg": _setup_cfg,
    "setup.py": _setup_py,
    "package.json": _package_json,
    "bower.json": _package_json,
    "composer.json": _package_json,
    "Cargo.toml": _cargo,
    "pom.xml": _maven,
    "DESCRIPTION": _description,
}
_BY_SUFFIX = {".gemspec": _gemspec, ".cabal": _cabal}
RANKED = (*_BY_NAME, *_BY_SUFFIX)
"""Which manifest of a folder is asked first."""


def _parser(path: str) -> Callable[[str], Said | None] | None:
    name = posixpath.basename(path)
    return _BY_NAME.get(name) or _BY_SUFFIX.get(posixpath.splitext(name)[1])
