from itertools import permutations

import pytest

from pipelines.ingest.code.imports import dependency_order


def order(language: str, files: dict[str, str]) -> list[str]:
    orders = {
        tuple(dependency_order({path: (language, files[path]) for path in paths}))
        for paths in list(permutations(files))[:24]
    }
    (one,) = orders  # whatever order the files come in
    return list(one)


def test_python():
    files = {
        "p-1.0/p/__init__.py": "from .core import mill\n",
        "p-1.0/p/core.py": "import os\nfrom p.stones import (\n    turn)\nfrom . import util as u\n",
        "p-1.0/p/stones.py": "import p.util\n",
        "p-1.0/p/util.py": "import sys\n",
    }
    assert order("Python", files) == [
        "p-1.0/p/util.py",
        "p-1.0/p/stones.py",
        "p-1.0/p/core.py",
        "p-1.0/p/__init__.py",
    ]


def test_scripts():
    files = {
        "src/a.ts": "import { b } from './lib/b';\nimport x from 'react';\n",
        "src/lib/b.ts": "export * from '../z.js'\n",
        "src/z.ts": "",
        "src/lib/index.ts": "const a = require('../a')\n",
    }
    assert order("TypeScript", files) == ["src/z.ts", "src/lib/b.ts", "src/a.ts", "src/lib/index.ts"]


def test_includes():
    files = {
        "src/a.c": '#include <stdio.h>\n#include "mill.h"\n',
        "include/mill.h": '#include "stone.h"\n',
        "include/stone.h": "",
    }
    assert order("C", files) == ["include/stone.h", "include/mill.h", "src/a.c"]


@pytest.mark.parametrize(
    ("language", "files", "expected"),
    [
        (
            "Java",
            {"s/org/a/A.java": "import org.b.B;\n", "s/org/b/B.java": "package org.b;\n"},
            ["s/org/b/B.java", "s/org/a/A.java"],
        ),
        (
            "Go",
            {"cmd/main.go": 'import (\n\t"fmt"\n\t"example.org/mill/stone"\n)\n', "stone/turn.go": "package stone\n"},
            ["stone/turn.go", "cmd/main.go"],
        ),
    ],
)
def test_packages(language: str, files: dict[str, str], expected: list[str]):
    assert order(language, files) == expected


def test_circles_are_broken_at_the_smallest_path():
    files = {"b.py": "import a\n", "a.py": "import b\n", "c.py": "import b\n", "d.py": "import d\n"}
    assert order("Python", files) == ["d.py", "a.py", "b.py", "c.py"]


def test_what_is_not_of_the_repository_does_not_count():
    assert order("Python", {"b.py": "import os, re\n", "a.py": "x = 'import b'\n"}) == ["a.py", "b.py"]
    assert order("Text", {"b": "import a\n", "a": "import b\n"}) == ["a", "b"]
