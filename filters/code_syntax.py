"""How programming languages write comments and strings: as much as tells a comment from what only looks like one.

A syntax is shared by all languages that agree on it; details that no comment depends on are left out. Sources are the
languages' own grammars. Languages bear GitHub Linguist's names. What is left out, since it needs a parser: Perl's and
Ruby's freely delimited quotes, here-documents, fixed-form Fortran, JavaScript's regular expressions behind a keyword,
and the code in templates' `${}`.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LINES, BLOCKS = 5, 2  # at most, in a syntax
SHORT, LONG, PLAIN, CHAR = 1, 2, 3, 4  # kinds of quotes; flags of a syntax are further below


class Syntax(NamedTuple):
    """Comments and strings of a group of languages.

    `line` and `block` are the marks of comments; blocks are tried first. A string in quotes of `short` ends at the
    line's end at the latest, one of `long` goes over lines, a backslash guards the next character in both; `plain`
    quotes know no guard; `char` quotes hold one character, and are else no quotes at all (Rust's lifetimes). `triple`
    quotes may stand three at a time, as in Python.
    """

    languages: str
    line: tuple[str, ...] = ()
    block: tuple[tuple[str, str], ...] = ()
    short: str = '"'
    long: str = ""
    plain: str = ""
    char: str = ""
    triple: str = ""
    flags: int = 0


NESTED = 1  # block comments nest
SPACED = 2  # a line comment follows white space: in Shell, `$#` is none
FIRST = 4  # a line comment is the first in its line
GUARDED = 8  # a backslash outside strings guards the next character: TeX's `\%`, Lisp's `#\;`
APART = 16  # a quote behind a letter or digit opens nothing: the apostrophe of "don't", MATLAB's transpose
STATEMENTS = 32  # a string that is a statement of its own is a comment: Python's docstrings
REGEX = 64  # `/` where an operand is expected opens a regular expression, up to the next one in the line
POD = 128  # `=` and a letter, first in a line, open a comment up to a line with `=cut` or `=end`
RAW_RUST = 256  # r#"..."#
RAW_CPP = 512  # R"delimiter(...)delimiter"
RAW_SHARP = 1024  # @"...", where "" stands for a quote

_C_BLOCK = (("/*", "*/"),)

SYNTAXES: dict[str, Syntax] = {
    "c": Syntax("C|Objective-C|GLSL|Solidity|Verilog|SystemVerilog|Protocol Buffer|Zig", ("//",), _C_BLOCK, char="'"),
    "c++": Syntax("C++|CUDA|Objective-C++", ("//",), _C_BLOCK, char="'", flags=RAW_CPP),
    "c#": Syntax("C#", ("//",), _C_BLOCK, char="'", triple='"', flags=RAW_SHARP),
    "d": Syntax("D", ("//",), (("/+", "+/"), *_C_BLOCK), plain="`", char="'"),
    "java": Syntax("Java|Kotlin|Scala|Swift", ("//",), _C_BLOCK, char="'", triple='"'),
    "groovy": Syntax("Groovy|Dart", ("//",), _C_BLOCK, short="\"'", triple="\"'"),
    "go": Syntax("Go|Go Module", ("//",), _C_BLOCK, plain="`", char="'"),
    "rust": Syntax("Rust", ("//",), _C_BLOCK, short="", long='"', char="'", flags=NESTED | RAW_RUST),
    "javascript": Syntax("JavaScript|TypeScript|TSX|JSX", ("//",), _C_BLOCK, short="\"'", long="`", flags=REGEX),
    "php": Syntax("PHP|Hack", ("//", "# "), _C_BLOCK, short="\"'", flags=APART),  # #[ is an attribute
    "css": Syntax("CSS", (), _C_BLOCK, short="\"'"),
    "scss": Syntax("SCSS|Sass|Less|Stylus", ("//",), _C_BLOCK, short="\"'", flags=SPACED),
    "python": Syntax("Python|Cython|Starlark|Meson", ("#",), short="\"'", triple="\"'", flags=STATEMENTS),
    "cmake": Syntax("CMake", ("#",), (("#[[", "]]"), ("#[=", "=]")), short="", long='"'),
    "shell": Syntax("Shell|Awk|Makefile|YAML|Tcl|R|RMarkdown", ("#",), short="\"'", flags=SPACED | APART),
    "toml": Syntax("TOML|Elixir|GraphQL", ("#",), short="\"'", triple="\"'", flags=SPACED | APART),
    "nim": Syntax("Nim", ("#",), (("#[", "]#"),), char="'", triple='"', flags=NESTED | SPACED),
    "ruby": Syntax("Ruby|Perl|Crystal", ("#",), short="\"'", flags=SPACED | APART | POD),
    "hcl": Syntax("HCL|Nix", ("#", "//"), _C_BLOCK, flags=SPACED),
    "coffeescript": Syntax("CoffeeScript", ("#",), (("###", "###"),), short="\"'", triple="\"'", flags=SPACED | APART),
    "julia": Syntax("Julia", ("#",), (("#=", "=#"),), char="'", triple='"', flags=NESTED),
    "powershell": Syntax("PowerShell", ("#",), (("<#", "#>"),), short="\"'", flags=SPACED | APART),
    "dockerfile": Syntax("Dockerfile", ("#",), flags=FIRST),
    "ini": Syntax("INI", ("#", ";"), short="", flags=FIRST),
    "m4": Syntax("M4", ("dnl", "#"), short="", flags=SPACED),
    "batchfile": Syntax("Batchfile", ("::", "REM ", "rem ", "Rem ", "@rem "), short="", flags=FIRST),
    "vim": Syntax("Vim Script", ('"',), short="", flags=FIRST),
    "sql": Syntax("SQL|PLSQL|PLpgSQL|TSQL", ("--",), _C_BLOCK, short="\"'"),
    "lua": Syntax("Lua", ("--",), (("--[[", "]]"),), short="\"'"),
    "haskell": Syntax("Haskell|Elm|Agda|Idris", ("--",), (("{-", "-}"),), char="'", flags=NESTED),
    "ada": Syntax("Ada|VHDL", ("--",), char="'"),
    "ocaml": Syntax("OCaml|Standard ML", (), (("(*", "*)"),), short="", long='"', char="'", flags=NESTED),
    "f#": Syntax("F#", ("//",), (("(*", "*)"),), char="'", triple='"', flags=NESTED),
    "pascal": Syntax("Pascal", ("//",), (("{", "}"), ("(*", "*)")), short="'"),
    "lisp": Syntax(
        "Common Lisp|Emacs Lisp|Scheme|Racket|Clojure",
        (";",),
        (("#|", "|#"),),
        short="",
        long='"',
        flags=NESTED | GUARDED,
    ),
    "webassembly": Syntax("WebAssembly", (";;",), (("(;", ";)"),), flags=NESTED),
    "assembly": Syntax("Assembly", (";", "//", "# "), _C_BLOCK, char="'"),  # #1 is a number
    "tex": Syntax("TeX", ("%",), short="", flags=GUARDED),
    "matlab": Syntax("MATLAB|Erlang", ("%",), (("%{", "%}"),), short="\"'", flags=APART),
    "prolog": Syntax("Prolog", ("%",), _C_BLOCK, short="\"'", flags=APART),
    "fortran": Syntax("Fortran", ("!",), short="\"'"),
    "basic": Syntax("Visual Basic .NET|VBA|VBScript", ("'",)),
    "html": Syntax("HTML|XML|XSLT|SVG|Vue|Markdown", (), (("<!--", "-->"),), short=""),
    "jinja": Syntax("Jinja", (), (("<!--", "-->"), ("{#", "#}")), short=""),
}
"""Every syntax by its name."""


class Packed(NamedTuple):
    """The syntaxes as the kernel reads them; `n` of them, in the order of `SYNTAXES`."""

    special: NDArray[np.bool_]  # [n, 256]: bytes that mean something; all others are walked over
    quotes: NDArray[np.uint8]  # [n, 256]: the kind of quote, 0 for none
    triple: NDArray[np.bool_]  # [n, 256]: the quotes that may be tripled
    marks: NDArray[np.uint8]  # [n, LINES + 2 * BLOCKS, 5]: line marks, block openers, block closers
    sizes: NDArray[np.int64]  # [n, LINES + 2 * BLOCKS]: bytes of the marks
    flags: NDArray[np.int64]  # [n]


def syntax_of(language: str | None) -> int:
    """The position in `SYNTAXES` of a language, in any case; -1 for one whose comments are not known (JSON, Text)."""
    return _by_language().get((language or "").lower(), -1)


@cache
def _by_language() -> dict[str, int]:
    return {
        language.lower(): number
        for number, syntax in reversed(list(enumerate(SYNTAXES.values())))
        for language in syntax.languages.split("|")
    }


@cache
def packed() -> Packed:
    """The syntaxes as arrays, read-only."""
    count, rows = len(SYNTAXES), LINES + 2 * BLOCKS
    tables = Packed(
        np.zeros((count, 256), np.bool_),
        np.zeros((count, 256), np.uint8),
        np.zeros((count, 256), np.bool_),
        np.zeros((count, rows, 5), np.uint8),
        np.zeros((count, rows), np.int64),
        np.array([syntax.flags for syntax in SYNTAXES.values()], np.int64),
    )
    for number, syntax in enumerate(SYNTAXES.values()):
        marks = dict(enumerate(syntax.line))
        for block, (opener, closer) in enumerate(syntax.block, LINES):
            marks |= {block: opener, block + BLOCKS: closer}
        for row, mark in marks.items():
            data = mark.encode()
            tables.marks[number, row, : len(data)] = list(data)
            tables.sizes[number, row] = len(data)
            tables.special[number, data[0]] |= row < LINES + BLOCKS
        for kind, quotes in ((SHORT, syntax.short), (LONG, syntax.long), (PLAIN, syntax.plain), (CHAR, syntax.char)):
            tables.quotes[number, list(quotes.encode())] = kind
        tables.triple[number, list(syntax.triple.encode())] = True
        for flag, signs in ((GUARDED, "\\"), (STATEMENTS, "()[]{}"), (REGEX, "/"), (POD, "="), (RAW_RUST, "r")):
            if syntax.flags & flag:
                tables.special[number, list(signs.encode())] = True
    tables.special[tables.quotes > 0] = True
    for table in tables:
        table.flags.writeable = False
    return tables
