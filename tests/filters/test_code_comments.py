"""Comments against a slow reading of the syntaxes, against Python's own tokenizer and against Pygments."""

import io
import re
import sysconfig
import tokenize
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment

from filters import code_syntax as syntaxes
from filters.batch import TextBatch
from filters.code import Code
from filters.code_comments import comment_characters
from filters.code_syntax import SYNTAXES, Syntax, packed, syntax_of

CHARACTER = re.compile(r"'(?:[^'\\]|\\[\0-\x7f][\0-\x7f]{0,10}?)'", re.DOTALL)
RUST = re.compile(r'r(#*)"(?:(?!"\1).)*+(?:"\1|\Z)', re.DOTALL)
CPP = re.compile(r'"([^(]{0,16})\((?:(?!\)\1").)*+(?:\)\1"|\Z)', re.DOTALL)
REGEX = re.compile(r"/(?:\\[^\n\r]|\[(?:\\[^\n\r]|[^\]\n\r\\])*+(?:\]|(?=[\n\r]|\Z))|[^/\n\r\\\[])*+/?")

MARKS = sorted({mark for syntax in SYNTAXES.values() for mark in (*syntax.line, *sum(syntax.block, ()))})
PIECES = [
    *MARKS,
    *("'", '"', "`", '"""', "'''", "\\", "\\'", '\\"', "\n", "\r\n", "\r", " ", "\t", "x", "don't", "é", "字", "\0"),
    *(
        "'a'",
        "'\\n'",
        "'a",
        'r"',
        'r#"',
        '"#',
        'R"(',
        ')"',
        'R"x(',
        ')x"',
        '@"',
        '""',
        "/",
        "[/]",
        "=/",
        "a/b",
        "(",
        ")",
    ),
    *(
        "=pod",
        "\n=head",
        "\n=cut",
        "\n=end",
        "u",
        "\\\n",
        "{",
        "}",
        "[",
        "]",
        "return x",
        "// not a 'string",
        '# nor "',
    ),
]
codes = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=2)), max_size=40).map("".join)


def measured(text: str, language: str) -> int:
    batch = TextBatch(pa.array([text], pa.string()))
    return int(comment_characters(batch.data, batch.offsets, np.array([syntax_of(language)]))[0])


def expected(text: str, syntax: Syntax) -> int:
    at = total = depth = 0
    while at < len(text):
        stop = comment_end(text, at, syntax)
        if stop > at:
            total += stop - at
        else:
            stop = string_end(text, at, syntax)
            if syntax.flags & syntaxes.STATEMENTS:
                depth += text[at] in "([{"
                depth -= text[at] in ")]}" and depth > 0
                if stop > at + 1 and depth == 0 and is_statement(text, at, stop):
                    total += stop - at
        at = stop
    return total


def comment_end(text: str, at: int, syntax: Syntax) -> int:
    line = re.compile(r"[^\n\r]*")
    before = re.split("\n", text[:at])[-1]
    for opener, closer in syntax.block:
        if text.startswith(opener, at):
            depth, at = 1, at + len(opener)
            while at < len(text) and depth:
                if text.startswith(closer, at):
                    depth, at = depth - 1, at + len(closer)
                elif syntax.flags & syntaxes.NESTED and text.startswith(opener, at):
                    depth, at = depth + 1, at + len(opener)
                else:
                    at += 1
            return at
    if syntax.flags & syntaxes.POD and not before and re.compile("=[A-Za-z]").match(text, at):
        end = re.compile(r"(?:(?<=[\n\r])|\A)=(?:cut|end)[^\n\r]*").search(text[at:])
        return at + end.end() if end else len(text)
    for mark in syntax.line:
        if text.startswith(mark, at):
            if syntax.flags & syntaxes.SPACED and at and text[at - 1] > " ":
                continue
            if syntax.flags & syntaxes.FIRST and before.strip(" \t\f"):
                continue
            return line.match(text, at).end()
    return at


