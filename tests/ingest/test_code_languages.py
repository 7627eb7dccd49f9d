import json
import re
from importlib.resources import files

import pytest

from filters.code_syntax import SYNTAXES
from pipelines.ingest.code import ambiguous
from pipelines.ingest.code.languages import is_data, language_of
from pipelines.ingest.code.marks import marks

TABLE = json.loads(files("pipelines.ingest.code").joinpath("languages.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("path", "text", "language"),
    [
        ("a/b.PY", "", "Python"),
        ("Makefile", "", "Makefile"),
        ("x/CMakeLists.txt", "", "CMake"),
        ("LICENSE", "", "Text"),
        ("models.py-tpl", "", "Python"),
        ("setup.py.in", "", "Python"),
        ("Dockerfile.test", "", "Dockerfile"),
        ("index.html.erb", "", "HTML+ERB"),
        ("a.tar", "", None),
        ("a", "", None),
        ("a.unknown", "x = 1\n", None),
        # shebangs
        ("run", "#!/bin/sh\n", "Shell"),
        ("run", "#!/usr/bin/env python3\n", "Python"),
        ("run", "#!/usr/bin/env -S FOO=1 perl -w\n", "Perl"),
        ("run", "#! /usr/local/bin/python3.11 -u\n", "Python"),
        ("run", "#!/opt/no-such-thing\n", None),
        # modelines
        ("a.inc", "/* -*- mode: c++; indent: 4 -*- */\n", "C++"),
        ("a.unknown", "# vim: set ft=ruby :\n", "Ruby"),
        ("a.unknown", "x\n" * 900 + "// vim: ft=rust\n", "Rust"),
        ("a.py", "# -*- coding: utf-8 -*-\n", "Python"),
        # content
        ("data", '<?xml version="1.0"?>\n<svg/>', "SVG"),
        ("page", "<!DOCTYPE html>\n", "HTML"),
        ("x.conf", "# a mill\n[grain]\nkind = rye\n", "INI"),
        ("README.first", "Read this.\n", "Text"),
        ("fix", "diff --git a/x b/x\n", "Diff"),
    ],
)
def test_languages(path: str, text: str, language: str | None):
    assert language_of(path, text) == language


@pytest.mark.parametrize(
    ("path", "text", "language"),
    [
        ("a.h", "#ifndef A_H\nint f(void);\n#endif\n", "C"),
        ("a.h", '#ifdef __cplusplus\nextern "C" {\n#endif\nint f(void);\n#ifdef __cplusplus\n}\n#endif\n', "C"),
        ("a.h", "namespace mill {\nclass Stone {\n public:\n  int turn();\n};\n}\n", "C++"),
        ("a.h", "#include <vector>\nvoid f();\n", "C++"),
        ("a.h", "/* a class of std::vector */\nstruct s { int class_of; };\n", "C"),
        ("a.h", "#import <Foundation/Foundation.h>\n@interface Mill : NSObject\n@end\n", "Objective-C"),
        ("a.m", "@implementation Mill\n@end\n", "Objective-C"),
        ("a.m", "% turns\nfunction y = turn(x)\ny = x;\nend\n", "MATLAB"),
        ("a.pl", "use strict;\nmy $x = 1;\n", "Perl"),
        ("a.pl", ":- module(mill, [turn/1]).\nturn(X) :- stone(X).\n", "Prolog"),
        ("a.t", "use Test::More;\nok(1);\n", "Perl"),
        ("a.r", "x <- 1\n", "R"),
        ("a.ts", "export const x: number = 1;\n", "TypeScript"),
        ("a.ts", '<?xml version="1.0"?>\n<TS version="2.1">\n', "XML"),
        ("a.v", "module mill(input a);\nendmodule\n", "Verilog"),
        ("a.cls", "\\NeedsTeXFormat{LaTeX2e}\n", "TeX"),
        ("a.cls", "VERSION 1.0 CLASS\n", "Visual Basic 6.0"),
        ("a.inc", "<?php\n", "PHP"),
        ("a.inc", "#include <stdio.h>\n", "C++"),
        ("a.pro", "QT += core\nSOURCES = main.cpp\n", "QMake"),
        ("a.fs", "module Mill\nlet turn x = x\n", "F#"),
        ("a.fs", "#version 330\nuniform vec2 size;\n", "GLSL"),
        ("a.cs", "class Mill {}\n", "C#"),
        ("a.php", "<?php echo 1;\n", "PHP"),
        ("a.php", "<?hh // strict\n", "Hack"),
        ("a.sql", "SELECT 1;\n", "SQL"),
        ("a.sql", "CREATE FUNCTION f() RETURNS int AS $$ BEGIN END $$ LANGUAGE plpgsql;\n", "PLpgSQL"),
        ("a.md", "# Mill\n", "Markdown"),
        ("a.1", ".TH MILL 1\n.SH NAME\n", "Roff Manpage"),
        ("a.rs", "fn main() {}\n", "Rust"),
        ("a.d", "module mill;\nvoid main() {}\n", "D"),
        ("a.f", "      PROGRAM MILL\n", "Fortran"),
        ("a.l", "%{\n#include <stdio.h>\n%}\n%%\n", "Lex"),
        ("a.ml", "let turn x = x\n", "OCaml"),
        ("a.json", '{"a": 1}', "JSON"),
        ("a.yml", "a: 1\n", "YAML"),
        ("a.al", "% the language of Autolev\n", None),
    ],
)
def test_extensions_that_several_languages_share(path: str, text: str, language: str | None):
    assert language_of(path, text) == language


def test_filters_name_languages_of_the_table_that_have_the_extension():
    for extension, (filters, default) in ambiguous._RULES.items():
        known = {name for name, row in TABLE.items() if extension in map(str.lower, row.get("extensions", []))}
        assert known, extension
        assert default is None or default in known, (extension, default, known)
        assert [name for name, _ in filters if name not in known] == [], (extension, known)


def test_every_shared_extension_has_an_answer_without_a_text():
    shared = {e.lower() for row in TABLE.values() for e in row.get("extensions", [])}
    assert {e: language_of(f"x{e}") for e in shared if language_of(f"x{e}") not in TABLE} == {".al": None}


@pytest.mark.parametrize(
    "noise", ["\n" * 20_000, " \t" * 10_000, "a(" * 10_000, "<" * 20_000, "/*" * 10_000, "%" * 20_000]
)
@pytest.mark.parametrize("extension", sorted(ambiguous._RULES))
def test_hostile_texts_take_no_long_time(extension: str, noise: str):
    language_of(f"x{extension}", noise)  # pytest's own limit: a quadratic filter would take minutes for all of these


def test_data():
    assert is_data("JSON")
    assert not is_data("Python")
    assert not is_data("no such language")


def test_languages_with_comment_syntax_are_in_the_table():
    """The family `code` looks up comments by the names of this table."""
    names = {name.lower() for name in TABLE}
    known = [name for syntax in SYNTAXES.values() for name in re.split(r"\|", syntax.languages)]
    missing = [name for name in known if name.lower() not in names]
    assert len(missing) < 0.1 * len(known), missing


def test_marks_are_of_paths_and_headers():
    assert marks("src/vendored_words.py", "Python", "x = 1\n") == {}
    assert marks("a/third_party/x.c", "C", "") == {"vendored": "true"}
    assert marks("package-lock.json", "JSON", "{}\n") == {"generated": "true", "data": "true"}
    assert marks("a.c", "C", "/* Code generated by a mill. DO NOT EDIT. */\n") == {"generated": "true"}
    assert marks("a.c", "C", "int x;\n" * 50 + "// do not edit\n") == {}
