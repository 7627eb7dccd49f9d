"""Jupyter notebooks as scripts: code cells as they are, prose as comments, outputs left out."""

from __future__ import annotations

import json
from typing import Any

_COMMENTS = {"JavaScript": "//", "TypeScript": "//", "C++": "//", "Rust": "//", "Scala": "//", "Go": "//", "C#": "//",
             "F#": "//", "Java": "//", "Kotlin": "//", "Haskell": "--", "SQL": "--", "Lua": "--", "MATLAB": "%",
             "Clojure": ";"}  # fmt: skip
_NAMES = {"python": "Python", "python2": "Python", "python3": "Python", "ipython": "Python", "sagemath": "Python",
          "r": "R", "ir": "R", "julia": "Julia", "javascript": "JavaScript", "typescript": "TypeScript", "c++": "C++",
          "rust": "Rust", "scala": "Scala", "go": "Go", "c#": "C#", "f#": "F#", "java": "Java", "kotlin": "Kotlin",
          "haskell": "Haskell", "sql": "SQL", "lua": "Lua", "matlab": "MATLAB", "octave": "MATLAB", "bash": "Shell",
          "ruby": "Ruby", "perl": "Perl", "clojure": "Clojure"}  # fmt: skip


def script(text: str) -> tuple[str, str]:
    """A notebook (nbformat 3 or 4) as one script, and the language of its code (Python where it does not say).

    Cells are separated by an empty line. Magics stay as they stand. Raises ValueError where it is no notebook.
    """
    try:
        notebook = json.loads(text)
        language = _language(notebook.get("metadata", {}))
        mark = _COMMENTS.get(language, "#")
        cells = [_cell(cell, mark) for cell in _cells(notebook)]
    except (AttributeError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"no notebook: {error}") from error
    return "\n\n".join(cell for cell in cells if cell.strip()) + "\n", language


def _cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    if "worksheets" in notebook:  # nbformat 3
        return [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
    cells: list[dict[str, Any]] = notebook["cells"]
    return cells


def _cell(cell: dict[str, Any], mark: str) -> str:
    source = cell.get("source", cell.get("input", ""))
    text = source if isinstance(source, str) else "".join(source)
    if cell.get("cell_type") == "code":
        return text.rstrip()
    return "\n".join(f"{mark} {line}".rstrip() for line in text.rstrip().split("\n"))


def _language(metadata: dict[str, Any]) -> str:
    said = [metadata.get("language_info", {}).get("name"), metadata.get("kernelspec", {}).get("language"),
            metadata.get("kernelspec", {}).get("name")]  # fmt: skip
    names = [str(name).lower() for name in said if name]
    return next((_NAMES[name] for name in names if name in _NAMES), names[0].title() if names else "Python")