def string_end(text: str, at: int, syntax: Syntax) -> int:
    char, behind = text[at], at > 0 and re.match("[A-Za-z0-9]", text[at - 1])
    if syntax.flags & syntaxes.GUARDED and char == "\\":
        return min(at + 2, len(text))
    if syntax.flags & syntaxes.REGEX and char == "/":
        before = text[:at].rstrip(" \t\f")
        return REGEX.match(text, at).end() if not before or before[-1] in "\n!%&(*+,-:;=?[^{|}~" else at + 1
    if syntax.flags & syntaxes.RAW_RUST and char == "r" and not (behind and text[at - 1] != "b"):
        raw = RUST.match(text, at)
        return raw.end() if raw else at + 1
    if char not in syntax.short + syntax.long + syntax.plain + syntax.char:
        return at + 1
    if syntax.flags & syntaxes.APART and behind:
        return at + 1
    if char in syntax.char:
        literal = CHARACTER.match(text, at)
        return literal.end() if literal else at + 1
    if syntax.flags & syntaxes.RAW_CPP and char == '"' and text[at - 1 : at] == "R":
        raw = CPP.match(text, at)
        return raw.end() if raw else at + 1
    if syntax.flags & syntaxes.RAW_SHARP and char == '"' and text[at - 1 : at] == "@":
        return re.compile('"[^"]*"?').match(text, at).end()
    if char in syntax.triple and text.startswith(char * 3, at):
        return re.compile(rf"{char * 3}(?:\\.|(?!{char * 3}).)*+(?:{char * 3})?", re.DOTALL).match(text, at).end()
    if char in syntax.plain:
        return re.compile(f"{char}[^{char}]*{char}?").match(text, at).end()
    if char in syntax.long:
        return re.compile(rf"{char}(?:\\.|[^{char}\\])*+(?:{char}|\\\Z)?", re.DOTALL).match(text, at).end()
    return re.compile(rf"{char}(?:\\\r\n|\\.|[^{char}\\\n\r])*+(?:{char}|\\\Z)?", re.DOTALL).match(text, at).end()


def is_statement(text: str, at: int, stop: int) -> bool:
    left = re.search(r"(?:(\\?)\r?\n|\A)[ \t\f]*[rRuU]{0,2}\Z", text[:at])
    return bool(left) and not left[1] and re.compile(r"[ \t]*(?:[\n\r#]|\Z)").match(text, stop) is not None


@pytest.mark.parametrize("name", SYNTAXES)
@settings(max_examples=60)
@given(codes)
def test_comments_are_those_of_the_reference(name, code):
    syntax = SYNTAXES[name]
    assert measured(code, syntax.languages.split("|")[0]) == expected(code, syntax)


def test_comments_of_the_standard_library_are_those_of_pythons_tokenizer():
    root = Path(sysconfig.get_path("stdlib"))
    checked = 0
    for path in sorted(root.glob("*.py")) + sorted(root.glob("[a-e]*/*.py")):
        try:
            text = path.read_text("utf-8")
            comments = tokenized(text)
        except (UnicodeDecodeError, SyntaxError, tokenize.TokenError):
            continue
        checked += 1
        assert measured(text, "Python") == comments, path.name
    assert checked > 200


