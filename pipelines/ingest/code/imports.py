"""Which files of a repository a file names as what it needs, and an order in which what is needed comes first.

Python's imports, JavaScript's and TypeScript's `import` and `require`, C's and C++'s `#include "..."`, the packages of
Java and Go. Only files of the repository count; what cannot be resolved is left out. After DeepSeek-Coder (Guo et al.
2024, arXiv 2401.14196, section 2.2: files of a repository in topological order).
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush

_PYTHON = re.compile(r"^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+([^\n#]+)|import[ \t]+([^\n#]+))", re.MULTILINE)
_SCRIPT = re.compile(r"(?:\bfrom|\bimport|\brequire\s*\(|\bimport\s*\()\s*[\"'](\.{1,2}/[^\"'\n]*|\.{1,2})[\"']")
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*(?:include|import)[ \t]*\"([^\"\n]+)\"", re.MULTILINE)
_JAVA = re.compile(r"^[ \t]*import[ \t]+(?:static[ \t]+)?([\w.]+)(\.\*)?", re.MULTILINE)
_GO = re.compile(r"^[ \t]*(?:import[ \t]+)?(?:[\w.]+[ \t]+)?\"([\w./~-]+)\"[ \t]*(?://.*)?$", re.MULTILINE)
_SCRIPT_ENDS = ("", ".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mjs", ".cjs", ".json", ".vue",
                "/index.ts", "/index.tsx", "/index.js", "/index.mjs")  # fmt: skip
_KINDS = {
    "Python": "python", "Cython": "python", "JavaScript": "script", "TypeScript": "script", "TSX": "script",
    "Vue": "script",
    "C": "include", "C++": "include", "Objective-C": "include", "Objective-C++": "include", "Cuda": "include",
    "Java": "java", "Kotlin": "java", "Scala": "java", "Go": "go",
}  # fmt: skip


def dependency_order(files: Mapping[str, tuple[str, str]]) -> list[str]:
    """Paths in an order in which what a file needs comes before it; of free choices the smaller path comes first.

    `files`: path to (language, text). Where files need each other in a circle, the smallest path of those left goes
    first, so the order is a function of the files alone.
    """
    needs = {path: set(found) - {path} for path, found in _needs(files).items()}
    needed_by = defaultdict(list)
    for path, found in needs.items():
        for other in found:
            needed_by[other].append(path)
    missing = {path: len(found) for path, found in needs.items()}
    free = [path for path, count in missing.items() if not count]
    heapify(free)
    waiting = sorted(files, reverse=True)
    order: list[str] = []
    done: set[str] = set()
    while len(order) < len(files):
        path = heappop(free) if free else waiting.pop()
        if path in done:
            continue
        done.add(path)
        order.append(path)
        for other in needed_by[path]:
            missing[other] -= 1
            if not missing[other]:
                heappush(free, other)
    return order


def _needs(files: Mapping[str, tuple[str, str]]) -> dict[str, list[str]]:
    by_name = defaultdict(list)  # of each last part of a path, the paths
    by_folder = defaultdict(list)
    for path in sorted(files):
        by_name[posixpath.basename(path)].append(path)
        by_folder[posixpath.dirname(path)].append(path)
    resolvers = {"python": _python, "script": _script, "include": _include, "java": _java, "go": _go}
    result = {}
    for path, (language, text) in files.items():
        kind = _KINDS.get(language)
        result[path] = list(resolvers[kind](path, text, files, by_name, by_folder)) if kind else []
    return result


_Names = Mapping[str, list[str]]


def _python(path: str, text: str, files: Mapping[str, object], by_name: _Names, by_folder: _Names) -> Iterator[str]:
    for match in _PYTHON.finditer(text):
        if match[3]:
            modules = [part.split(" as ")[0].strip() for part in match[3].split(",")]
            yield from (found for module in modules for found in _python_module(path, module, files, by_name))
            continue
        names = [part.split(" as ")[0].strip(" ()\t") for part in match[2].split(",")]
        base = match[1] if match[1].endswith(".") or not match[1] else f"{match[1]}."
        inner = [f for name in names if name.isidentifier() for f in _python_module(path, base + name, files, by_name)]
        yield from inner or _python_module(path, match[1], files, by_name)  # modules of a package, or what one holds


def _python_module(path: str, module: str, files: Mapping[str, object], by_name: _Names) -> Iterator[str]:
    bare = module.lstrip(".")
    inner = bare.replace(".", "/")
    if dots := len(module) - len(bare):
        folder = posixpath.dirname(path)
        for _ in range(dots - 1):
            folder = posixpath.dirname(folder)
        targets = [posixpath.join(folder, inner) if inner else folder]
        yield from (f for target in targets for f in (f"{target}.py", f"{target}/__init__.py") if f in files)
        return
    if not inner:
        return
    last = posixpath.basename(inner)
    for end, names in (
        (f"{inner}.py", by_name.get(f"{last}.py", [])),
        (f"{inner}/__init__.py", by_name.get("__init__.py", [])),
    ):
        if end.count("/") == 0 and names:  # a module without a package: only beside the file
            names = [name for name in names if posixpath.dirname(name) == posixpath.dirname(path)]
        yield from _nearest(path, [name for name in names if name == end or name.endswith(f"/{end}")])


def _script(path: str, text: str, files: Mapping[str, object], by_name: _Names, by_folder: _Names) -> Iterator[str]:
    for match in _SCRIPT.finditer(text):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[1]))
        bare = re.sub(r"\.js$", "", target)  # TypeScript names what it becomes
        yield from (f for f in dict.fromkeys([target, *(bare + end for end in _SCRIPT_ENDS)]) if f in files)


def _include(path: str, text: str, files: Mapping[str, object], by_name: _Names, by_folder: _Names) -> Iterator[str]:
    for match in _INCLUDE.finditer(text):
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[1]))
        if beside in files:
            yield beside
            continue
        end = posixpath.normpath(match[1]).lstrip("./")
        yield from _nearest(
            path, [f for f in by_name.get(posixpath.basename(end), []) if f == end or f.endswith(f"/{end}")]
        )


def _java(path: str, text: str, files: Mapping[str, object], by_name: _Names, by_folder: _Names) -> Iterator[str]:
    suffix = posixpath.splitext(path)[1]
    for match in _JAVA.finditer(text):
        inner = match[1].replace(".", "/")
        if match[2]:
            yield from (f for folder, found in by_folder.items() if f"/{folder}".endswith(f"/{inner}") for f in found)
        else:
            end = inner + suffix
            names = by_name.get(posixpath.basename(end), [])
            yield from _nearest(path, [name for name in names if name == end or name.endswith(f"/{end}")])


def _go(path: str, text: str, files: Mapping[str, object], by_name: _Names, by_folder: _Names) -> Iterator[str]:
    for match in _GO.finditer(text.split("\nfunc ", 1)[0]):
        parts = match[1].split("/")
        for begin in range(len(parts)):  # the module's own name is no folder of the repository
            inner = "/".join(parts[begin:])
            folders = [folder for folder in by_folder if folder == inner or folder.endswith(f"/{inner}")]
            if folders and (begin or "." not in parts[0]) and len(parts) - begin > (0 if begin else 1):
                yield from (
                    f for f in by_folder[min(folders, key=len)] if f.endswith(".go") and not f.endswith("_test.go")
                )
                break


def _nearest(path: str, candidates: Iterable[str]) -> list[str]:
    """Of several files of that name, the one that shares most folders with the file that needs it."""
    best = max(candidates, key=lambda other: (len(posixpath.commonpath([path, other])), other), default=None)
    return [best] if best else []