def tokenized(text: str) -> int:
    """Characters of comments, and of strings that are alone in their statement, by the tokenize module."""
    total, statement = 0, []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            total += len(token.string)
        elif token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            if len(statement) == 1 and statement[0].type == tokenize.STRING:
                string = statement[0].string.lstrip("rRuU")
                total += len(string) if string[0] in "'\"" else 0
            statement = []
        elif token.type not in (tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            statement.append(token)
    return total


@pytest.mark.parametrize(
    ("language", "suffix"), [("C", ".h"), ("C++", ".cc"), ("Cython", ".pyx"), ("JavaScript", ".js"), ("CSS", ".css")]
)
def test_comments_of_installed_files_are_those_of_pygments(language, suffix):
    lexer = get_lexer_by_name({"C++": "cpp"}.get(language, language.lower()), stripnl=False, ensurenl=False)
    files = [path for path in Path(sysconfig.get_path("purelib")).rglob("*" + suffix) if path.stat().st_size < 60_000]
    files = sorted(files)[:: max(1, len(files) // 25)]
    if not files:
        pytest.skip(f"no package with {suffix} files is installed")
    shares = []
    for path in files:
        text = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
        kinds = [(kind, len(value.rstrip("\n"))) for kind, value in lexer.get_tokens(text)]
        known = sum(size for kind, size in kinds if is_comment(kind))
        shares.append(abs(measured(text, language) - known) / max(1, len(text)))
    assert sum(share < 0.01 for share in shares) >= 0.95 * len(shares)


def is_comment(kind: object) -> bool:
    preprocessor = kind in Comment.Preproc or kind in Comment.PreprocFile
    return (kind in Comment and not preprocessor) or str(kind) == "Token.Literal.String.Doc"


@pytest.mark.parametrize(
    ("language", "code", "comment"),
    [
        ("Python", "x = '# no' # yes\n", "# yes"),
        (
            "Python",
            'def f():\n    r"""Doc."""  # why\n    x = """no"""\n    g("""no"""\n    """no""")\n',
            '"""Doc."""# why',
        ),
        ("Python", 'x = \\\n    "no"\n', ""),
        ("C", 'puts("// no /* no"); // yes\nchar c = \'"\'; /* yes\n*/ x', "// yes/* yes\n*/"),
        ("C++", 'auto s = R"x(" // no )" )x"; // yes', "// yes"),
        ("C#", 'var path = @"C:\\"; // yes', "// yes"),
        ("Java", 'String s = """\n// no "\n"""; // yes', "// yes"),
        ("Go", "s := `// no\\`; // yes", "// yes"),
        ("Rust", 'fn f<\'a>(s: &\'a str) { /* a /* b */ c */ r#"// " no"# } // yes', "/* a /* b */ c */// yes"),
        ("JavaScript", "x = /[/'\"]\\/* no/.test(a) // yes\ny = a / b // 'yes", "// yes// 'yes"),
        ("TypeScript", "`// no\n/* no ${x}` // yes", "// yes"),
        ("PHP", "#[Route('/')]\n$url = 'http://x'; # yes", "# yes"),
        ("SCSS", "a { b: url(http://c.d) } // yes", "// yes"),
        ("Shell", 'echo $# ${x#y} "# no" don\'t # yes', "# yes"),
        ("Perl", "my $n = $#list; # yes\n\n=head1 yes\n\n=cut\n\n$x", "# yes=head1 yes\n\n=cut"),
        ("SQL", "SELECT '-- no' -- yes", "-- yes"),
        ("Lua", "x = '--' --[[ yes\n]] y", "--[[ yes\n]]"),
        ("Haskell", "x = '\"' -- yes\n{- a {- b -} c -}", "-- yes{- a {- b -} c -}"),
        ("Emacs Lisp", '(x ?\\; "; no\n;no" #\\" ; yes)', "; yes)"),
        ("TeX", "50\\% no % yes", "% yes"),
        ("MATLAB", "a' + '% no' % yes", "% yes"),
        ("Dockerfile", "  # yes\nRUN x # no", "# yes"),
        ("Batchfile", "@rem yes\necho REM no\n:: yes", "@rem yes:: yes"),
        ("HTML", "<!-- yes --><p>'<!-- yes", "<!-- yes --><!-- yes"),
        ("JSON", '{"a": 1} // unknown', ""),
    ],
)
def test_strings_hide_comments(language, code, comment):
    assert measured(code, language) == len(comment)


def test_languages_are_known_in_any_case_and_by_one_name():
    assert syntax_of("PYTHON") == syntax_of("python") >= 0
    assert syntax_of(None) == syntax_of("") == syntax_of("JSON") == -1
    names = [name for syntax in SYNTAXES.values() for name in syntax.languages.split("|")]
    assert len(names) == len(set(names))
    assert all(
        len(syntax.line) <= syntaxes.LINES and len(syntax.block) <= syntaxes.BLOCKS for syntax in SYNTAXES.values()
    )
    assert packed().special.sum(axis=1).min() > 0


def test_the_family_takes_the_syntax_from_the_languages_of_the_batch():
    batch = TextBatch(pa.array(["x = 1 # é\n", "x = 1 # y\n", "x = 1 # y\n"]))
    batch.languages = pa.array(["Python", None, "JSON"])
    rows = Code()(batch)
    assert rows["comments"].to_pylist() == [0.3, 0, 0]
    assert rows["comment_syntax"].to_pylist() == ["python", "", ""]


@pytest.mark.parametrize(
    "piece", ["(/[", '"""', "'", "`", "/*", "r#", 'R"(', "# ", "\\", "=a\n", "{", "'\\x", "::", '"\t']
)
@pytest.mark.parametrize(
    "language", ["JavaScript", "Python", "Rust", "C++", "Ruby", "Batchfile", "Emacs Lisp", "OCaml"]
)
def test_hostile_texts_take_linear_time(language, piece):
    assert 0 <= measured(piece * (600_000 // len(piece)), language) <= 600_000
